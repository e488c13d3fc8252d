"""Fixtures of the data tests: no data folder, a cache of their own, a small corpus."""

import os
from pathlib import Path

import pytest

from tnnlab.data import Tokenizer

REAL_DATA = os.environ.get("TNNLAB_DATA")


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests see no data of this machine, and write caches nowhere but in their own folder."""
    monkeypatch.delenv("TNNLAB_DATA", raising=False)
    monkeypatch.setenv("TNNLAB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def real_data(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder TNNLAB_DATA, or a skip."""
    if not REAL_DATA:
        pytest.skip("TNNLAB_DATA is not set: the real data sets are not on this machine")
    monkeypatch.setenv("TNNLAB_DATA", REAL_DATA)
    return Path(REAL_DATA)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A folder of text files laid out like a small standard library."""
    root = tmp_path / "library"
    for number in range(60):
        place = root / f"package{number % 3}" / f"module{number}.py"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"import module{number}\n# é\nx = {number}\n" * 20, encoding="utf-8")
    return root


@pytest.fixture
def small_bpe() -> Tokenizer:
    """A byte-level byte-pair encoding with a handful of merges, some of white space."""
    tokenizers = pytest.importorskip("tokenizers", reason="needs the extra 'train'")
    from tnnlab.data.bpe import build_bpe

    merges = [("Ġ", "Ġ"), ("Ċ", "Ċ"), ("Ċ", "Ġ"), ("a", "b"), ("Ġ", "a"), ("Ġ", "ab"), ("!", "!")]
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    symbols = [*alphabet, *("".join(merge) for merge in merges), "<|endoftext|>"]
    return build_bpe({symbol: number for number, symbol in enumerate(symbols)}, merges, "the test")
