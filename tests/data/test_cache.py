"""The token cache: right, shared between processes, and never half-made."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tnnlab.data import SPLITS, Corpus, Tokenizer, load_corpus, load_tokenizer, tokenize
from tnnlab.data.textfiles import TextCorpus

pytest.importorskip("tqdm", reason="needs the extra 'train'")


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """A dozen documents; the training part is more than the encoder takes at once."""
    (tmp_path / "text").mkdir()
    for number in range(12):
        words = " ".join(f"word{place}é" for place in range(1_000 * number, 1_000 * number + 999))
        (tmp_path / "text" / f"{number:02}.txt").write_text(f"{words}\n" * 50, encoding="utf-8")
    return load_corpus("text", tmp_path / "text")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "tokens"


def expected(corpus: Corpus, split: str) -> np.ndarray:
    """The naive twin: documents joined in memory, 256 after each."""
    parts = [np.frombuffer(text.encode(), np.uint8) for text in corpus.documents(split)]
    return np.concatenate([part for text in parts for part in (text, [256])])


@pytest.mark.parametrize("split", SPLITS)
def test_tokens_are_documents_with_ends(corpus: Corpus, cache: Path, split: str) -> None:
    array = tokenize(corpus, load_tokenizer("bytes"), split, cache)
    assert np.array_equal(array.tokens, expected(corpus, split))
    assert np.array_equal(np.asarray(array), array.tokens)
    assert array.tokens.dtype == np.uint16
    assert not array.tokens.flags.writeable
    assert len(array) == array.bytes + 12
    assert array.words == corpus.word_count(split)
    assert array.bytes == sum(len(text.encode()) for text in corpus.documents(split))
    assert array.is_intact()
    assert array.record["corpus_fingerprint"] == corpus.fingerprint
    assert "text" in repr(array)


def test_byte_pairs_are_cached_as_encoded(library: Path, cache: Path, small_bpe: Tokenizer) -> None:
    corpus = load_corpus("text", library)
    array = tokenize(corpus, small_bpe, "train", cache)
    wanted: list[int] = []
    for text in corpus.documents("train"):
        wanted += [*small_bpe.encode(text).tolist(), small_bpe.end_of_text]
    assert array.tokens.tolist() == wanted


def test_large_vocabulary_takes_four_bytes(library: Path, cache: Path) -> None:
    tokenizer = load_tokenizer("bytes")
    tokenizer.vocab_size = 2**16 + 1
    array = tokenize(load_corpus("text", library), tokenizer, "train", cache)
    assert array.tokens.dtype == np.uint32
    assert array.tokens[-1] == 256


def test_second_call_reads_no_text(corpus: Corpus, cache: Path, monkeypatch) -> None:
    first = tokenize(corpus, load_tokenizer("bytes"), "test", cache)
    monkeypatch.setattr(TextCorpus, "documents", None)
    second = tokenize(corpus, load_tokenizer("bytes"), "test", cache)
    assert second.path == first.path
    assert second.sha256 == first.sha256


def test_other_content_has_another_file(library: Path, cache: Path, small_bpe: Tokenizer) -> None:
    corpus = load_corpus("text", library)
    paths = {tokenize(corpus, load_tokenizer("bytes"), split, cache).path for split in SPLITS}
    paths.add(tokenize(corpus, small_bpe, "train", cache).path)
    (library / "package0" / "module0.py").write_text("other text\n")
    changed = tokenize(load_corpus("text", library), load_tokenizer("bytes"), "train", cache)
    assert len(paths | {changed.path}) == 5
    assert load_tokenizer("bytes").decode(changed.tokens).count("other") == 1


def test_default_place_is_the_cache_folder(library: Path, tmp_path: Path) -> None:
    array = tokenize(load_corpus("text", library), load_tokenizer("bytes"), "train")
    assert array.path.parent == tmp_path / "cache" / "tokens"  # TNNLAB_CACHE, see conftest


def damage_shorter(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


def damage_gone(path: Path) -> None:
    path.unlink()


def damage_record_gone(path: Path) -> None:
    path.with_suffix(".json").unlink()


def damage_record_cut(path: Path) -> None:
    record = path.with_suffix(".json")
    record.write_text(record.read_text()[:40])


def damage_record_foreign(path: Path) -> None:
    record = path.with_suffix(".json")
    content = json.loads(record.read_text())
    record.write_text(json.dumps(content | {"corpus_fingerprint": "0"}))


@pytest.mark.parametrize(
    "damage",
    [damage_shorter, damage_gone, damage_record_gone, damage_record_cut, damage_record_foreign],
)
def test_damaged_cache_is_made_again(corpus: Corpus, cache: Path, damage) -> None:
    path = tokenize(corpus, load_tokenizer("bytes"), "test", cache).path
    damage(path)
    again = tokenize(corpus, load_tokenizer("bytes"), "test", cache)
    assert np.array_equal(again.tokens, expected(corpus, "test"))
    assert again.is_intact()


def test_flipped_byte_is_found_by_the_checksum(corpus: Corpus, cache: Path) -> None:
    path = tokenize(corpus, load_tokenizer("bytes"), "test", cache).path
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    assert not tokenize(corpus, load_tokenizer("bytes"), "test", cache).is_intact()
    again = tokenize(corpus, load_tokenizer("bytes"), "test", cache, verify=True)
    assert again.is_intact()
    assert np.array_equal(again.tokens, expected(corpus, "test"))


@pytest.mark.parametrize("call", [1, 2])
def test_failure_at_a_rename_leaves_nothing_complete(
    corpus: Corpus, cache: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """At the first rename (tokens) and at the second (record)."""
    replace, calls = os.replace, []

    def failing(*paths) -> None:
        calls.append(paths)
        if len(calls) == call:
            raise OSError(28, "No space left on device")
        replace(*paths)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(OSError, match="No space left"):
        tokenize(corpus, load_tokenizer("bytes"), "train", cache)
    monkeypatch.undo()
    assert not list(cache.glob("*.json"))
    assert not list(cache.glob(".*.part"))
    again = tokenize(corpus, load_tokenizer("bytes"), "train", cache)
    assert np.array_equal(again.tokens, expected(corpus, "train"))


def test_split_without_text_is_refused(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "tiny.txt").write_text("one-word")
    corpus = load_corpus("text", tmp_path / "tiny.txt")
    (tmp_path / "empty.txt").touch()
    with pytest.raises(ValueError, match=r"train split .* holds no text"):
        tokenize(
            load_corpus("text", tmp_path / "empty.txt"), load_tokenizer("bytes"), "train", cache
        )
    assert not list(cache.glob("*.bin"))
    with pytest.raises(ValueError, match="unknown split"):
        tokenize(corpus, load_tokenizer("bytes"), "dev", cache)


# A process that tokenizes; `documents` is slowed down so that others meet it in the middle.
PROCESS = """
import sys, time
from pathlib import Path
from tnnlab.data import load_tokenizer, tokenize
from tnnlab.data.textfiles import TextCorpus

