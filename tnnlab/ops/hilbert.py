"""Causality in the frequency domain: the real part of a spectrum determines the rest.

A causal sequence is fixed by its even part, and the even part is what the real part of the
spectrum transforms to. Two ways to use this, which agree: a window in time, and the discrete
Hilbert transform in frequency. See Oppenheim & Schafer, "Discrete-Time Signal Processing", §12;
Moreno, Mei & Walters, "SKI to go Faster" (2023), §3.3.

Spectra have ``half + 1`` points at the frequencies ω_m = π m / half, m = 0 … half.
"""

import math

import torch
from torch import Tensor


def causal_taps(real: Tensor) -> Tensor:
    """The causal sequence whose spectrum has this real part: even part times a window.

    The window is 1 at lag 0 and at lag ``half`` (where both sides meet), 2 between.

    Args:
        real: real part of a spectrum, ``(..., half + 1)``, half ≥ 1.

    Returns:
        taps at lags 0 … half, ``(..., half + 1)``; differentiable. ``rfft(taps, n=2 * half).real``
        is ``real`` again.

    >>> causal_taps(torch.tensor([3.0, 1.0, -1.0]))  # spectrum of [1, 2, 0]: 3, 1 - 2i, -1
    tensor([1., 2., 0.])
    """
    half = _half(real)
    even = torch.fft.irfft(real, n=2 * half)[..., : half + 1]
    window = even.new_full((half + 1,), 2.0)
    window[0] = window[half] = 1.0
    return even * window


def hilbert(real: Tensor) -> Tensor:
    """The discrete Hilbert transform H of an even, real spectrum: causal = real - i · H(real).

    A circular convolution with a cotangent at odd distances, written out as a matrix: O(half²),
    the naive twin of :func:`causal_taps`.

    Args:
        real: ``(..., half + 1)``, half ≥ 1.

    Returns:
        ``(..., half + 1)``, 0 at the first and the last frequency; differentiable.

    >>> real = torch.tensor([3.0, 1.0, -1.0])  # of [1, 2, 0]: its spectrum is 3, 1 - 2i, -1
    >>> hilbert(real).round(decimals=4)
    tensor([0., 2., 0.])
    """
    half = _half(real)
    size = 2 * half
    full = torch.cat([real, real[..., 1:-1].flip(-1)], dim=-1)  # even in ω: a whole circle
    steps = torch.arange(half + 1)[:, None] - torch.arange(size)[None, :]
    odd = steps % 2 == 1
    angle = math.pi * steps.double() / size
    matrix = torch.where(odd, 2 / size / torch.tan(torch.where(odd, angle, 1.0)), 0.0)
    return full @ matrix.T.to(real)


def _half(real: Tensor) -> int:
    if real.ndim < 1 or real.shape[-1] < 2:
        raise ValueError(f"a spectrum has at least two points, (..., half + 1); got {real.shape}")
    return real.shape[-1] - 1
