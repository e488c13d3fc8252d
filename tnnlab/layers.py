"""The layers of a Toeplitz network: gated mixing of positions, gated mixing of channels."""

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tnnlab.norms import BLOCK_NORMS, lookup, normalize


def zero_padding(x: Tensor, mask: Tensor | None) -> Tensor:
    """``x`` with zeros where the mask ``(batch, length)`` is False, so that no sum sees them.

    >>> mask = torch.tensor([[True, True, False]])
    >>> zero_padding(torch.ones(1, 3, 2), mask).sum(-1)
    tensor([[2., 2., 0.]])
    """
    return x if mask is None else x.masked_fill(~mask.unsqueeze(-1), 0)


def channel_rows(linear: nn.Linear, x: Tensor) -> Tensor:
    """``linear(x)`` of ``(…, width)`` as ``(channels, positions)``: a row for each channel.

    A Toeplitz operator reads along the length of each channel. The matrix product can write its
    output that way round at no cost, and the next one read it, so that nothing is transposed. What
    comes between them works on rows, too: a compiler lays out what it makes by its shape.

    >>> channel_rows(nn.Linear(8, 4), torch.zeros(2, 10, 8)).shape
    torch.Size([4, 20])
    """
    y = torch.mm(linear.weight, x.reshape(-1, x.shape[-1]).t())
    return y + linear.bias.to(y.dtype).unsqueeze(1)  # which autocast would not lower


def from_rows(linear: nn.Linear, rows: Tensor) -> Tensor:
    """``linear`` of rows ``(channels, …)`` as ``(…, width)``, which are not transposed for it.

    >>> from_rows(nn.Linear(4, 8), torch.zeros(4, 2, 10)).shape
    torch.Size([2, 10, 8])
    """
    return linear(rows.flatten(1).t()).unflatten(0, rows.shape[1:])


def zero_padded_rows(rows: Tensor, mask: Tensor | None) -> Tensor:
    """:func:`zero_padding` of rows ``(channels, batch, length)``.

    >>> zero_padded_rows(torch.ones(2, 1, 3), torch.tensor([[True, True, False]])).sum(0)
    tensor([[2., 2., 0.]])
    """
    return rows if mask is None else rows.masked_fill(~mask, 0)


class GTU(nn.Module):
    """Gated Toeplitz unit (Qin et al., ICLR 2023, §3.5).

    ``u = SiLU(x W_u + b_u)``, ``v = SiLU(x W_v + b_v)``, ``out = (u ⊙ operator(v)) W_o + b_o``.
    The inner width is the operator's number of channels: e · width for an expansion e.
    Weights and biases start from N(0, 0.02²), as in the code released for the Long-Range Arena.

    Args:
        width: channels in and out.
        operator: mixes positions, ``(batch, length, inner)`` to the same; a Toeplitz operator, SKI,
            or :class:`tnnlab.operators.Separable2D` on ``(batch, height, width, inner)``.

    Shape: ``(batch, length, width)`` to the same. ``mask (batch, length)``, True at real positions:
    the others enter the operator as zeros. Further arguments go to the operator.

    >>> from tnnlab.operators import TNO
    >>> GTU(8, TNO(24, causal=True))(torch.randn(2, 10, 8)).shape  # e = 3
    torch.Size([2, 10, 8])
    """

    def __init__(self, width: int, operator: nn.Module) -> None:
        super().__init__()
        inner = cast(int, operator.channels)
        self.u_proj = nn.Linear(width, inner)
        self.v_proj = nn.Linear(width, inner)
        self.operator = operator
        self.o = nn.Linear(inner, width)
        for linear in (self.u_proj, self.v_proj, self.o):
            nn.init.normal_(linear.weight, std=0.02)
            nn.init.normal_(linear.bias, std=0.02)

    def forward(self, x: Tensor, mask: Tensor | None = None, **given: Any) -> Tensor:
        u, v = (
            F.silu(channel_rows(linear, x)).unflatten(1, x.shape[:-1])
            for linear in (self.u_proj, self.v_proj)
        )
        y = self.operator(zero_padded_rows(v, mask).movedim(0, -1), **given)
        return from_rows(self.o, u * y.movedim(-1, 0))


class GLU(nn.Module):
    """Gated linear unit: ``(SiLU(x W_1 + b_1) ⊙ (x W_2 + b_2)) W_3 + b_3`` (Shazeer, 2020).

    Args:
        width: channels in and out.
        inner: channels between.

    Shape: ``(..., width)`` to the same.

    >>> GLU(8, inner=16)(torch.randn(2, 10, 8)).shape
    torch.Size([2, 10, 8])
    """

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.l1 = nn.Linear(width, inner)
        self.l2 = nn.Linear(width, inner)
        self.l3 = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.l3(F.silu(self.l1(x)) * self.l2(x))


class TNNBlock(nn.Module):
    """One block: a GTU mixes positions, a GLU mixes channels, each with a residual connection.

    Pre-norm, ``x + GTU(norm(x))`` and ``x + GLU(norm(x))``, or post-norm,
    ``norm(x + GTU(x))`` and ``norm(x + GLU(x))``.

    Args:
        gtu: mixes positions, ``gtu(x, mask)``: a GTU, or what stands in its place
            (:class:`tnnlab.attention.Attention`, :mod:`tnnlab.mixers`).
        glu: mixes channels; None: the block has the first half only.
        width: channels in and out.
        norm: ``"rms"``, ``"layer"``, ``"batch"`` or ``"none"``.
        pre_norm: normalise before each mixer (else after its residual).
        dropout: on each mixer's output, before it is added; in [0, 1).

    Shape: ``(batch, length, width)`` to the same. ``mask (batch, length)``, True at real positions:
    what stands at the others changes no output at the real ones. Further arguments go to ``gtu``.

    >>> from tnnlab.operators import TNO
    >>> block = TNNBlock(GTU(8, TNO(24, causal=True)), GLU(8, inner=16), width=8)
    >>> block(torch.randn(2, 10, 8)).shape
    torch.Size([2, 10, 8])
    """

    def __init__(
        self,
        gtu: nn.Module,
        glu: GLU | None,
        *,
        width: int,
        norm: str = "rms",
        pre_norm: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        make_norm = lookup("the norm", norm, BLOCK_NORMS)
        self.gtu, self.glu = gtu, glu
        self.gtu_norm = make_norm(width)
        self.glu_norm = None if glu is None else make_norm(width)
        self.dropout = nn.Dropout(dropout)
        self.pre_norm = pre_norm

    def forward(self, x: Tensor, mask: Tensor | None = None, **given: Any) -> Tensor:
        if self.pre_norm:
            x = x + self.dropout(self.gtu(normalize(self.gtu_norm, x, mask), mask, **given))
        else:
            x = normalize(self.gtu_norm, x + self.dropout(self.gtu(x, mask, **given)), mask)
        if self.glu is None or self.glu_norm is None:
            return x
        if self.pre_norm:
            return x + self.dropout(self.glu(normalize(self.glu_norm, x, mask)))
        return normalize(self.glu_norm, x + self.dropout(self.glu(x)), mask)
