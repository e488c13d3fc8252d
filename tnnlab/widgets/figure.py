"""The panels of an explorer as a matplotlib figure, for print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tnnlab._extras import require
from tnnlab.plots import MARKERS
from tnnlab.widgets.frames import Curve, Image, Panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DASHES: list[Any] = ["-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2))]


def draw(panels: Sequence[Panel], title: str) -> Figure:
    """Draw `panels` side by side. Needs matplotlib (the extra `book`)."""
    require("matplotlib", extra="book")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(panels), 3.4), layout="constrained")
    figure.suptitle(title)
    for panel, axes in zip(panels, np.ravel(figure.subplots(1, len(panels))), strict=True):
        axes.set(title=panel.title, xlabel=panel.x_label, ylabel=panel.y_label)
        if panel.image is not None:
            _draw_image(axes, panel.image)
        else:
            _draw_curves(axes, panel)
    return figure


def _draw_image(axes: Axes, image: Image) -> None:
    values = np.asarray(image.values)
    most = float(np.nanmax(np.abs(values))) or 1.0
    low, name = (-most, "PuOr") if image.colormap == "diverging" else (0.0, "Blues")
    axes.grid(False)
    drawn = axes.imshow(values, cmap=name, vmin=low, vmax=most, interpolation="nearest")
    axes.figure.colorbar(drawn, ax=axes, shrink=0.8)


def _draw_curves(axes: Axes, panel: Panel) -> None:
    for index, curve in enumerate(panel.curves):
        _draw_curve(axes, curve, index)
    axes.set(xscale=panel.x_scale, yscale=panel.y_scale)
    if panel.x_range is not None:
        axes.set_xlim(panel.x_range)
    if panel.y_range is not None:
        axes.set_ylim(panel.y_range)
    if any(curve.label for curve in panel.curves):
        axes.legend(fontsize="small")


def _draw_curve(axes: Axes, curve: Curve, index: int) -> None:
    look = index if curve.look is None else curve.look % 4
    mark = "." if curve.look is None else MARKERS[curve.look % len(MARKERS)]
    colour, x, y = f"C{look}", np.asarray(curve.x), np.asarray(curve.y)
    label = curve.label or None
    if curve.style == "stems":
        axes.vlines(x, 0, y, color=colour, linewidth=1)
        axes.plot(x, y, ".", color=colour, label=label)
    elif curve.style == "points":
        axes.plot(x, y, mark, color=colour, label=label)
    elif curve.style == "dashed":
        axes.plot(x, y, color="0.5", linestyle="--", linewidth=1, label=label)
    else:
        axes.plot(x, y, color=colour, linestyle=DASHES[look % 4], label=label)
