"""RTF: a kernel from a rational transfer function, trained at no cost in state size."""

import torch
from torch import Tensor, nn

from tnnlab.norms import lookup
from tnnlab.operators.base import ToeplitzOperator
from tnnlab.ops.rational import rational_step, rational_taps, unaliased


def _montel(tensor: Tensor) -> Tensor:
    bound = 1 / tensor.shape[-1]
    return nn.init.uniform_(tensor, -bound, bound)


INITS = {"zeros": nn.init.zeros_, "xavier": nn.init.xavier_normal_, "montel": _montel}


class RTF(ToeplitzOperator):
    """Rational transfer function (Parnichkun et al., ICML 2024, §3).

    ``H(z) = h_0 + (b_1 z⁻¹ + … + b_s z⁻ˢ) / (1 + a_1 z⁻¹ + … + a_s z⁻ˢ)`` evaluated on L roots of
    unity; the inverse FFT of it is the kernel, at a cost that does not depend on s. A bidirectional
    operator adds a second system that runs backwards and begins at lag -1.

    Up to n = L all kernels are prefixes of one; beyond, H is evaluated on n points, and what
    wrapped around at L no longer does.

    Args:
        channels: one transfer function each.
        causal: whether there is the forward system only.
        order: s, the number of states.
        length: L ≥ 1 (an odd one is rounded up to even).
        denominators: how many sets of ``a``, each shared by ``channels / denominators``
            neighbouring channels; None: one for each channel.
        init: of ``a`` and ``b``: ``"zeros"`` (H ≡ h_0), ``"xavier"``, ``"montel"`` (uniform ±1/s).
        stable: keep all poles inside the unit circle by Montel's bound, Σ|a_i| < 1.

    Shape: ``(batch, length, channels)`` to the same.

    Raises:
        ValueError: an order or length below 1, denominators that do not divide the channels, an
            unknown init.

    >>> operator = RTF(4, causal=True, order=8, length=64, init="montel")
    >>> x = torch.randn(2, 10, 4)
    >>> torch.allclose(operator(x), operator.scan(x), atol=1e-5)  # by FFT, and step by step
    True
    """

    extends = False  # beyond L
    is_state_space = True

    def __init__(
        self,
        channels: int,
        *,
        causal: bool,
        order: int = 64,
        length: int = 512,
        denominators: int | None = None,
        init: str = "zeros",
        stable: bool = False,
    ) -> None:
        super().__init__(channels, causal=causal)
        initialise = lookup("init", init, INITS)
        denominators = channels if denominators is None else denominators
        if order < 1 or length < 1:
            raise ValueError(f"order and length are at least 1; got {order} and {length}")
        if denominators < 1 or channels % denominators:
            raise ValueError(f"{denominators} denominators do not divide {channels} channels")
        systems = 1 if causal else 2
        self.order, self.length, self.stable = order, length, stable
        self.a = nn.Parameter(torch.empty(systems * denominators, order))
        self.b = nn.Parameter(torch.empty(systems * channels, order))
        # Together, so that Xavier's rule sees one matrix, as the released parameter `ab` is.
        coefficients = initialise(torch.empty(len(self.a) + len(self.b), order))
        with torch.no_grad():
            self.a.copy_(coefficients[: len(self.a)])
            self.b.copy_(coefficients[len(self.a) :])
        self.h0 = nn.Parameter(torch.randn(systems * channels))
        self.slack = nn.Parameter(torch.rand(systems * denominators)) if stable else None

    def coefficients(self) -> tuple[Tensor, Tensor, Tensor]:
        """``a, b, h_0`` of all systems, one row for each channel, in float32 or float64."""
        a, b, h0 = (
            p.to(torch.promote_types(p.dtype, torch.float32)) for p in (self.a, self.b, self.h0)
        )
        if self.slack is not None:
            # Σ|a_i| / (Σ|a_i| + e^slack) < 1, whatever is learned.
            total = a.abs().sum(-1, keepdim=True)
            a = a / (total + self.slack.to(a.dtype).exp()[:, None])
        return a.repeat_interleave(len(b) // len(a), dim=0), b, h0

    def kernel(self, n: int) -> Tensor:
        if n < 1:
            raise ValueError(f"a kernel has a length n ≥ 1; got {n}")
        points = max(n, self.length)
        taps = rational_taps(*self.coefficients(), points + points % 2)
        if self.causal:
            return taps[:, :n]
        forward, backward = taps.chunk(2)
        return torch.cat([backward[:, : n - 1].flip(1), forward[:, :n]], dim=1)

    def recurrence(self) -> tuple[Tensor, Tensor, Tensor]:
        """``a, b, h_0`` of the recurrence that has the kernel's taps over L steps.

        Raises:
            NotImplementedError: the operator is bidirectional.
        """
        if not self.causal:
            raise NotImplementedError("a bidirectional operator sees the future: no recurrence")
        a, b, h0 = (tensor.double() for tensor in self.coefficients())
        b, h0 = unaliased(a, b, h0, self.length + self.length % 2)
        return a, b, h0

    @torch.no_grad()
    def scan(self, x: Tensor) -> Tensor:
        """The operator as a recurrence, step by step: ``(batch, n, channels)``, n ≤ L."""
        a, b, h0 = (tensor.to(x) for tensor in self.recurrence())
        state = x.new_zeros(x.shape[0], self.channels, self.order)
        outputs = []
        for step in range(x.shape[1]):
            y, state = rational_step(a, b, h0, x[:, step], state)
            outputs.append(y)
        return torch.stack(outputs, dim=1)
