"""Remember keys and values: softmax attention, the baseline whose memory grows."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from tnnlab.attention import Attention
from tnnlab.generation.memory import Memory


class KeyValueCache(Memory):
    """Attention with the keys and values of all positions so far: a token costs O(position).

    Args:
        attention: causal.
        capacity: positions that there is room for.

    Shape: ``(batch, n, width)``, n new positions, to the same; ``mask (batch, n)``, True at real
    ones: no query attends to the others, now or later.
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
        earlier = torch.arange(end, device=x.device) <= places[:, None]
        y = F.scaled_dot_product_attention(
            q,
            self.keys[:, :, :end].to(q.dtype),
            self.values[:, :, :end].to(q.dtype),
            attn_mask=earlier & self.real[:, None, None, :end],
        )
        return cast(Tensor, self.attention.o(y.transpose(1, 2).flatten(2)))
