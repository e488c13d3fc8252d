"""The real sets, where TNNLAB_DATA has them."""

import random
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from tnnlab.data import load_corpus, load_tokenizer, tokenize
from tnnlab.data.documents import pieces


def needs(folder: Path) -> None:
    if not folder.exists():
        pytest.skip(f"TNNLAB_DATA has no {folder.name}")


def test_gpt2_tokens(real_data: Path) -> None:
    needs(real_data / "gpt2-bpe")
    gpt2 = load_tokenizer("gpt2")
    assert (gpt2.name, gpt2.vocab_size, gpt2.end_of_text) == ("gpt2", 50257, 50256)
    assert gpt2.encode("Hello world").tolist() == [15496, 995]
    text = "It's 3 @.@ 5 °C ,  naïve\n\n 漢字 🙂 <|endoftext|>"
    assert gpt2.decode(gpt2.encode(text)) == text
    assert gpt2.end_of_text not in gpt2.encode(text)
    assert gpt2.decode([50256]) == "<|endoftext|>"


def test_gpt2_tokens_of_pieces(real_data: Path) -> None:
    needs(real_data / "gpt2-bpe")
    gpt2 = load_tokenizer("gpt2")
    generator = random.Random(0)
    parts = ["the", " ", "  ", "\n", "\n\n", "'s", "1", "!", "é", "\t", "\x1c", "\u3000", "\xa0"]
    text = "".join(generator.choice(parts) for _ in range(20_000))
    assert (
        np.concatenate(gpt2.encode_batch(list(pieces(text, 100)))).tolist()
        == gpt2.encode(text).tolist()
    )


def test_saved_gpt2_comes_back(real_data: Path, tmp_path: Path) -> None:
    needs(real_data / "gpt2-bpe")
    from tnnlab.data import load_tokenizer_from

    gpt2 = load_tokenizer("gpt2")
    gpt2.save(tmp_path)
    back = load_tokenizer_from(tmp_path)
    assert (back.name, back.fingerprint) == (gpt2.name, gpt2.fingerprint)


def test_wikitext_has_its_published_counts(real_data: Path, tmp_path: Path) -> None:
    needs(real_data / "wikitext")
    needs(real_data / "gpt2-bpe")
    corpus = load_corpus("wikitext103")
    gpt2 = load_tokenizer("gpt2")
    for split, words in {"validation": 217_646, "test": 245_569}.items():
        array = tokenize(corpus, gpt2, split, tmp_path)
        assert array.words == words
        assert array.record["documents"] == 60
        assert gpt2.decode(array.tokens[:2_000]).startswith(" \n = ")


def test_wikipedia_shard_is_cut_into_articles(real_data: Path) -> None:
    needs(real_data / "wikipedia")
    shard = sorted((real_data / "wikipedia").glob("*.txt.xz"))[0]
    corpus = load_corpus("text", shard)
    articles = list(islice(corpus.documents("train"), 50))
    assert all(article.startswith(" = ") and len(article.split()) > 900 for article in articles)
    assert "by document" in corpus.provenance()["split_rule"]


def test_wikipedia_is_evaluated_on_wikitext_as_plain_text(real_data: Path, tmp_path: Path) -> None:
    needs(real_data / "wikipedia")
    needs(real_data / "wikitext")
    corpus = load_corpus("wikipedia")
    title = next(iter(corpus.documents("train"))).split("\n")
    assert title[:4] == [f" = {title[2]} = ", "", title[2], ""]
    for split, words in {"validation": 211_886, "test": 238_260}.items():
        texts = list(corpus.documents(split))
        assert len(texts) == 60
        together = "".join(texts)
        for mark in ("@-@", "@,@", "@.@", " ,", "( ", " )", " 's ", " = = ", " \n\n\n"):
            assert mark not in together, mark
        array = tokenize(corpus, load_tokenizer("bytes"), split, tmp_path)
        assert array.words == words  # the published counts, less <unk>, blank lines and = marks
        assert array.scored is not None
        assert array.bytes == int(array.scored.sum()) - 60
        unknown = bytes(array.tokens[~array.scored].astype(np.uint8)).decode()
        assert unknown.count("<unk>") >= together.count("<unk>") > 1_000  # titles repeat theirs
    assert "Homarus gammarus, known as the European lobster" in next(corpus.documents("validation"))
