"""ETSC: any causal kernel becomes a state space, exactly and in closed form."""

import torch
import torch.nn.functional as F
from torch import Tensor

from tnnlab.convert.systems import DiagonalSSM, as_taps


class ETSC(DiagonalSSM):
    """A diagonal state space whose poles are roots of unity, shrunk by a decay.

    ``λ_j = ρ exp(-2πi j / N)`` for j = s … ⌊N / 2⌋, where s is 0, or 1 without the pole at ρ. The
    kernel is periodic, but for its decay: ``k_{m+N} = ρ^N k_m``.

    Args:
        residues: as for :class:`DiagonalSSM`, ``(channels, ⌊N / 2⌋ + 1 - s)``: s is what their
            number says.
        direct: as for :class:`DiagonalSSM`.
        period: N.
        decay: ρ in (0, 1], ``(channels,)``.

    Raises:
        ValueError: another number of residues.

    >>> system = ETSC(torch.ones(1, 3) + 0j, torch.ones(1), period=4, decay=torch.ones(1))
    >>> system.poles.shape, system.kernel(6).round(decimals=4).tolist()
    (torch.Size([1, 3, 2]), [[1.0, 3.0, 0.0, 1.0, 0.0, 3.0]])
    """

    decay: Tensor

    def __init__(self, residues: Tensor, direct: Tensor, *, period: int, decay: Tensor) -> None:
        first = period // 2 + 1 - residues.shape[-1]
        if first not in (0, 1):
            raise ValueError(
                f"a period of {period} has {period // 2 + 1} residues, or one less without the "
                f"pole at the decay; got {residues.shape[-1]}"
            )
        super().__init__(_poles(period, decay)[:, first:], residues, direct)
        self.period, self.first = period, first
        self.register_buffer("decay", decay.double().clone())

    def _kernel(self, n: int) -> Tensor:
        """By one FFT of the residues, O(N log N), and repetition: ``k_m = ρ^(m-1) p_{m-1}`` with
        ``p_q = Re Σ_j c_j exp(-2πi j q / N)``. No power of a pole is rounded."""
        residues, direct, decay = self._promoted(self.residues, self.direct, self.decay)
        spectrum = F.pad(residues, (0, 0, self.first, 0))
        once = torch.fft.fft(torch.view_as_complex(spectrum), self.period).real
        lag = torch.arange(n - 1, device=once.device)
        taps = once[:, lag % self.period] * decay[:, None] ** lag
        return torch.cat([direct[:, None], taps], dim=1)

    def _state(self, x: Tensor) -> Tensor:
        """By one FFT, O(n log n).

        ``u_j = Σ_q λ_j^q x_{n-1-q}``: the polynomial with the inputs as coefficients, newest first,
        at all roots of unity.
        """
        (decay,) = self._promoted(self.decay)
        newest_first = x.flip(-1)
        age = torch.arange(x.shape[-1], device=x.device, dtype=x.dtype)
        weighted = newest_first * decay[:, None] ** age
        missing = -x.shape[-1] % self.period
        folded = F.pad(weighted, (0, missing)).unflatten(-1, (-1, self.period)).sum(-2)
        return torch.view_as_real(torch.fft.rfft(folded)[..., self.first :].contiguous())


def etsc(kernel: Tensor, *, decay: float | Tensor = 1.0, published: bool = False) -> ETSC:
    """Exact Toeplitz-to-SSM conversion (Qin & Zhong, EMNLP 2023, §3.2-3.3).

    With ``k_m = ρ^m t_m``, the inverse DFT of t over N lags gives ``b`` with
    ``t_m = Σ_j b_j exp(-2πi j m / N)``: one FFT of each channel. Conjugate pairs are folded to
    half, and ρ goes into the poles. Two forms have the same first n taps, and differ beyond:

    * N = n. What follows is the plain damped periodic extension of the taps,
      ``k_{m+n} = ρ^n k_m``. The pole at ρ has the mean of t as its weight; with ρ = 1 it sums up
      all inputs for ever.
    * N = n + 1, as published: ``t_n := -Σ_{m<n} t_m`` is appended, so that the mean is 0 and that
      pole drops out. Then ``k_{m+n+1} = ρ^(n+1) k_m``, with an extra tap ``ρ^n t_n`` at lag n, as
      large as all others together where they have one sign.

    Args:
        kernel: taps ``(channels, n)``, any n ≥ 1.
        decay: ρ in (0, 1], one number or ``(channels,)``: an envelope that the kernel itself
            shrinks with (a TNO's λ). The state forgets at this rate; with 1 the kernel goes on for
            ever, periodically. A kernel that shrinks more slowly loses digits: rounding errors are
            as large as ``ρ^m max|t|`` at lag m. ρ is rounded to the precision of the taps, float32
            at least, which it then keeps when the system is.
        published: take N = n + 1.

    Returns:
        an :class:`ETSC` in float64, with ⌊n / 2⌋ + 1 complex states in each channel (two of them
        real if n is even, else one), or with ⌊(n + 1) / 2⌋ as published.

    Raises:
        ValueError: taps of another shape, or a decay outside (0, 1].

    >>> system = etsc(torch.tensor([[3.0, 1.0, 2.0]]))
    >>> system.kernel(5).round(decimals=6)
    tensor([[3., 1., 2., 3., 1.]], dtype=torch.float64)
    >>> etsc(torch.tensor([[3.0, 1.0, 2.0]]), published=True).kernel(5).round(decimals=6)
    tensor([[ 3.,  1.,  2., -6.,  3.]], dtype=torch.float64)
    """
    taps = as_taps(kernel)
    channels, n = taps.shape
    rate = torch.as_tensor(decay, dtype=torch.float64, device=taps.device).flatten()
    if rate.numel() not in (1, channels) or not bool(((rate > 0) & (rate <= 1)).all()):
        raise ValueError(
            f"decay lies in (0, 1], one number or one for each of {channels} channels; got {decay}"
        )
    # As it will be: ρ^m is off by m roundings if ρ is rounded after the taps were divided by it.
    rate = rate.to(torch.promote_types(kernel.dtype, torch.float32)).double().expand(channels)
    envelope = rate[:, None] ** torch.arange(n, device=taps.device)
    # Where the envelope is 0 in float64, so are the taps that it is an envelope of.
    t = torch.where(envelope > 0, taps / envelope, 0.0)
    if published:
        t = torch.cat([t, -t.sum(1, keepdim=True)], dim=1)
    period = t.shape[1]
    # conj(rfft(t)) / N is the inverse DFT of a real t, at j = 0 … ⌊N / 2⌋.
    b = torch.fft.rfft(t).conj() / period
    b[:, 1 : (period + 1) // 2] *= 2  # the others are their own conjugates: at ρ, and at -ρ
    residues = b * _poles(period, rate)  # the output is read a step later
    return ETSC(residues[:, int(published) :], taps[:, 0], period=period, decay=rate)


def _poles(period: int, decay: Tensor) -> Tensor:
    """``ρ exp(-2πi j / N)`` for j = 0 … ⌊N / 2⌋: ``(channels, ⌊N / 2⌋ + 1)``."""
    j = torch.arange(period // 2 + 1, dtype=torch.float64, device=decay.device)
    return decay.double()[:, None] * torch.polar(torch.ones_like(j), -2 * torch.pi * j / period)
