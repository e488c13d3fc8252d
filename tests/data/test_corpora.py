"""Corpora: the right files, in the right splits, with helpful refusals."""

import gzip
import json
import lzma
import shutil
from itertools import chain
from pathlib import Path

import pytest

from tnnlab.data import SPLITS, load_corpus
from tnnlab.data.documents import split_of
from tnnlab.data.stdlib import StdlibCorpus


def everything(corpus) -> dict[str, list[str]]:
    return {split: list(corpus.documents(split)) for split in SPLITS}


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("wikitext", "did you mean 'wikitext103'"),
        ("stdlb", "did you mean 'stdlib'"),
        ("zzz", "text"),
    ],
)
def test_unknown_name_lists_names(given: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint) as caught:
        load_corpus(given)
    assert "stdlib, text, wikipedia, wikitext103" in str(caught.value)


@pytest.mark.parametrize("name", ["stdlib", "text"])
def test_unknown_split_is_refused(name: str, library: Path) -> None:
    corpus = load_corpus(name, library if name == "text" else None)
    with pytest.raises(ValueError, match=r"unknown split 'valid'.*did you mean 'validation'"):
        corpus.documents("valid")


def test_stdlib_of_this_python() -> None:
    corpus = load_corpus("stdlib")
    texts = everything(corpus)
    assert all(len(texts[split]) >= 5 for split in SPLITS)
    assert sum(len(text) for text in texts["train"]) > 3_000_000
    assert sum("class TestCase" in text for split in SPLITS for text in texts[split]) >= 1
    assert corpus.fingerprint == load_corpus("stdlib").fingerprint
    record = json.loads(json.dumps(corpus.provenance()))
    assert record["counts"]["train"]["files"] == len(texts["train"])
    assert record["fingerprint"] == corpus.fingerprint
    with pytest.raises(ValueError, match="takes no path"):
        load_corpus("stdlib", "somewhere")


def test_stdlib_leaves_out_what_is_not_source_text(library: Path) -> None:
    before = StdlibCorpus(library)
    fingerprint, texts = before.fingerprint, everything(before)
    assert sum(map(len, texts.values())) == 60
    for skipped in (
        "test/a.py",
        "email/tests/a.py",
        "site-packages/p/a.py",
        "__pycache__/a.py",
        "idlelib/a.py",
        "lib2to3/a.py",
        "_sysconfigdata__linux.py",
        "notes.txt",
    ):
        (library / skipped).parent.mkdir(parents=True, exist_ok=True)
        (library / skipped).write_text("left_out = 1\n")
    (library / "latin.py").write_bytes("# -*- coding: latin-1 -*- é\n".encode("latin-1"))
    (library / "empty.py").touch()
    after = StdlibCorpus(library)
    assert everything(after) == texts
    assert after.fingerprint == fingerprint


def test_stdlib_splits_by_path_and_reads_any_line_end(library: Path, tmp_path: Path) -> None:
    corpus = StdlibCorpus(library)
    for number in range(60):
        place = f"package{number % 3}/module{number}.py"
        assert (library / place).read_text(encoding="utf-8") in corpus.documents(split_of(place))
    moved = tmp_path / "elsewhere"
    shutil.copytree(library, moved)
    first = next(moved.rglob("*.py"))
    first.write_bytes(first.read_bytes().replace(b"\n", b"\r\n"))
    assert StdlibCorpus(moved).fingerprint == corpus.fingerprint
    first.write_text("changed = True\n")
    assert StdlibCorpus(moved).fingerprint != corpus.fingerprint


def test_python_without_source_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no source text"):
        list(StdlibCorpus(tmp_path).documents("train"))


def test_few_documents_are_cut_in_order(tmp_path: Path) -> None:
    text = "".join(f"line {number}\n" for number in range(1_000))
    (tmp_path / "book.txt").write_text(text)
    corpus = load_corpus("text", tmp_path / "book.txt")
    texts = everything(corpus)
    assert "".join(texts[split][0] for split in SPLITS) == text
    assert len(texts["train"][0]) == pytest.approx(0.9 * len(text), abs=10)
    assert len(texts["test"][0]) == pytest.approx(0.05 * len(text), abs=20)
    assert corpus.word_count("train") == len(texts["train"][0].split())
    assert "cut" in corpus.provenance()["split_rule"]


def test_many_documents_are_dealt_whole(tmp_path: Path) -> None:
    written = [f" = Title {number} = \n \n Text {number} . \n \n" for number in range(300)]
    (tmp_path / "a.txt").write_text("".join(written[:150]))
    with lzma.open(tmp_path / "b.txt.xz", "wt", encoding="utf-8") as file:
        file.write("".join(written[150:]))
    corpus = load_corpus("text", tmp_path)
    texts = everything(corpus)
    assert [len(texts[split]) for split in SPLITS] == [
        sum(split_of(text) == split for text in written) for split in SPLITS
    ]
    assert sorted(chain.from_iterable(texts.values())) == sorted(written)
    assert "by document" in corpus.provenance()["split_rule"]


def test_folder_takes_text_files_plain_and_compressed(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "a.txt").write_text("one " * 50)
    (tmp_path / "deep" / "b.MD").write_text("two " * 50)
    with lzma.open(tmp_path / "c.txt.xz", "wt") as file:
        file.write("three " * 50)
    with gzip.open(tmp_path / "d.rst.gz", "wt") as file:
        file.write("four " * 50)
    (tmp_path / "e.png").write_bytes(b"\x89PNG")
    (tmp_path / ".hidden" / "f.txt").write_text("five " * 50)
    words = set(" ".join(load_corpus("text", tmp_path).documents("train")).split())
    assert words == {"one", "two", "three", "four"}


def test_text_fingerprint_follows_content_not_place(library: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(library, moved)
    corpus = load_corpus("text", library)
    assert load_corpus("text", moved).fingerprint == corpus.fingerprint
    (moved / "package0" / "module0.py").write_text("other\n")
    assert load_corpus("text", moved).fingerprint != corpus.fingerprint
    assert str(tmp_path) not in json.dumps(corpus.provenance())


def test_bad_text_is_refused_with_a_reason(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs a path"):
        load_corpus("text")
    with pytest.raises(FileNotFoundError, match=r"no file or folder .*nowhere"):
        load_corpus("text", tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"looked for \.txt"):
        load_corpus("text", tmp_path)
    (tmp_path / "latin.txt").write_bytes("é".encode("latin-1"))
    with pytest.raises(ValueError, match=r"latin\.txt is not UTF-8"):
        list(load_corpus("text", tmp_path).documents("train"))
    whole = lzma.compress(b"text " * 1_000)
    (tmp_path / "cut.txt.xz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="damaged or cut off"):
        list(load_corpus("text", tmp_path / "cut.txt.xz").documents("train"))


def test_missing_data_folder_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TNNLAB_DATA", str(tmp_path / "gone"))
    with pytest.raises(FileNotFoundError, match=r"TNNLAB_DATA is .*gone"):
        load_corpus("wikitext103")
