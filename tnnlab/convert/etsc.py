"""ETSC: any causal kernel becomes a state space, exactly and in closed form."""

import torch
import torch.nn.functional as F
from torch import Tensor

from tnnlab.convert.systems import DiagonalSSM, as_taps


class ETSC(DiagonalSSM):
    """A diagonal state space whose poles are roots of unity, shrunk by a decay.

    ``λ_j = ρ exp(-2πi j / N)`` for j = 1 … ⌊N / 2⌋. Beyond its n = N - 1 taps the kernel is the
    damped periodic extension: ``k_{m+N} = ρ^N k_m``, with a tap at lag n that makes the sum of
    ``k_m / ρ^m`` over a period zero.

    Args:
        residues, direct: as for :class:`DiagonalSSM`.
        period: N.
        decay: ρ in (0, 1], ``(channels,)``.
    """

    decay: Tensor

    def __init__(self, residues: Tensor, direct: Tensor, *, period: int, decay: Tensor) -> None:
        super().__init__(_poles(period, decay), residues, direct)
        self.period = period
        self.register_buffer("decay", decay.double().clone())

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
        return torch.view_as_real(torch.fft.rfft(folded)[..., 1:].contiguous())


def etsc(kernel: Tensor, *, decay: float | Tensor = 1.0) -> ETSC:
    """Exact Toeplitz-to-SSM conversion (Qin & Zhong, EMNLP 2023, §3.2-3.3).

    With ``k_m = ρ^m t_m`` and ``t_n := -Σ_{m<n} t_m`` appended, the inverse DFT of t gives ``b``
    with ``t_m = Σ_j b_j exp(-2πi j m / N)``, N = n + 1, and b_0 = 0: one FFT of each channel.
    Conjugate pairs are folded to half, and ρ goes into the poles.

    Args:
        kernel: taps ``(channels, n)``, any n ≥ 1.
        decay: ρ in (0, 1], one number or ``(channels,)``: an envelope that the kernel itself
            shrinks with (a TNO's λ). The state forgets at this rate; with 1 the kernel goes on for
            ever, periodically. A kernel that shrinks more slowly loses digits: rounding errors are
            as large as ``ρ^m max|t|`` at lag m.

    Returns:
        an :class:`ETSC` with ⌊(n + 1) / 2⌋ complex states in each channel, in float64.

    Raises:
        ValueError: taps of another shape, or a decay outside (0, 1].

    >>> system = etsc(torch.tensor([[3.0, 1.0, 2.0]]))
    >>> system.kernel(3).round(decimals=6)
    tensor([[3., 1., 2.]], dtype=torch.float64)
    """
    taps = as_taps(kernel)
    channels, n = taps.shape
    rate = torch.as_tensor(decay, dtype=torch.float64, device=taps.device).flatten()
    if rate.numel() not in (1, channels) or not bool(((rate > 0) & (rate <= 1)).all()):
        raise ValueError(
            f"decay lies in (0, 1], one number or one for each of {channels} channels; got {decay}"
        )
    rate = rate.expand(channels)
    envelope = rate[:, None] ** torch.arange(n, device=taps.device)
    # Where the envelope is 0 in float64, so are the taps that it is an envelope of.
    undecayed = torch.where(envelope > 0, taps / envelope, 0.0)
    closed = torch.cat([undecayed, -undecayed.sum(1, keepdim=True)], dim=1)
    # conj(rfft(t)) / N is the inverse DFT of a real t, at j = 0 … ⌊N / 2⌋.
    b = torch.fft.rfft(closed).conj()[:, 1:] / (n + 1)
    pairs = torch.full((b.shape[1],), 2.0, dtype=torch.float64, device=b.device)
    if n % 2:  # N is even: the pole at -1 is its own conjugate
        pairs[-1] = 1.0
    residues = b * pairs * _poles(n + 1, rate)  # the output is read a step later
    return ETSC(residues, taps[:, 0], period=n + 1, decay=rate)


def _poles(period: int, decay: Tensor) -> Tensor:
    """``ρ exp(-2πi j / N)`` for j = 1 … ⌊N / 2⌋: ``(channels, ⌊N / 2⌋)``."""
    j = torch.arange(1, period // 2 + 1, dtype=torch.float64, device=decay.device)
    return decay.double()[:, None] * torch.polar(torch.ones_like(j), -2 * torch.pi * j / period)
