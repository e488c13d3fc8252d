"""Operators with a state: the same kernel, applied one position at a time."""

from abc import abstractmethod

import torch
from torch import Tensor

from tnnlab.operators.base import ToeplitzOperator, check_input
from tnnlab.ops.statespace import (
    diagonal_state,
    diagonal_taps,
    statespace_state,
    statespace_taps,
)


def as_taps(kernel: Tensor) -> Tensor:
    """Causal taps in float64, checked.

    Raises:
        ValueError: they are not a real ``(channels, n)`` with n ≥ 1, or not finite.
    """
    if kernel.ndim != 2 or kernel.shape[1] < 1 or kernel.is_complex():
        raise ValueError(
            "a conversion takes real causal taps of shape (channels, n), lag 0 first, n ≥ 1; "
            f"got {kernel.dtype} of shape {tuple(kernel.shape)}"
        )
    if not bool(kernel.isfinite().all()):
        raise ValueError("a conversion takes finite taps; these hold NaN or infinity")
    return kernel.detach().double()


def tap_error(found: Tensor, exact: Tensor) -> float:
    """The largest difference of two kernels, relative to the largest exact tap of its channel."""
    scale = exact.abs().amax(1).clamp_min(torch.finfo(exact.dtype).tiny)
    return float(((found - exact).abs().amax(1) / scale).max())


