"""Shared by the tests of training."""

import json
import multiprocessing
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import torch

from tnnlab.training import RunConfig, train
from tnnlab.training.recipes import merge


def change(config: RunConfig, **changes: Any) -> RunConfig:
    """The same run with other values: ``change(tiny, training={"steps": 4})``."""
    return RunConfig.from_dict(merge(config.to_dict(), changes))


def start(config: RunConfig, out: Path) -> ForkServerProcess:
    """Train in a process of its own, or go on there; it has imported torch already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "tnnlab.training.loop", "torch.utils.tensorboard"])
    process = context.Process(target=_train, args=(config, out))
    process.start()
    return process


def _train(config: RunConfig, out: Path) -> None:
    torch.set_num_threads(1)
    train(config, out, resume=True)


def losses(out: Path) -> list[tuple[Any, ...]]:
    """What a run reported, without its times."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().split("\n")[:-1]]
    timed = ("elapsed_s", "tokens_per_s")
    return [tuple((k, v) for k, v in line.items() if k not in timed) for line in lines]


def steps_done(out: Path) -> int:
    """Updates that a run has reported so far."""
    path = out / "metrics.jsonl"
    return path.read_text().count('"kind": "train"') if path.is_file() else 0
