"""Retrieval: does one paper cite the other? AAN (Radev et al., 2013), byte by byte."""

from collections.abc import Iterable
from os import PathLike

import numpy as np

from tnnlab.data.documents import SPLITS
from tnnlab.data.lra.files import RELEASE, check_counts, local_folder, need_files
from tnnlab.data.lra.ragged import Pool, Ragged
from tnnlab.data.lra.splits import Pairs
from tnnlab.data.lra.store import Arrays, files_identity, stored
from tnnlab.data.lra.task import Task
from tnnlab.data.lra.text import END, PADDING, VOCAB_SIZE

FILES = {
    "train": "new_aan_pairs.train.tsv",
    "validation": "new_aan_pairs.eval.tsv",
    "test": "new_aan_pairs.test.tsv",
}
COUNTS = {"train": 147_086, "validation": 18_090, "test": 17_437}
_SOURCE = f"{RELEASE} (tsv_data), also as the data set OpenNLPLab/lra on the Hugging Face hub"
_VERSION = 1  # of the code behind the stored arrays


def load_retrieval(*, folder: str | PathLike[str] | None = None, length: int = 4000) -> Task:
    """Pairs of papers of the ACL Anthology Network, as bytes with an end token (258 tokens).

    Label 1: there is a citation between the two. A paper is cut to ``length - 1`` bytes. Without
    these files, `load_retrieval_stand_in` is another task that can be measured.

    Args:
        folder: of the three TSV files; default ``$TNNLAB_DATA/aan``.
        length: the most tokens of a paper, the end included.

    Raises:
        FileNotFoundError: files are missing.
        ValueError: files that are not the released ones.

    >>> load_retrieval(folder="not-here")  # or a folder with the files
    Traceback (most recent call last):
        ...
    FileNotFoundError: no folder 'not-here'
    """
    place = local_folder("aan", folder=folder)
    if place is None:
        raise FileNotFoundError(
            f"no folder $TNNLAB_DATA/aan with {', '.join(FILES.values())}: they come from "
            f"{_SOURCE}. The task 'retrieval-stand-in' can be made from other text"
        )
    files = need_files(place, list(FILES.values()), "AAN", _SOURCE)

    def build() -> Arrays:
        arrays = {}
        for split, file in zip(SPLITS, files, strict=True):
            with file.open("rb") as lines:
                read = read_tsv(lines, file.name, length)
            arrays |= {f"{split}_{name}": array for name, array in read.items()}
        return arrays

    identity = {"version": _VERSION, "files": files_identity(files), "length": length}
    arrays = stored("aan", identity, build)
    parts = [pairs(arrays, f"{split}_") for split in SPLITS]
    check_counts("AAN", dict(zip(SPLITS, map(len, parts), strict=True)), COUNTS)
    return Task(
        "retrieval",
        f"pairs of AAN papers as at most {length} bytes with an end token",
        _SOURCE,
        "as of the ACL Anthology Network (aan.how); not redistributed here",
        2,
        *parts,
    )


def read_tsv(lines: Iterable[bytes], name: str, length: int) -> Arrays:
    """What `pairs` reads, from lines of label (0.0 or 1.0), two ids, and two texts.

    There is no header, and quotation marks are text. A paper stands in many pairs; it is kept once.

    Raises:
        ValueError: a line with other columns.
    """
    pool, numbers, labels = Pool(), [], []
    for number, line in enumerate(lines, 1):
        columns = line.rstrip(b"\r\n").split(b"\t")
        if len(columns) != 5 or columns[0] not in (b"0", b"1", b"0.0", b"1.0"):
            raise ValueError(
                f"{name}, line {number}: expected label (0.0 or 1.0), id1, id2, text1, text2, "
                f"found {len(columns)} columns, the first being {columns[0][:40]!r}"
            )
        labels.append(columns[0][:1] == b"1")
        numbers.append([pool.add(text[: length - 1]) for text in columns[3:]])
    return pair_arrays(pool, np.array(numbers).reshape(-1, 2), np.array(labels, np.uint8))


def pair_arrays(pool: Pool, numbers: np.ndarray, labels: np.ndarray) -> Arrays:
    """Pairs of texts of a pool, ``(count, 2)``, as arrays that can be stored."""
    rows = pool.ragged(END)
    arrays = {"tokens": rows.tokens, "lengths": rows.lengths}
    return arrays | {"numbers": numbers.astype(np.int32), "labels": labels}


def pairs(arrays: Arrays, prefix: str = "") -> Pairs:
    """The pairs in what `pair_arrays` made, whose names begin with ``prefix``."""
    rows = Ragged.of_lengths(arrays[f"{prefix}tokens"], arrays[f"{prefix}lengths"])
    numbers, labels = arrays[f"{prefix}numbers"], arrays[f"{prefix}labels"]
    first, second = rows.take(numbers[:, 0]), rows.take(numbers[:, 1])
    return Pairs(first, second, labels, vocab_size=VOCAB_SIZE, padding=PADDING)
