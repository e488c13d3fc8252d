"""FD-TNO: an MLP over frequencies makes the spectrum; causality comes from a Hilbert transform."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tnnlab.operators.base import ToeplitzOperator
from tnnlab.operators.rpe import RPE
from tnnlab.ops.hilbert import causal_taps


class InterpolatedSpectrum(nn.Module):
    """Learned values at evenly spaced frequencies in [0, π], linear between: no MLP.

    Args:
        channels: numbers produced for each frequency.
        points: learned values per channel, at least 2.

    Shape: frequencies ``(m,)`` in radians per step to ``(m, channels)``.

    >>> spectrum = InterpolatedSpectrum(channels=1, points=3)
    >>> _ = spectrum.values.data.copy_(torch.tensor([[0.0], [2.0], [1.0]]))
    >>> spectrum(torch.tensor([0.0, math.pi / 4, math.pi / 2, math.pi])).T.tolist()
    [[0.0, 1.0, 2.0, 1.0]]
    """

    def __init__(self, channels: int, points: int) -> None:
        super().__init__()
        if points < 2:
            raise ValueError(f"an interpolated spectrum has at least 2 points, got {points}")
        self.values = nn.Parameter(torch.randn(points, channels))

    def forward(self, frequencies: Tensor) -> Tensor:
        values = self.values.to(torch.promote_types(self.values.dtype, torch.float32))
        last = values.shape[0] - 1
        place = frequencies.to(values.dtype) * (last / math.pi)
        left = place.floor().long().clamp(0, last - 1)
        return torch.lerp(values[left], values[left + 1], (place - left)[:, None])


class FDTNO(ToeplitzOperator):
    """Frequency-domain Toeplitz neural operator (Moreno, Mei & Walters, 2023, §3.3).

    Causal: an RPE gives the real part of the kernel's spectrum at ω_m = π m / N₂, m = 0 … N₂, and
    causality the imaginary part (:func:`tnnlab.ops.hilbert.causal_taps`). Bidirectional: the RPE
    gives both parts, the imaginary one forced to 0 at frequencies 0 and π. ``2 N₂`` is the power
    of two ≥ 2n. No decay: a smooth spectrum is a short kernel.

    ``kernel(m)`` extends ``kernel(n)`` only up to aliasing: a longer sequence samples the same
    spectrum on a finer grid.

    Args:
        channels: one spectrum each.
        causal: whether the kernel has lags ≥ 0 only.
        rpe_width, rpe_depth, rpe_activation, rpe_norm: of the :class:`RPE`. Theorems 2-4 tie the
            kernel's decay to the activation's smoothness, for a spectrum that is smooth all around
            the circle. A function of ω in [0, π], continued evenly, has kinks at 0 and π unless it
            is flat there: the far taps of a causal kernel go down like 1/m², whatever the
            activation, and those of the odd part of a bidirectional one like 1/m.
        points: in place of the RPE, learn this many values per channel and interpolate.

    Shape: ``(batch, length, channels)`` to the same.

    >>> operator = FDTNO(4, causal=True)
    >>> operator(torch.randn(2, 10, 4)).shape, operator.spectrum(10).shape  # N₂ = 16
    (torch.Size([2, 10, 4]), torch.Size([4, 17]))
    """

    extends = False

    def __init__(
        self,
        channels: int,
        *,
        causal: bool,
        rpe_width: int = 64,
        rpe_depth: int = 3,
        rpe_activation: str = "gelu",
        rpe_norm: str = "rms",
        points: int | None = None,
    ) -> None:
        super().__init__(channels, causal=causal)
        outputs = channels if causal else 2 * channels
        self.rpe: nn.Module
        if points is None:
            self.rpe = RPE(
                outputs, width=rpe_width, depth=rpe_depth, activation=rpe_activation, norm=rpe_norm
            )
        else:
            self.rpe = InterpolatedSpectrum(outputs, points)

    def frequencies(self, n: int) -> Tensor:
        """The N₂ + 1 frequencies sampled at length n, from 0 to π radians per step."""
        if n < 1:
            raise ValueError(f"a kernel has a length n ≥ 1; got {n}")
        half = 1 << (n - 1).bit_length()
        device = next(self.parameters()).device
        steps = torch.arange(half + 1, device=device, dtype=torch.float64)
        return steps * (math.pi / half)

    def spectrum(self, n: int) -> Tensor:
        """What the RPE says: ``(channels, N₂ + 1)``, the real part if causal, else complex."""
        return self._spectrum(self.rpe(self.frequencies(n)).T)

    def kernel(self, n: int) -> Tensor:
        return self._taps(self.spectrum(n), n)

    positions = frequencies

    def kernel_of(self, values: Tensor, n: int) -> Tensor:
        """``kernel(n)``, given the RPE's values at ``positions(n)``: ``(outputs, N₂ + 1)``."""
        return self._taps(self._spectrum(values), n)

    def _spectrum(self, values: Tensor) -> Tensor:
        if self.causal:
            return values
        real, imaginary = values.chunk(2)
        return torch.complex(real, F.pad(imaginary[:, 1:-1], (1, 1)))

    def _taps(self, spectrum: Tensor, n: int) -> Tensor:
        if self.causal:
            return causal_taps(spectrum)[:, :n]
        taps = torch.fft.irfft(spectrum, n=2 * (spectrum.shape[1] - 1))
        return taps.roll(n - 1, dims=1)[:, : 2 * n - 1]  # negative lags stand at the end
