"""Explorer of causal spectra: a real part, the imaginary part it forces, the kernel of both."""

from __future__ import annotations

import torch
from torch import Tensor

from tnnlab.ops.hilbert import causal_taps
from tnnlab.widgets.controls import Choice, Slider
from tnnlab.widgets.explorer import Explorer
from tnnlab.widgets.frames import Curve, Panel

HALF = 512  # frequencies from 0 to π: fine enough that aliasing does not show
SHOWN = 4  # every fourth of them is drawn
MEMORY = 16  # lags
SHAPES = ["smooth", "kink", "jump"]


def spectrum_explorer() -> Explorer:
    """A bump in the real part, by shape, place and width, and the causal kernel it determines.

    >>> sorted(spectrum_explorer().values)
    ['centre', 'shape', 'width']
    """
    return Explorer(
        _spectrum,
        title="The real part determines a causal kernel",
        description="Widen the bump: the kernel gets short. Break it: the kernel gets long.",
        shape=Choice("Bump", SHAPES),
        centre=Slider("Frequency of the bump", [0, 0.25, 0.5, 0.75], start=0.25),
        width=Slider("Width of the bump", [0.03125, 0.0625, 0.125, 0.25], start=0.0625),
    )


def _spectrum(shape: str, centre: float, width: float) -> list[Panel]:
    real = real_part(shape, centre, width)
    taps = causal_taps(real)
    imaginary = torch.fft.rfft(taps, n=2 * HALF).imag
    frequency = torch.linspace(0, 1, HALF + 1, dtype=torch.float64)
    even = torch.fft.irfft(real, n=2 * HALF)
    lags = torch.arange(-24, 49)
    energy = taps.square()
    beyond = float(energy[MEMORY + 1 :].sum() / energy.sum())
    share = f"{beyond:.2%}" if beyond >= 1e-4 else "Less than 0.01%"
    largest = int(imaginary.abs().argmax())
    size = taps.abs()
    near, far = (float(size[lag : 2 * lag].max()) for lag in (8, 16))
    return [
        Panel(
            "Spectrum",
            [
                Curve(frequency[::SHOWN], real[::SHOWN], "real part: free"),
                Curve(frequency[::SHOWN], imaginary[::SHOWN], "imaginary part: forced"),
            ],
            x_label="frequency (1: half a cycle per step)",
            note=f"The imaginary part is largest at frequency {largest / HALF:.2f}.",
        ),
        Panel(
            "Kernel",
            [
                Curve(lags, torch.where(lags < 0, 0.0, taps[lags.abs()]), "causal", style="stems"),
                Curve(lags, even[lags], "even, without the window", style="dashed"),
            ],
            x_label="lag",
            y_label="tap",
            note=f"{share} of the energy lies beyond lag {MEMORY}.",
        ),
        Panel(
            "Size of the taps",
            [
                Curve(range(1, 65), size[1:65], "|tap|", style="points"),
                Curve([1, 64], [0.5, 0.5 / 64], "1 / lag", style="dashed"),
                Curve([1, 64], [0.5, 0.5 / 64**2], "1 / lag²", style="dashed"),
            ],
            x_label="lag",
            x_scale="log",
            y_scale="log",
            y_range=(1e-6, 1.0),
            note=f"The largest at lags 8 to 15 is {_short(near)}, at lags 16 to 31 {_short(far)}.",
        ),
    ]


def _short(size: float) -> str:
    return f"{size:.1g}" if size > 1e-12 else "only rounding"


def real_part(shape: str, centre: float, width: float) -> Tensor:
    """A bump of height 1 at frequency ``centre``, averaged with its mirror image at ``-centre``.

    Args:
        shape: ``"smooth"`` (a Gaussian, ``width`` its standard deviation), ``"kink"`` (a triangle)
            or ``"jump"`` (a box); for these two ``width`` is half of the base.
        centre, width: in units of π radians per step.

    Returns:
        samples at frequencies π m / 512, m = 0 … 512, float64 ``(513,)``; one cycle of a periodic
        function.

    >>> real = real_part("kink", centre=0.5, width=0.25)
    >>> real.shape, real.max()  # half of the bump is at -0.5
    (torch.Size([513]), tensor(0.5000, dtype=torch.float64))
    """
    frequency = torch.linspace(0, 1, HALF + 1, dtype=torch.float64)
    circles = 2.0 * torch.arange(-3, 4)  # what leaves a circle enters it again
    places = torch.cat([centre + circles, -centre + circles])
    distance = (frequency[:, None] - places).abs()
    if shape == "smooth":
        bumps = torch.exp(-((distance / width) ** 2) / 2)
    elif shape == "kink":
        bumps = (1 - distance / width).clamp(min=0)
    else:
        bumps = ((width - distance) * HALF + 0.5).clamp(0, 1)  # how much of each cell it covers
    return bumps.sum(dim=1) / 2
