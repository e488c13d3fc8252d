"""Positions that a model adds to its embedding."""

import torch
from torch import Tensor, nn

from tnnlab.attention import places, wave_angles


class Sinusoids(nn.Module):
    """Adds sines and cosines of each position to its channels (Vaswani et al., "Attention is all
    you need", 2017, §3.5): ``sin(i · 10000^(-2c / width))`` to channel 2c, the cosine to channel
    2c + 1. No parameters, any length.

    Padding is not counted: real positions are 0, 1, … wherever they stand. Angles are computed in
    float32 (float64 for float64 input).

    Args:
        width: channels, an even number.

    Shape: ``(batch, n, width)`` to the same. Images, ``(batch, rows, columns, width)``, as well:
    their positions are counted row by row, and they have no mask.

    Raises:
        ValueError: an odd width.

    >>> Sinusoids(4)(torch.zeros(1, 2, 4))
    tensor([[[0.0000, 1.0000, 0.0000, 1.0000],
             [0.8415, 0.5403, 0.0100, 0.9999]]])
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        if width % 2:
            raise ValueError(f"width is even with sinusoids, which come in pairs; got {width}")
        self.width = width

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """``mask``: ``(batch, n)`` of bool, True at real positions; None: all are."""
        rows = x.flatten(1, -2)
        dtype = torch.promote_types(x.dtype, torch.float32)
        angle = wave_angles(places(rows, mask).to(dtype), self.width)
        table = torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2)
        return (rows + table.to(x.dtype)).view_as(x)

    def extra_repr(self) -> str:
        return str(self.width)
