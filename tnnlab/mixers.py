"""The layers that RTF was published in, in place of a GTU: S4's, Hyena's of order 2, and none.

Each takes any operator with ``channels`` and ``operator(x)``, and hands further arguments on to it,
as the GTU does.
"""

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tnnlab.layers import channel_rows, from_rows, zero_padded_rows, zero_padding


class S4Layer(nn.Module):
    """The layer of S4 as RTF's experiments have it (Gu, Goel & Ré, 2022; Parnichkun et al., 2024):
    ``GLU(W dropout(GELU(operator(x))) + b)``.

    The last map doubles the channels, and one half gates the other through a sigmoid: it mixes
    channels, and the published block has no other layer for that. The operators here have a
    learned tap of their own at lag 0, so there is no further skip ``D x``.

    Args:
        operator: with ``channels`` as wide as the residual stream.
        dropout: before the last map; in [0, 1).

    Shape: ``(batch, length, channels)`` to the same; ``mask`` as in :class:`tnnlab.layers.GTU`.

    >>> from tnnlab.operators import S4D
    >>> S4Layer(S4D(8, causal=True))(torch.randn(2, 10, 8)).shape
    torch.Size([2, 10, 8])
    """

    def __init__(self, operator: nn.Module, *, dropout: float = 0.0) -> None:
        super().__init__()
        channels = cast(int, operator.channels)
        self.operator = operator
        self.dropout = nn.Dropout(dropout)
        self.o = nn.Linear(channels, 2 * channels)

    def forward(self, x: Tensor, mask: Tensor | None = None, **given: Any) -> Tensor:
        rows = zero_padding(x, mask).movedim(-1, 0).contiguous()  # once, for all that follows
        y = F.gelu(self.operator(rows.movedim(0, -1), **given).movedim(-1, 0))
        return F.glu(from_rows(self.o, self.dropout(y)), dim=-1)


class Hyena(nn.Module):
    """Hyena of order 2 (Poli et al., "Hyena Hierarchy", ICML 2023, §3.1-3.2).

    Three projections of x, each through a short convolution of its own: ``x_0, x_1, v``. Then
    ``out = (x_0 ⊙ operator(x_1 ⊙ v)) W_o + b_o``: two gates around one long convolution.

    Args:
        width: channels in and out.
        operator: the long convolution, on e · width channels. Its direction is the layer's: the
            short convolution spans lags 0 … 2 if it is causal, -1 … 1 if not.

    Shape: ``(batch, length, width)`` to the same; ``mask`` as in :class:`tnnlab.layers.GTU`.

    >>> from tnnlab.operators import HyenaFilter
    >>> Hyena(8, HyenaFilter(8, causal=True))(torch.randn(2, 10, 8)).shape
    torch.Size([2, 10, 8])
    """

    def __init__(self, width: int, operator: nn.Module) -> None:
        super().__init__()
        inner = cast(int, operator.channels)
        self.projections = nn.Linear(width, 3 * inner)
        self.short = DepthwiseConv1d(3 * inner, taps=3)
        self.operator = operator
        self.o = nn.Linear(inner, width)

    def forward(self, x: Tensor, mask: Tensor | None = None, **given: Any) -> Tensor:
        rows = channel_rows(self.projections, x).unflatten(1, x.shape[:-1])
        rows = zero_padded_rows(rows, mask)
        around = (2, 0) if self.operator.causal else (1, 1)
        short = self.short(F.pad(rows, around).movedim(0, -2)).movedim(-2, 0)
        x0, x1, v = short.chunk(3)  # (channels, batch, length)
        y = self.operator(zero_padded_rows(x1 * v, mask).movedim(0, -1), **given)
        return from_rows(self.o, x0 * y.movedim(-1, 0))


class DepthwiseConv1d(nn.Conv1d):
    """A convolution of each channel by itself, with few taps: as a sum of shifted rows, which a
    compiler joins with what is around. For a convolution it has all channels copied, twice.

    Args:
        channels: in and out.
        taps: the width of the kernel.

    Shape: ``(batch, channels, taps - 1 + n)`` to ``(batch, channels, n)``, as of ``nn.Conv1d``.

    >>> convolution, x = DepthwiseConv1d(4, taps=3), torch.randn(2, 4, 12)
    >>> torch.allclose(convolution(x), nn.Conv1d.forward(convolution, x), atol=1e-6)
    True
    """

    def __init__(self, channels: int, *, taps: int) -> None:
        super().__init__(channels, channels, taps, groups=channels)

    def forward(self, input: Tensor) -> Tensor:
        rows = input.movedim(-2, 0)  # (channels, …, length)
        taps = self.weight.to(torch.promote_types(self.weight.dtype, torch.float32))
        taps = taps.permute(2, 0, 1).unflatten(-1, (1,) * (rows.ndim - 1))
        n = rows.shape[-1] - len(taps) + 1
        shifted = (rows[..., start : start + n] for start in range(len(taps)))
        y = cast(Tensor, sum(tap * row for tap, row in zip(taps, shifted, strict=True)))
        return (y.movedim(0, -2) + cast(Tensor, self.bias)[:, None]).to(input.dtype)


class LinearLayer(nn.Module):
    """The operator alone: a linear model of signals is made of it (Gu et al., "How to Train Your
    HiPPO", ICLR 2023; Parnichkun et al., 2024: the Delay task).

    Args:
        operator: with ``channels`` as wide as the residual stream.

    Shape: ``(batch, length, channels)`` to the same; ``mask`` as in :class:`tnnlab.layers.GTU`.

    >>> from tnnlab.operators import S4D
    >>> LinearLayer(S4D(8, causal=True))(torch.randn(2, 10, 8)).shape
    torch.Size([2, 10, 8])
    """

    def __init__(self, operator: nn.Module) -> None:
        super().__init__()
        self.operator = operator

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.operator(zero_padding(x, mask))
