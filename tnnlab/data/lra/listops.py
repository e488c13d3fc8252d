"""ListOps: the value of a nested expression of MIN, MAX, MED and SM (sum modulo 10)."""

from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from tnnlab.data.documents import SPLITS
from tnnlab.data.lra.files import RELEASE, check_counts, check_labels, local_folder, need_files
from tnnlab.data.lra.listops_trees import generate_listops
from tnnlab.data.lra.ragged import Ragged
from tnnlab.data.lra.splits import Sequences
from tnnlab.data.lra.store import Arrays, files_identity, stored
from tnnlab.data.lra.task import Task
from tnnlab.data.names import check_name

#: Token by token, what is written; the last is the padding.
VOCABULARY = (*map(str, range(10)), "[MIN", "[MAX", "[MED", "[SM", "]", "<pad>")
FILES = {"train": "basic_train.tsv", "validation": "basic_val.tsv", "test": "basic_test.tsv"}
COUNTS = {"train": 96_000, "validation": 2_000, "test": 2_000}
_VERSION = 1  # of the code behind the stored arrays

# One byte for each symbol, then that byte's token; round parentheses and white space are dropped.
_LETTERS = {b"[MIN": b"a", b"[MAX": b"b", b"[MED": b"c", b"[SM": b"d"}
_BYTES = b"0123456789abcd]"
_TOKENS = bytes(_BYTES.find(byte) if byte in _BYTES else 255 for byte in range(256))


def load_listops(
    source: str | None = None,
    *,
    folder: str | PathLike[str] | None = None,
    samples: int = 100_000,
    seed: int = 0,
    lengths: tuple[int, int] = (501, 1999),
) -> Task:
    """ListOps with 16 tokens: ten digits, four operators, the closing bracket, padding.

    (Published models count 18: an unknown token and an end of sequence, which says nothing here
    and is left out.)

    Args:
        source: ``"files"``, the released TSV files; ``"generated"``, new expressions of the
            published distribution; None: the files where they are found, else generated.
        folder: of the files; default ``$TNNLAB_DATA/listops``.
        samples: how many are generated: 96 % train, 2 % validation, 2 % test, as published.
        seed: of the generated ones.
        lengths: least and greatest length of the generated ones, in symbols; default as published.

    Raises:
        FileNotFoundError: files are asked for and missing.
        ValueError: files that are not ListOps, or too few samples for three splits.

    >>> task = load_listops("generated", samples=100, lengths=(10, 50))
    >>> task.name, task.vocab_size, task.classes
    ('listops', 16, 10)
    """
    if source is not None:
        check_name("source", source, ("files", "generated"))
    place = None if source == "generated" else local_folder("listops", folder=folder)
    if place is not None:
        return _from_files(place)
    if source == "files":
        raise FileNotFoundError(
            f"no folder $TNNLAB_DATA/listops with {', '.join(FILES.values())}: they come from "
            f"{RELEASE} (there in listops-1000). source='generated' needs no files"
        )
    held_out = samples // 50
    if held_out < 1:
        raise ValueError(f"at least 50 samples, for 2 % are one each; given {samples}")

    def build() -> Arrays:
        rows, values = generate_listops(samples, seed=seed, shortest=lengths[0], longest=lengths[1])
        return {"tokens": rows.tokens, "lengths": rows.lengths, "values": values}

    identity = {"version": _VERSION, "samples": samples, "seed": seed, "lengths": lengths}
    arrays = stored("listops-generated", identity, build)
    rows = Ragged.of_lengths(arrays["tokens"], arrays["lengths"])
    train = samples - 2 * held_out
    cuts = (slice(train), slice(train, train + held_out), slice(train + held_out, samples))
    parts = [_split(rows.take(cut), arrays["values"][cut]) for cut in cuts]
    return _task(
        f"generated with seed {seed} by the published distribution, {lengths[0]} to {lengths[1]} "
        "symbols; not the released samples",
        "tnnlab.data.lra.listops_trees",
        "MIT",
        parts,
    )


def _from_files(folder: Path) -> Task:
    files = need_files(folder, list(FILES.values()), "ListOps", f"{RELEASE} (listops-1000)")

    def build() -> Arrays:
        arrays = {}
        for split, file in zip(SPLITS, files, strict=True):
            with file.open("rb") as lines:
                rows, arrays[f"{split}_values"] = read_tsv(lines, file.name)
            arrays |= {f"{split}_tokens": rows.tokens, f"{split}_lengths": rows.lengths}
        return arrays

    identity = {"version": _VERSION, "files": files_identity(files)}
    arrays = stored("listops-files", identity, build)
    parts = []
    for split in SPLITS:
        tokens, lengths, values = (arrays[f"{split}_{n}"] for n in ("tokens", "lengths", "values"))
        parts.append(_split(Ragged.of_lengths(tokens, lengths), values))
    check_counts("ListOps", dict(zip(SPLITS, map(len, parts), strict=True)), COUNTS)
    return _task("the released TSV files", RELEASE, "Apache-2.0", parts)


def read_tsv(lines: Iterable[bytes], name: str) -> tuple[Ragged, np.ndarray]:
    """Expressions and values of a released file: columns ``Source`` and ``Target``.

    Raises:
        ValueError: another header, or a line that is no expression with a digit.
    """
    remaining = iter(lines)
    header = next(remaining, b"")
    if header.split() != [b"Source", b"Target"]:
        raise ValueError(f"{name} begins with {header[:80]!r}: expected the columns Source, Target")
    texts, values = [], []
    for number, line in enumerate(remaining, 2):
        source, _, target = line.rstrip(b"\r\n").partition(b"\t")
        for symbol, letter in _LETTERS.items():
            source = source.replace(symbol, letter)
        text = source.translate(_TOKENS, b"() ")
        if not text or 255 in text or len(target) != 1 or target not in b"0123456789":
            raise ValueError(
                f"{name}, line {number}, is no ListOps expression with its value: {line[:80]!r}…"
            )
        texts.append(text)
        values.append(int(target))
    flat = np.frombuffer(b"".join(texts), np.uint8)
    return Ragged.of_lengths(flat, np.array([*map(len, texts)])), np.array(values, np.uint8)


def _split(rows: Ragged, values: np.ndarray) -> Sequences:
    return Sequences(rows, values, vocab_size=len(VOCABULARY), padding=len(VOCABULARY) - 1)


def _task(description: str, source: str, licence: str, parts: list[Any]) -> Task:
    for part in parts:
        check_labels("ListOps", part.labels, 10)
    return Task("listops", description, source, licence, 10, *parts)
