"""IMDB from small parquet files of the published layout, and from a stand-in hub."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tnnlab.data import Tokenizer
from tnnlab.data.lra import Sequences, load_task, load_text, text

TRAIN = ["Good.", "Schön é", "", "Bad <br />film", "x" * 50, "fine"]
TEST = ["yes", "no", "quite"]
COLUMNS = {
    "train": {"text": TRAIN, "label": [1, 1, 0, 0, 1, 0]},
    "test": {"text": TEST, "label": [1, 0, 1]},
}


@pytest.fixture
def imdb(write_parquet, data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(text, "COUNTS", {"train": 6, "test": 3})
    return write_parquet("imdb", COLUMNS)


def contents(split: Sequences) -> list[tuple[bytes, int]]:
    """The bytes of each review, after the check that the end follows, and its label."""
    assert all(int(row[-1]) == 256 for row in split.rows)
    return [
        (bytes(row[:-1].tolist()), int(y)) for row, y in zip(split.rows, split.labels, strict=True)
    ]


def test_reviews_are_their_bytes_with_an_end(imdb: Path) -> None:
    task = load_task("text", held_out=0)
    wanted = [
        (review.encode(), label) for review, label in zip(*COLUMNS["train"].values(), strict=True)
    ]
    assert contents(task.train) == wanted
    assert [content for content, _ in contents(task.test)] == [b"yes", b"no", b"quite"]
    assert task.validation is task.test and "validation = test" in task.description
    assert (task.vocab_size, task.train.padding, task.classes) == (258, 257, 2)


def test_reviews_in_other_tokens(
    imdb: Path, small_bpe: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "load_tokenizer", {"gpt2": small_bpe}.__getitem__)
    task = load_task("text", tokenizer="gpt2", length=7, held_out=0)
    assert (task.vocab_size, task.train.padding) == (small_bpe.vocab_size + 1, small_bpe.vocab_size)
    for row, review in zip(task.train.rows, TRAIN, strict=True):
        ids = small_bpe.encode(review)[:6]
        assert row.tolist() == [*ids, small_bpe.end_of_text]
    assert "at most 7 tokens of 'gpt2' with an end token" in task.description
    tokens, mask = task.train.collate([2], length=7).inputs
    assert tokens[0].tolist() == [small_bpe.end_of_text, *[small_bpe.vocab_size] * 6]
    assert mask[0].tolist() == [True, *[False] * 6]


def test_long_reviews_are_cut(imdb: Path) -> None:
    task = load_text(length=6, held_out=0)
    assert [content for content, _ in contents(task.train)] == [
        b"Good.", "Schön".encode()[:5], b"", b"Bad <", b"xxxxx", b"fine",
    ]  # fmt: skip
    assert task.train.lengths.max() == 6


def test_held_out_reviews_leave_the_training_split(imdb: Path) -> None:
    task = load_text(held_out=2)
    assert len(task.validation) == 2 and len(task.train) == 4
    everything = contents(load_text(held_out=0).train)
    assert sorted(contents(task.train) + contents(task.validation)) == sorted(everything)
    assert contents(task.validation) == contents(load_text(held_out=2).validation)
    assert contents(task.validation) != everything[:2]  # whose rows are sorted by label


def test_the_hub_gives_the_same(imdb: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrow = pytest.importorskip("pyarrow")

    def load_dataset(name: str, config: str, split: str) -> SimpleNamespace:
        assert (name, config) == ("stanfordnlp/imdb", "plain_text")
        table = arrow.table(COLUMNS[split] | {"more": [0] * len(COLUMNS[split]["text"])})
        return SimpleNamespace(with_format=lambda form: {"arrow": _Whole(table)}[form])

    local = load_text(held_out=1).fingerprint
    monkeypatch.delenv("TNNLAB_DATA")
    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    assert load_text(held_out=1).fingerprint == local


class _Whole:
    """A table that can be asked for all of its rows."""

    def __init__(self, table) -> None:
        self.table = table

    def __getitem__(self, rows: slice):
        assert rows == slice(None)
        return self.table


def test_missing_files_are_explained(imdb: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match="no folder"):
        load_text(folder=imdb / "other", held_out=0)
    for file in (imdb / "plain_text").glob("test-*"):
        file.unlink()
    with pytest.raises(
        FileNotFoundError, match=r"no plain_text/test-\*\.parquet .*stanfordnlp/imdb"
    ):
        load_text(held_out=0)

    def load_dataset(*_: str, **__: str) -> None:
        raise ConnectionError("no route")

    monkeypatch.delenv("TNNLAB_DATA")
    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    with pytest.raises(FileNotFoundError, match=r"no route.*imdb/plain_text/train-\*\.parquet"):
        load_text(held_out=0)


def test_other_files_are_refused(imdb: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="length is at least 2 and held_out from 0 to 5; given 1"):
        load_text(length=1)
    with pytest.raises(ValueError, match="given 4096 and 6"):
        load_text(held_out=6)
    monkeypatch.setattr(text, "COUNTS", {"train": 25_000, "test": 3})
    with pytest.raises(ValueError, match=r"IMDB has other numbers .*: train 6 instead of 25,000\."):
        load_text(held_out=0)


def test_other_labels_are_refused(write_parquet, data_folder: Path, monkeypatch) -> None:
    monkeypatch.setattr(text, "COUNTS", {"train": 2, "test": 2})
    unlabelled = {"text": ["a", "b"], "label": [-1, -1]}  # as in IMDB's third split
    write_parquet("imdb", {"train": unlabelled, "test": unlabelled})
    with pytest.raises(ValueError, match="IMDB has labels -1 to -1: expected 0 to 1"):
        load_text(held_out=0)
