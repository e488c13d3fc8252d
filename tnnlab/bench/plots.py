"""Pictures of benchmark records: time, memory and rates against length or channels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tnnlab.plots import COLOURS, DASHES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Name, colour and marker of what is drawn: the same in every picture.
STYLES = {
    "reference": ("published form", COLOURS[5], "o"),
    "dense": ("dense matrix", COLOURS[1], "s"),
    "fft": ("FFT", COLOURS[0], "^"),
    "tiles": ("tiles", COLOURS[2], "D"),
    "triton": ("GPU kernels: tiles", COLOURS[2], "v"),
    "monarch": ("GPU kernels: FFT", COLOURS[4], "*"),
    "flashfftconv": ("FlashFFTConv", "0.45", "P"),
    "attention": ("attention", COLOURS[3], "X"),
    "tno": ("TNO", COLOURS[0], "^"),
    "fd": ("FD-TNO", COLOURS[1], "s"),
    "ski": ("SKI-TNO", COLOURS[2], "D"),
    "rtf": ("RTF", COLOURS[3], "P"),
    "s4d": ("S4D", COLOURS[4], "v"),
    "hyena": ("Hyena's filter", COLOURS[2], "X"),
}
DECODER_STYLES = {
    "full": ("full", COLOURS[5], "o"),
    "window": ("window", COLOURS[0], "^"),
    "etsc": ("ETSC", COLOURS[1], "s"),
    "reduced": ("reduced", COLOURS[2], "D"),
    "online": ("online", COLOURS[4], "P"),
    "attention": STYLES["attention"],
}
UNITS = {
    "time_s": ("milliseconds", 1e3),
    "state_bytes": ("MiB remembered", 2.0**-20),
    "peak_bytes": ("MiB", 2.0**-20),
    "bytes_per_s": ("GB/s", 1e-9),
    "flop_per_s": ("GFLOP/s", 1e-9),
    "floor_fraction": ("fraction of the floor", 1.0),
}


def select(record: Mapping[str, Any], **wanted: Any) -> list[dict[str, Any]]:
    """Rows of a record whose fields have these values, shortest first; ``by_pass`` is ``pass``.

    >>> rows = [{"name": "fft", "n": 64, "pass": "step"}, {"name": "fft", "n": 32, "pass": "step"}]
    >>> [row["n"] for row in select({"rows": rows}, name="fft", by_pass="step")]
    [32, 64]
    """
    if "by_pass" in wanted:
        wanted["pass"] = wanted.pop("by_pass")
    rows = [r for r in record["rows"] if all(r.get(key) == v for key, v in wanted.items())]
    return sorted(rows, key=lambda row: (row["n"], row.get("channels", 0)))


def plot_rows(
    axes: Axes,
    record: Mapping[str, Any],
    *,
    kinds: tuple[str, ...],
    causal: bool = True,
    by_pass: str = "forward+backward",
    key: str = "time_s",
    against: str = "n",
    names: tuple[str, ...] | None = None,
) -> None:
    """One line for each method or operator, on logarithmic axes; quartiles of time as a band.

    It is broken where something was refused or not timed.

    Args:
        axes: to draw on.
        record: of ``tnnlab bench operators``.
        kinds: "product", "attention", "operator".
        causal: which products or operators.
        by_pass: "forward" or "forward+backward".
        key: what is drawn, of ``UNITS``.
        against: "n", at the record's first number of channels, or "channels", at its middle
            length, the one at which there are several.
        names: of those to draw; None: all that have a style.

    >>> from matplotlib.figure import Figure
    >>> row = {"kind": "product", "name": "fft", "causal": True, "pass": "forward", "channels": 4}
    >>> rows = [{**row, "n": n, "peak_bytes": 64 * n} for n in (16, 32)]
    >>> record, axes = {"rows": rows, "config": {"channels": [4]}}, Figure().subplots()
    >>> plot_rows(axes, record, kinds=("product",), by_pass="forward", key="peak_bytes")
    >>> [line.get_label() for line in axes.lines]
    ['FFT']
    """
    label, unit = UNITS[key]
    for number, (name, (title, colour, marker)) in enumerate(STYLES.items()):
        rows = [
            row
            for kind in kinds
            for row in select(record, kind=kind, name=name, causal=causal)
            if row.get("pass", by_pass) == by_pass and _in_sweep(row, record["config"], against)
        ]
        if all(row.get(key) is None for row in rows) or (names is not None and name not in names):
            continue
        places = [row[against] for row in rows]
        values = [_number(row, key) * unit for row in rows]
        dash = DASHES[number % len(DASHES)]
        axes.plot(places, values, color=colour, ls=dash, marker=marker, ms=4, label=title)
        if key == "time_s":
            low, high = ([_number(row, q) * unit for row in rows] for q in ("low_s", "high_s"))
            axes.fill_between(places, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set(xscale="log", yscale="log", ylabel=label)
    axes.set_xlabel("length n" if against == "n" else "channels d")
    axes.set_xscale("log", base=2)
    _plain_numbers(axes.yaxis)


def plot_operators(axes: Axes, record: Mapping[str, Any], *, n: int, key: str = "time_s") -> None:
    """A row for each operator with two marks, causal and bidirectional: forward and backward.

    Args:
        axes: to draw on.
        record: of ``tnnlab bench operators``.
        n: the length.
        key: "time_s" or "peak_bytes".

    >>> from matplotlib.figure import Figure
    >>> row = {"kind": "operator", "name": "tno", "n": 16, "pass": "forward+backward", "time_s": 1}
    >>> record, axes = {"rows": [{**row, "causal": c} for c in (True, False)]}, Figure().subplots()
    >>> plot_operators(axes, record, n=16)
    >>> [line.get_label() for line in axes.lines]
    ['causal', 'bidirectional']
    """
    label, unit = UNITS[key]
    names = [row["name"] for row in record["rows"] if row["kind"] == "operator"]
    names = list(dict.fromkeys(names))[::-1]
    for causal, marker in ((True, "o"), (False, "D")):
        rows = select(record, kind="operator", causal=causal, n=n, by_pass="forward+backward")
        axes.plot(
            [row[key] * unit for row in rows],
            [names.index(row["name"]) for row in rows],
            color=COLOURS[0 if causal else 1],
            linestyle="none",
            marker=marker,
            label="causal" if causal else "bidirectional",
        )
    axes.set(xscale="log", xlabel=label, yticks=range(len(names)), yticklabels=names)
    _plain_numbers(axes.xaxis)


def shared_legend(figure: Figure, columns: int = 3) -> None:
    """One legend above all panels, with each label once.

    >>> from matplotlib.figure import Figure
    >>> figure = Figure()
    >>> for axes in figure.subplots(1, 2):
    ...     _ = axes.plot([0, 1], label="fft")
    >>> shared_legend(figure)
    >>> [text.get_text() for text in figure.legends[0].get_texts()]
    ['fft']
    """
    found = {
        label: handle
        for axes in figure.axes
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(found.values(), found, loc="outside upper center", ncols=columns)


def _plain_numbers(axis: Axis) -> None:
    """Ticks at 1, 2 and 5 times powers of ten, written out: a logarithmic axis is often short."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axis.set_minor_formatter(NullFormatter())