class StatefulOperator(ToeplitzOperator):
    """A causal operator that can also run as a recurrence.

    ``operator(x)`` convolves with ``kernel(n)``; ``scan(x)`` gives the same by ``step``. The
    weights are constants in float64, as converted: ``.float()`` for use.

    A state is a real tensor ``(batch, channels, …)``. It may be of a lower precision than the
    weights: a step computes in theirs and rounds what it stores.

    >>> system = DiagonalSSM(torch.tensor([[0.5 + 0j]]), torch.tensor([[1 + 0j]]), torch.ones(1))
    >>> x = torch.randn(2, 10, 1, dtype=torch.float64)
    >>> torch.allclose(system(x), system.scan(x)), system.order
    (True, 2)
    """

    direct: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__(channels, causal=True)

    @property
    @abstractmethod
    def order(self) -> int:
        """How many real numbers a channel remembers."""

    @abstractmethod
    def start(self, batch: int) -> Tensor:
        """The state before the first input: zeros."""

    def kernel(self, n: int) -> Tensor:
        if n < 1:
            raise ValueError(f"a kernel has a length n ≥ 1; got {n}")
        with self._full_precision():
            return self._kernel(n)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One position: ``x (batch, channels)`` and a state to the output and the next state."""
        with self._full_precision():
            (now, before) = self._promoted(x, state)
            y, after = self._step(now, before)
        return y.to(x.dtype), after.to(state.dtype)

    def state(self, x: Tensor) -> Tensor:
        """What ``x (batch, n, channels)`` leaves behind, without the steps one by one."""
        check_input(self, x)
        with self._full_precision():
            (x,) = self._promoted(x.mT)
            return self._state(x)

    @abstractmethod
    def _kernel(self, n: int) -> Tensor: ...

    @abstractmethod
    def _step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]: ...

    @abstractmethod
    def _state(self, x: Tensor) -> Tensor:
        """``x (batch, channels, n)``, length last."""

    @torch.no_grad()
    def scan(self, x: Tensor) -> Tensor:
        """The operator as a recurrence, step by step: ``(batch, n, channels)`` to the same."""
        check_input(self, x)
        state, outputs = self.start(x.shape[0]), []
        for position in x.unbind(1):
            y, state = self.step(position, state)
            outputs.append(y)
        return torch.stack(outputs, dim=1)

    def _full_precision(self) -> torch.autocast:
        return torch.autocast(self.direct.device.type, enabled=False)

    def _promoted(self, *tensors: Tensor) -> list[Tensor]:
        dtype = torch.promote_types(self.direct.dtype, torch.float32)
        return [tensor.to(dtype) for tensor in tensors]


class DiagonalSSM(StatefulOperator):
    """A diagonal state space, one of each conjugate pair of states kept.

        u_i = λ u_{i-1} + x_i,    y_i = d x_i + Re Σ_j c_j u_{i-1,j}

    so the taps are ``d`` and ``Re Σ_j c_j λ_j^(m-1)``: real, whatever λ and c are.

    Args:
        poles: λ, ``(channels, h)`` complex.
        residues: c, ``(channels, h)`` complex; of a pair the sum of both, that is twice one's.
        direct: d, the tap at lag 0, ``(channels,)``.

    Shape: ``(batch, length, channels)`` to the same; the state is ``(batch, channels, h, 2)``,
    real and imaginary parts.

    >>> system = DiagonalSSM(torch.tensor([[0.5 + 0j]]), torch.tensor([[1 + 0j]]), torch.ones(1))
    >>> system.kernel(4)
    tensor([[1.0000, 1.0000, 0.5000, 0.2500]], dtype=torch.float64)
    """

    poles: Tensor
    residues: Tensor

    def __init__(self, poles: Tensor, residues: Tensor, direct: Tensor) -> None:
        if poles.ndim != 2 or poles.shape != residues.shape or direct.shape != poles.shape[:1]:
            raise ValueError(
                "poles and residues have shape (channels, h), direct (channels,); "
                f"got {tuple(poles.shape)}, {tuple(residues.shape)}, {tuple(direct.shape)}"
            )
        super().__init__(poles.shape[0])
        self.register_buffer("poles", torch.view_as_real(poles.to(torch.complex128)).clone())
        self.register_buffer("residues", torch.view_as_real(residues.to(torch.complex128)).clone())
        self.register_buffer("direct", direct.double().clone())

    @property
    def order(self) -> int:
        return 2 * self.poles.shape[1]

    def _kernel(self, n: int) -> Tensor:
        poles, residues, direct = self._promoted(self.poles, self.residues, self.direct)
        poles, residues = torch.view_as_complex(poles), torch.view_as_complex(residues)
        return diagonal_taps(poles, residues, direct, n)

    def start(self, batch: int) -> Tensor:
        return self.poles.new_zeros(batch, *self.poles.shape)

    def _step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        poles, residues, direct = self._promoted(self.poles, self.residues, self.direct)
        real, imaginary = (residues * state).sum(-2).unbind(-1)
        y = direct * x + real - imaginary  # Re(c u) = Re c Re u - Im c Im u
        turned = torch.view_as_complex(poles) * torch.view_as_complex(state.contiguous())
        return y, torch.stack([turned.real + x[..., None], turned.imag], dim=-1)

    def _state(self, x: Tensor) -> Tensor:
        (poles,) = self._promoted(self.poles)
        return torch.view_as_real(diagonal_state(torch.view_as_complex(poles), x))

    def extra_repr(self) -> str:
        return f"channels={self.channels}, states={self.poles.shape[1]} complex"


class StateSpace(StatefulOperator):
    """A real state space with full matrices, one system per channel.

        s_i = A s_{i-1} + B x_i,    y_i = D x_i + C s_{i-1}

    Args:
        A: ``(channels, h, h)``.
        B, C: ``(channels, h)``.
        direct: D, the tap at lag 0, ``(channels,)``.

    Shape: ``(batch, length, channels)`` to the same; the state is ``(batch, channels, h)``.

    >>> A, B, C = torch.tensor([[[0.5]]]), torch.tensor([[1.0]]), torch.tensor([[1.0]])
    >>> StateSpace(A, B, C, torch.ones(1)).kernel(4)
    tensor([[1.0000, 1.0000, 0.5000, 0.2500]], dtype=torch.float64)
    """

    A: Tensor
    B: Tensor
    C: Tensor

    def __init__(self, A: Tensor, B: Tensor, C: Tensor, direct: Tensor) -> None:
        if B.ndim != 2 or C.shape != B.shape or A.shape != (*B.shape, B.shape[-1]):
            raise ValueError(
                "A has shape (channels, h, h), B and C (channels, h), direct (channels,); got "
                f"{tuple(A.shape)}, {tuple(B.shape)}, {tuple(C.shape)}, {tuple(direct.shape)}"
            )
        super().__init__(B.shape[0])
        for name, value in (("A", A), ("B", B), ("C", C), ("direct", direct)):
            self.register_buffer(name, value.double().clone())

    @property
    def order(self) -> int:
        return self.B.shape[1]

    def _kernel(self, n: int) -> Tensor:
        A, B, C, D = self._promoted(self.A, self.B, self.C, self.direct)
        return statespace_taps(A, B, C, D, n)

    def poles(self) -> Tensor:
        """The eigenvalues of A: ``(channels, h)`` complex."""
        return torch.linalg.eigvals(self.A.double())

    def start(self, batch: int) -> Tensor:
        return self.B.new_zeros(batch, *self.B.shape)

    def _step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        A, B, C, D = self._promoted(self.A, self.B, self.C, self.direct)
        y = D * x + torch.einsum("ch,bch->bc", C, state)
        return y, torch.einsum("cij,bcj->bci", A, state) + B * x[..., None]

    def _state(self, x: Tensor) -> Tensor:
        A, B = self._promoted(self.A, self.B)
        return statespace_state(A, B, x)

    def diagonal(self, tolerance: float = 1e-6) -> DiagonalSSM:
        """The same system in the basis of A's eigenvectors: O(h) a step in place of O(h²).

        Args:
            tolerance: how far the taps at the first 4 h lags may move, relative to the largest
                of their channel.

        Raises:
            ValueError: they move further: the eigenvectors are too close to dependent. A system
                with fewer states has better ones.
        """
        A, B, C, D = (tensor.double() for tensor in (self.A, self.B, self.C, self.direct))
        poles, vectors = torch.linalg.eig(A)
        # Where they are dependent this is infinite, and refused below.
        entry = torch.linalg.solve_ex(vectors, B.to(vectors)[..., None])[0][..., 0]
        residues = torch.einsum("ch,chj->cj", C.to(vectors), vectors) * entry
        system = DiagonalSSM(*_fold_pairs(poles, residues), D)
        length = 4 * self.order + 1
        taps, found = statespace_taps(A, B, C, D, length), system.kernel(length)
        worst = tap_error(found, taps)
        if not worst <= tolerance:
            raise ValueError(
                f"with {self.order} states the eigenvectors are nearly dependent: taps would be "
                f"off by {worst:.1e} of the largest, and {tolerance:.1e} is allowed. Keep fewer "
                "states, or use the state space as it is"
            )
        return system

    def extra_repr(self) -> str:
        return f"channels={self.channels}, states={self.order}"


def _fold_pairs(poles: Tensor, residues: Tensor) -> tuple[Tensor, Tensor]:
    """One pole of each conjugate pair with twice the residue, and the real ones; rows that have
    fewer are filled with zeros."""
    paired = poles.imag != 0
    weight = torch.where(paired, torch.where(poles.imag > 0, 2.0, 0.0), 1.0)
    keep = weight > 0
    order = torch.argsort(keep.to(torch.int8), dim=1, descending=True, stable=True)
    most = int(keep.sum(1).max())
    poles, residues = (
        (value * keep).gather(1, order)[:, :most] for value in (poles, residues * weight)
    )
    return poles, residues
