"""Shared by the tests of training."""

import json
import multiprocessing
import os
import socket
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

from tnnlab.training import RunConfig, loop, train
from tnnlab.training.recipes import merge
from tnnlab.training.setup import Run

PROCESSES = 2  # that train together


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


def together(function: Callable[..., None], *arguments: Any) -> None:
    """Call the function in two processes that find each other."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
    environment = {
        "WORLD_SIZE": str(PROCESSES),
        "LOCAL_WORLD_SIZE": str(PROCESSES),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TNNLAB_CACHE": os.environ["TNNLAB_CACHE"],
    }
    multiprocessing.set_forkserver_preload([__name__, "torch._dynamo"])
    started = torch.multiprocessing.start_processes(
        _one_of,
        args=(environment, function, arguments),
        nprocs=PROCESSES,
        join=False,
        start_method="forkserver",
    )
    assert started is not None
    try:
        while not started.join():
            pass
    finally:
        for process in started.processes:  # those that wait take no other signal
            process.kill()


def _one_of(
    rank: int, environment: dict[str, str], function: Callable[..., None], arguments: Any
) -> None:
    torch.set_num_threads(1)
    os.environ.update(environment, RANK=str(rank), LOCAL_RANK=str(rank))
    function(*arguments)
