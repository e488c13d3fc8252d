"""Windows: each target once, and a batch that depends on seed and step alone."""

from typing import Any

import numpy as np
import pytest
import torch

from tnnlab.data import Batches, evaluation_windows


def starts(batches: Batches, steps: range) -> list[int]:
    """First tokens of all windows; with tokens 0, 1, 2, … these are the places."""
    return [int(row[0]) for step in steps for row in batches.batch(step)[0]]


def test_targets_follow_inputs() -> None:
    batches = Batches(np.arange(100, dtype=np.uint16), length=7, batch_size=3, seed=0)
    for step in range(20):
        inputs, targets = batches.batch(step)
        assert inputs.shape == targets.shape == (3, 7)
        assert inputs.dtype == targets.dtype == torch.int64
        assert torch.equal(targets, (inputs + 1) % 100)  # the stream is a ring


@pytest.mark.parametrize(("count", "length", "batch_size"), [(100, 7, 2), (64, 8, 8), (9, 8, 3)])
def test_epoch_covers_targets_once(count: int, length: int, batch_size: int) -> None:
    batches = Batches(np.arange(count), length=length, batch_size=batch_size, seed=3)
    windows = count // length
    places = starts(batches, range(4 * batches.steps_per_epoch + 4))
    for epoch in range(3):
        first = places[epoch * windows : (epoch + 1) * windows]
        covered = [(place + 1 + lag) % count for place in first for lag in range(length)]
        assert len(set(covered)) == len(covered) == windows * length


def test_epochs_differ_in_offset_and_order() -> None:
    batches = Batches(np.arange(1_000), length=10, batch_size=100, seed=0)
    assert batches.steps_per_epoch == 1
    first, second = starts(batches, range(1)), starts(batches, range(1, 2))
    assert {place % 10 for place in first} != {place % 10 for place in second}
    assert np.diff(first).tolist() != np.diff(second).tolist()
    assert first != sorted(first)


def test_batch_is_a_function_of_seed_and_step() -> None:
    tokens = np.arange(500)
    one = Batches(tokens, length=9, batch_size=4, seed=5)
    ahead = [one.batch(step)[0] for step in range(60)]
    other = Batches(tokens, length=9, batch_size=4, seed=5)
    for step in (59, 3, 40, 0, 14):  # in any order, as after a resume
        assert torch.equal(other.batch(step)[0], ahead[step])
    third = Batches(tokens, length=9, batch_size=4, seed=6)
    assert not torch.equal(third.batch(0)[0], ahead[0])


def test_processes_share_the_batches_of_one() -> None:
    tokens = np.arange(500)
    alone = Batches(tokens, length=9, batch_size=6, seed=5)
    ranks = [Batches(tokens, length=9, batch_size=2, seed=5, rank=r, world=3) for r in range(3)]
    assert all(rank.steps_per_epoch == alone.steps_per_epoch for rank in ranks)
    for step in range(12):
        together = torch.cat([rank.batch(step)[1] for rank in ranks])
        assert torch.equal(together, alone.batch(step)[1])


DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "dtype", [np.uint8, np.uint16, np.uint32, np.int16, np.int32, np.int64], ids=str
)
def test_windows_cut_on_a_device_are_the_same(dtype: type, device: str) -> None:
    """Up to the largest numbers of the type, and across the end of the ring."""
    highest = min(np.iinfo(dtype).max, 2**31)
    tokens = np.random.default_rng(0).integers(0, highest, 97, dtype, endpoint=True)
    tokens[::7] = highest
    tokens.flags.writeable = False  # as a memory-mapped file
    settings: dict[str, Any] = {"length": 9, "batch_size": 4, "seed": 5}
    there = Batches(tokens, **settings, device=device)
    here = Batches(tokens, **settings)
    for step in range(8):
        for found, expected in zip(there.batch(step), here.batch(step), strict=True):
            assert found.dtype == torch.int64 and found.device.type == device
            assert torch.equal(found.cpu(), expected)


def test_batches_know_their_epoch_length() -> None:
    assert Batches(np.arange(101), length=10, batch_size=3, seed=0).steps_per_epoch == 4
    assert Batches(np.arange(11), length=10, batch_size=3, seed=0).steps_per_epoch == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"length": 100}, "needs 101 tokens, and the stream has 100"),
        ({"length": 0}, "length must be at least 1, given 0"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"rank": 2, "world": 2}, "rank 2 is not one of the 2 processes"),
        ({"world": 0}, "world must be at least 1"),
    ],
)
def test_impossible_batches_are_refused(changes: dict, message: str) -> None:
    settings = {"length": 8, "batch_size": 2, "seed": 0} | changes
    with pytest.raises(ValueError, match=message):
        Batches(np.arange(100), **settings)


def test_bad_streams_and_steps_are_refused() -> None:
    with pytest.raises(ValueError, match=r"given shape \(2, 50\)"):
        Batches(np.zeros((2, 50), int), length=8, batch_size=2, seed=0)
    with pytest.raises(ValueError, match="float64"):
        evaluation_windows(np.zeros(50), length=8, batch_size=2)
    with pytest.raises(ValueError, match="count from 0, given -1"):
        Batches(np.arange(100), length=8, batch_size=2, seed=0).batch(-1)


@pytest.mark.parametrize("count", [2, 3, 8, 9, 10, 33, 65, 100])
@pytest.mark.parametrize(("length", "batch_size"), [(8, 3), (1, 4), (64, 1), (8, 100)])
def test_evaluation_covers_every_target_once(count: int, length: int, batch_size: int) -> None:
    seen: list[int] = []
    for inputs, targets, mask in evaluation_windows(
        np.arange(count, dtype=np.uint16), length=length, batch_size=batch_size
    ):
        assert inputs.shape == targets.shape == mask.shape
        assert inputs.shape[1] == length
        assert 1 <= inputs.shape[0] <= batch_size
        assert inputs.dtype == targets.dtype == torch.int64
        assert mask.dtype == torch.bool
        assert torch.equal(targets[mask], inputs[mask] + 1)
        assert not inputs[~mask].any()
        seen += targets[mask].tolist()
    assert seen == list(range(1, count))


@pytest.mark.parametrize(("length", "batch_size"), [(8, 3), (1, 4), (64, 1), (8, 100)])
def test_what_is_not_scored_is_read_but_no_target(length: int, batch_size: int) -> None:
    tokens = np.arange(65, dtype=np.uint16)
    scored = np.random.default_rng(0).random(65) < 0.6
    options: dict[str, Any] = {"length": length, "batch_size": batch_size}
    seen: list[int] = []
    for with_all, without in zip(
        evaluation_windows(tokens, **options),
        evaluation_windows(tokens, **options, scored=scored),
        strict=True,
    ):
        assert torch.equal(without[0], with_all[0]) and torch.equal(without[1], with_all[1])
        seen += without[1][without[2]].tolist()
    assert seen == [token for token in range(1, 65) if scored[token]]


@pytest.mark.parametrize("scored", [np.ones(64, bool), np.ones(65, int), np.ones((65, 1), bool)])
def test_scored_must_say_it_of_each_token(scored: np.ndarray) -> None:
    with pytest.raises(ValueError, match="each of 65 tokens whether it is a target"):
        evaluation_windows(np.arange(65), length=8, batch_size=2, scored=scored)


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_evaluate_is_refused_at_once(count: int) -> None:
    with pytest.raises(ValueError, match=f"stream of {count} tokens"):
        evaluation_windows(np.arange(count), length=8, batch_size=2)
