"""Everything a run needs before its first update, in the order in which it can be refused."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from tnnlab._extras import require
from tnnlab.pretrained import Pretrained
from tnnlab.training.checkpoints import Checkpoints, Progress, check_same_run, read_progress
from tnnlab.training.config import RunConfig
from tnnlab.training.devices import make_accelerator
from tnnlab.training.errors import ConfigError
from tnnlab.training.metrics import LossWindow, Metrics, restore_metrics
from tnnlab.training.objective import Objective, make_objective
from tnnlab.training.optimisation import TrainingConfig


@dataclass
class Run:
    """A run, ready to go on from where it stands (``at``)."""

    config: RunConfig
    out: Path
    accelerator: Any
    precision: str
    objective: Objective
    # The model itself: saved, sampled from, and evaluated: of several processes some have fewer
    # batches, and in what wraps it each forward pass waits for all of them.
    network: Pretrained
    model: Any  # the same, as accelerate wraps it: trained
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
    """Find where the run stands, load the data, build the model; then touch the run's folder.

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

    objective = make_objective(config, accelerator)
    check_same_data(at, objective.checksums, start)

    set_seed = require("accelerate.utils", "train").set_seed
    set_seed(config.seed)  # all processes begin with the same weights …
    network = objective.make_model().train()
    if config.training.compile:
        mode = config.training.compile
        network.compile(mode=mode if isinstance(mode, str) else None)
    optimizer = make_optimizer(config.training, network, accelerator.device)
    model, optimizer = accelerator.prepare(network, optimizer)
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
        f"{network.num_parameters():,} parameters, {precision} on {accelerator.device}"
    )
    window = LossWindow(at.window)
    return Run(
        config, out, accelerator, precision, objective, network, model, optimizer,
        checkpoints, at, window, metrics, began,
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


def check_same_data(at: Progress, found: dict[str, str], start: Path | None) -> None:
    """Note the checksums of the data; refuse to go on with others."""
    changed = [name for name, digest in at.data.items() if found.get(name, digest) != digest]
    if changed:
        raise ConfigError(
            f"{start} was trained with other data: those of {', '.join(changed)} differ "
            "(another version of Python has another 'stdlib'). Start in another folder"
        )
    at.data |= found


def make_optimizer(
    training: TrainingConfig, network: Pretrained, device: torch.device
) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter, 2019). Norms, biases, decays and state spaces have no weight
    decay; a group's learning rate is ``scale`` times that of the schedule."""
    groups = network.parameter_groups(training.weight_decay)
    peak = training.kernel_learning_rate or min(training.learning_rate, 1e-3)
    for group in groups:
        group["scale"] = peak / training.learning_rate if group.pop("kernel") else 1.0
    return torch.optim.AdamW(
        groups,
        lr=training.learning_rate,
        betas=training.betas,
        eps=training.eps,
        fused=device.type == "cuda",
    )
