"""Explorer of the circulant embedding: what a circle of N places does to a product of length n."""

from __future__ import annotations

import torch
from torch import Tensor

from tnnlab.ops import toeplitz_matmul, toeplitz_matrix
from tnnlab.widgets.controls import Choice, Slider
from tnnlab.widgets.explorer import Explorer
from tnnlab.widgets.frames import Curve, Image, Panel

LENGTH = 16
SIZES = [16, 18, 20, 22, 24, 26, 28, 29, 30, 31, 32, 36, 40]
PIXELS = 80


def circulant_explorer() -> Explorer:
    """A Toeplitz product of length 16 computed on circles of 16 to 40 places, right and wrong.

    >>> sorted(circulant_explorer().values)
    ['side', 'size']
    """
    return Explorer(
        _circulant,
        title=f"How large must the circle be? (n = {LENGTH})",
        description="Blue is right. Orange is what wraps around: raise N until it is gone.",
        size=Slider("FFT size N", SIZES, start=20),
        side=Choice("Lags", ["causal", "bidirectional"]),
    )


def _circulant(size: int, side: str) -> list[Panel]:
    causal = side == "causal"
    lags = torch.arange(0 if causal else 1 - LENGTH, LENGTH)
    kernel = torch.exp(-lags.abs().double() / 8)
    position = torch.arange(LENGTH)
    x = 1 + torch.sin(0.7 * position.double())
    exact = toeplitz_matmul(kernel[None], x[None], causal=causal)[0]
    matrix = toeplitz_matrix(kernel, causal)
    extra = corner(kernel, lags, size) - matrix
    computed = (matrix + extra) @ x
    wrong = int((extra.abs() > 1e-12).any(dim=1).sum())
    said = f"{wrong} of {LENGTH} outputs are wrong." if wrong else "Every output is right."
    return [
        Panel(
            "The circle at output 0",
            image=Image(_rings(size, causal)),
            note=f"Outer ring: the kernel on {size} places. Inner ring: the input that it meets.",
        ),
        Panel(
            "The matrix that acts on x",
            image=Image(torch.where(extra.abs() > 1e-12, -extra, matrix)),
            x_label="input position",
            y_label="output position",
            note="Orange entries are taps that came round, and are too much.",
        ),
        Panel(
            "Product",
            [
                Curve(position, exact, "exact T x"),
                Curve(position, computed, "on the circle", style="points"),
                Curve(position, computed - exact, "error", style="dashed"),
            ],
            x_label="output position",
            note=said,
        ),
    ]


def corner(kernel: Tensor, lags: Tensor, size: int) -> Tensor:
    """The n × n corner, acting on x, of the circulant matrix with these taps on ``size`` places.

    Args:
        kernel: taps of one channel, at ``lags``; two that fall on one place are added.
        lags: integers, the largest of them n - 1.
        size: N ≥ n.
    """
    column = torch.zeros(size, dtype=kernel.dtype).index_add(0, lags % size, kernel)
    position = torch.arange(int(lags.max()) + 1)
    return column[(position[:, None] - position) % size]


def _rings(size: int, causal: bool) -> Tensor:
    """Kernel (outer) and input (inner) on a circle, places clockwise from the top; for output 0.

    Returns a picture (pixels, pixels): positive where filled, negative where that is wrong.
    """
    axis = torch.linspace(-1, 1, PIXELS, dtype=torch.float64)
    down, right = torch.meshgrid(axis, axis, indexing="ij")
    radius = torch.hypot(down, right)
    turn = torch.atan2(right, -down) / (2 * torch.pi) * size
    place = turn.round().long() % size
    past, future = place < LENGTH, place > size - LENGTH
    faces = (-place) % size < LENGTH  # the input that meets this place, at output 0
    kernel = past if causal else past | future
    wrong = past & future  # a tap of the past comes where one of the future, or nothing, belongs
    weight = torch.where(wrong, -1.0, torch.where(past & faces | future & kernel, 1.0, 0.35))
    gap = (turn - turn.round()).abs() > 0.5 - 0.35 * size / PIXELS
    outer, inner = (radius > 0.7) & (radius < 1), (radius > 0.36) & (radius < 0.66)
    filled = outer & kernel | inner & faces
    empty = (outer | inner) & ~filled
    picture = torch.where(filled, weight, torch.where(empty, 0.06, 0.0))
    return torch.where(gap, 0.0, picture)
