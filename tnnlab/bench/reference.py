"""The form in which Toeplitz networks were published, written out: what the rest is measured by.

Activations are ``(batch, n, channels)``, and FFTs in float32 of size 2n run along the middle
dimension, with autograd's own backward pass (Qin et al., ICLR 2023, §3.2).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tnnlab.layers import GTU
from tnnlab.models import CausalLM
from tnnlab.operators import ToeplitzOperator


def reference_product(kernel: Tensor, x: Tensor, causal: bool) -> Tensor:
    """The product as its expression says it: no other layout, no other FFT size, no fusion.

    Args:
        kernel: ``(n, channels)`` if causal, else ``(2n - 1, channels)``, lowest lag first.
        x: ``(batch, n, channels)``.
        causal: whether the kernel has lags ≥ 0 only.

    Returns:
        Same shape and dtype as ``x``.
    """
    n = x.shape[-2]
    zero = kernel.new_zeros(1, kernel.shape[1])
    if causal:
        circular = torch.cat([kernel, zero, kernel.new_zeros(n - 1, kernel.shape[1])])
    else:
        circular = torch.cat([kernel[n - 1 :], zero, kernel[: n - 1]])
    spectrum = torch.fft.rfft(circular.float(), n=2 * n, dim=-2)
    product = spectrum * torch.fft.rfft(x.float(), n=2 * n, dim=-2)
    return torch.fft.irfft(product, n=2 * n, dim=-2)[..., :n, :].to(x.dtype)


class ReferenceOperator(nn.Module):
    """An operator's kernel, applied as it was published.

    Args:
        operator: generates the kernel; its weights are shared, not copied.
    """

    def __init__(self, operator: ToeplitzOperator) -> None:
        super().__init__()
        self.operator = operator
        self.channels, self.causal = operator.channels, operator.causal

    def forward(self, x: Tensor) -> Tensor:
        return reference_product(self.operator.kernel(x.shape[-2]).T, x, self.causal)


class ReferenceGTU(nn.Module):
    """A GTU as it was published: channels last throughout. Its weights are shared, not copied."""

    def __init__(self, gtu: GTU) -> None:
        super().__init__()
        self.gtu = gtu
        self.operator = ReferenceOperator(gtu.operator)  # type: ignore[arg-type]

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        u, v = F.silu(self.gtu.u_proj(x)), F.silu(self.gtu.v_proj(x))
        return self.gtu.o(u * self.operator(v))


def with_reference_operators(model: CausalLM) -> CausalLM:
    """The same model with every GTU in its published form; the model is changed in place."""
    for block in model.blocks:
        block.gtu = ReferenceGTU(block.gtu)  # type: ignore[arg-type]
    return model
