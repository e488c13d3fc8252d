"""The next token: a text, a tokenizer, a causal language model."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from tnnlab.data import (
    Batches,
    Corpus,
    Tokenizer,
    bigram_loss,
    load_corpus,
    load_tokenizer,
    tokenize,
)
from tnnlab.models import CausalLM
from tnnlab.pretrained import Pretrained
from tnnlab.training.config import RunConfig
from tnnlab.training.errors import ConfigError
from tnnlab.training.evaluation import HeldOut, draw_samples, evaluate
from tnnlab.training.objective import Objective, share


class TextObjective(Objective):
    """What runs that read a corpus share: its windows, its held-out tokens, its tokenizer.

    Args:
        config: of the run.
        accelerator: device and processes.

    Attributes:
        added_tokens: of the model, beyond those of the tokenizer.
        windows_on_gpu: whether training windows are cut there, where there is one.
    """

    added_tokens = 0
    windows_on_gpu = True

    def __init__(self, config: RunConfig, accelerator: Any) -> None:
        self.config, self.accelerator = config, accelerator
        self.corpus, self.tokenizer = load_text(config, self.added_tokens)
        names = ["train", "validation"] + ["test"] * config.evaluation.test
        with accelerator.main_process_first():
            self.splits = {name: tokenize(self.corpus, self.tokenizer, name) for name in names}
        self.checksums = {name: split.sha256 for name, split in self.splits.items()}
        limit = config.evaluation.limit
        self.held_out = {
            name: HeldOut.of(self.splits[name], self.corpus, self.tokenizer, limit)
            for name in names[1:]
        }
        self.positions = config.training.batch_size * config.data.length
        on_gpu = self.windows_on_gpu and accelerator.device.type == "cuda"
        try:
            self.batches = Batches(
                self.splits["train"],
                length=config.data.length,
                device=accelerator.device if on_gpu else None,
                **share(config, accelerator),
            )
        except ValueError as error:
            raise ConfigError(f"data.length: {error}") from error

    def save(self, model: Pretrained, folder: Path) -> None:
        """And what ``tnnlab generate`` reads."""
        super().save(model, folder)
        self.tokenizer.save(folder)

    def provenance(self) -> dict[str, Any]:
        return {
            **self.corpus.provenance(),
            "tokenizer": self.tokenizer.name,
            "tokens": {name: len(split) for name, split in self.splits.items()},
        }


class LanguageModelling(TextObjective):
    """Windows of a corpus; the loss of each next token."""

    criterion = "loss_per_token"

    def make_model(self) -> CausalLM:
        return CausalLM(self.config.model)

    def batch(self, number: int) -> tuple[Tensor, ...]:
        return self.batches.batch(number)

    def loss(self, model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        return model(*batch)

    def measure(self, model: nn.Module, split: str) -> dict[str, float]:
        return self.measure_at(model, split, self.config.data.length)

    def measure_at(self, model: nn.Module, split: str, length: int) -> dict[str, float]:
        """As :meth:`measure`, with windows of another length."""
        windows = self.config.evaluation.batch_size * self.config.data.length
        return evaluate(
            model,
            self.held_out[split],
            length=length,
            batch_size=max(1, windows // length),  # as many tokens at a time at every length
            accelerator=self.accelerator,
        )

    def at_the_end(self, model: nn.Module) -> Iterator[tuple[str, dict[str, float]]]:
        for length in self.config.evaluation.lengths:
            yield "length", {"length": length, **self.measure_at(model, "validation", length)}

    def summary(self, found: Mapping[str, float]) -> str:
        return (
            f"{found['loss_per_token']:.4f} nats per token, "
            f"{found['bits_per_byte']:.4f} bits per byte"
        )

    def baseline(self) -> dict[str, Any] | None:
        if not self.config.evaluation.baseline:
            return None
        tokens = self.held_out["validation"].tokens
        loss = bigram_loss(self.splits["train"], tokens, self.tokenizer.vocab_size)
        return {"model": "bigram", "loss_per_token": loss}

    def samples(self, model: Pretrained) -> list[str]:
        assert isinstance(model, CausalLM)
        return draw_samples(
            model,
            self.tokenizer,
            self.config.evaluation,
            seed=self.config.seed,
            device=self.accelerator.device,
        )


def load_text(config: RunConfig, added_tokens: int = 0) -> tuple[Corpus, Tokenizer]:
    """The corpus and the tokenizer of a run; the model must have the tokenizer's vocabulary, and
    ``added_tokens`` of its own."""
    try:
        corpus = load_corpus(config.data.corpus, config.data.path)
        tokenizer = load_tokenizer(config.data.tokenizer)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    wanted = tokenizer.vocab_size + added_tokens
    if config.model.vocab_size != wanted:
        added = ", and the model a token for what is hidden" if added_tokens else ""
        raise ConfigError(
            f"model.vocab_size is {config.model.vocab_size} and the tokenizer {tokenizer.name!r} "
            f"has {tokenizer.vocab_size} tokens{added}: set model.vocab_size to {wanted}"
        )
    return corpus, tokenizer
