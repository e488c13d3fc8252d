"""Records as files: written whole or not at all, found by folder."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tnnlab
from tnnlab._files import atomic_file
from tnnlab.results.origin import Record

RUN = "result.json"  # the record in a run's folder


def write_record(path: str | os.PathLike[str], record: Mapping[str, Any]) -> None:
    """Write a record as JSON, whole or not at all; NaN and infinity are refused.

    Raises:
        ValueError: the record lacks a name or provenance, or holds NaN or infinity.

    >>> import tempfile
    >>> from tnnlab.results import provenance
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
