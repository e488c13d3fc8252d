"""How long, how much memory: counted right where the answer is known."""

import time

import pytest
import torch

from tnnlab.bench.timing import measure, peak_bytes, speed_limits

CPU = torch.device("cpu")


def test_a_call_is_repeated_with_other_numbers() -> None:
    numbers: list[int] = []
    found = measure(numbers.append, CPU, seconds=0.0)
    assert found["samples"] == 5
    assert numbers[-5:] == [0, 1, 2, 3, 4]
    assert found["low_s"] <= found["time_s"] <= found["high_s"]


def test_a_sleep_takes_at_least_its_time() -> None:
    found = measure(lambda _: time.sleep(2e-3), CPU, seconds=0.0)
    assert found["time_s"] >= 2e-3


def test_the_peak_is_what_was_held_at_once() -> None:
    def call() -> torch.Tensor:
        first = torch.empty(1000, dtype=torch.float64)
        second = torch.empty(2000, dtype=torch.float64)
        del first
        third = torch.empty(500, dtype=torch.float64)
        return second if len(third) else third

    assert peak_bytes(call, CPU) == 3000 * 8
    assert peak_bytes(lambda: None, CPU) == 0


def test_what_was_there_before_does_not_count() -> None:
    before = [torch.empty(4000)]
    assert peak_bytes(lambda: (before.clear(), torch.empty(10)), CPU) == 40


def test_the_limits_of_this_machine() -> None:
    limits = speed_limits(CPU, torch.float32)
    assert set(limits) == {"copy_bytes_per_s", "matmul_flop_per_s"}
    assert all(value > 1e6 for value in limits.values())


@pytest.mark.gpu
def test_a_gpu_is_waited_for() -> None:
    device = torch.device("cuda")
    x = torch.ones(4096, 4096, device=device)
    found = measure(lambda _: x @ x, device, seconds=0.01)
    assert found["time_s"] > 1e-5 and found["peak_bytes"] >= x.nbytes
