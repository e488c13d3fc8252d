"""The tokens of a corpus as a memory-mapped file, made once."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock  # comes with torch

from tnnlab._extras import require
from tnnlab._files import atomic_file
from tnnlab.data.corpora import Corpus, Segment, check_split
from tnnlab.data.folders import cache_folder
from tnnlab.data.tokenizers import Tokenizer

# Raise it when the same text would give other tokens: older files are then left alone.
_FORMAT = 1
_GROUP = 4_194_304  # characters encoded in one call, which bounds the memory


class TokenArray:
    """One split of a corpus as token ids, on the disk.

    `numpy.asarray` of it, or `tokens`, is a read-only array of shape ``(tokens,)``.

    Attributes:
        tokens: the ids, memory-mapped; uint16 where the vocabulary allows it, else uint32. An end
            of text follows every document.
        path: the file.
        record: what the file beside it says: corpus, tokenizer, their fingerprints, split,
            sha256, dtype, the counts of tokens, documents, words and bytes, and the places of
            tokens that are not scored.

    >>> import pathlib, tempfile
    >>> from tnnlab.data import load_corpus, load_tokenizer
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     text = pathlib.Path(folder, "text.txt")
    ...     _ = text.write_text("Any text will do. " * 100)
    ...     tokens = tokenize(load_corpus("text", text), load_tokenizer("bytes"), "train", folder)
    ...     tokens.words > 100, tokens.is_intact(), tokens.tokens.dtype
    (True, True, dtype('uint16'))
    """

    def __init__(self, path: Path, record: dict[str, Any]) -> None:
        self.path = path
        self.record = record
        self.tokens = np.memmap(path, dtype=record["dtype"], mode="r")

    @cached_property
    def scored(self) -> np.ndarray | None:
        """Whether each token counts as a target in an evaluation (bool, as long as the tokens).
        None: all of them do. (`Segment.scored`; ends of text always count.)"""
        ranges = self.record.get("unscored", [])
        if not ranges:
            return None
        scored = np.ones(len(self), bool)
        for first, end in ranges:
            scored[first:end] = False
        return scored

    @property
    def words(self) -> int:
        """Words of the scored text, counted as the corpus says (`Corpus.word_rule`)."""
        return self.record["words"]

    @property
    def bytes(self) -> int:
        """Bytes of the scored text in UTF-8, ends of text not counted."""
        return self.record["bytes"]

    @property
    def sha256(self) -> str:
        """SHA-256 (hexadecimal) of the file."""
        return self.record["sha256"]

    def __len__(self) -> int:
        return len(self.tokens)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.tokens, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        record = self.record
        return f"TokenArray({record['corpus']} {record['split']}, {len(self):,} tokens)"

    def is_intact(self) -> bool:
        """Whether the file still has the recorded checksum. Reads all of it."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == self.sha256


def tokenize(
    corpus: Corpus,
    tokenizer: Tokenizer,
    split: str,
    cache_dir: str | PathLike[str] | None = None,
    *,
    verify: bool = False,
) -> TokenArray:
    """Tokenize one split of a corpus, or open the file of an earlier call.

    The file belongs to the content: its name holds the fingerprints of corpus and tokenizer. It is
    written beside its place and renamed, and the record that makes it count comes last, so that
    an interrupted call leaves nothing that looks complete. A file of the wrong size is made again.
    Of several processes that ask at once, one works and the others wait.

    Args:
        corpus: see `load_corpus`.
        tokenizer: see `load_tokenizer`.
        split: ``"train"``, ``"validation"`` or ``"test"``.
        cache_dir: where the files go; default ``tokens`` in `cache_folder`.
        verify: compare the checksum as well (reads the file once), and rebuild if it differs.

    Raises:
        ValueError: no such split, or one without any text.
        FileNotFoundError: the text is not on this machine.

    >>> import pathlib, tempfile
    >>> from tnnlab.data import load_corpus, load_tokenizer
    >>> tokenizer = load_tokenizer("bytes")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     text = pathlib.Path(folder, "text.txt")
    ...     _ = text.write_text("Any text will do. " * 100)
    ...     tokens = tokenize(load_corpus("text", text), tokenizer, "train", folder)
    ...     tokenizer.decode(tokens.tokens[:17])
    'Any text will do.'
    """
    check_split(split)
    folder = cache_folder() / "tokens" if cache_dir is None else Path(cache_dir)
    identity = {
        "format": _FORMAT,
        "corpus": corpus.name,
        "corpus_fingerprint": corpus.fingerprint,
        "split": split,
        "tokenizer": tokenizer.name,
        "tokenizer_fingerprint": tokenizer.fingerprint,
    }
    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    path = folder / f"{corpus.name}-{split}-{tokenizer.name}-{key}.bin"
    found = _open(path, identity, verify)
    if found is None:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            found = _open(path, identity, verify)  # another process may have been faster
            if found is None:
                for leftover in folder.glob(f".{path.stem}.*.part"):  # of a killed process
                    leftover.unlink()
                found = _build(path, identity, corpus, tokenizer)
    return found


