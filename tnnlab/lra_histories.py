"""What histories of runs on the Long Range Arena say: when a run left a level, where it was best on
the validation split, and what longer runs have beside short ones."""

from collections.abc import Mapping
from typing import Any

from tnnlab.results import markdown_table

Run = Mapping[str, Any]
Entry = Mapping[str, Any]  # of its history


def first_below(run: Run, loss: float, *, stay: bool = False) -> Entry | None:
    """The first line of a run's training history with a loss (nats) below a number, or None.

    Args:
        run: a record.
        loss: the number.
        stay: the first line from which on *all* losses are below it.

    >>> losses = ((100, 0.69), (200, 0.6), (300, 0.7), (400, 0.5))
    >>> run = {"history": {"train": [{"step": step, "loss": loss} for step, loss in losses]}}
    >>> first_below(run, 0.65)["step"], first_below(run, 0.65, stay=True)["step"]
    (200, 400)
    >>> first_below(run, 0.4) is None
    True
    """
    lines = run["history"]["train"]
    if stay:
        last = max((place for place, line in enumerate(lines) if line["loss"] >= loss), default=-1)
        lines = lines[last + 1 :]
    return next((line for line in lines if line["loss"] < loss), None)


def most_right(run: Run) -> Entry:
    """The first evaluation on the validation split with the highest accuracy of all.

    >>> lines = [{"step": step, "accuracy": right} for step, right in ((10, 0.5), (20, 0.4))]
    >>> most_right({"history": {"validation": lines}})["step"]
    10
    """
    return max(run["history"]["validation"], key=lambda line: line["accuracy"])


def lowest_loss(run: Run) -> Entry:
    """The first evaluation on the validation split with the lowest loss of all.

    >>> lines = [{"step": step, "loss": loss} for step, loss in ((10, 0.5), (20, 0.4))]
    >>> lowest_loss({"history": {"validation": lines}})["step"]
    20
    """
    return min(run["history"]["validation"], key=lambda line: line["loss"])


def published_beside_short(published: Mapping[str, Run], short: Mapping[str, Run]) -> str:
    """What runs at the published settings have, beside the short recipe, as a Markdown table with a
    column for each family: right answers in per cent and losses in nats; in brackets updates.

    Args:
        published: a record of each family, all of one seed.
        short: records of these families, of the same seed.

    Raises:
        ValueError: records of several seeds, which do not stand beside each other.

    >>> ends = {"train": {"loss": 0.1}, "test": {"accuracy": 0.75}}
    >>> line = {"step": 10, "loss": 0.6, "accuracy": 0.7}
    >>> run = {"seed": 0, "metrics": ends, "history": {"validation": [line]}}
    >>> print(published_beside_short({"tno": run}, {"tno": run}).splitlines()[4])
    | right: validation, best | 70.00 (10) |
    """
    seeds = {of[family]["seed"] for of in (published, short) for family in published}
    if len(seeds) > 1:
        raise ValueError(f"the records are of seeds {sorted(seeds)}: choose those of one seed")
    columns = []
    for family, run in published.items():
        high, low, last = most_right(run), lowest_loss(run), run["history"]["validation"][-1]
        columns.append(
            {
                "right: test, short recipe": _right(short[family]["metrics"]["test"]),
                "right: test, published settings": _right(run["metrics"]["test"]),
                "right: validation, best": f"{_right(high)} ({high['step']:,})",
                "right: validation, at the lowest loss": _right(low),
                "right: validation, last": _right(last),
                "nats: training batches": f"{run['metrics']['train']['loss']:.4f}",
                "nats: validation, lowest": f"{low['loss']:.2f} ({low['step']:,})",
                "nats: validation, last": f"{last['loss']:.2f}",
            }
        )
    rows = [[name, *(column[name] for column in columns)] for name in columns[0]]
    return markdown_table([f"seed {seeds.pop()}", *published], rows)


def _right(line: Entry) -> str:
    return f"{100 * line['accuracy']:.2f}"
