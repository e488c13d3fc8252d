"""A real process, killed without warning, and resumed."""

import random
import signal
import sys
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

from tests.training.helpers import change, losses, start, steps_done
from tnnlab.training import RunConfig

STEPS = 40


def kill_after(process: ForkServerProcess, out: Path, steps: int, delay: float) -> bool:
    """Kill once ``steps`` updates are reported and ``delay`` seconds are over; was it alive?"""
    while process.is_alive() and steps_done(out) < steps:
        time.sleep(0.002)
    time.sleep(delay)
    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_run_gives_the_same_losses_to_the_last_bit(
    tiny: RunConfig, tmp_path: Path
) -> None:
    # A checkpoint every third update: many of the kills fall into the writing of one.
    config = change(
        tiny, training={"steps": STEPS, "checkpoint_every": 3}, evaluation={"every": 20}
    )
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    process = start(config, whole)
    process.join(200)
    assert process.exitcode == 0

    chance = random.Random()  # other moments in each run of this test
    alive = []
    for steps in sorted(chance.sample(range(STEPS - 10), 4)):
        delay = chance.uniform(0, 0.05)
        print(f"killed {delay:.4f} s after step {steps}")  # shown if the test fails
        alive.append(kill_after(start(config, parts), parts, steps, delay))
    assert any(alive)
    process = start(config, parts)
    process.join(200)
    assert process.exitcode == 0
    assert losses(parts) == losses(whole)
    assert len(losses(whole)) == STEPS + 3 * 2  # evaluations and samples at 0, 20, 40
    assert not list(parts.rglob("*.part"))
