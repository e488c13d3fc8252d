"""Arrays that take a while to make, kept on the disk and memory-mapped."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock  # comes with torch

from tnnlab._files import atomic_folder
from tnnlab.data.folders import cache_folder

_RECORD = "record.json"
Arrays = dict[str, np.ndarray]


def stored(name: str, identity: dict[str, Any], build: Callable[[], Arrays]) -> Arrays:
    """The arrays that ``build`` makes, from the cache where an earlier call has made them.

    They lie in ``lra/<name>-<key>`` in `cache_folder`, where the key is a hash of the identity. The
    folder appears complete or not at all; one with a missing or cut-off file is made again. Of
    several processes that ask at once, one works and the others wait.

    Args:
        name: begins the folder's name.
        identity: what determines the arrays (JSON-able): settings, seed, content, and a number
            for the version of the code that builds them.
        build: makes them; called only where there are none.
    """
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    folder = cache_folder() / "lra" / f"{name}-{key}"
    found = _open(folder)
    if found is None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(folder.name + ".lock")):
            found = _open(folder)  # another process may have been faster
            if found is None:
                leftovers = folder.parent.glob(f".{folder.name}.*.part")  # of a killed process
                for place in (folder, *leftovers):
                    shutil.rmtree(place, ignore_errors=True)
                _write(folder, identity, build())
                found = _open(folder)
                assert found is not None
    return found


def files_identity(files: Iterable[Path]) -> list[list[Any]]:
    """Name, size and time of change of files that are too large to be read for a checksum."""
    stats = [(path.name, path.stat()) for path in files]
    return [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]


def _write(folder: Path, identity: dict[str, Any], arrays: Arrays) -> None:
    with atomic_folder(folder) as temporary:
        for name, array in arrays.items():
            np.save(temporary / f"{name}.npy", array)
        record = {"identity": identity, "arrays": list(arrays)}
        (temporary / _RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _open(folder: Path) -> Arrays | None:
    """The arrays of a folder, or None where it is not there or not whole."""
    try:
        names = json.loads((folder / _RECORD).read_text(encoding="utf-8"))["arrays"]
        return {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in names}
    except (OSError, ValueError, KeyError, TypeError):
        return None
