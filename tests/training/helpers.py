"""Shared by the tests of training."""

import json
import multiprocessing
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

from tnnlab.training import RunConfig, loop, train
from tnnlab.training.recipes import merge
from tnnlab.training.setup import Run


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


def interrupt_and_go_on(config: RunConfig, out: Path) -> None:
    """Train, stopped by hand after six updates, and go on to the end."""
    update = loop.update

    def interrupted(run: Run) -> None:
        if run.at.step == 6:
            raise KeyboardInterrupt
        update(run)

    with mock.patch.object(loop, "update", interrupted), pytest.raises(KeyboardInterrupt):
        train(config, out)
    train(config, out, resume=True)


def steps_done(out: Path) -> int:
    """Updates that a run has reported so far."""
    path = out / "metrics.jsonl"
    return path.read_text().count('"kind": "train"') if path.is_file() else 0
