"""Text: is a film review praise? IMDB (Maas et al., 2011), byte by byte, or in other tokens."""

import hashlib
from os import PathLike

import numpy as np

from tnnlab.data.lra.files import check_counts, check_labels, local_folder, read_table
from tnnlab.data.lra.ragged import Ragged, token_rows
from tnnlab.data.lra.splits import Sequences
from tnnlab.data.lra.store import Arrays, stored
from tnnlab.data.lra.task import Task
from tnnlab.data.tokenizers import Tokenizer, load_tokenizer

HUB_NAME = "stanfordnlp/imdb"
COUNTS = {"train": 25_000, "test": 25_000}
#: Bytes are tokens 0 … 255, as in `tnnlab.data.ByteTokenizer`; then the end, and the padding.
END, PADDING, VOCAB_SIZE = 256, 257, 258
_SEED = 0  # of the rows held out: the same for every run
_VERSION = 1  # of the code behind the stored arrays


def load_text(
    *,
    folder: str | PathLike[str] | None = None,
    tokenizer: str = "bytes",
    length: int = 4096,
    held_out: int = 2_500,
) -> Task:
    """IMDB's reviews as bytes of UTF-8 with an end token, 258 tokens with the padding.

    A review is cut to ``length - 1`` tokens. (Published models that followed S4's loader read
    characters, 135 of which are frequent enough to be tokens; LRA's own reads bytes.)

    Args:
        folder: with ``plain_text/{train,test}-*.parquet``; default ``$TNNLAB_DATA/imdb`` where it
            exists, else the Hugging Face hub through `datasets`.
        tokenizer: as `tnnlab.data.load_tokenizer` names it. The task of the Long Range Arena has
            "bytes"; "gpt2" is for models that were trained on such tokens. The token after all of
            its own is the padding.
        length: the most tokens of a sequence, the end included.
        held_out: reviews taken from the 25,000 of the training split for validation. 0: as
            published, where all train and validation is the test split, so that what is chosen
            by it is chosen on the test split.

    Raises:
        FileNotFoundError: no files, or no network to get them.
        ValueError: files that are not IMDB; ``length`` or ``held_out`` out of range; an unknown
            tokenizer.

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
    words = load_tokenizer(tokenizer)
    place = local_folder("imdb", folder=folder)
    tables = {split: read_table(HUB_NAME, place, split, ["text", "label"]) for split in COUNTS}
    check_counts("IMDB", {name: table.num_rows for name, table in tables.items()}, COUNTS)
    labels = {split: table.column("label").to_numpy() for split, table in tables.items()}
    for of_split in labels.values():
        check_labels("IMDB", of_split, 2)
    texts = {split: table.column("text").to_pylist() for split, table in tables.items()}
    rows = _rows(texts, words, length)

    def split_of(rows: Ragged, labels: np.ndarray) -> Sequences:
        size = words.vocab_size + 1
        return Sequences(rows, labels, vocab_size=size, padding=words.vocab_size)

    unit = "bytes" if tokenizer == "bytes" else f"tokens of {tokenizer!r}"
    test = split_of(rows["test"], labels["test"])
    order = np.random.default_rng(_SEED).permutation(COUNTS["train"]) if held_out else slice(None)
    all_rows, all_labels = rows["train"].take(order), labels["train"][order]
    train = split_of(all_rows.take(slice(held_out, None)), all_labels[held_out:])
    validation = split_of(all_rows.take(slice(held_out)), all_labels[:held_out])
    return Task(
        "text",
        f"IMDB reviews as at most {length} {unit} with an end token; "
        + (f"{held_out} training reviews for validation" if held_out else "validation = test"),
        f"https://huggingface.co/datasets/{HUB_NAME}",
        "not stated by its authors, who ask for a citation (Maas et al., 2011)",
        2,
        train,
        validation if held_out else test,
        test,
    )


def _rows(texts: dict[str, list[str]], words: Tokenizer, length: int) -> dict[str, Ragged]:
    """Reviews as tokens, each with its end; kept on the disk, as byte pairs take a while."""

    def build() -> Arrays:
        arrays = {}
        for split, of_split in texts.items():
            cut = (tokens[: length - 1] for tokens in words.encode_batch(of_split))
            rows = token_rows(cut, words.end_of_text)
            arrays |= {f"{split}_tokens": rows.tokens, f"{split}_lengths": rows.lengths}
        return arrays

    identity = {
        "version": _VERSION,
        "texts": hashlib.sha256(repr(texts).encode()).hexdigest(),
        "tokenizer": words.fingerprint,
        "length": length,
    }
    arrays = stored("imdb", identity, build)
    return {
        split: Ragged.of_lengths(arrays[f"{split}_tokens"], arrays[f"{split}_lengths"])
        for split in texts
    }
