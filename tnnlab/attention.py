"""Softmax attention, the baseline that a gated Toeplitz unit takes the place of."""

from functools import lru_cache
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

POSITIONS = ("rotary", "alibi", "none")


class Attention(nn.Module):
    """Multi-head softmax attention (Vaswani et al., 2017) through PyTorch's fused product.

    ``softmax(q kᵀ / √(inner / heads) + bias) v`` in each head, between linear maps of width to
    inner and back. How a head tells positions apart:

    * ``"rotary"``: queries and keys are turned by their position (Su et al., "RoFormer", 2021).
    * ``"alibi"``: head h of H has the bias ``-2^(-8h/H) |i - j|`` (Press et al., "Train Short,
      Test Long", ICLR 2022, §3; symmetric where the attention is not causal). A bias rules out
      PyTorch's flash attention: on GPUs its memory-efficient product is used. The bias of the two
      latest lengths, H n² numbers in the dtype of the queries, is kept for all layers together.
    * ``"none"``: not at all, but for the causal mask; with :class:`LearnedPositions` before.

    Args:
        width: channels in and out.
        inner: channels of queries, keys and values, all heads together.
        causal: whether position i attends to 0 … i only.
        heads: divides ``inner``.
        positions: one of those above.

    Shape: ``(batch, length, width)`` to the same. ``mask (batch, length)``, True at real positions:
    no query attends to the others.

    Raises:
        ValueError: unknown positions; heads that do not divide ``inner``, or into odd parts with
            "rotary".

    >>> Attention(8, inner=16, causal=True, heads=2)(torch.randn(2, 10, 8)).shape
    torch.Size([2, 10, 8])
    """

    def __init__(
        self, width: int, inner: int, *, causal: bool, heads: int = 8, positions: str = "rotary"
    ) -> None:
        super().__init__()
        if positions not in POSITIONS:
            raise ValueError(
                f"positions is one of {', '.join(map(repr, POSITIONS))}; got {positions!r}"
            )
        rotary = positions == "rotary"
        if heads < 1 or inner % heads or (rotary and inner // heads % 2):
            parts = "equal parts of even size (rotary turns pairs)" if rotary else "equal parts"
            raise ValueError(f"heads cut {inner} channels into {parts}; got {heads}")
        self.causal, self.heads, self.positions = causal, heads, positions
        self.qkv = nn.Linear(width, 3 * inner)
        self.o = nn.Linear(inner, width)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        q, k, v = self.project(x)
        n = x.shape[1]
        allowed = None if mask is None else mask[:, None, None, :]
        if self.positions == "alibi":
            # A compiler makes it anew, in one pass for all layers, and may not keep it.
            make = _alibi if torch.compiler.is_compiling() else _alibi_kept
            bias = make(self.heads, n, self.causal, q.dtype, q.device)
            allowed = bias if allowed is None else bias.masked_fill(~allowed, -torch.inf)
        elif allowed is not None and self.causal:
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
        return [rotate(q, first), rotate(k, first), v] if self.positions == "rotary" else [q, k, v]

    def extra_repr(self) -> str:
        return f"heads={self.heads}, causal={self.causal}, positions={self.positions!r}"


class LearnedPositions(nn.Module):
    """A learned vector for each position, added to the token's (Gehring et al., 2017; as in GPT-2,
    Radford et al., 2019).

    Real positions are counted, so that padding on either side changes nothing elsewhere. Like the
    token embedding of :class:`tnnlab.models.CausalLM` the vectors are scaled by √width; they start
    at half its size, N(0, 1 / (4 width)), as GPT-2's do.

    Args:
        length: number of positions; there are no others.
        width: channels.

    Shape: ``(batch, n, width)`` to the same, n ≤ length; ``mask (batch, n)``, True at real
    positions.

    Raises:
        ValueError: length below 1, or (when called) more positions than there are vectors for.

    >>> LearnedPositions(64, width=8)(torch.zeros(2, 10, 8)).shape
    torch.Size([2, 10, 8])
    """

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        if length < 1:
            raise ValueError(f"the number of learned positions is at least 1; got {length}")
        self.weight = nn.Parameter(torch.empty(length, width))
        nn.init.normal_(self.weight, std=0.5 * width**-0.5)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        self.check(x.shape[1])
        return x + self.vectors(places(x, mask))

    def vectors(self, places: Tensor) -> Tensor:
        """What is added at these places, ``(…)`` to ``(…, width)``."""
        return F.embedding(places, self.weight) * self.weight.shape[1] ** 0.5

    def check(self, n: int) -> None:
        """Refuse more positions than there are."""
        if n > len(self.weight):
            raise ValueError(
                f"this model has learned {len(self.weight)} positions, and {n} are needed: give "
                "it shorter texts, or train one with more (learned_positions), or with positions "
                "that have no end ('rotary', 'alibi')"
            )

    def extra_repr(self) -> str:
        return f"{len(self.weight)}, {self.weight.shape[1]}"


def places(x: Tensor, mask: Tensor | None) -> Tensor:
    """The positions of ``x (batch, n, width)``, from 0: ``(n,)``; with a mask, True at real
    positions, ``(batch, n)``, where padding is not counted.

    >>> places(torch.zeros(1, 3, 2), torch.tensor([[False, True, True]]))
    tensor([[0, 0, 1]])
    """
    if mask is None:
        return torch.arange(x.shape[1], device=x.device)
    return (mask.cumsum(1) - 1).clamp(min=0)


def wave_angles(position: Tensor, size: int) -> Tensor:
    """Angles ``i · 10000^(-2c / size)`` of positions i for pairs of channels c: ``(…)`` of floating
    point numbers to ``(…, size / 2)``.

    >>> wave_angles(torch.tensor([0.0, 1.0]), 4)
    tensor([[0.0000, 0.0000],
            [1.0000, 0.0100]])
    """
    exponent = torch.arange(0, size, 2, device=position.device, dtype=position.dtype) / size
    return position[..., None] * 10000.0**-exponent


def rotate(x: Tensor, first: int | Tensor = 0) -> Tensor:
    """Turn channel pairs (c, c + size / 2) at position i by the angle ``i · 10000^(-2c / size)``.

    Positions count from ``first``. Products of a turned query and a turned key depend on their
    distance only. Angles are computed in float32 (float64 for float64 input).

    Shape: ``(..., length, size)``, size even, to the same.

    >>> q, k = torch.randn(1, 4), torch.randn(1, 4)
    >>> near, far = ((rotate(q, first=i + 3) * rotate(k, first=i)).sum() for i in (0, 100))
    >>> torch.allclose(near, far, atol=1e-4)  # the distance is 3 in both
    True
    """
    dtype = torch.promote_types(x.dtype, torch.float32)
    n, size = cast(tuple[int, int], x.shape[-2:])
    angle = wave_angles(torch.arange(n, device=x.device, dtype=dtype) + first, size)
    cos, sin = angle.cos(), angle.sin()
    a, b = x.to(dtype).chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1).to(x.dtype)


