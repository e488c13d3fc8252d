"""Pictures of the book that take more than a few lines: a product, an embedding, two rings.

Each returns a matplotlib figure drawn in the style of :mod:`tnnlab.plots`; needs the extra
``book``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from tnnlab._extras import require
from tnnlab.ops import toeplitz_matmul, toeplitz_matrix
from tnnlab.plots import COLOURS, WIDTH, show_matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN = COLOURS[:3]


def _figure(width: float, height: float, **options: Any) -> Any:
    require("matplotlib", extra="book")
    import matplotlib.pyplot as plt

    return plt.figure(figsize=(width, height), **options)


def _bare(*several: Axes) -> None:
    """No ticks, no grid, no frame."""
    for axes in several:
        axes.set(xticks=[], yticks=[])
        axes.grid(False)
        axes.spines[:].set_visible(False)


def product(kernel: Tensor, x: Tensor, *, causal: bool, row: int | None = None) -> Figure:
    """A kernel beside the product it stands for: x above its matrix, y = T x on the right.

    Args:
        kernel: taps of one channel, ``(n,)`` if causal, else ``(2n - 1,)``.
        x: input ``(n,)``.
        causal: as in :func:`tnnlab.ops.toeplitz_matrix`.
        row: an output to point out, with the row of the matrix that makes it.

    >>> import torch
    >>> from tnnlab import toeplitz_matrix
    >>> figure = product(torch.tensor([1.0, 0.5, 0.2]), torch.ones(3), causal=True, row=2)
    >>> len(figure.axes)
    4
    """
    n, kernel, x = len(x), kernel.detach(), x.detach()
    y = toeplitz_matmul(kernel[None], x[None], causal=causal)[0]
    matrix = toeplitz_matrix(kernel, causal)
    lags, places = np.arange(0 if causal else 1 - n, n), np.arange(n)

    figure = _figure(WIDTH, 4.1)
    grid = figure.add_gridspec(2, 3, width_ratios=(2.3, 3, 1), height_ratios=(0.6, 3))
    taps = figure.add_subplot(grid[1, 0])
    square = figure.add_subplot(grid[1, 1])
    top = figure.add_subplot(grid[0, 1], sharex=square)
    side = figure.add_subplot(grid[1, 2], sharey=square)

    taps.vlines(lags, 0, kernel, color=BLUE, linewidth=1.2)
    taps.plot(lags, kernel, ".", color=BLUE, markersize=4)
    taps.axhline(0, color="0.4", linewidth=0.8)
    taps.set(title="kernel  $k_m$", xlabel="lag m")
    show_matrix(square, matrix).axes.set(aspect="auto", xlabel="input position j")
    square.set_ylabel("output position i")
    square.spines[:].set_visible(True)
    top.stairs(x, np.arange(n + 1) - 0.5, fill=True, color=GREEN)
    top.axhline(0, color="0.4", linewidth=0.8)
    top.set_title("input  x")
    side.plot(y, places, color=ORANGE, linestyle="-")
    side.axvline(0, color="0.4", linewidth=0.8)
    side.set_title("output  y")
    _bare(top, side)
    square.set(xlim=(-0.5, n - 0.5), ylim=(n - 0.5, -0.5))
    if row is not None:
        square.add_patch(_outline(-0.5, row - 0.5, n, 1, linewidth=1.2))
        side.plot(y[row], row, "o", color="0.1", markersize=5)
    return figure


def _outline(x: float, y: float, width: float, height: float, linewidth: float = 2.0) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle(
        (x, y), width, height, fill=False, edgecolor="0.1", linewidth=linewidth, zorder=3
    )


def embedding(n: int, size: int) -> Figure:
    """A bidirectional Toeplitz matrix of n, and the circulant matrix of ``size`` that holds it.

    Cells carry the lag of their tap: blue for the past, orange for the future, white for padding.

    Raises:
        ValueError: ``size`` is below 2n - 1, where two taps would need one place.

    >>> [axes.get_title() for axes in embedding(4, size=8).axes]
    ['T, 4 × 4', 'C, 8 × 8']
    """
    if size < 2 * n - 1:
        raise ValueError(
            f"the lags of n = {n} need at least 2n - 1 = {2 * n - 1} places, got {size}"
        )
    lag = np.arange(n)[:, None] - np.arange(n)
    place = (np.arange(size)[:, None] - np.arange(size)) % size
    around = np.where(place < n, place, np.where(place > size - n, place - size, n))

    figure = _figure(WIDTH, WIDTH * size / (n + size) + 0.3)
    small, large = figure.subplots(1, 2, width_ratios=(n, size))
    _cells(small, lag, n)
    _cells(large, around, n)
    small.set_title(f"T, {n} × {n}")
    large.set_title(f"C, {size} × {size}")
    large.add_patch(_outline(-0.5, -0.5, n, n))
    small.set_anchor("N")
    large.set_anchor("N")
    _bare(small, large)
    return figure


def _cells(axes: Axes, lag: np.ndarray, n: int) -> None:
    """Draw a matrix of lags; ``n`` stands for padding."""
    shade = np.where(lag < 0, -1.0, 1.0) * (1 - 0.8 * np.abs(lag) / n) * (lag != n)
    show_matrix(axes, shade)
    for (row, column), value in np.ndenumerate(lag):
        padding = value == n
        text = "·" if padding else f"{value}".replace("-", "−")
        colour = "0.45" if padding else "white" if abs(shade[row, column]) > 0.6 else "0.1"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    axes.set(xlim=(-0.55, lag.shape[1] - 0.45), ylim=(lag.shape[0] - 0.45, -0.55))


def rings(n: int, sizes: tuple[int, ...], output: int = 0) -> Figure:
    """Kernel and input on circles of several sizes, turned to where they make one output.

    The outer ring holds a causal kernel's n taps, the inner one the n inputs, running backwards
    from ``output``; places face each other where they are multiplied. Orange pairs are wrong.

    >>> len(rings(4, (4, 7)).axes)
    2
    """
    require("matplotlib", extra="book")
    figure = _figure(WIDTH, WIDTH / len(sizes) + 0.35)
    for axes, size in zip(np.ravel(figure.subplots(1, len(sizes))), sizes, strict=True):
        _ring(axes, n, size, output)
        axes.set_title(_name_size(n, size))
    return figure


def _name_size(n: int, size: int) -> str:
    names = {n: "N = n", 2 * n - 1: "N = 2n − 1", 2 * n: "N = 2n"}
    return f"{names[size]} = {size}" if size in names else f"N = {size}"


def _ring(axes: Axes, n: int, size: int, output: int) -> None:
    from matplotlib.patches import Wedge

    step = 360 / size
    _bare(axes)
    axes.set(xlim=(-1.25, 1.25), ylim=(-1.25, 1.25), aspect="equal")
    for place in range(size):
        j = (output - place) % size  # the input that faces this place
        meets = place < n and j < n
        colour = ORANGE if meets and j > output else BLUE if meets else "0.78"
        start = 90 - (place + 0.5) * step
        for radius, filled, text in ((1.0, place < n, f"k{place}"), (0.7, j < n, f"x{j}")):
            shade: dict[str, Any] = {"facecolor": colour if filled else "none", "edgecolor": "0.55"}
            axes.add_patch(Wedge((0, 0), radius, start, start + step, width=0.28, **shade))
            if filled:
                angle = np.deg2rad(90 - place * step)
                at = (radius - 0.14) * np.array([np.cos(angle), np.sin(angle)])
                ink = "white" if meets else "0.1"
                label = f"${text[0]}_{{{text[1:]}}}$"
                axes.text(at[0], at[1], label, ha="center", va="center", color=ink, fontsize=8)
    wrong = len([p for p in range(n) if output < (output - p) % size < n])
    axes.text(0, 0, f"$y_{{{output}}}$", ha="center", va="center", fontsize=13)
    axes.text(0, -1.2, f"{wrong} wrong product{'s' * (wrong != 1)}", ha="center", fontsize=9)


__all__ = ["embedding", "product", "rings"]
