"""One look for every figure: colours that colour-blind readers can tell apart, a few sizes.

After ``plots.use_style()``, ``plt.subplots(figsize=plots.size(2), ncols=2)`` has it. Figures are
dark on white; the book's dark mode turns them over by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tnnlab._extras import require

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.colors import Colormap
    from matplotlib.image import AxesImage
    from numpy.typing import ArrayLike

# After Okabe and Ito, darkened for contrast on white; the explorers use the first four.
COLOURS = ("#0072b2", "#c24e00", "#007a5a", "#a8487f", "#8a6d00", "#3d3d3d")
DASHES = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)), (0, (3, 1)), "-")
WIDTH = 7.0  # inches: the text column


def size(columns: int = 1, height: float = 2.8) -> tuple[float, float]:
    """Figure size in inches for this many panels side by side, never wider than the text.

    >>> [round(side, 2) for side in size(1)], size(2)
    ([4.9, 2.8], (7.0, 2.8))
    """
    return (WIDTH if columns > 1 else 0.7 * WIDTH, height)


def use_style() -> None:
    """Set matplotlib's defaults for the book, and vector output in notebooks.

    Lines differ by colour and dash. Raises ImportError without matplotlib (the extra ``book``).

    >>> use_style()
    >>> import matplotlib
    >>> matplotlib.rcParams["axes.spines.top"]
    False
    """
    require("matplotlib", extra="book")
    import matplotlib as mpl
    from cycler import cycler

    style: Any = {
        "figure.figsize": size(),
        "figure.dpi": 100,
        "figure.facecolor": "white",
        "figure.constrained_layout.use": True,
        "axes.prop_cycle": cycler(color=COLOURS) + cycler(linestyle=DASHES),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.titlesize": 11,
        "axes.titleweight": "bold",
        "axes.labelsize": 10,
        "grid.color": "0.88",
        "grid.linewidth": 0.8,
        "xtick.labelsize": 9,
        "ytick.labelsize": 9,
        "font.size": 10,
        "legend.fontsize": 9,
        "legend.frameon": False,
        "lines.linewidth": 1.6,
        "image.interpolation": "nearest",
        "svg.fonttype": "path",
        "svg.hashsalt": "tnnlab",
    }
    mpl.rcParams.update(style)
    _vector_output()


def _vector_output() -> None:
    """SVG in Jupyter; nothing to do elsewhere."""
    import sys

    ipython = sys.modules.get("IPython")
    if ipython is not None and ipython.get_ipython() is not None:
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("svg")


def diverging() -> Colormap:
    """Colours of signed numbers: blue above zero, orange below, white at zero.

    >>> [round(float(part), 2) for part in diverging()(0.5)]  # white, opaque
    [1.0, 1.0, 1.0, 1.0]
    """
    require("matplotlib", extra="book")
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("tnnlab", [COLOURS[1], "white", COLOURS[0]])


def show_matrix(axes: Axes, matrix: ArrayLike, *, colourbar: bool = False) -> AxesImage:
    """Draw a matrix ``(rows, columns)``: blue above zero, orange below, white at zero.

    >>> from matplotlib.figure import Figure
    >>> axes = Figure().subplots()
    >>> show_matrix(axes, [[1.0, -1.0], [0.0, 1.0]]).get_clim()  # 0 is white
    (-1.0, 1.0)
    """
    require("matplotlib", extra="book")
    values = np.asarray(matrix)
    if values.ndim != 2:
        raise ValueError(f"show_matrix draws a matrix (rows, columns); got shape {values.shape}")
    most = float(np.nanmax(np.abs(values))) or 1.0
    image = axes.imshow(values, cmap=diverging(), vmin=-most, vmax=most)
    axes.grid(False)
    if colourbar:
        axes.figure.colorbar(image, ax=axes, shrink=0.85)
    return image


def plot_loss(axes: Axes, record: Mapping[str, Any]) -> None:
    """Training and validation loss of a run against its updates, with the bigram model's loss.

    Args:
        axes: to draw on.
        record: a result record, as :func:`tnnlab.training.train` returns; ``baseline`` may be None.

    >>> from matplotlib.figure import Figure
    >>> history = {
    ...     "train": [{"step": 1, "loss": 5.5}, {"step": 2, "loss": 5.0}],
    ...     "validation": [{"step": 2, "loss_per_token": 5.1}],
    ... }
    >>> axes = Figure().subplots()
    >>> plot_loss(axes, {"history": history, "baseline": {"loss_per_token": 2.75}})
    >>> [text.get_text() for text in axes.get_legend().get_texts()]
    ['training', 'validation', 'bigram, 2.75']
    """
    train, validation = record["history"]["train"], record["history"]["validation"]
    steps, losses = ([row[key] for row in train] for key in ("step", "loss"))
    axes.plot(steps, losses, color=COLOURS[0], linestyle="-", linewidth=1, label="training")
    steps, losses = ([row[key] for row in validation] for key in ("step", "loss_per_token"))
    axes.plot(steps, losses, color=COLOURS[1], linestyle="none", marker="o", label="validation")
    if record["baseline"] is not None:
        bigram = record["baseline"]["loss_per_token"]
        axes.axhline(bigram, color=COLOURS[5], linestyle=DASHES[1], label=f"bigram, {bigram:.2f}")
    axes.set(xlabel="update", ylabel="nats per token")
    axes.legend()


def plot_kernels(axes: Axes, kernel: ArrayLike) -> QuadMesh:
    """A causal kernel ``(channels, n)`` as an image: a row per channel, 1 + lag on a log axis.

    Each channel is scaled to a largest tap of 1 and turned to make that tap positive. Channels
    that remember longest, by the mean lag of their squared taps, are on top.

    >>> from matplotlib.figure import Figure
    >>> axes = Figure().subplots()
    >>> plot_kernels(axes, [[0.0, 0.0, 2.0], [1.0, 0.5, 0.25]]).get_array().tolist()  # from below
    [[1.0, 0.5, 0.25], [0.0, 0.0, 1.0]]
    """
    taps = np.asarray(kernel, dtype=np.float64)
    if taps.ndim != 2:
        raise ValueError(f"plot_kernels draws a kernel (channels, n); got shape {taps.shape}")
    energy = taps**2 / np.maximum((taps**2).sum(axis=1, keepdims=True), 1e-300)
    order = np.argsort(energy @ np.arange(taps.shape[1]))
    largest = np.take_along_axis(taps, np.abs(taps).argmax(axis=1)[:, None], axis=1)
    scaled = (taps / np.where(largest == 0, 1, largest))[order]
    edges = np.arange(taps.shape[1] + 1) + 0.5, np.arange(taps.shape[0] + 1)
    mesh = axes.pcolormesh(*edges, scaled, cmap=diverging(), vmin=-1, vmax=1, rasterized=True)
    axes.set(xscale="log", xlabel="1 + lag", ylabel="channel, sorted", yticks=[])
    axes.grid(False)
    return mesh


MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def plot_histories(
    axes: Axes, records: Mapping[str, Mapping[str, Any]], *, kind: str, x: str, y: str
) -> None:
    """Lines of several runs' histories in one picture, each with its own colour and mark.

    Args:
        axes: to draw on.
        records: result records by the name in the legend; one without such lines is left out, and
            its look with it, so that a run looks the same in every picture of the same records.
        kind: of the lines: "validation", "train", "length".
        x, y: keys of the lines: "step" and "loss_per_token", say.

    >>> from matplotlib.figure import Figure
    >>> lines = [{"length": 512, "loss_per_token": 5.0}, {"length": 1024, "loss_per_token": 4.9}]
    >>> axes = Figure().subplots()
    >>> records = {"tno": {"history": {"length": lines}}, "fd": {"history": {}}}
    >>> plot_histories(axes, records, kind="length", x="length", y="loss_per_token")
    >>> [line.get_label() for line in axes.lines]
    ['tno']
    """
    for number, (name, record) in enumerate(records.items()):
        lines, again = record["history"].get(kind, []), number // len(COLOURS)
        if lines:
            axes.plot(
                [line[x] for line in lines],
                [line[y] for line in lines],
                label=name,
                color=COLOURS[number % len(COLOURS)],
                linestyle=DASHES[(number + again) % len(DASHES)],  # a colour's next round differs
                marker=MARKERS[number % len(MARKERS)],
                markersize=4,
            )