def distance_bias(distance: Tensor, heads: int, dtype: torch.dtype) -> Tensor:
    """ALiBi's bias ``-2^(-8h/heads) |distance|`` of heads h = 1 … heads: ``(n, m)`` to
    ``(heads, n, m)``. Computed in float32 (float64 for that dtype), then rounded.

    For a number of heads that is no power of two the paper's code takes other slopes, between
    those of its neighbours; here they are the geometric sequence of its text for every number.

    >>> distance_bias(torch.tensor([[0, 1, 2]]), heads=2, dtype=torch.float32)[:, 0]
    tensor([[-0.0000, -0.0625, -0.1250],
            [-0.0000, -0.0039, -0.0078]])
    """
    high = torch.promote_types(dtype, torch.float32)
    h = torch.arange(1, heads + 1, device=distance.device, dtype=high)
    return (-torch.exp2(-8 * h / heads)[:, None, None] * distance.abs()).to(dtype)


def _alibi(heads: int, n: int, causal: bool, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The bias of n queries and n keys, ``(heads, n, n)``; -∞ in the future of a causal one."""
    place = torch.arange(n, device=device)
    distance = place[:, None] - place
    bias = distance_bias(distance, heads, dtype)
    return bias.masked_fill(distance < 0, -torch.inf) if causal else bias


@lru_cache(maxsize=2)  # lengths of training and of evaluation
def _alibi_kept(*arguments: Any) -> Tensor:
    with torch.inference_mode(False):  # it may serve a training step next
        return _alibi(*arguments)
