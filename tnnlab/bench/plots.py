"""Pictures of benchmark records: time, memory and rates against length or channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tnnlab.plots import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Name, colour and marker of what is drawn: the same in every picture.
STYLES = {
    "reference": ("published form", COLOURS[5], "o"),
    "dense": ("dense matrix", COLOURS[1], "s"),
    "fft": ("FFT", COLOURS[0], "^"),
    "tiles": ("tiles", COLOURS[2], "D"),
    "triton": ("GPU kernels", COLOURS[2], "v"),
    "flashfftconv": ("FlashFFTConv", COLOURS[4], "P"),
    "attention": ("attention", COLOURS[3], "X"),
    "tno": ("TNO", COLOURS[0], "^"),
    "fd": ("FD-TNO", COLOURS[1], "s"),
    "ski": ("SKI-TNO", COLOURS[2], "D"),
    "rtf": ("RTF", COLOURS[3], "P"),
    "s4d": ("S4D", COLOURS[4], "v"),
    "hyena": ("Hyena's filter", COLOURS[2], "X"),
}
UNITS = {
    "time_s": ("milliseconds", 1e3),
    "peak_bytes": ("MiB", 2.0**-20),
    "bytes_per_s": ("GB/s", 1e-9),
    "flop_per_s": ("GFLOP/s", 1e-9),
    "floor_fraction": ("fraction of the floor", 1.0),
}


def select(record: Mapping[str, Any], **wanted: Any) -> list[dict[str, Any]]:
    """Rows of a record whose fields have these values, shortest first; ``by_pass`` is ``pass``."""
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

    Args:
        axes: to draw on.
        record: of ``tnnlab bench operators``.
        kinds: "product", "attention", "operator".
        causal: which products or operators.
        by_pass: "forward" or "forward+backward".
        key: what is drawn, of ``UNITS``.
        against: "n", at the most common number of channels, or "channels", at the length at which
            there are several.
        names: of those to draw; None: all that have a style.
    """
    label, unit = UNITS[key]
    for name, (title, colour, marker) in STYLES.items():
        rows = [
            row
            for kind in kinds
            for row in select(record, kind=kind, name=name, causal=causal, by_pass=by_pass)
            if row.get(key) is not None
        ]
        if names is not None and name not in names:
            continue
        rows = _sweep(rows, against)
        if not rows:
            continue
        places = [row[against] for row in rows]
        values = [row[key] * unit for row in rows]
        axes.plot(places, values, color=colour, marker=marker, ms=4, label=title)
        if key == "time_s":
            low, high = ([row[q] * unit for row in rows] for q in ("low_s", "high_s"))
            axes.fill_between(places, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set(xscale="log", yscale="log", ylabel=label)
    axes.set_xlabel("length n" if against == "n" else "channels d")
    axes.set_xscale("log", base=2)


def plot_operators(axes: Axes, record: Mapping[str, Any], *, n: int, key: str = "time_s") -> None:
    """A pair of bars for each operator: causal and bidirectional, forward and backward.

    Args:
        axes: to draw on.
        record: of ``tnnlab bench operators``.
        n: the length.
        key: "time_s" or "peak_bytes".
    """
    label, unit = UNITS[key]
    names = list(dict.fromkeys(row["name"] for row in record["rows"] if row["kind"] == "operator"))
    for causal, place in ((True, -0.2), (False, 0.2)):
        rows = select(record, kind="operator", causal=causal, n=n, by_pass="forward+backward")
        axes.barh(
            [names.index(row["name"]) + place for row in rows],
            [row[key] * unit for row in rows],
            height=0.36,
            color=COLOURS[0 if causal else 1],
            label="causal" if causal else "bidirectional",
        )
    axes.set(xlabel=label, yticks=range(len(names)), yticklabels=names)
    axes.invert_yaxis()
    axes.grid(False, axis="y")


def _sweep(rows: list[dict[str, Any]], against: str) -> list[dict[str, Any]]:
    """The rows in which only ``against`` changes."""
    other = "channels" if against == "n" else "n"
    groups: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row[other], []).append(row)
    longest = max(groups.values(), key=len, default=[])
    return sorted(longest, key=lambda row: row[against])


def crossovers(record: Mapping[str, Any], causal: bool = True) -> list[tuple[int, str, float]]:
    """At each length the fastest of this package's methods, and what ``auto`` loses against it.

    Returns:
        ``(n, fastest method, time of auto / time of the fastest)``, forward and backward, at the
        most common number of channels.
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
