"""Explorers of kernels: what an MLP over lags can make, and the matrix that a kernel stands for."""

from __future__ import annotations

import math

import torch

from tnnlab.operators import TNO
from tnnlab.ops import toeplitz_matmul, toeplitz_matrix
from tnnlab.widgets.controls import Choice, Slider
from tnnlab.widgets.explorer import Explorer
from tnnlab.widgets.frames import Curve, Image, Panel

CHANNELS = 3


def kernel_explorer() -> Explorer:
    """An untrained TNO: its kernel and spectrum, by activation, depth, decay and length.

    >>> sorted(kernel_explorer().values)
    ['activation', 'decay', 'depth', 'length']
    """
    return Explorer(
        _kernel,
        title="The kernel that an untrained RPE makes",
        description="Three channels of a TNO with the same random seed throughout.",
        activation=Choice("Activation", ["relu", "silu", "gelu"]),
        depth=Slider("Depth of the RPE", [0, 1, 3, 6], start=3),
        decay=Slider("Decay λ", [0.9, 0.95, 0.99, 0.999, 1.0], start=0.99),
        length=Slider("Length n", [64, 128, 256], start=128),
    )


@torch.no_grad()
def _kernel(activation: str, depth: int, decay: float, length: int) -> list[Panel]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        operator = TNO(
            CHANNELS, causal=True, rpe_depth=depth, rpe_activation=activation, decay=decay
        )
    kernel = operator.kernel(length).double()
    lags = torch.arange(length)
    bound = torch.linspace(0, length - 1, 33)
    envelope = float((kernel / decay**lags).abs().max()) * decay**bound
    spectrum = torch.fft.rfft(kernel).abs()
    frequency = torch.linspace(0, 1, length // 2 + 1)
    names = [f"channel {c + 1}" for c in range(CHANNELS)]
    return [
        Panel(
            "Kernel",
            [
                *(Curve(lags, k, n) for k, n in zip(kernel, names, strict=True)),
                Curve(bound, envelope, "decay envelope", style="dashed"),
                Curve(bound, -envelope, style="dashed"),
            ],
            x_label="lag",
            y_label="tap",
            note=f"Half of the energy lies within {_half_energy(kernel)} of {length} lags.",
        ),
        Panel(
            "Spectrum",
            [Curve(frequency, s, n) for s, n in zip(spectrum, names, strict=True)],
            x_label="frequency (1: half a cycle per step)",
            y_label="magnitude",
            y_scale="log",
            note=f"The largest magnitude is {float(spectrum.max() / spectrum.min()):.3g} times "
            "the smallest.",
        ),
    ]


def _half_energy(kernel: torch.Tensor) -> int:
    """How many lags hold half of the squared taps, channels together."""
    energy = kernel.square().sum(dim=0).cumsum(dim=0)
    return int((energy < energy[-1] / 2).sum()) + 1


SHAPES = ["decay", "oscillation", "echo", "moving average"]


def toeplitz_explorer() -> Explorer:
    """A kernel, the Toeplitz matrix it fills, and the matrix at work on one sequence.

    >>> sorted(toeplitz_explorer().values)
    ['scale', 'shape', 'side']
    """
    return Explorer(
        _toeplitz,
        title="One row of numbers fills the matrix",
        description="Each diagonal of the matrix repeats one tap; the matrix convolves.",
        shape=Choice("Kernel", SHAPES),
        scale=Slider("Time scale", [2, 4, 8, 16], start=4),
        side=Choice("Lags", ["causal", "bidirectional"]),
    )


def _toeplitz(shape: str, scale: int, side: str, n: int = 32) -> list[Panel]:
    causal = side == "causal"
    lags = torch.arange(0 if causal else 1 - n, n, dtype=torch.float64)
    kernel = _taps(shape, lags.abs(), scale)
    position = torch.arange(n, dtype=torch.float64)
    x = torch.zeros(n, dtype=torch.float64)
    x[4], x[16:24] = 1.0, 1.0
    y = toeplitz_matmul(kernel[None], x[None], causal=causal)[0]
    matrix = toeplitz_matrix(kernel, causal=causal)
    count = f"{len(lags)} numbers fill {n} × {n} = {n * n} entries."
    return [
        Panel("Kernel", [Curve(lags, kernel, style="stems")], x_label="lag", y_label="tap"),
        Panel(
            "Toeplitz matrix",
            image=Image(matrix),
            x_label="input position",
            y_label="output position",
            note=count,
        ),
        Panel(
            "Product",
            [Curve(position, x, "input x", style="stems"), Curve(position, y, "output T x")],
            x_label="position",
        ),
    ]


def _taps(shape: str, distance: torch.Tensor, scale: int) -> torch.Tensor:
    """The taps of a named shape at these distances (lags without their sign)."""
    if shape == "decay":
        return torch.exp(-distance / scale)
    if shape == "oscillation":
        return torch.exp(-distance / (2 * scale)) * torch.cos(math.pi * distance / scale)
    if shape == "echo":
        echoes = [(distance == k * scale).double() * 0.5**k for k in range(3)]
        return echoes[0] + echoes[1] + echoes[2]
    return (distance < scale).double() / scale
