"""Windows of a token stream: at random for training, in order for evaluation."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor


class Batches:
    """Training windows as a pure function of the step: to resume, only the step is needed.

    The stream is read as a ring (after its last token comes its first; an end of text lies
    between). Each epoch cuts the ring from a new random place into windows that do not overlap,
    and deals them in a new random order. Batches follow each other without a gap, so that one can
    hold the last windows of an epoch and the first of the next.

    Args:
        tokens: a `TokenArray` or any one-dimensional integer array.
        length: tokens of a window.
        batch_size: windows of a batch, in each process.
        seed: of the places and the orders.
        rank: number of this process, ``0 … world - 1``.
        world: number of processes; a step deals ``world * batch_size`` windows among them.
        device: where the windows are cut. None: on the CPU, straight from the file. Else the whole
            stream is copied there once, in its own width (2 bytes per token below a vocabulary of
            65,537: 0.2 GB for WikiText-103), and a step sends over only where its windows begin.
            The windows are the same.

    Raises:
        ValueError: fewer than ``length + 1`` tokens, or a size below 1.

    >>> batches = Batches(np.arange(100), length=9, batch_size=2, seed=0)
    >>> inputs, targets = batches.batch(0)
    >>> inputs.shape, torch.equal(targets, (inputs + 1) % 100), batches.steps_per_epoch
    (torch.Size([2, 9]), True, 6)
    """

    def __init__(
        self,
        tokens: Any,
        *,
        length: int,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        device: torch.device | str | None = None,
    ) -> None:
        self._tokens = _stream(tokens)
        count = len(self._tokens)
        _check_positive(length=length, batch_size=batch_size, world=world)
        if not 0 <= rank < world:
            raise ValueError(f"rank {rank} is not one of the {world} processes, 0 to {world - 1}")
        if count < length + 1:
            raise ValueError(
                f"one window of length {length} needs {length + 1} tokens, and the stream has "
                f"{count}: use a shorter length or more text"
            )
        self.length, self.batch_size, self.seed = length, batch_size, seed
        self.rank, self.world = rank, world
        self.windows = count // length
        self._epoch: tuple[int, int, np.ndarray] | None = None
        self._copy = None if device is None else _DeviceTokens(self._tokens, device)

    @property
    def steps_per_epoch(self) -> int:
        """Steps until every window of an epoch has been dealt (rounded up)."""
        return -(-self.windows // (self.batch_size * self.world))

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets of a step (counted from 0), both int64 of ``(batch_size, length)``.

        The target of a token is the token after it. They are on the ``device``, else on the CPU.

        Raises:
            ValueError: a negative step.
        """
        if step < 0:
            raise ValueError(f"steps count from 0, given {step}")
        first = (step * self.world + self.rank) * self.batch_size
        starts = [self._start(number) for number in range(first, first + self.batch_size)]
        if self._copy is not None:
            block = self._copy.windows(torch.tensor(starts), self.length + 1)
        else:
            places = np.array(starts)[:, None] + np.arange(self.length + 1)
            block = torch.from_numpy(self._tokens[places % len(self._tokens)].astype(np.int64))
        return block[:, :-1].contiguous(), block[:, 1:].contiguous()

    def _start(self, number: int) -> int:
        """Where the window with this number, counted through all epochs, begins in the ring."""
        epoch, place = divmod(number, self.windows)
        if self._epoch is None or self._epoch[0] != epoch:
            generator = np.random.default_rng([self.seed, epoch])
            offset = int(generator.integers(len(self._tokens)))
            self._epoch = (epoch, offset, generator.permutation(self.windows))
        _, offset, order = self._epoch
        return offset + int(order[place]) * self.length


