"""Records in words and tables: for a terminal, and for pages."""

import re
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

COLUMNS = ("record", "preset", "status", "M params", "M tokens", "nats/token", "ppl/word",
           "bits/byte", "bigram", "accuracy", "RMSE", "time", "memory", "hardware",
           "date")  # fmt: skip


def table(records: Iterable[Mapping[str, Any]]) -> str:
    """A plain-text table, one record a line; an empty string for no records.

    ``nats/token``, ``ppl/word``, ``bits/byte``, ``accuracy`` and ``RMSE`` are of the test split
    where it was evaluated (the record's name then ends in "(test)"), else of validation. ``bigram``
    is the loss of a bigram model in nats per token on the validation tokens.

    >>> from tnnlab.results import provenance
    >>> record = {"name": "mine", "preset": "smoke", "status": "complete"}
    >>> record["provenance"] = provenance()
    >>> [line.split()[:3] for line in table([record]).splitlines()[::2]]
    [['record', 'preset', 'status'], ['mine', 'smoke', 'complete']]
    """
    rows = [_row(record) for record in records]
    if not rows:
        return ""
    widths = [max(len(cell) for cell in column) for column in zip(COLUMNS, *rows, strict=True)]
    lines = [COLUMNS, tuple("-" * width for width in widths), *rows]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _row(record: Mapping[str, Any]) -> tuple[str, ...]:
    metrics = record.get("metrics", {})
    final = metrics.get("test") or metrics.get("validation") or {}
    where = record["provenance"]
    return (
        record["name"] + (" (test)" if metrics.get("test") else ""),
        record.get("preset", ""),
        record.get("status", ""),
        _number(record.get("parameters"), 1e-6, 2),
        _number(record.get("tokens_seen"), 1e-6, 1),
        _number(final.get("loss_per_token"), 1, 3),
        _number(final.get("perplexity_per_word"), 1, 2),
        _number(final.get("bits_per_byte"), 1, 3),
        _number((record.get("baseline") or {}).get("loss_per_token"), 1, 3),
        _number(final.get("accuracy"), 100, 2, "%"),
        _number(final.get("rmse"), 1, 4),
        duration(record.get("wall_time_s")),
        _number(record.get("peak_memory_bytes"), 2**-30, 2, " GiB"),
        hardware(record),
        where.get("date", "")[:10],
    )


def hardware(record: Mapping[str, Any]) -> str:
    """What a record was made on: a processor or a card, or several cards that worked together.

    >>> hardware({"provenance": {"hardware": {"device": "a GPU", "processes": 2}}})
    '2 × a GPU'
    """
    where = record["provenance"].get("hardware", {})
    several = where.get("type") != "cpu" and where.get("processes", 1) > 1
    return (f"{where['processes']} × " if several else "") + where.get("device", "")


def _number(value: float | None, unit: float, digits: int, suffix: str = "") -> str:
    if value is None:
        return "-"
    value *= unit
    return (f"{value:.3g}" if abs(value) >= 1e6 else f"{value:.{digits}f}") + suffix


def duration(seconds: float | None) -> str:
    """Seconds in words; "-" for None.

    >>> duration(14), duration(125.4), duration(3725)
    ('14 s', '2 min 5 s', '1 h 2 min')
    """
    if seconds is None:
        return "-"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def markdown_table(
    header: Sequence[str], rows: Iterable[Sequence[str]], *, text: Collection[str] = ()
) -> str:
    """A table in Markdown: the first column and those named in ``text`` to the left, the others,
    of numbers, to the right.

    Raises:
        ValueError: a row with more or fewer cells than the header.

    >>> print(markdown_table(["model", "perplexity"], [["one", "20.5"], ["two", "-"]]))
    | model | perplexity |
    | :--- | ---: |
    | one | 20.5 |
    | two | - |
    """
    sides = [":---" if i == 0 or name in text else "---:" for i, name in enumerate(header)]
    lines = [header, sides, *rows]
    for line in lines:
        if len(line) != len(header):
            raise ValueError(
                f"the header has {len(header)} cells; got a row of {len(line)}: {line}"
            )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def commit(record: Mapping[str, Any]) -> str:
    """The commit of a record, seven digits; "changed" follows where the tree was not clean.

    >>> commit({"provenance": {"commit": "0123456789", "dirty": True}})
    '0123456 changed'
    """
    where = record["provenance"]
    return (where.get("commit") or "unknown")[:7] + " changed" * bool(where.get("dirty"))


