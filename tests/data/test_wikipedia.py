"""Plain articles to train on, WikiText as plain text to evaluate on: small files of the layout."""

import json
import lzma
from pathlib import Path

import numpy as np
import pytest

from tnnlab.data import Corpus, Tokenizer, load_corpus, load_tokenizer, tokenize
from tnnlab.data.wikipedia import plain_article

ARTICLES = [f' = T{number} = \n\nT{number}\n\nIt is "{number}".\nMore.\n\n' for number in (1, 2, 3)]
WIKITEXT = {
    "validation": [
        "", " = Big <unk> = \n", " \n", ' A " red @-@ tipped " <unk> , <unk> <unk> . \n',
        " <unk> \n", " \n", " = = Early life ? = = \n", " \n", " = = = The <unk> = = = \n",
        " \n", " If x \n", " = 1 and y = \n", " It 's 3 @.@ 5 . \n", " \n", " = Second = \n", " \n",
        " é . \n",
    ],
    "test": [" \n", " = D = \n", " \n", " last <unk> \n"],
}  # fmt: skip
PLAIN = (
    ' = Big <unk> = \n\nBig <unk>\n\nA "red-tipped" <unk>, <unk> <unk>.\n<unk>\nEarly life?\n'
    "The <unk>.\nIf x\n= 1 and y =\nIt's 3.5.\n\n"
)
SCORED = ' = Big = \n\nA "red-tipped",.\n\nEarly life?\nThe.\nIf x\n= 1 and y =\nIt\'s 3.5.\n\n'


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with three articles in two files, and the WikiText above."""
    arrow = pytest.importorskip("pyarrow", reason="needs the extra 'train'")
    parquet = pytest.importorskip("pyarrow.parquet")
    root = tmp_path / "data"
    (root / "wikipedia").mkdir(parents=True)
    for number, part in enumerate([ARTICLES[:2], ARTICLES[2:]]):
        place = root / "wikipedia" / f"wikipedia-{number:02}.txt.xz"
        with lzma.open(place, "wt", encoding="utf-8") as file:
            file.write("".join(part))
    wikitext = root / "wikitext" / "wikitext-103-v1"
    wikitext.mkdir(parents=True)
    for split, rows in WIKITEXT.items():
        place = wikitext / f"{split}-00000-of-00001.parquet"
        parquet.write_table(arrow.table({"text": rows}), place)
    monkeypatch.setenv("TNNLAB_DATA", str(root))
    return root


@pytest.fixture
def corpus(data: Path) -> Corpus:
    return load_corpus("wikipedia")


def test_training_text_is_the_articles_as_they_are(corpus: Corpus) -> None:
    assert list(corpus.documents("train")) == ARTICLES
    assert corpus.word_count("train") == sum(len(text.split()) for text in ARTICLES)


def test_evaluation_text_has_the_form_of_the_articles(corpus: Corpus) -> None:
    assert list(corpus.documents("validation")) == [PLAIN, " = Second = \n\nSecond\n\né.\n\n"]
    assert list(corpus.documents("test")) == [" = D = \n\nD\n\nlast <unk>\n\n"]
    # The same skeleton as an article's: blank lines around the title's repetition and at the end.
    (text,) = corpus.documents("test")
    blank = [line == "" for line in text.split("\n")]
    assert blank == [line == "" for line in ARTICLES[0].replace("\nMore.", "").split("\n")]


def test_unknown_words_and_the_repeated_title_are_not_scored(corpus: Corpus) -> None:
    article, second = corpus.segments("validation")
    segments = list(article)
    assert "".join(segment.text for segment in segments) == PLAIN
    assert "".join(segment.text for segment in segments if segment.scored) == SCORED
    unscored = [segment for segment in segments if not segment.scored]
    assert all("<unk>" in segment.text and segment.words == 0 for segment in unscored)
    assert sum(segment.text.count("<unk>") for segment in unscored) == 7
    assert [segment.scored for segment in second] == [True, False, True]


def test_words_are_those_of_wikitext_without_what_is_not_scored(corpus: Corpus) -> None:
    article, _ = corpus.segments("validation")
    words = [
        "= Big =", 'A " red @-@ tipped " , .', "", "Early life ?", "The", "If x", "= 1 and y =",
        "It 's 3 @.@ 5 .",
    ]  # fmt: skip
    assert sum(segment.words for segment in article) == sum(len(w.split()) + 1 for w in words)
    assert corpus.word_count("test") == 3 + 1 + 1 + 1  # "= D =", "last", two ends of line


def test_unscored_tokens_are_marked_in_the_cache(corpus: Corpus, tmp_path: Path) -> None:
    array = tokenize(corpus, load_tokenizer("bytes"), "validation", tmp_path)
    assert array.scored is not None and array.scored.dtype == bool
    assert array.scored.shape == array.tokens.shape
    scored = bytes(token for token in array.tokens[array.scored] if token != 256)
    assert scored.decode() == SCORED + " = Second = \n\né.\n\n"
    assert array.scored[array.tokens == 256].all()
    assert array.bytes == len(scored)
    assert array.words == corpus.word_count("validation")
    again = tokenize(corpus, load_tokenizer("bytes"), "validation", tmp_path)
    assert again.scored is not None and np.array_equal(again.scored, array.scored)
    assert tokenize(corpus, load_tokenizer("bytes"), "train", tmp_path).scored is None


def test_segments_change_no_token_but_beside_unknown_words(
    corpus: Corpus, small_bpe: Tokenizer, tmp_path: Path
) -> None:
    array = tokenize(corpus, small_bpe, "validation", tmp_path)
    second = list(corpus.documents("validation"))[1]
    ids = small_bpe.encode(second).tolist()
    assert array.tokens[-len(ids) - 1 : -1].tolist() == ids
    assert small_bpe.decode(array.tokens) == "<|endoftext|>".join([PLAIN, second, ""])


def test_a_path_names_the_articles(data: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.txt").write_text(ARTICLES[0])
    mine, default = load_corpus("wikipedia", tmp_path / "mine"), load_corpus("wikipedia")
    assert list(mine.documents("train")) == ARTICLES[:1]
    assert list(mine.documents("test")) == list(default.documents("test"))
    assert mine.fingerprint != default.fingerprint
    assert default.fingerprint == load_corpus("wikipedia", data / "wikipedia").fingerprint


def test_fingerprint_follows_the_evaluation_text_too(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = corpus.fingerprint
    monkeypatch.setattr("tnnlab.data.wikipedia.detokenize", str.strip)
    assert load_corpus("wikipedia").fingerprint != before


def test_provenance_names_both_sources_and_what_to_compare(corpus: Corpus, tmp_path: Path) -> None:
    text = json.dumps(corpus.provenance())
    for part in ("articles of Wikipedia", "Salesforce/wikitext", "CC BY-SA 3.0", "<unk>"):
        assert part in text
    assert "not with published perplexities" in corpus.provenance()["comparable"]
    assert str(tmp_path) not in text


def test_missing_articles_are_described(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere.*' = Title = '"):
        load_corpus("wikipedia", tmp_path / "nowhere")
    (data / "wikipedia").rename(data / "other")
    with pytest.raises(
        FileNotFoundError, match=r"no folder .*data.wikipedia'.*wikimedia/wikipedia"
    ):
        load_corpus("wikipedia")
    monkeypatch.delenv("TNNLAB_DATA")
    with pytest.raises(FileNotFoundError, match=r"TNNLAB_DATA is not set.*give the path"):
        load_corpus("wikipedia")
    with pytest.raises(ValueError, match=r"unknown split 'valid'"):
        load_corpus("wikipedia", data / "other").documents("valid")


def test_text_without_a_title_is_kept() -> None:
    segments = plain_article(" Only <unk> . \n")
    assert "".join(segment.text for segment in segments) == "\nOnly <unk>.\n\n"