class _DeviceTokens:
    """A stream of tokens on a device. Unsigned ones lie there as signed numbers of the same bits,
    which torch can index."""

    def __init__(self, stream: np.ndarray, device: torch.device | str) -> None:
        signed = np.dtype(f"i{stream.dtype.itemsize}")
        self._bits = 8 * signed.itemsize if stream.dtype.kind == "u" else 64
        self._tokens = torch.from_numpy(np.array(stream).view(signed)).to(device)

    def windows(self, starts: Tensor, length: int) -> Tensor:
        """The tokens from these places of the ring on: ``(windows,)`` to int64 ``(windows,
        length)``."""
        device = self._tokens.device
        starts = starts.to(device, non_blocking=True)  # do not wait for the steps before
        places = starts[:, None] + torch.arange(length, device=device)
        tokens = self._tokens[places % len(self._tokens)].long()
        return tokens if self._bits == 64 else tokens & ((1 << self._bits) - 1)


def evaluation_windows(
    tokens: Any, *, length: int, batch_size: int, scored: np.ndarray | None = None
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Windows that cover every target of a stream exactly once, in order.

    The targets are all tokens but the first of the stream, which nothing precedes. Windows do not
    overlap: window ``k`` reads tokens ``k n … k n + n - 1`` and predicts tokens
    ``k n + 1 … k n + n``. So the first target of a window is predicted from one token, the last
    from ``n``; a target never sees what lies before its window. (Overlapping windows would give
    more context and lower losses, at several times the work.)

    Args:
        tokens: a `TokenArray` or any one-dimensional integer array of ``N`` tokens.
        length: tokens ``n`` of a window.
        batch_size: windows of a batch; the last batch may have fewer.
        scored: bool, ``(N,)``: which tokens are targets (`TokenArray.scored`); the others are read
            only. None: all of them.

    Yields:
        inputs, targets (int64) and mask (bool), each ``(batch, length)``. The mask is False where
        the last window is filled up (with token 0) and where the target is not scored; with all
        tokens scored, it is True ``N - 1`` times in all.

    Raises:
        ValueError: fewer than two tokens, a size below 1, or ``scored`` of another shape or type.

    >>> inputs, targets, mask = next(evaluation_windows(np.arange(6), length=3, batch_size=2))
    >>> inputs.tolist(), targets.tolist(), mask.tolist()
    ([[0, 1, 2], [3, 4, 0]], [[1, 2, 3], [4, 5, 0]], [[True, True, True], [True, True, False]])
    """
    stream = _stream(tokens)
    _check_positive(length=length, batch_size=batch_size)
    if scored is not None and (scored.shape != stream.shape or scored.dtype != bool):
        raise ValueError(
            f"scored says of each of {len(stream)} tokens whether it is a target: bool of that "
            f"length; given {scored.dtype} of shape {scored.shape}"
        )
    if len(stream) < 2:
        raise ValueError(f"no target to predict in a stream of {len(stream)} tokens: at least 2")
    return _windows(stream, length, batch_size, scored)


def _windows(
    stream: np.ndarray, length: int, batch_size: int, scored: np.ndarray | None
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    targets_in_all = len(stream) - 1
    stride = length * batch_size
    for start in range(0, targets_in_all, stride):
        held = min(stride, targets_in_all - start)
        rows = -(-held // length)
        inputs, targets = np.zeros((2, rows * length), dtype=np.int64)
        inputs[:held] = stream[start : start + held]
        targets[:held] = stream[start + 1 : start + 1 + held]
        mask = np.arange(rows * length) < held
        if scored is not None:
            mask[:held] = scored[start + 1 : start + 1 + held]
        yield (
            torch.from_numpy(inputs).view(rows, length),
            torch.from_numpy(targets).view(rows, length),
            torch.from_numpy(mask).view(rows, length),
        )


def _stream(tokens: Any) -> np.ndarray:
    array = np.asarray(tokens)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(
            f"tokens must be a one-dimensional array of integers, given shape {array.shape} of "
            f"{array.dtype}"
        )
    return array


def _check_positive(**sizes: int) -> None:
    for name, value in sizes.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, given {value}")
