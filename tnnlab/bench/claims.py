"""What the papers say about speed and memory, beside what the records say."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Claim:
    """One published comparison; numbers are relative changes: 0.15 is 15% faster.

    Attributes:
        text: what is compared, in words.
        source: key in the book's bibliography.
        published: speed (or memory) of ``name`` over that of ``baseline``, less 1.
        kind: which rows to look at: "training" (whole steps) or "operator".
        name, baseline: of the rows.
        causal: of the operators; training is causal.
        n: length; None: all that were measured.
        key: "time_s", or "peak_bytes" for memory.
        best: of several lengths take the best (a claim "up to"), not the mean.

    >>> row = {"kind": "operator", "pass": "forward+backward", "causal": True, "n": 512}
    >>> rows = [{**row, "name": "fd", "time_s": 1.0}, {**row, "name": "tno", "time_s": 1.2}]
    >>> claim = Claim("FD-TNO: speed", "moreno2023ski", 0.15, "operator", "fd", "tno", n=512)
    >>> round(claim.measured(rows), 2)
    0.2
    """

    text: str
    source: str
    published: float
    kind: str
    name: str
    baseline: str
    causal: bool = True
    n: int | None = None
    key: str = "time_s"
    best: bool = False

    def measured(self, rows: Iterable[Row], baseline: str | None = None) -> float | None:
        """The same comparison in rows of a record; None if they do not hold it."""
        found: dict[str, dict[int, float]] = {}
        for row in rows:
            fits = row["kind"] == self.kind and row.get("causal", True) == self.causal
            if fits and row.get("pass") in ("step", "forward+backward"):
                found.setdefault(row["name"], {})[row["n"]] = row[self.key]
        ours, theirs = found.get(self.name, {}), found.get(baseline or self.baseline, {})
        lengths = [n for n in ours if n in theirs and self.n in (None, n)]
        if self.key == "peak_bytes":
            changes = [ours[n] / theirs[n] - 1 for n in lengths]
        else:
            changes = [theirs[n] / ours[n] - 1 for n in lengths]
        return (max(changes) if self.best else fmean(changes)) if changes else None


_SKI = "moreno2023ski"
CLAIMS = [
    Claim("FD-TNN, 6-layer RPE: speed", _SKI, 0.15, "training", "fd", "tno", n=512),
    Claim("FD-TNN, 3-layer RPE: speed", _SKI, 0.10, "training", "fd-3", "tno-3", n=512),
    Claim("FD-TNO, 6-layer RPE: speed", _SKI, 0.15, "operator", "fd", "tno", n=512),
    Claim("FD-TNO, 3-layer RPE: speed", _SKI, 0.10, "operator", "fd-3", "tno-3", n=512),
    Claim(
        "FD-TNO, bidirectional: speed, up to",
        *(_SKI, 0.80, "operator", "fd", "tno"),
        causal=False,
        best=True,
    ),
    *(
        Claim(
            f"SKI-TNO, bidirectional, n = {n}: {what}",
            *(_SKI, published, "operator", "ski", "tno"),
            causal=False,
            n=n,
            key=key,
        )
        for n, what, published, key in (
            (512, "speed", 0.25, "time_s"),
            (2048, "speed", 0.30, "time_s"),
            (512, "memory", -0.17, "peak_bytes"),
            (2048, "memory", -0.42, "peak_bytes"),
        )
    ),
    Claim(
        "RTF against S4 (here S4D), bidirectional: speed",
        *("parnichkun2024rtf", 0.35, "operator", "rtf", "s4d"),
        causal=False,
    ),
]


def claims_table(record: Mapping[str, Any]) -> str:
    """A Markdown table of the claims that a record can answer: published, ours, difference.

    Where the baseline is a TNO there are two of ours: against its published form, with the FFT
    along the length of ``(batch, n, channels)``, and against the one of this package; the
    difference is that of the latter, in percentage points.

    >>> row = {"kind": "operator", "pass": "forward+backward", "causal": True, "n": 512}
    >>> rows = [{**row, "name": "fd", "time_s": 1.0}, {**row, "name": "tno", "time_s": 1.2}]
    >>> print(claims_table({"rows": rows}).splitlines()[2])
    | FD-TNO, 6-layer RPE: speed {cite}`moreno2023ski` | +15% | – | +20% | +5 |
    """
    lines = [
        "| claim | published | against the published form | against this package's | difference |",
        "|---|---:|---:|---:|---:|",
    ]
    for claim in CLAIMS:
        ours = claim.measured(record["rows"])
        if ours is None:
            continue
        form = claim.measured(record["rows"], "reference") if claim.baseline == "tno" else None
        cells = [
            f"{claim.text} {{cite}}`{claim.source}`",
            f"{_signed(claim.published)}%",
            "–" if form is None else f"{_signed(form)}%",
            f"{_signed(ours)}%",
            _signed(ours - claim.published),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _signed(change: float) -> str:
    """In whole per cent: a minus sign, not a hyphen, and no sign on zero."""
    points = round(100 * change)
    return f"{points:+d}".replace("-", "−") if points else "0"
