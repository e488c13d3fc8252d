"""Metrics and the bigram baseline against values worked out by hand."""

import math
from itertools import pairwise

import numpy as np
import pytest

from tnnlab.data import bigram_loss, evaluation_metrics


def test_metrics_of_a_uniform_guess() -> None:
    # 30 byte tokens guessed among 256: 8 bits a byte; 6 words of 5 bytes: 256**5 a word.
    metrics = evaluation_metrics(30 * math.log(256), tokens=30, words=6, bytes=30)
    assert metrics == pytest.approx(
        {
            "loss_per_token": math.log(256),
            "perplexity_per_token": 256.0,
            "perplexity_per_word": 256.0**5,
            "bits_per_byte": 8.0,
        }
    )


def test_overflow_is_infinite() -> None:
    metrics = evaluation_metrics(1e6, tokens=1_000, words=10, bytes=1_000)
    assert metrics["perplexity_per_word"] == math.inf
    assert evaluation_metrics(math.inf, tokens=1, words=1, bytes=1)["loss_per_token"] == math.inf


@pytest.mark.parametrize("name", ["tokens", "words", "bytes"])
def test_counts_must_be_positive(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 1, given 0"):
        evaluation_metrics(1.0, **({"tokens": 1, "words": 1, "bytes": 1} | {name: 0}))


def naive_loss(train: list[int], text: list[int], size: int, alpha: float) -> float:
    """The same formula in plain Python."""
    follows = [[0] * size for _ in range(size)]
    for first, second in pairwise(train):
        follows[first][second] += 1
    total = len(train) - 1 + size
    unigram = [(sum(row[b] for row in follows) + 1) / total for b in range(size)]
    losses = [
        -math.log((follows[a][b] + alpha * unigram[b]) / (sum(follows[a]) + alpha))
        for a, b in pairwise(text)
    ]
    return sum(losses) / len(losses)


def markov(count: int, seed: int, size: int = 5) -> np.ndarray:
    """A chain that goes on to the next token with probability 0.8, else anywhere."""
    generator = np.random.default_rng(seed)
    jumps = np.where(generator.random(count) < 0.8, 1, generator.integers(0, size, count))
    return np.cumsum(jumps) % size


def test_bigram_is_the_formula_with_alpha_from_the_training_text() -> None:
    train, text = markov(400, 0).tolist(), markov(200, 1).tolist()
    grid = np.geomspace(0.01, 10_000, 25)
    held_out = [naive_loss(train[:360], train[360:], 5, alpha) for alpha in grid]
    wanted = naive_loss(train, text, 5, grid[int(np.argmin(held_out))])
    given = bigram_loss(np.array(train, np.uint16), np.array(text, np.uint16), 5)
    assert given == pytest.approx(wanted, rel=1e-12)


def test_bigram_finds_the_entropy_of_a_chain() -> None:
    entropy = -(0.84 * math.log(0.84) + 4 * 0.04 * math.log(0.04))
    assert bigram_loss(markov(200_000, 0), markov(50_000, 1), 5) == pytest.approx(entropy, abs=0.01)


def test_pairs_never_seen_have_a_finite_loss() -> None:
    loss = bigram_loss(np.zeros(100, int), np.array([0, 3, 2, 0]), 4)
    assert math.log(4) < loss < math.inf


def test_bigram_blocks_join_without_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    train, text = markov(5_000, 0), markov(3_000, 1)
    whole = bigram_loss(train, text, 5)
    monkeypatch.setattr("tnnlab.data.bigram._BLOCK", 7)
    assert bigram_loss(train, text, 5) == whole


@pytest.mark.parametrize(
    ("train", "text", "size", "message"),
    [
        (range(30), range(5), 50_257, "vocab_size must be 1 to 4096, given 50257"),
        (range(10), range(5), 40, "at least 20 tokens"),
        (range(30), range(1), 40, "eval_tokens must be"),
        (range(30), range(5), 20, "0 to 19, given 0 to 29"),
        (range(-1, 30), range(5), 40, "given -1 to 29"),
    ],
)
def test_bad_bigram_input_is_refused(train: range, text: range, size: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bigram_loss(np.array(train), np.array(text), size)
