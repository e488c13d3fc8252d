"""WikiText-103 from local parquet files of the published layout, and from a stand-in hub."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tnnlab.data import load_corpus

ROWS = {
    "train": ["", " = A = \n", " \n", " Some <unk> text . \n", " \n", " = B = \n", " 3 @.@ 5 \n"],
    "validation": [" \n", " = C = \n", " \n", " = = S = = \n", " \n", " More . \n"],
    "test": [" \n", " = D = \n", " last \n"],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    arrow = pytest.importorskip("pyarrow", reason="needs the extra 'train'")
    parquet = pytest.importorskip("pyarrow.parquet")
    place = tmp_path / "data" / "wikitext" / "wikitext-103-v1"
    place.mkdir(parents=True)
    for split, rows in ROWS.items():
        halves = [rows] if split != "train" else [rows[:4], rows[4:]]
        for number, half in enumerate(halves):
            file = place / f"{split}-{number:05}-of-{len(halves):05}.parquet"
            parquet.write_table(arrow.table({"text": half}), file)
    return place


def test_documents_are_articles_of_unchanged_lines(folder: Path) -> None:
    corpus = load_corpus("wikitext103", folder)
    assert list(corpus.documents("train")) == [
        "".join(ROWS["train"][:5]),
        "".join(ROWS["train"][5:]),
    ]
    assert list(corpus.documents("validation")) == ["".join(ROWS["validation"])]


def test_words_are_counted_with_ends_of_lines(folder: Path) -> None:
    corpus = load_corpus("wikitext103", folder)
    assert corpus.word_count("test") == 3 + 1 + 3  # "= D =", "last", three ends of line
    assert "end-of-line" in corpus.provenance()["word_rule"]


def test_data_folder_is_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TNNLAB_DATA", str(folder.parents[1]))
    corpus = load_corpus("wikitext103")
    assert list(corpus.documents("test")) == ["".join(ROWS["test"])]
    assert corpus.fingerprint == load_corpus("wikitext103", folder).fingerprint


def test_missing_split_is_an_error_only_when_asked_for(folder: Path) -> None:
    for file in folder.glob("train-*"):
        file.unlink()
    corpus = load_corpus("wikitext103", folder)
    assert corpus.provenance()["splits"] == ["validation", "test"]
    assert len(list(corpus.documents("test"))) == 1
    with pytest.raises(FileNotFoundError, match=r"no train-\*\.parquet"):
        list(corpus.documents("train"))
    with pytest.raises(FileNotFoundError, match="no WikiText-103"):
        load_corpus("wikitext103", folder.parent)


def test_hub_and_folder_are_the_same_corpus(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `datasets` replaced: the name asked for is the hub's, the text is the folder's."""

    def load_dataset(name: str, config: str, split: str) -> SimpleNamespace:
        assert (name, config) == ("Salesforce/wikitext", "wikitext-103-v1")
        return SimpleNamespace(iter=lambda batch_size: iter([{"text": ROWS[split]}]))

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    local, hub = load_corpus("wikitext103", folder), load_corpus("wikitext103")
    assert list(hub.documents("train")) == list(local.documents("train"))
    assert hub.fingerprint == local.fingerprint


def test_no_network_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(*_: str, **__: str) -> None:
        raise ConnectionError("no route")

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    with pytest.raises(FileNotFoundError, match=r"no route.*TNNLAB_DATA"):
        list(load_corpus("wikitext103").documents("test"))
