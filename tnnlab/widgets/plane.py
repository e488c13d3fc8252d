"""The complex plane as a picture: the unit circle, and where poles lie."""

from __future__ import annotations

import torch
from torch import Tensor

EDGE = 1.15  # of the square that is shown
CIRCLE = 0.3  # brightness of the unit circle


def pole_map(poles: Tensor, pixels: int = 33) -> Tensor:
    """Poles ``(h,)``, complex, as the nearest pixels of value 1 in a faint unit circle.

    Returns:
        ``(pixels, pixels)`` between 0 and 1; the imaginary axis points up. Poles outside the
        square are left out.
    """
    axis = torch.linspace(-EDGE, EDGE, pixels, dtype=torch.float64)
    z = torch.complex(axis[None, :], -axis[:, None])
    picture = CIRCLE * ((z.abs() - 1).abs() < EDGE / pixels).double()
    scale = (pixels - 1) / (2 * EDGE)
    columns = ((poles.real + EDGE) * scale).round().long()
    rows = ((EDGE - poles.imag) * scale).round().long()
    inside = (columns >= 0) & (columns < pixels) & (rows >= 0) & (rows < pixels)
    picture[rows[inside], columns[inside]] = 1.0
    return picture
