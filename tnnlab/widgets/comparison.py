"""What the records of an experiment can be drawn against: size, memory, and times that compare.

A time counts only if nothing else ran beside it. Times of different cards never share an axis, nor
do those of models that were compiled in different ways.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tnnlab.overlaps import alone, device
from tnnlab.results import Record, speed

Runs = Mapping[str, Sequence[Record]]  # complete runs of a sweep by member, its seeds together
Speeds = Mapping[str, float]  # by member, in thousand tokens a second
Value = Callable[[str, Record], float | None]  # of a member's run; None: there is none


@dataclass(frozen=True)
class Experiment:
    """A sweep, and what times its models or their operators one at a time.

    Attributes:
        title: what the reader chooses.
        operators: length and direction at which ``bench-operators`` times them; None: it does not.
        steps: the row of ``bench-training`` for a family; an RPE of 3 layers has one of its own.
        timed: name of the record of a family's model that was trained alone, with {} for the
            family; empty: there is none, and the runs' own times may count.
    """

    title: str
    operators: tuple[int, bool] | None = None
    steps: Mapping[str, str] = field(default_factory=dict)
    timed: str = ""


@dataclass(frozen=True)
class Axis:
    """A horizontal axis: its label, the value of a member's run, and a sentence on where the
    values are from (or why there are none)."""

    label: str
    value: Value
    said: str = ""


OPERATORS = {name: name for name in ("tno", "fd", "ski", "rtf", "s4d")} | dict.fromkeys(
    ("gated-rtf", "rtf-hyena"), "rtf"
)
STEPS = {"tno": "tno", "fd": "fd", "rtf-hyena": "hyena-rtf", "attention-rotary": "attention"}
EXPERIMENTS = {
    "lm-small": Experiment("Language model, 10 M", (512, True), STEPS),
    "lm-full": Experiment("Language model, 49 M", (512, True), STEPS),
    "mlm-small": Experiment("Masked language model", (512, False), timed="mlm-speed/{}-512"),
    "lra-listops": Experiment("LRA ListOps", (2048, False)),
    "lra-listops-published": Experiment("LRA ListOps, published settings", (2048, False)),
    "lra-text": Experiment("LRA Text", (2048, False)),
    "lra-text-published": Experiment("LRA Text, published settings", (2048, False)),
    "lra-retrieval": Experiment("LRA Retrieval, stand-in", (2048, False)),
    "lra-image": Experiment("LRA Image"),
    "lra-image-long": Experiment("LRA Image, 9,000 updates"),
    "lra-pathfinder-longer": Experiment("LRA Pathfinder, 16,000 updates"),
    "lra-pathfinder-published": Experiment("LRA Pathfinder, published settings"),
    "memory-copying": Experiment("Copying 256 symbols", (512, True)),
    "memory-delay": Experiment("Delay by 256 steps", (512, True)),
}


def family(member: str) -> str:
    """A member without the order of its state space.

    >>> family("rtf-64"), family("gated-rtf-64"), family("attention-alibi")
    ('rtf', 'gated-rtf', 'attention-alibi')
    """
    return re.sub(r"-\d+$", "", member)


def parameters(_of: Experiment, _runs: Runs, _records: Sequence[Record]) -> Axis:
    """In millions."""
    return Axis("parameters, millions", lambda _, run: run["parameters"] / 1e6)


def memory(_of: Experiment, runs: Runs, _records: Sequence[Record]) -> Axis:
    """The peak of a run; a CPU's is not known."""
    cards = ", ".join(sorted({device(run) for of in runs.values() for run in of}))
    return Axis(
        "peak memory of the run, GiB",
        lambda _, run: run["peak_memory_bytes"] / 2**30 if run["peak_memory_bytes"] else None,
        f"The most that a run's tensors held at once, evaluation included ({cards}).",
    )


