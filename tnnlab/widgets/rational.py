"""Explorer of transfer functions: where poles and zeros lie, and the kernel that follows."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tnnlab.ops.rational import impulse_response, rational_taps, unaliased
from tnnlab.widgets.controls import Slider
from tnnlab.widgets.explorer import Explorer
from tnnlab.widgets.frames import Curve, Image, Panel

ZERO_RADIUS = 0.95
EDGE = 1.15  # of the complex plane shown
PIXELS = 37


def rational_explorer() -> Explorer:
    """A pair of poles and a pair of zeros: where they lie, the kernel, the spectrum.

    >>> sorted(rational_explorer().values)
    ['length', 'pole', 'radius', 'zero']
    """
    return Explorer(
        _rational,
        title="Poles and zeros make a kernel",
        description="Move the poles towards the circle: the kernel rings longer than L, and wraps.",
        radius=Slider("Pole radius", [0.5, 0.8, 0.9, 0.97, 1.02], start=0.9, continuous=False),
        pole=Slider("Pole angle (°)", [0, 45, 90, 135], start=45),
        zero=Slider("Zero angle (°)", [0, 180], start=180),
        length=Slider("Roots of unity L", [12, 48], start=12, continuous=False),
    )


def _rational(radius: float, pole: float, zero: float, length: int) -> list[Panel]:
    poles, zeros = math.radians(pole), math.radians(zero)
    a, b, h0 = coefficients(radius, poles, ZERO_RADIUS, zeros)
    exact = impulse_response(a, b, h0, length)[0]
    aliased = rational_taps(a, b, h0, length)[0]
    corrected = impulse_response(a, *unaliased(a, b, h0, length), length)[0]
    lags = torch.arange(length)
    gap = float((aliased - exact).abs().max() / exact.abs().max())
    frequency = torch.linspace(0, 1, 97, dtype=torch.float64)
    roots = torch.linspace(0, 1, length // 2 + 1, dtype=torch.float64)
    stable = "inside the circle: stable." if radius < 1 else "outside the circle: unstable."
    return [
        Panel(
            "Complex plane",
            image=Image(_plane(radius, poles, zeros)),
            note=f"Poles (blue) {stable} Zeros are orange.",
        ),
        Panel(
            "Kernel",
            [
                Curve(lags, exact, "recurrence", style="dashed"),
                Curve(lags, aliased, "FFT"),
                Curve(lags, corrected, "recurrence, corrected", style="points"),
            ],
            x_label="lag",
            note=f"FFT and recurrence differ by {gap:.1%} of the largest tap."
            if radius < 1
            else "The recurrence grows without end; L taps cannot show it.",
        ),
        Panel(
            "Spectrum",
            [
                Curve(frequency, _magnitude(a, b, h0, frequency), "|H|"),
                Curve(roots, _magnitude(a, b, h0, roots), "roots of unity", style="points"),
            ],
            x_label="frequency (1: half a cycle per step)",
            y_scale="log",
            note=f"The kernel is made from H at {length} roots of unity; half of them are drawn.",
        ),
    ]


def coefficients(
    pole_radius: float, pole_angle: float, zero_radius: float, zero_angle: float
) -> tuple[Tensor, Tensor, Tensor]:
    """``a, b, h_0`` of one channel with a conjugate pair of poles and one of zeros.

    Args:
        pole_radius, zero_radius: distances from 0.
        pole_angle, zero_angle: in radians; the pair stands at plus and minus this.

    Returns:
        ``(1, 2)``, ``(1, 2)`` and ``(1,)``, float64, with h_0 = 1.
    """
    a, c = (
        torch.tensor([[-2 * r * math.cos(t), r * r]], dtype=torch.float64)
        for r, t in ((pole_radius, pole_angle), (zero_radius, zero_angle))
    )
    return a, c - a, torch.ones(1, dtype=torch.float64)


def _magnitude(a: Tensor, b: Tensor, h0: Tensor, frequency: Tensor) -> Tensor:
    """|H| of one channel at these frequencies, in half cycles per step."""
    delays = torch.arange(1, a.shape[1] + 1, dtype=torch.float64)
    powers = torch.exp(-1j * math.pi * frequency[:, None] * delays)
    return (h0 + (powers * b).sum(1) / (1 + (powers * a).sum(1))).abs()


def _plane(radius: float, poles: float, zeros: float) -> Tensor:
    """The unit circle, with poles as positive and zeros as negative discs, (pixels, pixels)."""
    axis = torch.linspace(-EDGE, EDGE, PIXELS, dtype=torch.float64)
    z = torch.complex(axis[None, :], -axis[:, None])
    picture = torch.where((z.abs() - 1).abs() < EDGE / PIXELS, 0.3, 0.0)
    for sign, r, angle in ((-1.0, ZERO_RADIUS, zeros), (1.0, radius, poles)):
        for side in (1, -1):
            place = r * complex(math.cos(angle), side * math.sin(angle))
            picture = torch.where((z - place).abs() < 0.1, sign, picture)
    return picture
