"""Hyena's implicit filter: a sine network over positions, under an exponential window."""

import math
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tnnlab.operators.base import ToeplitzOperator

# The window's decay at the end of the length: from e^-4.6 after 0.3 L to e^-4.6 after 1.5 L.
_TARGET, _FAST, _SLOW = 1e-2, 0.3, 1.5


class HyenaFilter(ToeplitzOperator):
    """Implicit long convolution (Poli et al., "Hyena Hierarchy", ICML 2023, §3.3).

    Time t = m / (L - 1) and ``bands`` complex exponentials of it enter an MLP with sine activations
    of learned frequency; the output is windowed by ``exp(-|m| α_c / (L - 1))``, α spread over the
    channels, and a learned bias is added at lag 0. The weights depend on L, not on n: ``kernel(m)``
    extends ``kernel(n)``, beyond L by extrapolation.

    Args:
        channels: one kernel each.
        causal: lags 0 … n-1, or else -(n-1) … n-1.
        length: L ≥ 2, the length that t = 1 stands for.
        bands: frequencies in the encoding of time.
        width, depth: of the MLP; ``depth`` hidden layers.

    Shape: ``(batch, length, channels)`` to the same.

    Raises:
        ValueError: a length below 2, or no band or hidden layer.

    >>> operator = HyenaFilter(4, causal=True, length=64)
    >>> operator(torch.randn(2, 10, 4)).shape, operator.kernel(10).shape
    (torch.Size([2, 10, 4]), torch.Size([4, 10]))
    """

    rates: Tensor
    bands: Tensor

    def __init__(
        self,
        channels: int,
        *,
        causal: bool,
        length: int = 1024,
        bands: int = 16,
        width: int = 64,
        depth: int = 2,
    ) -> None:
        super().__init__(channels, causal=causal)
        if length < 2 or bands < 1 or depth < 1:
            raise ValueError(
                f"length is at least 2, bands and depth at least 1; got {length}, {bands}, {depth}"
            )
        self.length = length
        sizes = [1 + 2 * bands, *[width] * depth]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.sine = nn.ParameterList(torch.ones(width) for _ in range(depth))
        self.out = nn.Linear(width, channels, bias=False)
        self.bias = nn.Parameter(torch.randn(channels))
        fast, slow = math.log(1 / _TARGET) / _FAST, math.log(1 / _TARGET) / _SLOW
        self.register_buffer("rates", torch.linspace(slow, fast, channels))
        self.register_buffer("bands", torch.linspace(1e-4, bands - 1, bands))

    def envelope(self) -> Tensor:
        return torch.exp(-self.rates.double() / (self.length - 1))

    def kernel(self, n: int) -> Tensor:
        if n < 1:
            raise ValueError(f"a kernel has a length n ≥ 1; got {n}")
        dtype = torch.promote_types(self.bias.dtype, torch.float32)
        lags = torch.arange(0 if self.causal else 1 - n, n, device=self.bias.device)
        time = lags.to(dtype) / (self.length - 1)
        # One period of the first band spans L positions.
        angle = 2 * math.pi * lags.to(dtype)[:, None] / self.length * self.bands.to(dtype)
        x = torch.cat([time[:, None], angle.cos(), -angle.sin()], dim=1)
        with torch.autocast(self.bias.device.type, enabled=False):
            for layer, frequency in zip(self.layers, self.sine, strict=True):
                linear = cast(nn.Linear, layer)
                x = F.linear(x, linear.weight.to(dtype), linear.bias.to(dtype))
                x = torch.sin(frequency.to(dtype) * x)
            taps = F.linear(x, self.out.weight.to(dtype)).T
        taps = taps * torch.exp(-time.abs() * self.rates.to(dtype)[:, None])
        return taps + torch.where(lags == 0, self.bias.to(dtype)[:, None], 0.0)
