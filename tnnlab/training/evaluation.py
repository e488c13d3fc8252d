"""Looking at a model without touching it: loss on held-out text, and texts it draws."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tnnlab._extras import require
from tnnlab.data import Corpus, TokenArray, Tokenizer, evaluation_metrics, evaluation_windows
from tnnlab.generation import sample
from tnnlab.models import CausalLM
from tnnlab.training.config import EvaluationConfig


@dataclass
class HeldOut:
    """Tokens to evaluate on, with what they were before: the units of the metrics.

    Attributes:
        tokens: array of token ids.
        words: words in their text, counted as its corpus does.
        bytes: UTF-8 bytes in their text.
        scored: which tokens are targets; None: all.

    >>> len(HeldOut(np.arange(100), words=20, bytes=100).tokens)
    100
    """

    tokens: np.ndarray
    words: int
    bytes: int
    scored: np.ndarray | None = None

    @classmethod
    def of(
        cls, split: TokenArray, corpus: Corpus, tokenizer: Tokenizer, limit: int | None
    ) -> "HeldOut":
        """The first ``limit`` tokens of a tokenized split (all of it for None)."""
        if limit is None or limit >= len(split):
            return cls(split.tokens, split.words, split.bytes, split.scored)
        tokens, end = split.tokens[:limit], tokenizer.end_of_text
        scored = None if split.scored is None else split.scored[:limit]
        kept = tokens if scored is None else tokens[scored]
        documents = np.split(kept, np.flatnonzero(kept == end))
        texts = [tokenizer.decode(document[document != end]) for document in documents]
        size = sum(len(text.encode()) for text in texts)
        if scored is None:
            words = sum(corpus.count_words(text) for text in texts)
        else:  # words of another tokenization: in proportion
            words = max(1, round(split.words * size / split.bytes))
        return cls(tokens, words, size, scored)


def token_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross entropy of each target in nats: ``(b, n, vocab)`` and ``(b, n)`` to ``(b, n)``.

    >>> token_losses(torch.zeros(1, 3, 8), torch.tensor([[5, 0, 2]])).exp().round(decimals=4)
    tensor([[8., 8., 8.]])
    """
    losses = F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction="none")
    return losses.view_as(targets)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Without dropout and gradients; the training mode of the model is restored.

    >>> model = nn.Dropout()
    >>> with evaluating(model):
    ...     inside = model.training
    >>> inside, model.training
    (False, True)
    """
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)


def add_up(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, ...]],
    tally: Callable[[tuple[Tensor, ...]], tuple[float, ...]],
    accelerator: Any,
) -> list[float]:
    """Sums over batches, which the processes of the run share.

    Args:
        model: evaluates; its training mode is restored.
        batches: the same ones in every process.
        tally: what a batch on the device adds to each sum.
        accelerator: device and processes.
    """
    with evaluating(model):
        sums = [
            tally(tuple(tensor.to(accelerator.device) for tensor in batch))
            for index, batch in enumerate(batches)
            if index % accelerator.num_processes == accelerator.process_index
        ]
    shares = require("accelerate.utils", "train").gather_object(sums)
    return [math.fsum(column) for column in zip(*shares, strict=True)]


def answers(scores: Tensor, targets: Tensor) -> tuple[float, int, int]:
    """Nats in all, right answers and all answers: scores ``(k, classes)``, targets ``(k,)``, of
    which those of -100 do not count.

    >>> nats, right, count = answers(torch.eye(3), torch.tensor([0, 2, -100]))
    >>> round(nats, 2), right, count
    (2.1, 1, 2)
    """
    nats = F.cross_entropy(scores.float(), targets, reduction="sum").item()
    return nats, int((scores.argmax(-1) == targets).sum()), int((targets >= 0).sum())


def rates(nats: float, right: float, count: float) -> dict[str, float]:
    """What :func:`answers` found, by answer: ``loss``, ``accuracy`` and its complement ``error``.

    >>> rates(6.0, 3, 4)
    {'loss': 1.5, 'accuracy': 0.75, 'error': 0.25}
    """
    accuracy = right / count
    return {"loss": nats / count, "accuracy": accuracy, "error": 1 - accuracy}


def evaluate(
    model: nn.Module, held_out: HeldOut, *, length: int, batch_size: int, accelerator: Any
) -> dict[str, float]:
    """Loss over all held-out tokens, shared by the processes of the run.

    Each window starts without context from the one before it.

    Args:
        model: ``(b, n)`` tokens to ``(b, n, vocab)`` logits; its training mode is restored.
        held_out: what to evaluate on.
        length: tokens in a window.
        batch_size: windows per forward pass.
        accelerator: device and processes.

    Returns:
        ``loss_per_token`` (nats), ``perplexity_per_token``, ``perplexity_per_word``,
        ``bits_per_byte``, and ``tokens``, the number of targets.
    """

    def tally(batch: tuple[Tensor, ...]) -> tuple[float, int]:
        inputs, targets, mask = batch
        return token_losses(model(inputs), targets)[mask].sum().item(), int(mask.sum())

    windows = evaluation_windows(
        held_out.tokens, length=length, batch_size=batch_size, scored=held_out.scored
    )
    nats, tokens = add_up(model, windows, tally, accelerator)
    units = {"tokens": int(tokens), "words": held_out.words, "bytes": held_out.bytes}
    return {**evaluation_metrics(nats, **units), "tokens": int(tokens)}


def draw_samples(
    model: CausalLM,
    tokenizer: Tokenizer,
    config: EvaluationConfig,
    *,
    seed: int,
    device: torch.device,
) -> list[str]:
    """Texts that the model continues from the prompt; the same seed draws the same ones.

    >>> from tnnlab.data import load_tokenizer
    >>> from tnnlab.models import CausalLM, TNNConfig
    >>> from tnnlab.training import EvaluationConfig
    >>> model = CausalLM(TNNConfig(vocab_size=257, depth=1, width=32, glu_width=32))
    >>> config = EvaluationConfig(samples=2, sample_tokens=4, prompt="def ")
    >>> texts = draw_samples(
    ...     model, load_tokenizer("bytes"), config, seed=0, device=torch.device("cpu")
    ... )
    >>> len(texts)
    2
    """
    if config.samples == 0:
        return []
    prompt = list(tokenizer.encode(config.prompt)) or [tokenizer.end_of_text]
    tokens = torch.tensor([prompt] * config.samples, device=device)
    # Every length would be compiled anew.
    with torch.compiler.set_stance("force_eager"):
        drawn = sample(
            model,
            tokens,
            max_new_tokens=config.sample_tokens,
            temperature=config.temperature,
            top_k=config.top_k,
            seed=seed,
        )
    return [tokenizer.decode(row.tolist()) for row in drawn]
