"""Held-out text of which not every token is a target."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.helpers import change
from tnnlab.data import Corpus, Segment, TokenArray, load_tokenizer, tokenize
from tnnlab.models import CausalLM
from tnnlab.training import RunConfig, language, train
from tnnlab.training.evaluation import HeldOut, evaluate

# Two documents; what stands in brackets is read, and not scored.
DOCUMENTS = ["one [two ]three é four\n", "five [six] seven"] * 40


class Marked(Corpus):
    name, source, licence = "marked", "this test", "none"
    split_rule = "the same in each"
    fingerprint = "0" * 64

    def documents(self, split: str) -> Iterator[str]:
        return (document.replace("[", "").replace("]", "") for document in DOCUMENTS)

    def segments(self, split: str) -> Iterator[Iterable[Segment]]:
        for document in DOCUMENTS:
            before, rest = document.split("[")
            context, after = rest.split("]")
            # Of two words one is counted: the corpus counts as another tokenization does.
            yield [Segment(before, 1), Segment(context, 0, scored=False), Segment(after, 1)]


class Alone:
    num_processes, process_index, device = 1, 0, torch.device("cpu")


@pytest.fixture
def split(tmp_path: Path) -> TokenArray:
    return tokenize(Marked(), load_tokenizer("bytes"), "validation", tmp_path / "tokens")


def held_out(split: TokenArray, limit: int | None) -> HeldOut:
    return HeldOut.of(split, Marked(), load_tokenizer("bytes"), limit)


def test_without_a_limit_the_counts_are_those_of_the_corpus(split: TokenArray) -> None:
    for limit in (None, len(split), len(split) + 1):
        whole = held_out(split, limit)
        assert whole.tokens is split.tokens and whole.scored is not None
        assert (whole.words, whole.bytes) == (2 * len(DOCUMENTS), split.bytes)


def test_a_limit_counts_the_bytes_and_the_share_of_words_that_are_scored(split: TokenArray) -> None:
    first = len("one two three é four\n".encode()) + 1  # with its end of text
    for limit, scored_bytes in (
        (3, 3),  # "one"
        (6, 4),  # … and the context has begun
        (first, first - 1 - len("two ")),
        (first + 7, first - 1 - len("two ") + len("five ")),
    ):
        part = held_out(split, limit)
        assert len(part.tokens) == limit and part.scored is not None
        assert part.bytes == scored_bytes
        ends = int((part.tokens == 256).sum())
        assert int(part.scored.sum()) == scored_bytes + ends
        assert part.words == max(1, round(split.words * scored_bytes / split.bytes))


@pytest.mark.parametrize("limit", [None, 300])
@pytest.mark.parametrize(("length", "batch_size"), [(1000, 1), (16, 4)])
def test_the_loss_is_the_mean_of_what_is_scored(
    tiny: RunConfig, split: TokenArray, limit: int | None, length: int, batch_size: int
) -> None:
    torch.manual_seed(0)
    model, part = CausalLM(tiny.model).eval(), held_out(split, limit)
    options: Any = {"length": length, "batch_size": batch_size, "accelerator": Alone()}
    found = evaluate(model, part, **options)

    nats, count = 0.0, 0
    assert part.scored is not None
    for target in range(1, len(part.tokens)):
        if part.scored[target]:
            start = (target - 1) // length * length  # of its window
            context = torch.from_numpy(part.tokens[start:target].astype(np.int64))
            with torch.no_grad():
                chances = model(context[None])[0, -1].log_softmax(-1)
            nats, count = nats - chances[int(part.tokens[target])].item(), count + 1
    assert found["tokens"] == count == int(part.scored[1:].sum()) < len(part.tokens) - 1
    assert found["loss_per_token"] == pytest.approx(nats / count, rel=1e-4)
    assert found["bits_per_byte"] == pytest.approx(nats / np.log(2) / part.bytes, rel=1e-4)
    assert found["perplexity_per_word"] == pytest.approx(np.exp(nats / part.words), rel=1e-3)


def test_a_run_scores_what_its_corpus_scores(
    tiny: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(language, "load_corpus", lambda name, path: Marked())
    for limit, name in ((None, "all"), (300, "some")):
        config = change(tiny, training={"steps": 3}, evaluation={"limit": limit})
        record = train(config, tmp_path / name)
        part = held_out(tokenize(Marked(), load_tokenizer("bytes"), "validation"), limit)
        assert part.scored is not None
        assert record["metrics"]["validation"]["tokens"] == int(part.scored[1:].sum())
        assert record["data"]["corpus"] == "marked"
