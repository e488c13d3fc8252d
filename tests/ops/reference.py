"""What the GPU kernels of the product are held against, on a GPU and in Triton's interpreter."""

import torch
from torch import Tensor

from tnnlab.ops import toeplitz_matmul, toeplitz_matrix


def exact(kernel: Tensor, x: Tensor, grad: Tensor, causal: bool) -> list[Tensor]:
    """The product, and the gradients of kernel and x, in float64: through a written-out matrix, or
    an FFT where it is large."""
    kernel, x = kernel.double().requires_grad_(), x.double().requires_grad_()
    if x.shape[-1] > 2048:
        y = toeplitz_matmul(kernel, x, causal=causal, method="fft")
    else:
        y = torch.einsum("cij,bcj->bci", toeplitz_matrix(kernel, causal), x)
    return [y.detach(), *torch.autograd.grad(y, (kernel, x), grad.double())]


def near(values: list[Tensor], references: list[Tensor], tolerance: float) -> None:
    """Each value has its reference's shape, and at most ``tolerance`` of relative error."""
    for value, reference in zip(values, references, strict=True):
        assert value.shape == reference.shape
        assert (value.double() - reference).norm() <= tolerance * reference.norm()
