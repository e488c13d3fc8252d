"""Normalisations, by the names a configuration uses."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class RMSNorm(nn.Module):
    """Root-mean-square norm with no learned parameters: ``x / (‖x‖₂ / √width + 1e-8)``.

    The norm of Qin et al., "Toeplitz Neural Network" (ICLR 2023). Half-precision input is
    normalised in float32, and the result cast back.

    Args:
        width: size of the last dimension.

    Shape: ``(..., width)`` to the same.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        high = _at_least_float32(x)
        rms = torch.linalg.vector_norm(high, dim=-1, keepdim=True) / self.width**0.5
        return (high / (rms + 1e-8)).to(x.dtype)

    def extra_repr(self) -> str:
        return f"{self.width}"


class LayerNorm(nn.LayerNorm):
    """PyTorch's layer norm, computed in float32 where its input or weights are half precision."""

    def forward(self, input: Tensor) -> Tensor:
        weight, bias = _at_least_float32(self.weight), _at_least_float32(self.bias)
        high = _at_least_float32(input)
        return F.layer_norm(high, self.normalized_shape, weight, bias, self.eps).to(input.dtype)


def _at_least_float32(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


NORMS: dict[str, Callable[[int], nn.Module]] = {"rms": RMSNorm, "layer": LayerNorm}


def lookup(kind: str, name: str, table: dict[str, Callable]) -> Callable:
    """Find ``name`` in a table of choices, or say what is there.

    Raises:
        ValueError: the name is not in the table.
    """
    if name not in table:
        raise ValueError(f"{kind} is one of {', '.join(map(repr, table))}; got {name!r}")
    return table[name]
