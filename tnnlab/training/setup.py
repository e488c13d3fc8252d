"""Everything a run needs before its first update, in the order in which it can be refused."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from tnnlab._extras import require
from tnnlab.data import (
    Batches,
    Corpus,
    TokenArray,
    Tokenizer,
    load_corpus,
    load_tokenizer,
    tokenize,
)
from tnnlab.models import CausalLM
from tnnlab.training.checkpoints import Checkpoints, Progress, check_same_run, read_progress
from tnnlab.training.config import RunConfig
from tnnlab.training.devices import make_accelerator
from tnnlab.training.errors import ConfigError
from tnnlab.training.evaluation import HeldOut
from tnnlab.training.metrics import LossWindow, Metrics, restore_metrics


@dataclass
class Run:
    """A run, ready to go on from where it stands (``at``)."""

    config: RunConfig
    out: Path
    accelerator: Any
    precision: str
    corpus: Corpus
    tokenizer: Tokenizer
    splits: dict[str, TokenArray]
    held_out: dict[str, HeldOut]
    batches: Batches
    lm: CausalLM  # the model itself: saved, sampled from
    model: Any  # the same, as accelerate wraps it: trained, evaluated
    optimizer: Any
    checkpoints: Checkpoints
    at: Progress
    window: LossWindow
    metrics: Metrics
    began: float

    def elapsed_s(self) -> float:
        """Wall time of all sessions of the run so far, in seconds."""
        return self.at.elapsed_s + time.perf_counter() - self.began


def prepare(config: RunConfig, out: Path, *, resume: bool, progress_bar: bool | None) -> Run:
    """Find where the run stands, load the text, build the model; then touch the run's folder.

    Raises:
        ConfigError: as for :func:`tnnlab.training.train`.
    """
    began = time.perf_counter()
    accelerator, precision = make_accelerator(config.training)
    if config.training.threads is not None:
        torch.set_num_threads(config.training.threads)
    checkpoints = Checkpoints(out / "checkpoints")
    start = starting_point(config, out, checkpoints, resume)
    at = read_progress(start) if start else Progress(started=datetime.now(UTC).isoformat())

    corpus, tokenizer = load_text(config)
    names = ["train", "validation"] + ["test"] * config.evaluation.test
    with accelerator.main_process_first():
        splits = {name: tokenize(corpus, tokenizer, name) for name in names}
    limit = config.evaluation.limit
    held_out = {name: HeldOut.of(splits[name], corpus, tokenizer, limit) for name in names[1:]}
    check_same_text(at, splits, start)
    batches = make_batches(config, splits["train"], accelerator)

    set_seed = require("accelerate.utils", "train").set_seed
    set_seed(config.seed)  # all processes begin with the same weights …
    lm = CausalLM(config.model).train()
    if config.training.compile:
        lm.compile()
    model, optimizer = accelerator.prepare(lm, make_optimizer(config, lm, accelerator.device))
    set_seed(config.seed, device_specific=True)  # … and drop out different units
    if start:
        checkpoints.load(accelerator, start)

    # From here on there are files.
    accelerator.wait_for_everyone()
    main = accelerator.is_main_process
    if main:
        out.mkdir(parents=True, exist_ok=True)
        checkpoints.clean()
        restore_metrics(out, start)
    steps = config.training.steps
    metrics = Metrics(out, at, steps=steps, writes=main, progress=progress_bar)
    metrics.say(
        f"{config.name} ({config.preset}) in {out}: step {at.step} of {steps}, "
        f"{lm.num_parameters():,} parameters, {precision} on {accelerator.device}"
    )
    window = LossWindow(at.window)
    return Run(
        config, out, accelerator, precision, corpus, tokenizer, splits, held_out, batches,
        lm, model, optimizer, checkpoints, at, window, metrics, began,
    )  # fmt: skip


def starting_point(
    config: RunConfig, out: Path, checkpoints: Checkpoints, resume: bool
) -> Path | None:
    """The checkpoint to go on from; None: the beginning.

    Raises:
        ConfigError: the folder is in use and ``resume`` was not asked for, or its checkpoint
            belongs to a run with other settings.
    """
    if not resume:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise ConfigError(
                f"{out} exists and is not an empty folder: add --resume to go on with the run in "
                "it, or name another folder with --out"
            )
        return None
    start = checkpoints.newest()
    if start:
        check_same_run(config, start, read_progress(start).step)
    return start


def load_text(config: RunConfig) -> tuple[Corpus, Tokenizer]:
    """The corpus and the tokenizer of a run; the model must have the tokenizer's vocabulary."""
    try:
        corpus = load_corpus(config.data.corpus, config.data.path)
        tokenizer = load_tokenizer(config.data.tokenizer)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if tokenizer.vocab_size != config.model.vocab_size:
        raise ConfigError(
            f"model.vocab_size is {config.model.vocab_size} and the tokenizer {tokenizer.name!r} "
            f"has {tokenizer.vocab_size} tokens: set model.vocab_size to {tokenizer.vocab_size}"
        )
    return corpus, tokenizer


def check_same_text(at: Progress, splits: dict[str, TokenArray], start: Path | None) -> None:
    """Note the checksums of the tokens; refuse to go on with others."""
    found = {name: split.sha256 for name, split in splits.items()}
    changed = [name for name, digest in at.data.items() if found.get(name, digest) != digest]
    if changed:
        raise ConfigError(
            f"{start} was trained with other text: the tokens of {', '.join(changed)} differ "
            "(another version of Python has another 'stdlib'). Start in another folder"
        )
    at.data |= found


def make_batches(config: RunConfig, tokens: TokenArray, accelerator: Any) -> Batches:
    """This process's share of the training windows."""
    parts = config.training.accumulate * accelerator.num_processes
    try:
        return Batches(
            tokens,
            length=config.data.length,
            batch_size=config.training.batch_size // parts,
            seed=config.seed,
            rank=accelerator.process_index,
            world=accelerator.num_processes,
        )
    except ValueError as error:
        raise ConfigError(f"data.length: {error}") from error


def make_optimizer(config: RunConfig, lm: CausalLM, device: torch.device) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter, 2019); weight decay not on norms, biases, decays."""
    training = config.training
    groups: Iterable[dict[str, Any]] = lm.parameter_groups(training.weight_decay)
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=training.learning_rate,
        betas=training.betas,
        eps=training.eps,
        fused=device.type == "cuda",
    )
