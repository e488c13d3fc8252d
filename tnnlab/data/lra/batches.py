"""Batches of samples: shuffled for training, in order for evaluation."""

from collections.abc import Iterator

import numpy as np

from tnnlab.data.batches import _check_positive
from tnnlab.data.lra.splits import Batch, Split


class SampleBatches:
    """Training batches as a pure function of the step, as `tnnlab.data.Batches` of a text.

    Each epoch deals all samples in a new random order. Batches follow each other without a gap, so
    that one can hold the last samples of an epoch and the first of the next.

    Args:
        split: the samples.
        batch_size: samples of a batch, in each process.
        seed: of the orders.
        length: what sequences are padded to; None: the longest of their batch.
        rank: number of this process, ``0 … world - 1``.
        world: number of processes; a step deals ``world * batch_size`` samples among them.

    Raises:
        ValueError: an empty split, or a size below 1.

    >>> from tnnlab.data.lra import load_task
    >>> task = load_task("listops", source="generated", samples=100, lengths=(10, 50))
    >>> batches = SampleBatches(task.train, batch_size=8, seed=0, length=50)
    >>> tokens, mask = batches.batch(0).inputs
    >>> tokens.shape, mask.shape, batches.steps_per_epoch
    (torch.Size([8, 50]), torch.Size([8, 50]), 12)
    """

    def __init__(
        self,
        split: Split,
        *,
        batch_size: int,
        seed: int,
        length: int | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        _check_positive(samples=len(split), batch_size=batch_size, world=world)
        if not 0 <= rank < world:
            raise ValueError(f"rank {rank} is not one of the {world} processes, 0 to {world - 1}")
        self.split, self.batch_size, self.seed, self.length = split, batch_size, seed, length
        self.rank, self.world = rank, world
        self._epoch: tuple[int, np.ndarray] | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Steps until every sample of an epoch has been dealt (rounded up)."""
        return -(-len(self.split) // (self.batch_size * self.world))

    def batch(self, step: int) -> Batch:
        """The batch of a step, counted from 0.

        Raises:
            ValueError: a negative step.
        """
        if step < 0:
            raise ValueError(f"steps count from 0, given {step}")
        first = (step * self.world + self.rank) * self.batch_size
        rows = [self._row(number) for number in range(first, first + self.batch_size)]
        return self.split.collate(np.array(rows), self.length)

    def _row(self, number: int) -> int:
        """The sample with this number, counted through all epochs."""
        epoch, place = divmod(number, len(self.split))
        if self._epoch is None or self._epoch[0] != epoch:
            order = np.random.default_rng([self.seed, epoch]).permutation(len(self.split))
            self._epoch = (epoch, order)
        return int(self._epoch[1][place])


def evaluation_batches(
    split: Split, *, batch_size: int, length: int | None = None
) -> Iterator[Batch]:
    """Every sample once, in order; the last batch may have fewer.

    Args:
        split: the samples.
        batch_size: samples of a batch.
        length: what sequences are padded to; None: the longest of their batch.

    Raises:
        ValueError: a batch size below 1.

    >>> from tnnlab.data.lra import load_task
    >>> task = load_task("listops", source="generated", samples=1_000, lengths=(10, 50))
    >>> [len(batch.labels) for batch in evaluation_batches(task.test, batch_size=8)]
    [8, 8, 4]
    """
    _check_positive(batch_size=batch_size)
    starts = range(0, len(split), batch_size)
    rows = (np.arange(start, min(start + batch_size, len(split))) for start in starts)
    return (split.collate(of_batch, length) for of_batch in rows)
