"""What the GPU kernels of the product are held against, on a GPU and in Triton's interpreter."""

import torch
from torch import Tensor

from tnnlab.ops import toeplitz_matmul, toeplitz_matrix

GPU = "cuda" if torch.cuda.is_available() else "cpu"


def draw(
    n: int,
    batch: int,
    causal: bool,
    *,
    channels: int = 3,
    dtype: torch.dtype = torch.bfloat16,
    scales: tuple[float, float, float] = (1.0, 1.0, 1.0),
    rounded: bool = False,
    device: str = GPU,
) -> tuple[Tensor, Tensor, Tensor]:
    """A kernel in float32, whose values ``dtype`` holds exactly if ``rounded``, an input and a
    gradient."""
    generator = torch.Generator().manual_seed(n)
    kernel = torch.randn(channels, n if causal else 2 * n - 1, generator=generator)
    x, grad = torch.randn(2, batch, channels, n, generator=generator)
    kernel, x, grad = (z * scale for z, scale in zip((kernel, x, grad), scales, strict=True))
    if rounded:
        kernel = kernel.to(dtype).float()
    return kernel.to(device), x.to(device, dtype), grad.to(device, dtype)


def through(kernel: Tensor, x: Tensor, grad: Tensor, causal: bool, method: str) -> list[Tensor]:
    """The product by a method, and the gradients of kernel and x."""
    kernel, x = kernel.detach().requires_grad_(), x.detach().requires_grad_()
    y = toeplitz_matmul(kernel, x, causal=causal, method=method)
    return [y.detach(), *torch.autograd.grad(y, (kernel, x), grad)]


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
