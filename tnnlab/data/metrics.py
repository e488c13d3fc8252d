"""One total loss, four ways to state it."""

import math


def evaluation_metrics(
    nll_sum: float,
    *,
    tokens: int,
    words: int,
    bytes: int,
) -> dict[str, float]:
    """State the summed negative log-likelihood of a text per token, per word and per byte.

    Only the last two can be compared between tokenizers. Per word, the published WikiText-103
    figures count an end-of-line as a word (`WikiText103.word_rule`).

    Args:
        nll_sum: negative log-likelihood of all targets together, in nats.
        tokens: number of targets (`evaluation_windows`: one less than the stream has tokens where
            all are scored; ends of text are targets as well).
        words: `TokenArray.words` of the same text.
        bytes: `TokenArray.bytes` of the same text.

    Returns:
        ``loss_per_token`` (nats), ``perplexity_per_token``, ``perplexity_per_word`` and
        ``bits_per_byte``. A perplexity beyond the range of floats is ``inf``.

    Raises:
        ValueError: a count below 1.

    >>> found = evaluation_metrics(800.0, tokens=400, words=80, bytes=400)
    >>> [round(found[name], 2) for name in ("loss_per_token", "bits_per_byte")]
    [2.0, 2.89]
    """
    for name, count in {"tokens": tokens, "words": words, "bytes": bytes}.items():
        if count < 1:
            raise ValueError(f"{name} must be at least 1, given {count}")
    return {
        "loss_per_token": nll_sum / tokens,
        "perplexity_per_token": _exp(nll_sum / tokens),
        "perplexity_per_word": _exp(nll_sum / words),
        "bits_per_byte": nll_sum / (bytes * math.log(2)),
    }


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf
