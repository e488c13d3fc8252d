"""Softmax attention, the baseline that a gated Toeplitz unit takes the place of."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head softmax attention (Vaswani et al., 2017) through PyTorch's fused product.

    ``softmax(q kᵀ / √(inner / heads)) v`` in each head, between linear maps of width to inner and
    back. Without ``rotary`` nothing tells positions apart but the causal mask.

    Args:
        width: channels in and out.
        inner: channels of queries, keys and values, all heads together.
        causal: whether position i attends to 0 … i only.
        heads: divides ``inner``.
        rotary: turn queries and keys by their position (Su et al., "RoFormer", 2021).

    Shape: ``(batch, length, width)`` to the same. ``mask (batch, length)``, True at real positions:
    no query attends to the others.

    Raises:
        ValueError: heads that do not divide ``inner``, or into odd parts with ``rotary``.
    """

    def __init__(
        self, width: int, inner: int, *, causal: bool, heads: int = 8, rotary: bool = False
    ) -> None:
        super().__init__()
        if heads < 1 or inner % heads or (rotary and inner // heads % 2):
            parts = "equal parts of even size (rotary turns pairs)" if rotary else "equal parts"
            raise ValueError(f"heads cut {inner} channels into {parts}; got {heads}")
        self.causal, self.heads, self.rotary = causal, heads, rotary
        self.qkv = nn.Linear(width, 3 * inner)
        self.o = nn.Linear(inner, width)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        q, k, v = self.project(x)
        allowed = None if mask is None else mask[:, None, None, :]
        if allowed is not None and self.causal:
            n = x.shape[1]
            allowed = allowed & torch.ones(n, n, dtype=torch.bool, device=x.device).tril()
        y = F.scaled_dot_product_attention(
            q, k, v, attn_mask=allowed, is_causal=self.causal and allowed is None
        )
        return self.o(y.transpose(1, 2).flatten(2))

    def project(self, x: Tensor, first: int | Tensor = 0) -> list[Tensor]:
        """Queries, keys and values, each ``(batch, heads, length, inner / heads)``, of positions
        ``first``, ``first + 1``, …"""
        qkv = self.qkv(x).unflatten(-1, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        return [rotate(q, first), rotate(k, first), v] if self.rotary else [q, k, v]

    def extra_repr(self) -> str:
        return f"heads={self.heads}, causal={self.causal}, rotary={self.rotary}"


def rotate(x: Tensor, first: int | Tensor = 0) -> Tensor:
    """Turn channel pairs (c, c + size / 2) at position i by the angle ``i · 10000^(-2c / size)``.

    Positions count from ``first``. Products of a turned query and a turned key depend on their
    distance only. Angles are computed in float32 (float64 for float64 input).

    Shape: ``(..., length, size)``, size even, to the same.
    """
    dtype = torch.promote_types(x.dtype, torch.float32)
    n, size = cast(tuple[int, int], x.shape[-2:])
    exponent = torch.arange(0, size, 2, device=x.device, dtype=dtype) / size
    position = torch.arange(n, device=x.device, dtype=dtype) + first
    angle = position[:, None] * 10000.0**-exponent
    cos, sin = angle.cos(), angle.sin()
    a, b = x.to(dtype).chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1).to(x.dtype)