def _number(row: Mapping[str, Any], key: str) -> float:
    """What a row has there; where it was refused, or not timed, a gap in a line."""
    return math.nan if row.get(key) is None else row[key]


def _in_sweep(row: Mapping[str, Any], config: Mapping[str, Any], against: str) -> bool:
    """Whether only ``against`` changes between this row and the others of its name."""
    if against == "channels":
        return row["n"] == config["lengths"][len(config["lengths"]) // 2]
    # Attention has other channels than the product in its place, and one width only.
    return row["kind"] == "attention" or row["channels"] == config["channels"][0]


def plot_generation(
    axes: Axes, record: Mapping[str, Any], *, batch: int, key: str = "time_s"
) -> None:
    """One line for each decoder against the position, on logarithmic axes.

    Args:
        axes: to draw on.
        record: of ``tnnlab bench generation``.
        batch: which of its numbers of sequences.
        key: "time_s" or "state_bytes".

    >>> from matplotlib.figure import Figure
    >>> row = {"name": "etsc", "batch": 1, "state_bytes": 2**20}
    >>> record, axes = {"rows": [{**row, "n": n} for n in (64, 128)]}, Figure().subplots()
    >>> plot_generation(axes, record, batch=1, key="state_bytes")
    >>> axes.lines[0].get_ydata()  # MiB: constant
    array([1., 1.])
    """
    label, unit = UNITS[key]
    for name, (title, colour, marker) in DECODER_STYLES.items():
        rows = [row for row in select(record, name=name, batch=batch) if key in row]
        if rows:
            places, values = [row["n"] for row in rows], [row[key] * unit for row in rows]
            axes.plot(places, values, color=colour, marker=marker, ms=4, label=title)
    axes.set(yscale="log", xlabel="position", ylabel=label)
    axes.set_xscale("log", base=2)


def crossovers(record: Mapping[str, Any], causal: bool = True) -> list[tuple[int, str, float]]:
    """At each length the fastest of this package's methods, and what ``auto`` loses against it.

    Returns:
        ``(n, fastest method, time of auto / time of the fastest)``, forward and backward, at the
        most common number of channels.

    >>> row = {"kind": "product", "causal": True, "pass": "forward+backward", "channels": 4, "n": 9}
    >>> rows = [
    ...     {**row, "name": "dense", "time_s": 1.0, "auto": False},
    ...     {**row, "name": "fft", "time_s": 1.5, "auto": True},
    ... ]
    >>> crossovers({"rows": rows, "config": {"channels": [4]}})
    [(9, 'dense', 1.5)]
    """
    found: dict[int, list[dict[str, Any]]] = {}
    channels = record["config"]["channels"][0]
    for row in select(record, kind="product", causal=causal, by_pass="forward+backward"):
        if row["channels"] == channels and row["name"] not in ("reference", "flashfftconv"):
            found.setdefault(row["n"], []).append(row)
    table = []
    for n, rows in found.items():
        best = min(rows, key=lambda row: row["time_s"])
        auto = next((row for row in rows if row["auto"]), None)
        if auto is not None:
            table.append((n, best["name"], auto["time_s"] / best["time_s"]))
    return table
