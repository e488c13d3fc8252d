"""The architecture as a picture: model, block and GTU side by side, each inside the one before.

Returns a matplotlib figure drawn in the style of :mod:`tnnlab.plots`; needs the extra ``book``.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tnnlab._extras import require
from tnnlab.plots import COLOURS, WIDTH

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN = COLOURS[:3]
Point = tuple[float, float]


def architecture(depth: int) -> Figure:
    """The model (left), one of its blocks (middle) and the GTU in it (right); data flows down.

    Args:
        depth: number of blocks. Norms are drawn before the mixers (pre-norm).

    >>> type(architecture(depth=6)).__name__
    'Figure'
    """
    require("matplotlib", extra="book")
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(WIDTH, 4.6))
    columns = {"model": partial(_model, depth=depth), "block": _block, "GTU": _gtu}
    panels = figure.subplots(1, 3, width_ratios=(1, 1, 1.25))
    for axes, (title, draw) in zip(panels, columns.items(), strict=True):
        axes.set(xlim=(-1.25, 1.25), ylim=(0, 10), xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        axes.grid(False)
        draw(axes)
        axes.set_title(title)
    return figure


def _model(axes: Axes, depth: int) -> None:
    places = {
        "tokens": 9.3,
        "embedding $E$": 7.8,
        r"$\times \sqrt{d}$": 6.4,
        f"block × {depth}": 4.9,
        "norm": 3.4,
        "$E^\\top$ (tied)": 1.9,
        "logits": 0.5,
    }
    for above, below in pairwise(places.values()):
        _arrow(axes, (0, above), (0, below))
    fills = {"embedding $E$": GREEN, "$E^\\top$ (tied)": GREEN, f"block × {depth}": BLUE}
    for text, y in places.items():
        _box(axes, (0, y), text, fills.get(text), frame=text not in ("tokens", "logits"))


def _block(axes: Axes) -> None:
    x, side = -0.55, 0.55
    _arrow(axes, (x, 9.7), (x, 0.2))
    for top, name, colour in ((9.1, "GTU", BLUE), (4.7, "GLU", ORANGE)):
        _path(axes, [(x, top), (side, top), (side, top - 2.9), (x + 0.14, top - 2.9)])
        _box(axes, (side, top - 0.65), "norm")
        _box(axes, (side, top - 1.7), name, colour)
        _circle(axes, (x, top - 2.9), "+")
    axes.text(x - 0.12, 9.55, "$x$", ha="right")


def _gtu(axes: Axes) -> None:
    left, right = -0.65, 0.65
    for x in (left, right):
        _path(axes, [(0, 9.6), (0, 9.1), (x, 9.1), (x, 7.9)])
    _arrow(axes, (left, 7.9), (left, 3.1))
    _arrow(axes, (right, 7.9), (right, 4.7))
    _path(axes, [(right, 4.7), (right, 3.1), (left + 0.14, 3.1)])
    for x, name in ((left, "u"), (right, "v")):
        _box(axes, (x, 7.7), f"$W_{name}$")
        _box(axes, (x, 6.3), "SiLU")
    _box(axes, (right, 4.7), "TNO", BLUE)
    _circle(axes, (left, 3.1), "⊙")
    _arrow(axes, (left, 2.95), (left, 0.2))
    _box(axes, (left, 1.6), "$W_o$")
    axes.text(0.1, 9.55, "$x$")
    axes.text(left + 0.12, 5.2, "gate $u$", color="0.3", fontsize=9)
    axes.text(right + 0.1, 5.42, "$v$", color="0.3")


def _box(axes: Axes, at: Point, text: str, fill: str | None = None, *, frame: bool = True) -> None:
    look: dict[str, Any] = {"boxstyle": "round,pad=0.4", "linewidth": 1.0}
    look |= {"facecolor": fill or "white", "edgecolor": fill or "0.35"}
    if not frame:
        look["edgecolor"] = "white"
    ink = "white" if fill else "0.1"
    axes.text(*at, text, ha="center", va="center", color=ink, bbox=look, zorder=3)


def _circle(axes: Axes, at: Point, text: str) -> None:
    look: dict[str, Any] = {"boxstyle": "circle,pad=0.25", "facecolor": "white", "edgecolor": "0.1"}
    axes.text(*at, text, ha="center", va="center", bbox=look, zorder=3)


def _arrow(axes: Axes, start: Point, end: Point) -> None:
    look = {"arrowstyle": "->", "color": "0.25", "shrinkA": 0, "shrinkB": 9}
    axes.annotate("", end, start, arrowprops=look)


def _path(axes: Axes, points: list[Point]) -> None:
    """A line through points, with an arrow on its last piece."""
    xs, ys = zip(*points[:-1], strict=True)
    axes.plot(xs, ys, color="0.25", linestyle="-", linewidth=1.0)
    look = {"arrowstyle": "->", "color": "0.25", "shrinkA": 0}
    axes.annotate("", points[-1], points[-2], arrowprops=look)


__all__ = ["architecture"]
