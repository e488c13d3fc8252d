"""S4D: the kernel of a diagonal state space, the baseline the papers compare with."""

import math

import torch
from torch import Tensor, nn

from tnnlab.norms import lookup
from tnnlab.operators.base import ToeplitzOperator


def _s4d_lin(states: int) -> Tensor:
    """Frequencies π n: Fourier modes (S4D-Lin)."""
    return math.pi * torch.arange(states)


def _s4d_inv(states: int) -> Tensor:
    """Frequencies N/π (N / (2n + 1) - 1), N = 2 · states: inverse-law modes (S4D-Inv)."""
    order = 2 * states
    return order / math.pi * (order / (2 * torch.arange(states) + 1) - 1)


INITS = {"lin": _s4d_lin, "inv": _s4d_inv}


class S4D(ToeplitzOperator):
    """Diagonal state space (Gu, Gupta, Goel & Ré, "On the Parameterization and Initialization of
    Diagonal State Space Models", 2022).

    ``kernel at lag m = 2 Re Σ_j C_j B̄_j exp(Δ A_j m)``, with ``B̄ = (exp(Δ A) - 1) / A`` (zero-order
    hold, B = 1), ``A = -exp(a) + i ω``, plus a learned ``D`` at lag 0. One pole of each conjugate
    pair is kept. ``kernel(m)`` extends ``kernel(n)``. A bidirectional operator adds a second
    system that runs backwards and begins at lag -1.

    Args:
        channels: one system each.
        causal: whether there is the forward system only.
        order: N, even: poles of a channel, conjugates counted.
        init: of ω: ``"lin"`` (S4D-Lin) or ``"inv"`` (S4D-Inv).
        step_range: Δ starts log-uniformly between these.

    Shape: ``(batch, length, channels)`` to the same.

    Raises:
        ValueError: an odd order, an unknown init.

    >>> operator = S4D(4, causal=False, order=8)
    >>> operator(torch.randn(2, 10, 4)).shape, operator.kernel(10).shape
    (torch.Size([2, 10, 4]), torch.Size([4, 19]))
    """

    is_state_space = True

    def __init__(
        self,
        channels: int,
        *,
        causal: bool,
        order: int = 64,
        init: str = "lin",
        step_range: tuple[float, float] = (1e-3, 1e-1),
    ) -> None:
        super().__init__(channels, causal=causal)
        frequencies = lookup("init", init, INITS)
        if order < 2 or order % 2:
            raise ValueError(f"the order is even, at least 2 (conjugate pairs); got {order}")
        systems, states = channels * (1 if causal else 2), order // 2
        low, high = (math.log(step) for step in step_range)
        self.log_step = nn.Parameter(torch.rand(systems) * (high - low) + low)
        self.log_decay = nn.Parameter(torch.full((systems, states), math.log(0.5)))
        self.frequency = nn.Parameter(frequencies(states).float().repeat(systems, 1))
        self.c = nn.Parameter(torch.randn(systems, states, 2) * 0.5**0.5)
        self.d = nn.Parameter(torch.randn(channels))

    def kernel(self, n: int) -> Tensor:
        if n < 1:
            raise ValueError(f"a kernel has a length n ≥ 1; got {n}")
        step, decay, frequency, c, d = (
            p.to(torch.promote_types(p.dtype, torch.float32))
            for p in (self.log_step, self.log_decay, self.frequency, self.c, self.d)
        )
        pole = torch.complex(-decay.exp(), frequency)
        exponent = pole * step.exp()[:, None]
        gain = torch.view_as_complex(c) * torch.expm1(exponent) / pole
        lags = torch.arange(n, device=d.device, dtype=d.dtype)
        powers = torch.exp(exponent[:, :, None] * lags)
        taps = 2 * torch.einsum("cs,csm->cm", gain, powers).real
        forward, backward = (taps, None) if self.causal else taps.chunk(2)
        forward = torch.cat([forward[:, :1] + d[:, None], forward[:, 1:]], dim=1)
        if backward is None:
            return forward
        return torch.cat([backward[:, : n - 1].flip(1), forward], dim=1)
