"""Tokenizers: reversible, saved and loaded, cut texts give the same tokens."""

import json
import random
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tnnlab.data import Tokenizer, load_tokenizer, load_tokenizer_from
from tnnlab.data.documents import pieces

TEXTS = ["", "plain", "é ü 漢字 🙂\n\ttab", "a<|endoftext|>b", "\x00\x7f  ab  \n\n ab!!\n"]


@pytest.fixture(params=["bytes", "bpe"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    if request.param == "bytes":
        return load_tokenizer("bytes")
    return request.getfixturevalue("small_bpe")


@pytest.mark.parametrize("text", TEXTS)
def test_text_survives_encoding(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert ids.dtype == np.int64
    assert ids.ndim == 1
    assert tokenizer.decode(ids) == tokenizer.decode(torch.from_numpy(ids)) == text
    assert tokenizer.end_of_text not in ids


def test_batch_is_the_texts_one_by_one(tokenizer: Tokenizer) -> None:
    batch = tokenizer.encode_batch(TEXTS)
    assert [ids.tolist() for ids in batch] == [tokenizer.encode(text).tolist() for text in TEXTS]


def test_byte_tokens_are_bytes() -> None:
    tokenizer = load_tokenizer("bytes")
    assert tokenizer.vocab_size == 257
    assert tokenizer.encode("aé").tolist() == [97, 0xC3, 0xA9]
    assert tokenizer.decode([97, 256, 98]) == "a<|endoftext|>b"
    assert tokenizer.decode([0xC3]) == "\ufffd"


def test_merges_are_applied(small_bpe: Tokenizer) -> None:
    assert len(small_bpe.encode("ab ab")) == 2
    assert len(small_bpe.encode("ba ba")) == 5
    assert small_bpe.decode([small_bpe.end_of_text]) == "<|endoftext|>"


@pytest.mark.parametrize("bad", [-1, 10**6])
def test_decoding_an_impossible_id_is_refused(tokenizer: Tokenizer, bad: int) -> None:
    with pytest.raises(ValueError, match=f"token {bad} is not one of the {tokenizer.vocab_size}"):
        tokenizer.decode([0, bad])


def test_pieces_encode_as_the_whole(small_bpe: Tokenizer) -> None:
    generator = random.Random(1)
    for size in (100, 150, 400):
        text = "".join(generator.choice("ab  \n\n\t!'s1é\x1c\u3000") for _ in range(40_000))
        cut = np.concatenate(small_bpe.encode_batch(list(pieces(text, size))))
        assert cut.tolist() == small_bpe.encode(text).tolist()


def test_saved_tokenizer_comes_back(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "model")
    back = load_tokenizer_from(tmp_path / "model")
    assert [file.name for file in (tmp_path / "model").iterdir()] == ["tokenizer.json"]
    assert (back.name, back.vocab_size, back.end_of_text, back.fingerprint) == (
        tokenizer.name,
        tokenizer.vocab_size,
        tokenizer.end_of_text,
        tokenizer.fingerprint,
    )
    assert back.encode(TEXTS[-1]).tolist() == tokenizer.encode(TEXTS[-1]).tolist()


def test_unusable_saved_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no tokenizer\.json"):
        load_tokenizer_from(tmp_path)
    for content, message in [
        ("{", "is not JSON"),
        ("[]", "not a tokenizer"),
        ('{"tnnlab_tokenizer": "byte"}', "did you mean 'bytes'"),
        ('{"model": {"type": "Nothing"}}', "not a tokenizer"),
    ]:
        (tmp_path / "tokenizer.json").write_text(content)
        with pytest.raises(ValueError, match=message):
            load_tokenizer_from(tmp_path)


def test_unknown_name_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"choose one of bytes, gpt2 \(did you mean 'gpt2'"):
        load_tokenizer("gpt-2")
    with pytest.raises(FileNotFoundError, match=r"vocab\.json and merges\.txt or encoder\.json"):
        load_tokenizer("gpt2", tmp_path)
    (tmp_path / "vocab.json").write_text(json.dumps({"a": 0}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    with pytest.raises(ValueError, match="expected 50257"):
        load_tokenizer("gpt2", tmp_path)


def test_no_network_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def hf_hub_download(*_: str) -> None:
        raise ConnectionError("no route")

    hub = SimpleNamespace(hf_hub_download=hf_hub_download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    with pytest.raises(FileNotFoundError, match=r"no route.*TNNLAB_DATA"):
        load_tokenizer("gpt2")


def test_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ImportError, match=r"pip install 'tnnlab\[train\]'"):
        load_tokenizer_from(tmp_path)
