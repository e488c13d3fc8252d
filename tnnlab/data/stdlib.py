"""The embedded corpus: the source text of Python's own standard library."""

import hashlib
import os
import platform
import sysconfig
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from tnnlab.data.corpora import Corpus, check_split
from tnnlab.data.documents import SPLITS, split_of

# Installed packages and compiled files are not the standard library; tests and IDLE are missing
# from many installations; encodings and pydoc_data are mostly generated tables; the files with
# build settings hold paths of the machine that built Python.
_SKIPPED_FOLDERS = {
    "__pycache__",
    "dist-packages",
    "encodings",
    "idle_test",
    "idlelib",
    "lib2to3",
    "pydoc_data",
    "site-packages",
    "test",
    "tests",
}
_SKIPPED_FILES = ("_sysconfigdata_", "sitecustomize.py", "usercustomize.py")


class StdlibCorpus(Corpus):
    """The ``.py`` files of the running Python's standard library, one document each.

    About 9 MB. The text differs between Python versions, so runs compare only where the
    fingerprints agree; a file is in the same split under every version that has it. Line ends
    are read as ``\\n``; files that are empty or not UTF-8 are left out.

    Args:
        root: the library's folder; the running Python's by default.

    Raises:
        FileNotFoundError: the folder holds no source text (a Python with a zipped library).
    """

    name = "stdlib"
    licence = "Python Software Foundation License"

    def __init__(self, root: Path | None = None) -> None:
        self.root = Path(sysconfig.get_paths()["stdlib"]) if root is None else root
        self.source = f"Python {platform.python_version()} standard library, .py files"

    @cached_property
    def _texts(self) -> dict[str, str]:
        """Text by path within the library, in the order of the paths."""
        texts = {}
        for place, path in sorted(_python_files(self.root)):
            try:
                text = path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue
            if text:
                texts[place] = text
        if not texts:
            raise FileNotFoundError(
                f"no source text of the standard library under {self.root}: this Python comes "
                "without it; use a regular or conda Python, or the corpus 'text' with a folder"
            )
        return texts

    @property
    def split_rule(self) -> str:
        return "by file: SHA-256 of its path within the library, 90 / 5 / 5 %"

    def documents(self, split: str) -> Iterator[str]:
        check_split(split)
        return (text for place, text in self._texts.items() if split_of(place) == split)

    @cached_property
    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for place, text in self._texts.items():
            content = text.encode()
            digest.update(f"{place}\0{len(content)}\0".encode())
            digest.update(content)
        return digest.hexdigest()

    def provenance(self) -> dict[str, Any]:
        counts = {split: {"files": 0, "bytes": 0} for split in SPLITS}
        for place, text in self._texts.items():
            counts[split_of(place)]["files"] += 1
            counts[split_of(place)]["bytes"] += len(text.encode())
        return super().provenance() | {"counts": counts}


def _python_files(root: Path) -> Iterator[tuple[str, Path]]:
    """Every file wanted, with its path within the library (with forward slashes)."""
    for folder, folders, files in os.walk(root):
        # Pruned here: site-packages alone can hold a hundred thousand files.
        folders[:] = [name for name in folders if name not in _SKIPPED_FOLDERS]
        for name in files:
            if name.endswith(".py") and not name.startswith(_SKIPPED_FILES):
                path = Path(folder, name)
                yield path.relative_to(root).as_posix(), path
