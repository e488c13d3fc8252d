"""Result records: what was run, where, and what came out; nothing is typed by hand.

A record is a JSON object with at least ``name``, ``preset``, ``status``, ``seed``, ``provenance``,
``wall_time_s`` and ``metrics``. Runs write ``result.json`` into their folder; those that the book
cites are kept in ``data/results/``.
"""

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import tnnlab
from tnnlab._files import atomic_file

Record = dict[str, Any]


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
    hardware: Record = {"cpu": _cpu_name(), "cpu_count": os.cpu_count(), "processes": processes}
    if device is None or device.type == "cpu":
        return {"device": hardware["cpu"], "type": "cpu", **hardware}
    if device.type == "cuda":
        import torch

        return {"device": torch.cuda.get_device_name(device), "type": "cuda", **hardware}
    return {"device": device.type, "type": device.type, **hardware}


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration, UnicodeDecodeError):
        return platform.processor() or platform.machine()


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
    """All records in a folder: its ``*.json``, and ``result.json`` of each run below it.

    Each gets ``file``, where it came from. JSON files that are no records are passed over; a
    folder that does not exist has none.

    Raises:
        ValueError: a file is no JSON.

    >>> load_records("no-such-folder")
    []
    """
    folder = Path(folder)
    records = []
    for path in sorted({*folder.glob("*.json"), *folder.glob("**/result.json")}):
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise ValueError(f"{path} is no JSON ({error}): remove it or write it again") from error
        if isinstance(value, dict) and "name" in value and "provenance" in value:
            records.append({**value, "file": str(path)})
    return records


COLUMNS = ("record", "preset", "status", "M params", "M tokens", "nats/token", "ppl/word",
           "bits/byte", "bigram", "time", "memory", "hardware", "date")  # fmt: skip


def table(records: Iterable[Mapping[str, Any]]) -> str:
    """A plain-text table, one record a line; an empty string for no records.

    ``nats/token``, ``ppl/word`` and ``bits/byte`` are of the test split where it was evaluated
    (the record's name then ends in "(test)"), else of validation. ``bigram`` is the loss of a
    bigram model in nats per token on the validation tokens.

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
        _duration(record.get("wall_time_s")),
        _number(record.get("peak_memory_bytes"), 2**-30, 2, " GiB"),
        where.get("hardware", {}).get("device", ""),
        where.get("date", "")[:10],
    )


def _number(value: float | None, unit: float, digits: int, suffix: str = "") -> str:
    if value is None:
        return "-"
    value *= unit
    return (f"{value:.3g}" if abs(value) >= 1e6 else f"{value:.{digits}f}") + suffix


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"
