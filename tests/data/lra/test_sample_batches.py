"""Each sample once an epoch, and a batch that depends on seed and step alone."""

import numpy as np
import pytest
import torch

from tnnlab.data.lra import Images, SampleBatches, evaluation_batches


def numbered(count: int) -> Images:
    """Images whose labels are their numbers."""
    return Images(np.zeros((count, 2, 2), np.uint8), np.arange(count), mean=0, std=1)


def dealt(batches: SampleBatches, steps: range) -> list[int]:
    return [int(label) for step in steps for label in batches.batch(step).labels]


@pytest.mark.parametrize(("count", "batch_size"), [(20, 5), (23, 5), (3, 8), (1, 1)])
def test_an_epoch_deals_every_sample_once(count: int, batch_size: int) -> None:
    batches = SampleBatches(numbered(count), batch_size=batch_size, seed=2)
    assert batches.steps_per_epoch == -(-count // batch_size)
    labels = dealt(batches, range(4 * batches.steps_per_epoch + 4))
    for epoch in range(3):
        assert sorted(labels[epoch * count : (epoch + 1) * count]) == list(range(count))
    if count == 20:
        assert labels[:20] != labels[20:40] and labels[:20] != sorted(labels[:20])


def test_a_batch_is_a_function_of_seed_and_step() -> None:
    batches = SampleBatches(numbered(50), batch_size=4, seed=5)
    ahead = [batches.batch(step).labels for step in range(40)]
    again = SampleBatches(numbered(50), batch_size=4, seed=5)
    for step in (39, 3, 20, 0):
        assert torch.equal(again.batch(step).labels, ahead[step])
    assert not torch.equal(
        SampleBatches(numbered(50), batch_size=4, seed=6).batch(0).labels, ahead[0]
    )


def test_processes_share_the_batches_of_one() -> None:
    alone = SampleBatches(numbered(50), batch_size=6, seed=5)
    ranks = [
        SampleBatches(numbered(50), batch_size=2, seed=5, rank=rank, world=3) for rank in range(3)
    ]
    for step in range(12):
        parts = [rank.batch(step).labels for rank in ranks]
        assert torch.equal(torch.cat(parts), alone.batch(step).labels)


@pytest.mark.parametrize(("count", "batch_size"), [(20, 5), (23, 5), (3, 8)])
def test_evaluation_sees_every_sample_once_in_order(count: int, batch_size: int) -> None:
    batches = list(evaluation_batches(numbered(count), batch_size=batch_size))
    assert torch.cat([batch.labels for batch in batches]).tolist() == list(range(count))
    assert all(len(batch.labels) == batch_size for batch in batches[:-1])


def test_bad_sizes_are_named() -> None:
    with pytest.raises(ValueError, match="batch_size must be at least 1, given 0"):
        SampleBatches(numbered(3), batch_size=0, seed=0)
    with pytest.raises(ValueError, match="samples must be at least 1, given 0"):
        SampleBatches(numbered(0), batch_size=1, seed=0)
    with pytest.raises(ValueError, match="rank 2 is not one of the 2 processes"):
        SampleBatches(numbered(3), batch_size=1, seed=0, rank=2, world=2)
    with pytest.raises(ValueError, match="steps count from 0, given -1"):
        SampleBatches(numbered(3), batch_size=1, seed=0).batch(-1)
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        evaluation_batches(numbered(3), batch_size=0)