def outcome(record: Mapping[str, Any]) -> str:
    """What came out, in one phrase: of the test split where it was evaluated, else of validation.

    >>> outcome({"status": "complete", "metrics": {"test": {"accuracy": 0.4123, "loss": 1.5}}})
    'test accuracy 41.23%'
    >>> outcome({"status": "complete", "metrics": {"validation": {"rmse": 0.25}}})
    'validation RMSE 0.2500'
    >>> outcome({"status": "complete", "rows": [{"time_s": 1e-3}]})
    '1 rows'
    """
    metrics = record.get("metrics", {})
    split = "test" if metrics.get("test") else "validation"
    final = metrics.get(split) or {}
    if "loss_per_masked_token" in final:
        found = f"{split} {final['loss_per_masked_token']:.3f} nats per hidden token"
    elif "accuracy" in final:
        found = f"{split} accuracy {final['accuracy']:.2%}"
    elif "rmse" in final:
        found = f"{split} RMSE {final['rmse']:.4f}"
    elif "loss_per_token" in final:
        found = f"{split} {final['loss_per_token']:.3f} nats per token"
    else:
        found = f"{len(record['rows'])} rows" if "rows" in record else "-"
    status = record.get("status", "complete")
    return found if status == "complete" else f"{found} ({status})"


def without_seed(member: str) -> str:
    """The family of a sweep's member.

    >>> without_seed("tno-seed0"), without_seed("tno")
    ('tno', 'tno')
    """
    return re.sub(r"-seed\d+$", "", member)


def by_family(
    records: Iterable[Mapping[str, Any]], sweep: str, members: Iterable[str]
) -> dict[str, list[Mapping[str, Any]]]:
    """The complete records of a sweep by family, which is a member's name without its seed.

    Args:
        records: as :func:`tnnlab.results.load_records` gives them.
        sweep: its folder among them.
        members: names as in the sweep, in the order wanted; a family with no record is there, and
            has an empty list.

    >>> record = {"name": "lm-small/tno-seed0", "status": "complete"}
    >>> by_family([record], "lm-small", ["tno-seed0", "tno-seed1", "fd-seed0"])
    {'tno': [{'name': 'lm-small/tno-seed0', 'status': 'complete'}], 'fd': []}
    """
    complete = {record["name"]: record for record in records if record["status"] == "complete"}
    families: dict[str, list[Mapping[str, Any]]] = {}
    for name in members:
        family = families.setdefault(without_seed(name), [])
        if f"{sweep}/{name}" in complete:
            family.append(complete[f"{sweep}/{name}"])
    return families


def mean(values: Sequence[float], digits: int = 2) -> str:
    """A mean over runs; with several, ± their standard deviation (of a sample) and their number.

    >>> mean([20.123]), mean([20.0, 22.0], digits=1), mean([])
    ('20.12', '21.0 ± 1.4 (2)', '-')
    """
    if not values:
        return "-"
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    spread = statistics.stdev(values)
    return f"{statistics.mean(values):.{digits}f} ± {spread:.{digits}f} ({len(values)})"


def speed(record: Mapping[str, Any]) -> float:
    """Tokens or positions a second of a training run: the median of its lines but the first two,
    which compile.

    >>> speed({"history": {"train": [{"tokens_per_s": x} for x in (1.0, 5.0, 8.0, 9.0, 7.0)]}})
    8.0
    """
    lines = record["history"]["train"]
    return statistics.median(line["tokens_per_s"] for line in lines[2:] or lines)