folder, cache, stop_at, pause = sys.argv[1:]

class Slow(TextCorpus):
    def documents(self, split):
        print("building", flush=True)
        for number, text in enumerate(super().documents(split)):
            if number == int(stop_at):
                print("in the middle", flush=True)
                time.sleep(float(pause))
            yield text

print(tokenize(Slow(Path(folder)), load_tokenizer("bytes"), "train", cache).sha256, flush=True)
"""


def start(tmp_path: Path, cache: Path, *, stop_at: int, pause: float) -> subprocess.Popen[str]:
    """Run PROCESS with the package that is being tested."""
    root = Path(sys.modules["tnnlab"].__path__[0]).parent
    return subprocess.Popen(
        [sys.executable, "-c", PROCESS, tmp_path / "text", cache, str(stop_at), str(pause)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
    )


def test_killed_build_never_counts(corpus: Corpus, cache: Path, tmp_path: Path) -> None:
    with start(tmp_path, cache, stop_at=10, pause=120) as process:
        assert process.stdout is not None
        assert "in the middle" in (process.stdout.readline(), process.stdout.readline())[1]
        (part,) = cache.glob(".*.part")
        assert part.stat().st_size > 1_000_000  # it was writing
        process.kill()
        process.wait(timeout=60)
    assert not list(cache.glob("*.bin"))
    assert not list(cache.glob("*.json"))
    array = tokenize(corpus, load_tokenizer("bytes"), "train", cache)
    assert np.array_equal(array.tokens, expected(corpus, "train"))
    assert not list(cache.glob(".*.part"))  # the killed process's leftovers are cleared away


def test_processes_share_one_build(corpus: Corpus, cache: Path, tmp_path: Path) -> None:
    processes = [start(tmp_path, cache, stop_at=5, pause=1) for _ in range(2)]
    outputs = [process.communicate(timeout=120)[0].split("\n") for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sum("building" in lines for lines in outputs) == 1
    array = tokenize(corpus, load_tokenizer("bytes"), "train", cache)
    assert {lines[-2] for lines in outputs} == {array.sha256}
    assert np.array_equal(array.tokens, expected(corpus, "train"))
    assert array.is_intact()
