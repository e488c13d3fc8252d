"""What a task's split holds: sequences, pairs of them, or grey images, each with a label.

Whatever the kind, ``model(*batch.inputs)`` is the model's forward pass: `SequenceClassifier` for
`Sequences`, `PairClassifier` for `Pairs`, `ImageClassifier` for `Images`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tnnlab.data.lra.ragged import Ragged


class Batch(NamedTuple):
    """Samples as tensors.

    >>> from tnnlab.data.lra import load_pathfinder
    >>> batch = load_pathfinder("generated", samples=20).test.collate([0, 1])
    >>> batch.inputs[0].shape, batch.labels.shape
    (torch.Size([2, 32, 32]), torch.Size([2]))
    """

    inputs: tuple[Tensor, ...]  #: what the model is called with
    labels: Tensor  #: int64 of ``(batch,)``


class Split(ABC):
    """Samples with labels; ``split[i]`` is a sample as numpy arrays and a label.

    >>> from tnnlab.data.lra import load_pathfinder
    >>> split = load_pathfinder("generated", samples=20).test
    >>> image, label = split[0]
    >>> len(split), image.shape, label in (0, 1)
    (2, (32, 32), True)
    """

    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def __getitem__(self, index: int) -> tuple[Any, ...]: ...

    @abstractmethod
    def collate(self, rows: Any, length: int | None = None) -> Batch:
        """Put samples into one batch.

        Args:
            rows: their numbers, ``(batch,)`` integers.
            length: sequences are padded to it; None: to the longest of the batch. Images all
                have one size, and take None.

        Raises:
            ValueError: a sequence is longer than ``length``.
        """

    @abstractmethod
    def _content(self) -> Iterator[np.ndarray]:
        """All that makes up the samples, in a fixed order; for checksums."""

    def _labels(self, rows: Any) -> Tensor:
        return torch.from_numpy(self.labels[rows].astype(np.int64))


@dataclass(frozen=True, eq=False)
class Sequences(Split):
    """Sequences of tokens. A batch has inputs tokens (int64) and mask (bool), ``(batch, n)``.

    Attributes:
        rows: the tokens.
        labels: ``(count,)`` integers.
        vocab_size: tokens are 0 … vocab_size - 1, the padding included.
        padding: the token that fills up shorter sequences of a batch; the mask is False there.

    >>> rows = Ragged.of_lengths(np.array([5, 6, 7, 8]), np.array([3, 1]))
    >>> split = Sequences(rows, np.array([0, 1]), vocab_size=10, padding=9)
    >>> tokens, mask = split.collate([1, 0]).inputs
    >>> tokens
    tensor([[8, 9, 9],
            [5, 6, 7]])
    """

    rows: Ragged
    labels: np.ndarray
    vocab_size: int
    padding: int

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return self.rows[index], int(self.labels[index])

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each sequence, ``(count,)``."""
        return self.rows.lengths

    def collate(self, rows: Any, length: int | None = None) -> Batch:
        return Batch(self.rows.pad(rows, length, self.padding), self._labels(rows))

    def _content(self) -> Iterator[np.ndarray]:
        return iter(self.rows)


@dataclass(frozen=True, eq=False)
class Pairs(Split):
    """Pairs of sequences. A batch has inputs first, second, and the mask of each, ``(batch, n)``.

    Attributes are those of `Sequences`, with ``first`` and ``second`` in place of ``rows``.

    >>> rows = Ragged.of_lengths(np.array([5, 6, 7, 8]), np.array([3, 1]))
    >>> split = Pairs(rows, rows, np.array([1, 1]), vocab_size=10, padding=9)
    >>> [tuple(tensor.shape) for tensor in split.collate([1]).inputs]
    [(1, 1), (1, 1), (1, 1), (1, 1)]
    """

    first: Ragged
    second: Ragged
    labels: np.ndarray
    vocab_size: int
    padding: int

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, int]:
        return self.first[index], self.second[index], int(self.labels[index])

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of both sequences of each pair, ``(count, 2)``."""
        return np.stack([self.first.lengths, self.second.lengths], 1)

    def collate(self, rows: Any, length: int | None = None) -> Batch:
        first, first_mask = self.first.pad(rows, length, self.padding)
        second, second_mask = self.second.pad(rows, length, self.padding)
        return Batch((first, second, first_mask, second_mask), self._labels(rows))

    def _content(self) -> Iterator[np.ndarray]:
        for first, second in zip(self.first, self.second, strict=True):
            yield first
            yield second


@dataclass(frozen=True, eq=False)
class Images(Split):
    """Grey images. A batch has one input, float32 of ``(batch, height, width)``.

    Attributes:
        pixels: uint8 of ``(count, height, width)``.
        labels: ``(count,)`` integers.
        mean, std: a batch holds ``(pixels / 255 - mean) / std``.

    >>> pixels = np.array([[[0, 255], [255, 0]]], dtype=np.uint8)
    >>> split = Images(pixels, np.array([1]), mean=0.5, std=0.5)
    >>> split.collate([0]).inputs[0], split.sequences()[0]
    (tensor([[[-1.,  1.],
             [ 1., -1.]]]), (array([  0, 255, 255,   0], dtype=uint8), 1))
    """

    pixels: np.ndarray
    labels: np.ndarray
    mean: float
    std: float

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return self.pixels[index], int(self.labels[index])

    def collate(self, rows: Any, length: int | None = None) -> Batch:
        if length is not None:
            raise ValueError(f"images are not padded: length is None for them, given {length}")
        pixels = torch.from_numpy(self.pixels[rows].astype(np.float32))
        return Batch(((pixels / 255 - self.mean) / self.std,), self._labels(rows))

    def sequences(self) -> Sequences:
        """The same images as sequences of ``height * width`` pixels, row by row, tokens 0 … 255."""
        count, size = len(self), int(np.prod(self.pixels.shape[1:]))
        starts, lengths = np.arange(count) * size, np.full(count, size)
        flat = Ragged(self.pixels.reshape(-1), starts, lengths)
        return Sequences(flat, self.labels, vocab_size=256, padding=0)

    def _content(self) -> Iterator[np.ndarray]:
        return iter(self.pixels)
