"""A corpus from any text file or folder of text files."""

import gzip
import hashlib
import lzma
from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import IO, Any

from tnnlab.data.corpora import Corpus, check_split
from tnnlab.data.documents import articles, part_of, split_of

SUFFIXES = (".txt", ".text", ".md", ".rst", ".tex", ".py")
_OPENERS = {".xz": lzma.open, ".gz": gzip.open}
# With fewer documents a 5 % draw could come out empty or unlike the rest.
_FEW = 200


class TextCorpus(Corpus):
    """UTF-8 text files, plain or compressed (``.xz``, ``.gz``).

    A file is one document, or several where it holds WikiText title lines (`` = Title = ``).
    With 200 documents or more, each goes as a whole to the split that the SHA-256 of its text
    falls into (so copies of a text never lie in two splits); with fewer, every document is cut:
    the first 90 % train, the next 5 % validation, the last 5 % test.

    Args:
        path: a text file with any suffix, or a folder, searched with its subfolders (hidden ones
            left out) for files whose suffix is in `SUFFIXES`, possibly followed by ``.xz``
            or ``.gz``.

    Raises:
        FileNotFoundError: no such file or folder, or a folder with no text file in it.
        ValueError: (on reading) a file that is not UTF-8.
    """

    name = "text"
    licence = "as given by whoever provides the files"

    def __init__(self, path: Path) -> None:
        if path.is_file():
            self.root, self.files = path.parent, [path]
        elif path.is_dir():
            self.root, self.files = path, _text_files(path)
        else:
            raise FileNotFoundError(
                f"no file or folder {str(path)!r}: give the path of a text file or of a folder of "
                "text files"
            )
        self.source = f"{path.name} ({len(self.files)} files)"

    def all_documents(self) -> Iterator[str]:
        """The documents of all splits, file by file."""
        for path in self.files:
            yield from (text for text in articles(_lines(path)) if text)

    @cached_property
    def _whole(self) -> bool:
        """Whether there are enough documents to deal them out whole."""
        return sum(1 for _ in islice(self.all_documents(), _FEW)) == _FEW

    @property
    def split_rule(self) -> str:
        if self._whole:
            return "by document: SHA-256 of its text, 90 / 5 / 5 %"
        return "each document cut in order, 90 / 5 / 5 % of its characters"

    def documents(self, split: str) -> Iterator[str]:
        check_split(split)
        if self._whole:
            return (text for text in self.all_documents() if split_of(text) == split)
        parts = (part_of(text, split) for text in self.all_documents())
        return (part for part in parts if part)

    @cached_property
    def fingerprint(self) -> str:
        # Over the files as they are on the disk: seconds less than over the decompressed text.
        digest = hashlib.sha256()
        for path in self.files:
            digest.update(f"{path.relative_to(self.root).as_posix()}\0".encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()

    def provenance(self) -> dict[str, Any]:
        size = sum(path.stat().st_size for path in self.files)
        return super().provenance() | {"files": len(self.files), "bytes_on_disk": size}


def _text_files(folder: Path) -> list[Path]:
    def is_text(place: Path) -> bool:
        name = place.name.lower()
        for ending in _OPENERS:
            name = name.removesuffix(ending)
        return name.endswith(SUFFIXES) and not any(part.startswith(".") for part in place.parts)

    files = [path for path in folder.rglob("*") if is_text(path.relative_to(folder))]
    files = sorted((path for path in files if path.is_file()), key=lambda path: path.as_posix())
    if not files:
        raise FileNotFoundError(
            f"no text file under {str(folder)!r}: looked for {', '.join(SUFFIXES)}, plain or "
            f"compressed ({', '.join(_OPENERS)}). A file with another suffix can be given by its "
            "own path"
        )
    return files


def _lines(path: Path) -> Iterator[str]:
    try:
        with _open(path) as file:
            yield from file
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start} of the part being "
            "read): convert it, e.g. with iconv, or move it out of the folder"
        ) from error
    except (lzma.LZMAError, EOFError, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is damaged or cut off: {error}") from error


def _open(path: Path) -> IO[str]:
    opener = _OPENERS.get(path.suffix.lower())
    if opener is None:
        return path.open(encoding="utf-8")
    return opener(path, "rt", encoding="utf-8")
