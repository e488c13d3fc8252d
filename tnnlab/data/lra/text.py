"""Text: is a film review praise? IMDB (Maas et al., 2011), byte by byte."""

from os import PathLike

import numpy as np

from tnnlab.data.lra.files import check_counts, check_labels, local_folder, read_table
from tnnlab.data.lra.ragged import Ragged, byte_rows
from tnnlab.data.lra.splits import Sequences
from tnnlab.data.lra.task import Task

HUB_NAME = "stanfordnlp/imdb"
COUNTS = {"train": 25_000, "test": 25_000}
#: Bytes are tokens 0 … 255, as in `tnnlab.data.ByteTokenizer`; then the end, and the padding.
END, PADDING, VOCAB_SIZE = 256, 257, 258
_SEED = 0  # of the rows held out: the same for every run


def load_text(
    *, folder: str | PathLike[str] | None = None, length: int = 4096, held_out: int = 2_500
) -> Task:
    """IMDB's reviews as bytes of UTF-8 with an end token, 258 tokens with the padding.

    A review is cut to ``length - 1`` bytes. (Published models that followed S4's loader read
    characters, 135 of which are frequent enough to be tokens; LRA's own reads bytes.)

    Args:
        folder: with ``plain_text/{train,test}-*.parquet``; default ``$TNNLAB_DATA/imdb`` where it
            exists, else the Hugging Face hub through `datasets`.
        length: the most tokens of a sequence, the end included.
        held_out: reviews taken from the 25,000 of the training split for validation. 0: as
            published, where all train and validation is the test split, so that what is chosen
            by it is chosen on the test split.

    Raises:
        FileNotFoundError: no files, or no network to get them.
        ValueError: files that are not IMDB; ``length`` or ``held_out`` out of range.

    >>> load_text(folder="not-here")  # or a folder with the files
    Traceback (most recent call last):
        ...
    FileNotFoundError: no folder 'not-here'
    """
    if length < 2 or not 0 <= held_out < COUNTS["train"]:
        raise ValueError(
            f"length is at least 2 and held_out from 0 to {COUNTS['train'] - 1}; given {length} "
            f"and {held_out}"
        )
    place = local_folder("imdb", folder=folder)
    tables = {split: read_table(HUB_NAME, place, split, ["text", "label"]) for split in COUNTS}
    check_counts("IMDB", {name: table.num_rows for name, table in tables.items()}, COUNTS)
    labels, rows = {}, {}
    for split, table in tables.items():
        labels[split] = table.column("label").to_numpy()
        check_labels("IMDB", labels[split], 2)
        texts = (text.encode()[: length - 1] for text in table.column("text").to_pylist())
        rows[split] = byte_rows(texts, END)
    test = _split(rows["test"], labels["test"])
    order = np.random.default_rng(_SEED).permutation(COUNTS["train"]) if held_out else slice(None)
    all_rows, all_labels = rows["train"].take(order), labels["train"][order]
    train = _split(all_rows.take(slice(held_out, None)), all_labels[held_out:])
    validation = _split(all_rows.take(slice(held_out)), all_labels[:held_out])
    return Task(
        "text",
        f"IMDB reviews as at most {length} bytes with an end token; "
        + (f"{held_out} training reviews for validation" if held_out else "validation = test"),
        f"https://huggingface.co/datasets/{HUB_NAME}",
        "not stated by its authors, who ask for a citation (Maas et al., 2011)",
        2,
        train,
        validation if held_out else test,
        test,
    )


def _split(rows: Ragged, labels: np.ndarray) -> Sequences:
    return Sequences(rows, labels, vocab_size=VOCAB_SIZE, padding=PADDING)
