"""Two dimensions from two 1-D operators: one along the rows of an image, one along its columns."""

from typing import Any, cast

from torch import Tensor, nn


class Separable2D(nn.Module):
    """Mix positions of an H × W image along its width, then along its height (Qin et al., ICLR
    2023, as released for images).

    The published unit adds "width, then height" to "height, then width". The two are linear maps
    on different axes, so they commute and both terms are equal: one pass and a factor 2 compute
    the same function, in half of the time.

    Args:
        along_width, along_height: operators on ``(batch, length, channels)``, of as many channels
            and of the same direction: TNO, FDTNO, SKITNO, RTF, S4D, …

    Shape: ``(batch, height, width, channels)`` to the same, any height and width ≥ 1.

    Raises:
        ValueError: the operators differ in channels or direction.

    >>> import torch
    >>> from tnnlab.operators import TNO
    >>> operator = Separable2D(TNO(4, causal=False), TNO(4, causal=False))
    >>> operator(torch.randn(2, 8, 12, 4)).shape  # 8 rows of 12 pixels
    torch.Size([2, 8, 12, 4])
    """

    def __init__(self, along_width: nn.Module, along_height: nn.Module) -> None:
        super().__init__()
        a, b = ((op.channels, op.causal) for op in (along_width, along_height))
        if a != b:
            raise ValueError(
                "both operators have the same channels and direction; "
                f"got (channels, causal) = {a} along the width and {b} along the height"
            )
        self.along_width, self.along_height = along_width, along_height
        self.channels, self.causal = cast(int, a[0]), cast(bool, a[1])

    def forward(self, x: Tensor, **given: dict[str, Any]) -> Tensor:
        """Mix all positions.

        Args:
            x: the images.
            given: further arguments of an operator, by its name.

        Raises:
            ValueError: x is not ``(batch, height, width, channels)``.
        """
        if x.ndim != 4 or x.shape[-1] != self.channels:
            raise ValueError(
                f"a 2-D operator takes (batch, height, width, channels) with channels = "
                f"{self.channels}; got {tuple(x.shape)}"
            )
        x = along_rows(self.along_width, x, **given.get("along_width", {}))
        x = along_rows(self.along_height, x.transpose(1, 2), **given.get("along_height", {}))
        return 2 * x.transpose(1, 2)


def along_rows(operator: nn.Module, x: Tensor, **given: Any) -> Tensor:
    """Apply a 1-D operator to each row: ``(batch, height, width, channels)`` to the same."""
    # With channels first, what has to be copied on the way (and back) comes out as an operator
    # reads it: along its length.
    rows = x.movedim(-1, 0).flatten(1, 2)
    mixed = operator(rows.movedim(0, -1), **given).movedim(-1, 0)
    return mixed.unflatten(1, x.shape[:2]).movedim(0, -1)
