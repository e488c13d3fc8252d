"""Explorer of the results: what each family reaches, against its size, its memory, its speed."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tnnlab.results import Record, by_family, load_records, mean, records_folder, without_seed
from tnnlab.training.sweeps import named_members
from tnnlab.widgets.comparison import AXES, EXPERIMENTS, Runs, family
from tnnlab.widgets.controls import Choice
from tnnlab.widgets.explorer import Explorer
from tnnlab.widgets.frames import Curve, Panel

# Readable name and look of a family; no experiment has two with the same look.
FAMILIES = {
    "tno": ("TNO", 0),
    "fd": ("FD-TNO", 1),
    "ski": ("SKI-TNO", 2),
    "rtf": ("RTF", 3),
    "rtf-hyena": ("RTF in Hyena", 3),
    "s4d": ("S4D", 4),
    "attention": ("attention", 5),
    "attention-rotary": ("attention, rotary", 5),
    "attention-learned": ("attention, learned positions", 6),
    "attention-alibi": ("attention, ALiBi", 7),
    "gated-rtf": ("gated RTF", 10),
}


@dataclass(frozen=True)
class Measure:
    """A figure of merit: label, factor of its unit, digits, and whether less of it is better."""

    label: str
    factor: float
    digits: int
    less: bool


MEASURES = {  # a run is judged by the first that it has
    "perplexity_per_masked_token": Measure("perplexity per hidden token", 1, 2, True),
    "perplexity_per_token": Measure("perplexity per token", 1, 2, True),
    "relative_rmse": Measure("relative RMSE", 1, 4, True),
    "accuracy": Measure("accuracy, %", 100, 2, False),
}


def tradeoff_explorer(records: Sequence[Record] | None = None) -> Explorer:
    """What the families reach, against parameters, memory, and speeds that can be compared.

    Args:
        records: as :func:`tnnlab.results.load_records` gives them, of sweeps that come with the
            package; None: the records of the book.

    Raises:
        ValueError: no complete record of these sweeps is among them.

    >>> sorted(tradeoff_explorer().values)
    ['against', 'experiment', 'split']
    """
    given = load_records(records_folder()) if records is None else list(records)
    found = {sweep: runs for sweep in EXPERIMENTS if any((runs := members(sweep, given)).values())}
    if not found:
        raise ValueError(
            f"among these {len(given)} records no run of {', '.join(EXPERIMENTS)} is complete: "
            "give load_records(FOLDER) of such a sweep"
        )
    titles = {EXPERIMENTS[sweep].title: sweep for sweep in found}

    def draw(against: str, split: str, experiment: str = next(iter(titles))) -> Panel:
        sweep = titles[experiment]
        return tradeoff(sweep, found[sweep], given, against=against, split=split)

    several: dict[str, Any] = {}
    if len(titles) > 1:
        several["experiment"] = Choice("Experiment", list(titles))
    return Explorer(
        draw,
        title="What is reached, and at what price?",
        description="Change the horizontal axis. What has no figure that compares is named.",
        **several,
        against=Choice("Against", list(AXES), start="training speed"),
        split=Choice("Measured on", ["test", "validation"]),
    )


def members(sweep: str, records: Sequence[Record]) -> dict[str, list[Record]]:
    """The complete runs of a sweep by member, its seeds together: those of its file, then others.

    >>> members("lra-text", [])
    {'tno': [], 'fd': [], 'attention': [], 'rtf': [], 'ski': [], 's4d': []}
    """
    names = [*named_members(sweep)]
    names += [r["name"].removeprefix(f"{sweep}/") for r in records if _belongs(r, sweep)]
    runs = by_family(records, sweep, dict.fromkeys(names))
    return {member: [dict(run) for run in of] for member, of in runs.items()}


def _belongs(record: Record, sweep: str) -> bool:
    return record["name"].startswith(f"{sweep}/")


def tradeoff(
    sweep: str, runs: Runs, records: Sequence[Record], *, against: str, split: str
) -> Panel:
    """One picture: a point for each run, with a bar where its standard error is known.

    Args:
        sweep: a key of ``EXPERIMENTS``.
        runs: its complete runs, as :func:`members` gives them.
        records: all records: benchmarks, and what ran at the same time.
        against: "parameters", "peak memory", "training speed" or "speed of the operator".
        split: "test" or "validation".

    >>> records = load_records(records_folder())
    >>> runs = members("lra-text", records)
    >>> panel = tradeoff("lra-text", runs, records, against="parameters", split="test")
    >>> panel.x_label, panel.y_label
    ('parameters, millions', 'accuracy, %')
    """
    scored = {m: [run for run in of if run["metrics"].get(split)] for m, of in runs.items()}
    scored = {member: of for member, of in scored.items() if of}
    title = f"{EXPERIMENTS[sweep].title}, {split} split"
    if not scored:
        nothing = Curve([0.0], [float("nan")], "no figure", style="points")
        return Panel(title, [nothing], note=f"No run was measured on the {split} split.")
    key, measure = _measure(scored, split)
    axis = AXES[against](EXPERIMENTS[sweep], scored, records)
    places: dict[str, list[tuple[float, float, float]]] = {}
    absent = dict.fromkeys(scored)
    for member, of in scored.items():
        there = places.setdefault(family(member), [])
        for run in of:
            if (x := axis.value(member, run)) is not None:
                figures = run["metrics"][split]
                there.append((x, measure.factor * figures[key], _chance(key, figures)))
                absent.pop(member, None)
    told = [_ranking(scored, key, measure, split), axis.said]
    drawn = [place for there in places.values() for place in there]
    if not drawn:
        told.reverse()
    elif absent:
        told.append(f"Not on this axis, for want of a figure: {_list(absent)}.")
    return Panel(
        title,
        [*(_points(name, there) for name, there in places.items()), *_bars(drawn)],
        x_label=axis.label if drawn else f"{axis.label}: no figure",
        y_label=measure.label,
        x_range=(0.0, 1.08 * max((x for x, *_ in drawn), default=1.0)),
        y_range=_extent(scored, key, measure, split),
        note=" ".join(filter(None, [*told, *_missing(sweep, runs, records)])),
    )


def _extent(scored: Runs, key: str, measure: Measure, split: str) -> tuple[float, float]:
    """Of all figures with their bars, so that a point keeps its height on every axis."""
    figures = [run["metrics"][split] for of in scored.values() for run in of]
    ends = [
        measure.factor * of[key] + side * _chance(key, of) for of in figures for side in (-1, 1)
    ]
    room = 0.06 * (max(ends) - min(ends)) or 0.05 * abs(ends[0]) or 1.0
    return min(ends) - room, max(ends) + room


def _measure(scored: Runs, split: str) -> tuple[str, Measure]:
    figures = [run["metrics"][split] for of in scored.values() for run in of]
    for key, measure in MEASURES.items():
        if all(key in of for of in figures):
            return key, measure
    raise ValueError(f"no figure among {', '.join(MEASURES)} is in all of these records")


def _chance(key: str, figures: Mapping[str, Any]) -> float:
    """The standard error, in percent, of an accuracy on so many samples; 0 where it is unknown."""
    share, count = figures[key], figures.get("samples")
    return 100 * (share * (1 - share) / count) ** 0.5 if key == "accuracy" and count else 0.0


def _points(name: str, there: Sequence[tuple[float, float, float]]) -> Curve:
    words, look = FAMILIES.get(name, (name, len(FAMILIES)))
    if not there:
        return Curve([0.0], [float("nan")], f"{words}: no figure", style="points", look=look)
    xs, ys, _ = zip(*there, strict=True)
    return Curve(xs, ys, words, style="points", look=look)


def _bars(drawn: Sequence[tuple[float, float, float]]) -> list[Curve]:
    known = [place for place in drawn if place[2]]
    return [
        Curve([x, x], [y - error, y + error], "" if number else "± standard error", style="dashed")
        for number, (x, y, error) in enumerate(known)
    ]


def label(member: str) -> str:
    """A member in words.

    >>> label("rtf-64"), label("attention-alibi"), label("mine")
    ('RTF, order 64', 'attention, ALiBi', 'mine')
    """
    name = family(member)
    order = member.removeprefix(name).removeprefix("-")
    return FAMILIES.get(name, (name, 0))[0] + (f", order {order}" if order else "")


def _list(names: Mapping[str, Any] | Sequence[str]) -> str:
    return "; ".join(label(name) for name in names)


def _ranking(scored: Runs, key: str, measure: Measure, split: str) -> str:
    """All members with their figures, the best first."""
    found = {
        member: [measure.factor * run["metrics"][split][key] for run in of]
        for member, of in scored.items()
    }
    order = sorted(found, key=lambda m: statistics.mean(found[m]), reverse=not measure.less)
    told = "; ".join(f"{label(m)} {mean(found[m], measure.digits)}" for m in order)
    seeds = (
        ", with its spread over seeds and their number"
        if any(len(v) > 1 for v in found.values())
        else ""
    )
    return f"{'Lowest' if measure.less else 'Highest'} first{seeds}: {told}."


def _missing(sweep: str, runs: Runs, records: Sequence[Record]) -> list[str]:
    """Sentences on what was not run, and on what was begun but is not complete."""
    unfinished = [r for r in records if _belongs(r, sweep) and r["status"] != "complete"]
    stopped = {r["name"].removeprefix(f"{sweep}/"): r["status"] for r in unfinished}
    begun = {without_seed(name) for name in stopped}
    never = [member for member, of in runs.items() if not of and member not in begun]
    told = [f"Not run: {_list(never)}."] if never else []
    return told + [f"Not complete ({status}): {name}." for name, status in stopped.items()]
