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

    >>> RMSNorm(2)(torch.tensor([3.0, 4.0])).square().mean()
    tensor(1.)
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
    """PyTorch's layer norm, computed in float32 where its input or weights are half precision.

    >>> LayerNorm(4)(torch.tensor([1.0, 1.0, 3.0, 3.0], dtype=torch.bfloat16)).tolist()
    [-1.0, -1.0, 1.0, 1.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        weight, bias = _at_least_float32(self.weight), _at_least_float32(self.bias)
        high = _at_least_float32(input)
        return F.layer_norm(high, self.normalized_shape, weight, bias, self.eps).to(input.dtype)


class BatchNorm(nn.Module):
    """Batch norm over batch and all positions, one mean and variance for each channel.

    With a mask only the real positions count: padding changes neither the statistics nor the
    result elsewhere. In evaluation the running averages stand in, and nothing depends on the batch.
    Each process of a distributed run has statistics of its own.

    Args:
        width: size of the last dimension.

    Shape: ``(batch, ..., width)``, mask ``(batch, ...)`` or None, to the same as the first.

    >>> x, mask = torch.tensor([[[1.0], [3.0], [99.0]]]), torch.tensor([[True, True, False]])
    >>> y = BatchNorm(1)(x, mask).detach()
    >>> [round(value, 3) for value in y[0, :2, 0].tolist()]  # the padding, 99, has no say
    [-1.0, 1.0]
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, width: int, *, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.momentum, self.eps = momentum, eps
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        high = _at_least_float32(x)
        mean, variance = self.running_mean, self.running_var
        if self.training:
            mean, variance = self._statistics(high, mask)
        scale = torch.rsqrt(variance + self.eps) * self.weight
        return ((high - mean) * scale + self.bias).to(x.dtype)

    def _statistics(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and (biased) variance now; the running averages move towards them."""
        where = x.new_ones(x.shape[:-1]) if mask is None else mask.to(x.dtype)
        weight, axes = where.unsqueeze(-1), tuple(range(x.ndim - 1))
        count = where.sum().clamp(min=1)
        mean = (x * weight).sum(axes) / count
        variance = ((x - mean).square() * weight).sum(axes) / count
        with torch.no_grad():
            unbiased = variance * count / (count - 1).clamp(min=1)
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)
        return mean, variance


def _at_least_float32(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


# NORMS see one position at a time; a block may also have the one that sees them all.
NORMS: dict[str, Callable[[int], nn.Module]] = {
    "rms": RMSNorm,
    "layer": LayerNorm,
    "none": lambda width: nn.Identity(),
}
BLOCK_NORMS: dict[str, Callable[[int], nn.Module]] = {**NORMS, "batch": BatchNorm}


def normalize(norm: nn.Module, x: Tensor, mask: Tensor | None) -> Tensor:
    """Apply any of ``BLOCK_NORMS``; only a batch norm needs to know where padding is.

    >>> normalize(RMSNorm(2), torch.tensor([3.0, 4.0]), mask=None)
    tensor([0.8485, 1.1314])
    """
    return norm(x, mask) if isinstance(norm, BatchNorm) else norm(x)


def lookup(kind: str, name: str, table: dict[str, Callable]) -> Callable:
    """Find ``name`` in a table of choices, or say what is there.

    Raises:
        ValueError: the name is not in the table.

    >>> lookup("the norm", "rms", NORMS).__name__
    'RMSNorm'
    """
    if name not in table:
        raise ValueError(f"{kind} is one of {', '.join(map(repr, table))}; got {name!r}")
    return table[name]
