"""A bigram model: what a language model has to beat before it has learnt anything of interest."""

from typing import Any

import numpy as np

MAX_VOCABULARY = 4096
_STRENGTHS = np.geomspace(0.01, 10_000, 25)
_BLOCK = 2**22


def bigram_loss(train_tokens: Any, eval_tokens: Any, vocab_size: int) -> float:
    """Loss of a bigram model on a token stream, in nats per token.

    ``p(b | a) = (c(a, b) + alpha p(b)) / (c(a) + alpha)`` with the counts ``c`` of the training
    stream and its add-one-smoothed unigram model ``p(b)`` (MacKay & Bauman Peto, "A hierarchical
    Dirichlet language model", 1995). ``alpha`` is the best of 25 values, 0.01 to 10,000, for the
    last tenth of the training stream under the counts of the rest; the evaluation text has no say.
    The targets are the same as those of `evaluation_windows`: all tokens but the first.

    Args:
        train_tokens: one-dimensional integers in ``[0, vocab_size)``, at least 20 of them.
        eval_tokens: the same, at least 2.
        vocab_size: at most 4096, for the table of counts is dense.

    Raises:
        ValueError: a larger vocabulary, streams that are too short, tokens out of range.

    >>> loss = bigram_loss([0, 1] * 50, [0, 1] * 5, vocab_size=2)  # each token determines the next
    >>> loss < 0.01
    True
    """
    if not 1 <= vocab_size <= MAX_VOCABULARY:
        raise ValueError(
            f"the bigram table is dense: vocab_size must be 1 to {MAX_VOCABULARY}, given "
            f"{vocab_size}; use byte tokens for this comparison"
        )
    train = _checked("train_tokens", train_tokens, vocab_size, least=20)
    held_out = len(train) * 9 // 10
    fitted, chosen_on = _counts(train[:held_out], vocab_size), _counts(train[held_out:], vocab_size)
    losses = [_loss(fitted, chosen_on, strength) for strength in _STRENGTHS]
    best = float(_STRENGTHS[int(np.argmin(losses))])
    evaluated = _checked("eval_tokens", eval_tokens, vocab_size, least=2)
    return _loss(_counts(train, vocab_size), _counts(evaluated, vocab_size), best)


def _checked(name: str, tokens: Any, vocab_size: int, least: int) -> np.ndarray:
    array = np.asarray(tokens)
    if array.ndim != 1 or len(array) < least:
        raise ValueError(
            f"{name} must be one-dimensional with at least {least} tokens, given shape "
            f"{array.shape}"
        )
    if int(array.min()) < 0 or int(array.max()) >= vocab_size:
        raise ValueError(
            f"{name} must lie in 0 to {vocab_size - 1}, given {array.min()} to {array.max()}"
        )
    return array


def _counts(tokens: np.ndarray, vocab_size: int) -> np.ndarray:
    """How often each token follows each: ``(vocab_size, vocab_size)``, from row to column."""
    table = np.zeros(vocab_size * vocab_size, dtype=np.int64)
    for start in range(0, len(tokens) - 1, _BLOCK):
        block = np.asarray(tokens[start : start + _BLOCK + 1], dtype=np.int64)
        table += np.bincount(block[:-1] * vocab_size + block[1:], minlength=len(table))
    return table.reshape(vocab_size, vocab_size)


def _loss(fitted: np.ndarray, evaluated: np.ndarray, strength: float) -> float:
    """Mean loss (nats) over the pairs counted in ``evaluated``; only pairs that occur are read."""
    unigram = fitted.sum(axis=0) + 1.0
    unigram /= unigram.sum()
    rows, columns = np.nonzero(evaluated)
    seen = fitted[rows, columns] + strength * unigram[columns]
    probability = seen / (fitted.sum(axis=1)[rows] + strength)
    weight = evaluated[rows, columns]
    return float(-(weight * np.log(probability)).sum() / weight.sum())
