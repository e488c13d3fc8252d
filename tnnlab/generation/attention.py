"""Remember keys and values: softmax attention, the baseline whose memory grows."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from tnnlab.attention import Attention, LearnedPositions, distance_bias
from tnnlab.generation.memory import Memory


class KeyValueCache(Memory):
    """Attention with the keys and values of all positions so far: a token costs O(position).

    Args:
        attention: causal.
        capacity: positions that there is room for.

    Shape: ``(batch, n, width)``, n new positions, to the same; ``mask (batch, n)``, True at real
    ones: no query attends to the others, now or later.

    >>> from tnnlab.generation import Streaming
    >>> attention, x = Attention(8, inner=16, causal=True, heads=2), torch.randn(1, 10, 8)
    >>> streaming = Streaming(attention, lambda m: KeyValueCache(m, 16) if m is attention else None)
    >>> y = torch.cat([streaming(x[:, :6]), streaming(x[:, 6:])], 1)
    >>> torch.allclose(y, attention(x), atol=1e-5)
    True
    """

    states = ("keys", "values", "real")
    keys: Tensor
    values: Tensor
    real: Tensor

    def __init__(self, attention: Attention, capacity: int) -> None:
        super().__init__()
        self.attention, self.capacity = attention, capacity
        weight = attention.qkv.weight
        shape = (0, attention.heads, capacity, weight.shape[0] // 3 // attention.heads)
        self.register_buffer("keys", weight.new_zeros(shape), False)
        self.register_buffer("values", weight.new_zeros(shape), False)
        self.register_buffer("real", weight.new_zeros(0, capacity, dtype=torch.bool), False)

    def prepare(self, first: int, n: int) -> None:
        super().prepare(first, n)
        if first + n > self.capacity:
            raise ValueError(
                f"the cache of keys and values has {self.capacity} places, and {first + n} are "
                "needed: give a larger length"
            )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        n = x.shape[1]
        places = self.clock + torch.arange(n, device=x.device)
        q, k, v = self.attention.project(x, self.clock)
        self.keys.index_copy_(2, places, k.to(self.keys.dtype))
        self.values.index_copy_(2, places, v.to(self.values.dtype))
        real = torch.ones_like(x[..., 0], dtype=torch.bool) if mask is None else mask
        self.real.index_copy_(1, places, real)
        end = self.capacity if self.static and n == 1 else self.first + n
        distance = places[:, None] - torch.arange(end, device=x.device)
        allowed = (distance >= 0) & self.real[:, None, None, :end]
        if self.attention.positions == "alibi":
            bias = distance_bias(distance, self.attention.heads, q.dtype)
            allowed = bias.masked_fill(~allowed, -torch.inf)
        y = F.scaled_dot_product_attention(
            q,
            self.keys[:, :, :end].to(q.dtype),
            self.values[:, :, :end].to(q.dtype),
            attn_mask=allowed,
        )
        return cast(Tensor, self.attention.o(y.transpose(1, 2).flatten(2)))


class NextPositions(Memory):
    """Learned positions that go on counting: each sequence's real ones, as its padding was.

    Args:
        positions: of the model.
        capacity: positions that will be asked for.

    Shape: ``(batch, n, width)``, n new positions, to the same; ``mask (batch, n)``, True at real
    ones.

    Raises:
        ValueError: the model has learned fewer positions.

    >>> from tnnlab.generation import Streaming
    >>> positions = LearnedPositions(64, width=8)
    >>> streaming = Streaming(positions, lambda m: NextPositions(positions, 64))
    >>> y = torch.cat([streaming(torch.zeros(1, n, 8)) for n in (6, 4)], 1)
    >>> torch.equal(y, positions(torch.zeros(1, 10, 8)))
    True
    """

    states = ("count",)
    count: Tensor

    def __init__(self, positions: LearnedPositions, capacity: int) -> None:
        super().__init__()
        positions.check(capacity)
        self.positions = positions
        zero = torch.zeros(0, 1, dtype=torch.long, device=positions.weight.device)
        self.register_buffer("count", zero, False)

    def prepare(self, first: int, n: int) -> None:
        super().prepare(first, n)
        self.positions.check(first + n)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        real = torch.ones_like(x[..., 0], dtype=torch.bool) if mask is None else mask
        counted = self.count + real.cumsum(1)
        self.count.copy_(counted[:, -1:])
        return x + self.positions.vectors((counted - 1).clamp(min=0))
