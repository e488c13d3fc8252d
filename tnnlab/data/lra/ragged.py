"""Sequences of different lengths in one array."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Ragged:
    """Rows that are pieces of one array of tokens; they may share pieces.

    Attributes:
        tokens: all tokens, ``(total,)``; can be memory-mapped.
        starts: where each row begins, ``(count,)``.
        lengths: how long it is, ``(count,)``.

    >>> rows = Ragged.of_lengths(np.array([5, 6, 7, 8]), np.array([3, 1]))
    >>> tokens, mask = rows.pad([0, 1], None, padding=0)
    >>> tokens, mask
    (tensor([[5, 6, 7],
            [8, 0, 0]]), tensor([[ True,  True,  True],
            [ True, False, False]]))
    """

    tokens: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of_lengths(cls, tokens: np.ndarray, lengths: np.ndarray) -> "Ragged":
        """Rows that follow each other without a gap."""
        lengths = np.asarray(lengths, dtype=np.int64)
        return cls(tokens, np.cumsum(lengths) - lengths, lengths)

    def take(self, rows: Any) -> "Ragged":
        """Some of the rows (a slice, or their numbers); the tokens are not copied."""
        return Ragged(self.tokens, self.starts[rows], self.lengths[rows])

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, row: int) -> np.ndarray:
        start = self.starts[row]
        return self.tokens[start : start + self.lengths[row]]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[row] for row in range(len(self)))

    def pad(self, rows: Any, length: int | None, padding: int) -> tuple[Tensor, Tensor]:
        """Rows side by side, filled up on the right: tokens (int64), mask (bool), ``(batch, n)``.

        Raises:
            ValueError: a row is longer than ``length``.
        """
        starts, lengths = self.starts[rows], self.lengths[rows]
        longest = int(lengths.max(initial=0))
        if length is not None and length < longest:
            raise ValueError(
                f"length is {length}, and the batch has a sequence of {longest} tokens: pad to at "
                "least that, or load the task with a smaller length"
            )
        places = np.arange(longest if length is None else length)
        mask = places < lengths[:, None]
        tokens = self.tokens[np.where(mask, starts[:, None] + places, 0)]
        tokens = np.where(mask, tokens.astype(np.int64), padding)
        return torch.from_numpy(tokens), torch.from_numpy(mask)


class Pool:
    """Collects byte strings, each kept once; `rows` finds them again by their numbers."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}

    def add(self, text: bytes) -> int:
        """The number of this string."""
        return self._numbers.setdefault(text, len(self._numbers))

    def ragged(self, end: int) -> Ragged:
        """All strings in the order of their numbers, with the token ``end`` after each."""
        return byte_rows(self._numbers, end)


def byte_rows(texts: Iterable[bytes], end: int) -> Ragged:
    """Texts as rows of their bytes, uint16, with the token ``end`` after each."""
    return token_rows((np.frombuffer(text, np.uint8) for text in texts), end)


def token_rows(texts: Iterable[np.ndarray], end: int) -> Ragged:
    """Texts as rows of their tokens, all below 65,536, with the token ``end`` after each."""
    texts = list(texts)
    lengths = np.fromiter(map(len, texts), np.int64, len(texts)) + 1
    tokens = np.empty(int(lengths.sum()), np.uint16)
    ends = np.cumsum(lengths) - 1
    within = np.ones(len(tokens), bool)
    within[ends] = False
    tokens[within] = np.concatenate([np.empty(0, np.uint16), *texts])
    tokens[ends] = end
    return Ragged.of_lengths(tokens, lengths)
