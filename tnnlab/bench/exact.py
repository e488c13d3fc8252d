"""Results to compare with, in float64 and by the definition, at a sample of places.

A whole product by the definition takes n² steps for each channel; a few rows and columns of the
matrix take n each, see every part of kernel and input, and know nothing of any fast method.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Sample(NamedTuple):
    """Exact values at ``places`` of the length: the output, and its gradients.

    >>> kernel, x = torch.tensor([[1.0, 0.5, 0.25]]), torch.tensor([[[1.0, 0.0, 2.0]]])
    >>> sample(kernel, x, torch.ones_like(x), causal=True).grad_kernel
    tensor([[3., 1., 1.]], dtype=torch.float64)
    """

    places: Tensor  #: positions of y and of the gradient of x
    taps: Tensor  #: places in the kernel
    y: Tensor  #: ``(batch, channels, places)``
    grad_x: Tensor  #: ``(batch, channels, places)``
    grad_kernel: Tensor  #: ``(channels, taps)``


def sample(kernel: Tensor, x: Tensor, grad: Tensor, causal: bool, count: int = 24) -> Sample:
    """The product and its gradients at the first, the last and some random places.

    Args:
        kernel: ``(channels, n)`` or ``(channels, 2n - 1)``, lowest lag first.
        x, grad: input and gradient of the output, ``(batch, channels, n)``.
        causal: whether the kernel has lags ≥ 0 only.
        count: number of places.

    >>> kernel, x = torch.tensor([[1.0, 0.5, 0.25]]), torch.tensor([[[1.0, 0.0, 2.0]]])
    >>> found = sample(kernel, x, torch.ones_like(x), causal=True)
    >>> found.places, found.y
    (tensor([0, 1, 2]), tensor([[[1.0000, 0.5000, 2.2500]]], dtype=torch.float64))
    """
    n = x.shape[-1]
    kernel, x, grad = (tensor.detach().double() for tensor in (kernel, x, grad))
    lags = F.pad(kernel, (n - 1, 0)) if causal else kernel  # from lag -(n - 1)
    places, taps = _some(n, count), _some(kernel.shape[-1], count)
    y = [(x * lags[:, i : i + n].flip(-1)).sum(-1) for i in places]
    grad_x = [(grad * lags[:, n - 1 - j : 2 * n - 1 - j]).sum(-1) for j in places]
    grad_kernel = [_correlation(x, grad, tap - (0 if causal else n - 1)) for tap in taps]
    return Sample(
        torch.tensor(places, device=x.device),
        torch.tensor(taps, device=x.device),
        torch.stack(y, -1),
        torch.stack(grad_x, -1),
        torch.stack(grad_kernel, -1),
    )


def _some(n: int, count: int) -> list[int]:
    generator = torch.Generator().manual_seed(n)
    drawn = torch.randint(n, (count,), generator=generator).tolist()
    return sorted({0, n // 2, n - 1, *drawn})


def _correlation(x: Tensor, grad: Tensor, lag: int) -> Tensor:
    """Σ grad[i] x[i - lag] over batch and positions: ``(channels,)``."""
    n = x.shape[-1]
    later, earlier = (grad, x) if lag >= 0 else (x, grad)
    return (later[..., abs(lag) :] * earlier[..., : n - abs(lag)]).sum((0, -1))


def relative_error(value: Tensor, exact: Tensor) -> float:
    """``‖value - exact‖ / ‖exact‖``; infinite where a value is not finite.

    >>> relative_error(torch.tensor([3.0, 4.5]), torch.tensor([3.0, 4.0]))
    0.1
    """
    error = (value.detach().double() - exact).norm() / exact.norm().clamp(min=1e-300)
    return float(error) if torch.isfinite(error) else float("inf")


class WrongResult(ValueError):
    """A result too far from the exact one to be timed.

    >>> try:
    ...     require_exact({"y": 0.5}, most=1e-4)
    ... except WrongResult as error:
    ...     print(error)
    wrong result: relative error 5.0e-01 in y, at most 1e-04
    """


def limit(dtype: torch.dtype, device: torch.device) -> float:
    """The largest relative error that is timed. TF32 rounds to 10 bits, like float16.

    >>> limit(torch.float64, torch.device("cpu")), limit(torch.bfloat16, torch.device("cpu"))
    (1e-10, 0.02)
    """
    if dtype == torch.float32:
        tf32 = device.type == "cuda" and torch.get_float32_matmul_precision() != "highest"
        return 1e-2 if tf32 else 1e-4
    return 1e-10 if dtype == torch.float64 else 2e-2


def require_exact(errors: dict[str, float], most: float) -> None:
    """Refuse errors above the limit.

    Raises:
        WrongResult: names the largest.

    >>> require_exact({"y": 1e-7, "grad_x": 1e-6}, most=1e-4)  # nothing to refuse
    >>> try:
    ...     require_exact({"y": 1e-7, "grad_x": 0.3}, most=1e-4)
    ... except WrongResult as error:
    ...     print(error)
    wrong result: relative error 3.0e-01 in grad_x, at most 1e-04
    """
    worst = max(errors, key=lambda name: errors[name])
    if not errors[worst] <= most:
        raise WrongResult(
            f"wrong result: relative error {errors[worst]:.1e} in {worst}, at most {most:.0e}"
        )
