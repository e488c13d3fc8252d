"""Explorer of one kernel in its five views: taps, matrix, spectrum, states, coefficients."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tnnlab.convert.systems import DiagonalSSM
from tnnlab.ops import toeplitz_matrix
from tnnlab.widgets.controls import Slider
from tnnlab.widgets.explorer import Explorer
from tnnlab.widgets.frames import Curve, Image, Panel
from tnnlab.widgets.plane import pole_map

LENGTH = 40  # lags drawn as taps
SIDE = 24  # rows of the matrix
BINS = 65


def views_explorer() -> Explorer:
    """A pair of poles and a real one, seen as taps, matrix, spectrum, states and coefficients.

    >>> sorted(views_explorer().values)
    ['angle', 'radius', 'second']
    """
    return Explorer(
        _views,
        title="One kernel, five views",
        description="Move any slider: all five change, because they are one thing.",
        radius=Slider("Radius of the pair", [0.5, 0.8, 0.95], start=0.8),
        angle=Slider("Angle of the pair (°)", [0, 30, 75, 120], start=30),
        second=Slider("Real pole", [-0.8, 0.0, 0.6, 0.9], start=0.6),
    )


def _views(radius: float, angle: float, second: float) -> list[Panel]:
    system = three_poles(radius, math.radians(angle), second)
    taps = system.kernel(LENGTH)[0]
    a, b = coefficients(system)
    frequency = torch.linspace(0, 1, BINS, dtype=torch.float64)
    response = frequency_response(a, b, frequency)
    order = torch.arange(len(a))
    poles = torch.view_as_complex(system.poles)[0]
    slowest = float(poles.abs().max())
    return [
        Panel(
            "Taps",
            [Curve(torch.arange(LENGTH), taps, style="stems")],
            x_label="lag",
            note=f"The slowest part shrinks by {slowest:.2f} a step.",
        ),
        Panel(
            "Matrix",
            image=Image(toeplitz_matrix(taps[:SIDE], causal=True)),
            x_label="input position",
            y_label="output position",
        ),
        Panel(
            "Spectrum",
            [
                Curve(frequency, response.abs(), "magnitude"),
                Curve(frequency, response.real, "real part", style="dashed"),
            ],
            x_label="frequency (1: half a cycle per step)",
        ),
        Panel(
            "States: poles",
            image=Image(pole_map(torch.cat([poles, poles.conj()]), pixels=27), "sequential"),
            note=f"Memory: about {1 / (1 - slowest):.0f} steps.",
        ),
        Panel(
            "Transfer function",
            [
                Curve(order, a, "denominator 1, a₁, a₂, a₃", style="stems"),
                Curve(order, b, "numerator", style="points"),
            ],
            x_label="power of z⁻¹",
        ),
    ]


def three_poles(radius: float, angle: float, second: float) -> DiagonalSSM:
    """A pair of poles at ``radius e^(±i angle)`` and a real one, ``k_m = r^m cos(θ m) + p^m / 2``.

    One channel, two complex states: the pair is folded to one.
    """
    poles = torch.tensor(
        [[radius * complex(math.cos(angle), math.sin(angle)), second]], dtype=torch.complex128
    )
    weights = torch.tensor([[1.0, 0.5]], dtype=torch.complex128)
    return DiagonalSSM(poles, weights * poles, torch.full((1,), 1.5, dtype=torch.float64))


def coefficients(system: DiagonalSSM) -> tuple[Tensor, Tensor]:
    """Denominator and numerator of the transfer function of :func:`three_poles`, ``(4,)`` each.

    The denominator is the product of ``1 - λ z⁻¹`` over the pair and the real pole; times the
    taps it gives the numerator.
    """
    pair, second = torch.view_as_complex(system.poles)[0]
    a = torch.stack([torch.ones_like(pair), -2 * pair.real, pair.abs() ** 2, 0 * pair]).real
    a = a - second.real * torch.cat([a.new_zeros(1), a[:-1]])
    taps = system.kernel(len(a))[0]
    return a, toeplitz_matrix(taps, causal=True) @ a


def frequency_response(a: Tensor, b: Tensor, frequency: Tensor) -> Tensor:
    """Numerator over denominator on the unit circle, at frequencies in half cycles per step."""
    powers = torch.exp(-1j * math.pi * frequency[:, None] * torch.arange(len(a)))
    return (powers @ b.to(powers.dtype)) / (powers @ a.to(powers.dtype))
