"""A sequence as one vector: the mean, the last or the first of its real positions."""

from collections.abc import Callable

import torch
from torch import Tensor

Pooling = Callable[[Tensor, Tensor | None], Tensor]


def mean(x: Tensor, mask: Tensor | None) -> Tensor:
    """Average over the real positions; 0 where there are none."""
    if mask is None:
        return x.mean(1)
    total = x.masked_fill(~mask.unsqueeze(-1), 0).sum(1)
    return total / mask.sum(1, keepdim=True).clamp(min=1)


def last(x: Tensor, mask: Tensor | None) -> Tensor:
    """The last real position."""
    if mask is None:
        return x[:, -1]
    return _at(x, torch.where(mask, _positions(x), 0).amax(1))


def first(x: Tensor, mask: Tensor | None) -> Tensor:
    """The first real position."""
    if mask is None:
        return x[:, 0]
    return _at(x, torch.where(mask, _positions(x), x.shape[1] - 1).amin(1))


# Each takes x (batch, n, width) and a mask (batch, n), True at real positions: (batch, width).
POOLINGS: dict[str, Pooling] = {"mean": mean, "last": last, "first": first}


def _positions(x: Tensor) -> Tensor:
    return torch.arange(x.shape[1], device=x.device)


def _at(x: Tensor, index: Tensor) -> Tensor:
    return x.gather(1, index[:, None, None].expand(-1, 1, x.shape[2])).squeeze(1)