def _open(path: Path, identity: dict[str, Any], verify: bool) -> TokenArray | None:
    """The cached array, or None where there is none, or one that is not whole."""
    try:
        record = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        size = path.stat().st_size
        whole = (
            all(record[name] == value for name, value in identity.items())
            and size == record["tokens"] * np.dtype(record["dtype"]).itemsize
        )
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
        return None
    if not whole:
        return None
    array = TokenArray(path, record)
    return array if not verify or array.is_intact() else None


def _build(
    path: Path, identity: dict[str, Any], corpus: Corpus, tokenizer: Tokenizer
) -> TokenArray:
    tqdm = require("tqdm", extra="train").tqdm
    split = identity["split"]
    dtype = np.dtype("<u2" if tokenizer.vocab_size <= 2**16 else "<u4")
    end = np.array([tokenizer.end_of_text], dtype)
    counts = {"tokens": 0, "documents": 0, "words": 0, "bytes": 0}
    unscored: list[tuple[int, int]] = []  # first token, and the one after the last
    digest = hashlib.sha256()
    # Shown only where it takes more than a moment.
    bar = tqdm(desc=f"tokens of {corpus.name} {split}", unit="B", unit_scale=True, delay=2)
    # Without its record the file that is replaced here counts for nothing.
    path.with_suffix(".json").unlink(missing_ok=True)
    with bar, atomic_file(path) as temporary, temporary.open("wb") as file:
        for group in _groups(corpus.segments(split)):
            encoded = tokenizer.encode_batch([segment.text for segment, _ in group])
            for (segment, last), ids in zip(group, encoded, strict=True):
                array = np.concatenate([ids.astype(dtype), end]) if last else ids.astype(dtype)
                file.write(array.data)
                digest.update(array.data)
                size = len(segment.text.encode())
                if not segment.scored:
                    unscored.append((counts["tokens"], counts["tokens"] + len(ids)))
                counts["tokens"] += len(array)
                counts["documents"] += last
                counts["words"] += segment.words
                counts["bytes"] += size * segment.scored
                bar.update(size)
        if not counts["documents"]:
            raise ValueError(
                f"the {split} split of {corpus.name} ({corpus.source}) holds no text: its rule is "
                f"{corpus.split_rule!r}; give it more text"
            )
    record = identity | {"dtype": dtype.str, "sha256": digest.hexdigest()} | counts
    record |= {"unscored": unscored} if unscored else {}
    with atomic_file(path.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return TokenArray(path, record)


def _groups(documents: Iterable[Iterable[Segment]]) -> Iterator[list[tuple[Segment, bool]]]:
    """Segments of the documents, each with whether it ends one, some megabytes at a time."""
    group: list[tuple[Segment, bool]] = []
    size = 0
    for document in documents:
        held = None
        for segment in document:
            if held is not None:
                group.append((held, False))
            held = segment
            size += len(segment.text)
            if size >= _GROUP:
                yield group
                group, size = [], len(segment.text)
        if held is not None:
            group.append((held, True))
    if group:
        yield group
