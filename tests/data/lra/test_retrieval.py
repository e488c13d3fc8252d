"""AAN from small files of the released layout, and the stand-in from small articles."""

from pathlib import Path

import numpy as np
import pytest

from tnnlab.data.lra import Pairs, load_retrieval, load_retrieval_stand_in, load_task, retrieval
from tnnlab.data.lra import passages as stand_in
from tnnlab.data.lra.retrieval import read_tsv

QUOTED = 'a "quoted paper'
ROWS = {
    "train": [(1.0, "A00", "B00", QUOTED, "another é"), (0.0, "A00", "C00", QUOTED, "third")],
    "eval": [(0.0, "D00", "C00", "short", "x" * 30)],
    "test": [(1.0, "A00", "D00", QUOTED, "short")],
}


@pytest.fixture
def aan(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(retrieval, "COUNTS", {"train": 2, "validation": 1, "test": 1})
    folder = data_folder / "aan"
    folder.mkdir()
    for name, rows in ROWS.items():
        text = "".join("\t".join(map(str, row)) + "\n" for row in rows)
        (folder / f"new_aan_pairs.{name}.tsv").write_text(text, encoding="utf-8")
    return folder


def contents(split: Pairs) -> list[tuple[bytes, bytes, int]]:
    found = []
    for index in range(len(split)):
        first, second, label = split[index]
        assert first[-1] == second[-1] == 256
        found.append((bytes(first[:-1].tolist()), bytes(second[:-1].tolist()), label))
    return found


def test_pairs_are_those_of_the_files(aan: Path) -> None:
    for _ in range(2):  # the second time from the cache
        task = load_task("retrieval", length=20)
        assert contents(task.train) == [
            (b'a "quoted paper', "another é".encode(), 1),
            (b'a "quoted paper', b"third", 0),
        ]
        assert contents(task.validation) == [(b"short", b"x" * 19, 0)]
        assert contents(task.test) == [(b'a "quoted paper', b"short", 1)]
    assert task.train.first.starts.tolist() == [0, 0]  # one paper is kept once
    assert task.vocab_size == 258


def test_missing_and_cut_off_files_are_explained(aan: Path, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(retrieval, "COUNTS", {"train": 147_086, "validation": 1, "test": 1})
        with pytest.raises(ValueError, match=r"AAN has other numbers .* 2 instead of 147,086"):
            load_retrieval(length=20)
    (aan / "new_aan_pairs.eval.tsv").unlink()
    with pytest.raises(FileNotFoundError, match=r"new_aan_pairs\.eval\.tsv missing .*OpenNLPLab"):
        load_retrieval()
    monkeypatch.delenv("TNNLAB_DATA")
    with pytest.raises(FileNotFoundError, match=r"TNNLAB_DATA/aan .*'retrieval-stand-in'"):
        load_retrieval()


@pytest.mark.parametrize(
    "line", [b"1.0\tA\tB\ttext", b"2.0\tA\tB\tt\tu", b"label\ta\tb\tc\td", b""]
)
def test_other_columns_are_named(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"file\.tsv, line 2: expected label"):
        read_tsv([b"1.0\tA\tB\tt\tu\n", line], "file.tsv", 100)


def article(number: int, words: int) -> str:
    body = " ".join(f"w{number}_{place}" for place in range(words))
    return f" = Article {number} = \n \n {body} \n \n"


@pytest.fixture
def wikipedia(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(stand_in, "SAMPLES", {"train": 200, "validation": 20, "test": 20})
    folder = data_folder / "wikipedia"
    folder.mkdir()
    text = "".join(article(number, 40 + number % 60) for number in range(300))
    (folder / "shard.txt").write_text(text, encoding="utf-8")
    return folder


def author(passage: bytes) -> set[int]:
    """The articles whose words stand in a passage."""
    words = (word for word in passage.decode().split() if "_" in word)
    return {int(word.split("_")[0].removeprefix("w")) for word in words if word.startswith("w")}


def test_passages_are_pieces_of_one_document() -> None:
    text = "Some text é, longer than three passages. " * 3
    pieces = stand_in.passages(f" = Title = \n \n {text}", 30)
    assert b"".join(pieces) == text.strip().encode()[: 30 * len(pieces)]
    assert {len(piece) for piece in pieces} == {30} and len(pieces) == 4
    assert stand_in.passages(text, 30) == pieces  # without a title
    assert stand_in.passages(" = Title = \n short", 30) == []


def test_labels_say_whether_passages_are_of_one_document(wikipedia: Path) -> None:
    task = load_task("retrieval-stand-in", length=100)
    assert [len(task.split(name)) for name in ("train", "validation", "test")] == [200, 20, 20]
    of_split = {}
    for name in ("train", "validation", "test"):
        found = contents(task.split(name))
        for first, second, label in found:
            (one,), (other,) = author(first[5:-5]), author(second[5:-5])
            assert len(first) == len(second) == 99 and first != second
            assert label == (one == other)
        labels = task.split(name).labels
        assert 2 * int(labels.sum()) == len(labels) and 0 < int(labels[:10].sum()) < 10
        assert len({frozenset(pair[:2]) for pair in found}) == len(found)
        of_split[name] = set().union(*(author(a[5:-5]) | author(b[5:-5]) for a, b, _ in found))
    assert not of_split["train"] & (of_split["validation"] | of_split["test"])
    assert "stand-in" in task.name and "not the published task" in task.description


def test_the_stand_in_depends_on_its_seed_alone(wikipedia: Path) -> None:
    first = load_retrieval_stand_in(length=100)
    assert load_retrieval_stand_in(length=100, path=wikipedia).fingerprint == first.fingerprint
    assert load_retrieval_stand_in(length=100, seed=1).fingerprint != first.fingerprint


def test_too_little_text_is_explained(wikipedia: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="0 documents with two passages of 3999 bytes give only 0"):
        load_retrieval_stand_in()
    few = [article(number, 40) for number in range(2)]
    with pytest.raises(ValueError, match=r"2 documents .* of 500 pairs: more text"):
        stand_in.draw_pairs(few, 500, 100, np.random.default_rng(0))
    monkeypatch.delenv("TNNLAB_DATA")
    with pytest.raises(
        FileNotFoundError, match=r"no folder .TNNLAB_DATA/wikipedia: put long texts"
    ):
        load_retrieval_stand_in()