def training_speed(of: Experiment, runs: Runs, records: Sequence[Record]) -> Axis:
    """Of the models that were trained alone, or of larger ones in a benchmark if that has more of
    the families."""
    name = "training speed, 1,000 tokens/s"
    own, told = _timed_alone(of, runs, records)
    others, told_of_others = _timed_in_benchmark(of, runs, records)
    if len(own) >= max(len(others), 1):
        return Axis(name, lambda m, _: own.get(m), told)
    shared = "Runs that went side by side have no times that say anything."
    if others:
        return Axis(f"{name} (benchmark)", lambda m, _: others.get(m), f"{shared} {told_of_others}")
    return Axis(name, lambda *_: None, f"No speed is shown. {shared}")


def _timed_alone(of: Experiment, runs: Runs, records: Sequence[Record]) -> tuple[Speeds, str]:
    """Speeds by member of the runs with nothing beside them, on the card and with the compilation
    that most members have, and a sentence."""
    stored = {record["name"]: record for record in records}
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    for member, those in runs.items():
        named = stored.get(of.timed.format(family(member)))
        for run in alone([named] if named else those, records):
            way = device(run), str(run["config"]["training"]["compile"]).lower()
            found.setdefault(way, {}).setdefault(member, []).append(speed(run) / 1e3)
    if not found:
        return {}, ""
    (card, compiled), most = max(found.items(), key=lambda item: len(item[1]))
    speeds = {member: statistics.mean(of_seeds) for member, of_seeds in most.items()}
    return speeds, f"Each was timed alone on one {card}, with training.compile: {compiled}."


def _timed_in_benchmark(
    of: Experiment, runs: Runs, records: Sequence[Record]
) -> tuple[Speeds, str]:
    """Speeds by member of larger models of these families, one at a time, and a sentence."""
    if (bench := newest("bench-training", records)) is None:
        return {}, ""
    rows = {row["name"]: row for row in bench["rows"] if "tokens_per_s" in row}
    named = {m: row_of(of.steps, m, run) for m, (run, *_) in runs.items()}
    found = {m: rows[row] for m, row in named.items() if row in rows}
    if not found:
        return {}, ""
    sizes = [row["parameters"] / 1e6 for row in found.values()]
    said = (
        f"The speeds are those of models of these families with {min(sizes):.0f} to "
        f"{max(sizes):.0f} million parameters, one at a time on one {device(bench)}."
    )
    return {m: row["tokens_per_s"] / 1e3 for m, row in found.items()}, said


def operator_speed(of: Experiment, runs: Runs, records: Sequence[Record]) -> Axis:
    """Of the operator alone, from the benchmark of operators."""
    name, bench = "speed of the operator, million tokens/s", newest("bench-operators", records)
    if of.operators is None or bench is None:
        return Axis(name, lambda *_: None, "No benchmark times the operators of this experiment.")
    n, causal = of.operators
    wanted = {"kind": "operator", "n": n, "causal": causal, "pass": "forward+backward"}
    fits = [r for r in bench["rows"] if all(r.get(key) == v for key, v in wanted.items())]
    found = {row["name"]: row["tokens_per_s"] / 1e6 for row in fits}
    channels = fits[0]["channels"] if fits else 0
    said = (
        f"The operator alone, forward and backward, {n:,} positions and {channels:,} channels, "
        f"state spaces of order 64, on one {device(bench)}."
    )
    return Axis(name, lambda m, run: found.get(row_of(OPERATORS, m, run)), said)


def row_of(rows: Mapping[str, str], member: str, run: Record) -> str:
    """The name of a member's row in a benchmark, which times RPEs of 6 layers and of 3; or ""."""
    row = rows.get(family(member), "")
    if row not in ("tno", "fd"):
        return row
    return {6: row, 3: f"{row}-3"}.get(run["config"]["model"]["rpe_depth"], "")


AXES: dict[str, Callable[[Experiment, Runs, Sequence[Record]], Axis]] = {
    "parameters": parameters,
    "peak memory": memory,
    "training speed": training_speed,
    "speed of the operator": operator_speed,
}


def newest(name: str, records: Sequence[Record]) -> Record | None:
    """The newest record of a whole benchmark on a GPU. Rows with wrong results have no times."""
    whole = ("complete", "wrong results")
    found = [r for r in records if r["name"] == name and r["status"] in whole]
    found = [r for r in found if r["provenance"]["hardware"]["type"] == "cuda"]
    return max(found, key=lambda record: record["provenance"]["date"], default=None)
