"""Result records: what was run, where, and what came out; nothing is typed by hand.

A record is a JSON object with at least ``name``, ``preset``, ``status``, ``seed``, ``provenance``,
``wall_time_s`` and ``metrics``. Runs write ``result.json`` into their folder; those that the book
cites are kept in ``data/results/``, the members of a sweep in a folder of their own.
"""

import json
import os
import platform
import re
import statistics
import subprocess
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import tnnlab
from tnnlab._files import atomic_file
from tnnlab._machine import cpu_name, device_name

Record = dict[str, Any]
RUN = "result.json"  # the record in a run's folder


def provenance(device: Any = None, *, processes: int = 1) -> Record:
    """Where and with what something is measured, as plain JSON values.

    Args:
        device: the ``torch.device`` that computes; None: the CPU.
        processes: how many of them work together.

    Returns:
        ``date`` (UTC, ISO 8601), ``tnnlab`` (version), ``commit`` and ``dirty`` (None outside a
        checkout, unless the environment variable ``TNNLAB_COMMIT`` names it), ``hardware``,
        ``python``, ``platform``, ``torch``, ``accelerate`` (None if absent).

    >>> sorted(provenance())
    ['accelerate', 'commit', 'date', 'dirty', 'hardware', 'platform', 'python', 'tnnlab', 'torch']
    """
    commit, dirty = _commit()
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "tnnlab": tnnlab.__version__,
        "commit": commit,
        "dirty": dirty,
        "hardware": _hardware(device, processes),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "torch": _version("torch"),
        "accelerate": _version("accelerate"),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    folder = Path(tnnlab.__file__).parent
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _commit() -> tuple[str | None, bool | None]:
    # A copy without git (a container, a cluster) is told its commit: NAME, or NAME-dirty.
    if name := os.environ.get("TNNLAB_COMMIT"):
        return name.removesuffix("-dirty"), name.endswith("-dirty")
    # An installed copy may lie inside somebody else's repository, which does not track it.
    if not _git("ls-files", "--error-unmatch", "__init__.py"):
        return None, None
    return _git("rev-parse", "HEAD"), bool(_git("status", "--porcelain", "--untracked-files=no"))


def _hardware(device: Any, processes: int) -> Record:
    hardware: Record = {"cpu": cpu_name(), "cpu_count": os.cpu_count(), "processes": processes}
    if device is None:
        return {"device": hardware["cpu"], "type": "cpu", **hardware}
    return {"device": device_name(device), "type": device.type, **hardware}


def write_record(path: str | os.PathLike[str], record: Mapping[str, Any]) -> None:
    """Write a record as JSON, whole or not at all; NaN and infinity are refused.

    Raises:
        ValueError: the record lacks a name or provenance, or holds NaN or infinity.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_record(f"{folder}/mine.json", {"name": "mine", "provenance": provenance()})
    ...     [record["name"] for record in load_records(folder)]
    ['mine']
    >>> write_record("mine.json", {"name": "mine"})
    Traceback (most recent call last):
    ValueError: a result record has provenance; this one has none
    """
    missing = [key for key in ("name", "provenance") if key not in record]
    if missing:
        raise ValueError(f"a result record has {' and '.join(missing)}; this one has none")
    text = _lines(record)
    with atomic_file(path) as part:
        part.write_text(text + "\n", encoding="utf-8")


def _lines(value: Any, indent: str = "") -> str:
    """JSON with innermost objects on one line each: a history of a thousand rows stays readable."""
    if isinstance(value, Mapping) and any(isinstance(v, Mapping | list) for v in value.values()):
        inner = [f"{json.dumps(k)}: {_lines(v, indent + ' ')}" for k, v in value.items()]
        opened, closed = "{", "}"
    elif isinstance(value, list) and any(isinstance(v, Mapping | list) for v in value):
        inner, opened, closed = [_lines(v, indent + " ") for v in value], "[", "]"
    else:
        return json.dumps(value, allow_nan=False)
    return f"{opened}\n{indent} " + f",\n{indent} ".join(inner) + f"\n{indent}{closed}"


def load_records(folder: str | os.PathLike[str] = "data/results") -> list[Record]:
    """All records in a folder and the folders below it.

    Each gets ``file``, where it came from. One in a folder below is named after its place, as
    recipes do not tell the members of a sweep apart: ``lm-small/tno-seed0`` for
    ``lm-small/tno-seed0.json``, and for the ``result.json`` of the run ``lm-small/tno-seed0``.
    ``config.name`` is the recipe's. JSON files that are no records are passed over, and so is all
    else that lies in a run's folder, and a sweep's own copy of a record that is there. A folder
    that does not exist has no records.

    Raises:
        ValueError: a file is no JSON.

    >>> load_records("no-such-folder")
    []
    """
    folder = Path(folder)
    records = []
    for path in _record_files(folder):
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise ValueError(f"{path} is no JSON ({error}): remove it or write it again") from error
        if isinstance(value, dict) and "name" in value and "provenance" in value:
            if path.parent != folder:
                place = path.parent if path.name == RUN else path.with_suffix("")
                value["name"] = place.relative_to(folder).as_posix()
            records.append({**value, "file": str(path)})
    return records


def records_folder() -> Path:
    """Where the records lie that the book shows: ``data/results`` of a clone of the repository, or
    the copy that an installed package brings.

    >>> any(record["name"] == "lm-stdlib" for record in load_records(records_folder()))
    True
    """
    package = Path(tnnlab.__file__).parent
    clone = package.parent / "data" / "results"
    return clone if clone.is_dir() else package / "records"


def _record_files(folder: Path) -> list[Path]:
    files = sorted(folder.rglob("*.json"))
    runs = {path.parent for path in files if path.name == RUN}

    def counts(path: Path) -> bool:
        if path.name == RUN:
            return True
        copy = path.parent.name == "records" and path.parent.with_name(path.stem) in runs
        return not copy and runs.isdisjoint(path.parents)

    # Those of the folder itself come first.
    return sorted(filter(counts, files), key=lambda path: path.parent != folder)


COLUMNS = ("record", "preset", "status", "M params", "M tokens", "nats/token", "ppl/word",
           "bits/byte", "bigram", "accuracy", "RMSE", "time", "memory", "hardware",
           "date")  # fmt: skip


def table(records: Iterable[Mapping[str, Any]]) -> str:
    """A plain-text table, one record a line; an empty string for no records.

    ``nats/token``, ``ppl/word``, ``bits/byte``, ``accuracy`` and ``RMSE`` are of the test split
    where it was evaluated (the record's name then ends in "(test)"), else of validation. ``bigram``
    is the loss of a bigram model in nats per token on the validation tokens.

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
        where.get("hardware", {}).get("device", ""),
        where.get("date", "")[:10],
    )


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
        records: as :func:`load_records` gives them.
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
