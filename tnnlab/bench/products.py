"""The Toeplitz product by each method there is, and the attention that it takes the place of."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from tnnlab.bench import exact
from tnnlab.bench.reference import reference_product
from tnnlab.bench.rows import Prepared, Sizes, Timer, refuse_large, timed_rows
from tnnlab.ops.tiles import gpu_kernels_refuse
from tnnlab.ops.toeplitz import METHODS as OWN_METHODS
from tnnlab.ops.toeplitz import choose_method, toeplitz_matmul

HEAD = 64  # channels of an attention head
EXPANSION = 3  # a GTU's operator works on this many times the channels of attention in its place


class Method(NamedTuple):
    """A way to compute the product: ``run(kernel, x, causal)``, in the layout it likes best."""

    run: Callable[[Tensor, Tensor, bool], Tensor]
    length_last: bool = True


def _own(name: str) -> Method:
    def run(kernel: Tensor, x: Tensor, causal: bool) -> Tensor:
        if name == "dense":
            refuse_large(kernel.shape[0] * x.shape[-1] ** 2 * kernel.itemsize, x.device)
        if name == "tiles" and x.device.type == "cuda":
            raise ValueError("on a GPU the tiles are those of triton")
        scheme = {"triton": "tiles", "monarch": "monarch"}.get(name)
        if scheme and (refusal := gpu_kernels_refuse(x.device, x.dtype, scheme)):
            raise ValueError(refusal)
        return toeplitz_matmul(kernel, x, causal=causal, method=name)

    return Method(run)


def _flashfftconv(kernel: Tensor, x: Tensor, causal: bool) -> Tensor:
    """FlashFFTConv (Fu et al., 2023): a circular convolution of a power of two, 256 to 4,194,304.

    It pads a shorter input by itself, and takes a kernel of float32 on the whole circle.
    """
    from flashfftconv import FlashFFTConv  # type: ignore[import-not-found]

    if x.dtype not in (torch.float16, torch.bfloat16):
        raise TypeError(f"FlashFFTConv takes float16 and bfloat16, not {x.dtype}")
    n = x.shape[-1]
    if not causal:  # lags 0 … n - 1 first, the negative ones at the end of the circle
        kernel = F.pad(kernel, (0, 1)).roll(1 - n, dims=-1)
    key = (2 * n, x.dtype, x.device)
    if key not in _CONVOLUTIONS:
        _CONVOLUTIONS[key] = FlashFFTConv(2 * n, dtype=x.dtype).to(x.device)
    return _CONVOLUTIONS[key](x.contiguous(), kernel)


_CONVOLUTIONS: dict[Any, Any] = {}

METHODS = {
    "reference": Method(reference_product, length_last=False),
    **{name: _own(name) for name in OWN_METHODS if name != "auto"},
    "flashfftconv": Method(_flashfftconv),
}


def product_rows(name: str, sizes: Sizes, timer: Timer) -> list[dict[str, Any]]:
    """Check one method, then time it: a row for each of forward, and forward + backward."""
    row = sizes.row("product", name)
    where: Any = {"device": sizes.device, "dtype": sizes.dtype, "causal": sizes.causal}
    auto = choose_method(sizes.n, sizes.channels, **where, sequences=sizes.batch)
    row["auto"] = auto.method == name

    def prepare() -> Prepared:
        method = METHODS[name]
        inputs = [_inputs(sizes, seed) for seed in range(3)]
        errors = _errors(method, sizes, inputs[0])
        return _caller(method, sizes, inputs), errors

    return timed_rows(row, sizes, prepare, _costs(name, sizes), timer)


def attention_rows(name: str, sizes: Sizes, timer: Timer) -> list[dict[str, Any]]:
    """Softmax attention (PyTorch's), as wide as the residual stream of a GTU with such a product.

    It is no twin of the product, so it is checked against its own definition in float64, at
    some hundreds of queries: the weights of all of them would not fit into memory.
    """
    width = max(HEAD, round(sizes.channels / EXPANSION / HEAD) * HEAD)
    sizes = sizes._replace(channels=width)

    def attend(qkv: Tensor) -> Tensor:
        q, k, v = qkv.unbind(0)
        return F.scaled_dot_product_attention(q, k, v, is_causal=sizes.causal)

    def prepare() -> Prepared:
        shape = (3, sizes.batch, width // HEAD, sizes.n, HEAD)
        inputs = [sizes.normal(shape, seed) for seed in range(3)]
        grads = [sizes.normal(shape[1:], seed + 3) for seed in range(3)]
        one = inputs[0][:, :1, :1].detach().requires_grad_()
        queries = torch.arange(0, sizes.n, max(1, sizes.n // 512), device=sizes.device)
        found, known = attend(one)[:, :, queries], _attention(one.double(), queries, sizes.causal)
        grad = grads[0][:1, :1, queries]
        (found_grad,) = torch.autograd.grad(found, one, grad)
        (known_grad,) = torch.autograd.grad(known, one, grad.double())
        errors = {
            "values": exact.relative_error(found, known.detach()),
            "gradients": exact.relative_error(found_grad, known_grad.double()),
        }

        def call(number: int, backward: bool) -> Any:
            qkv = inputs[number % 3]
            if not backward:
                with torch.no_grad():
                    return attend(qkv)
            return torch.autograd.grad(attend(qkv), qkv, grads[number % 3])

        return call, errors

    pairs = sizes.n * (sizes.n + 1) / 2 if sizes.causal else sizes.n**2
    flops = 4 * pairs * width * sizes.batch
    size = sizes.n * sizes.batch * width * sizes.dtype.itemsize
    costs = {"forward": (flops, 4 * size), "forward+backward": (3.5 * flops, 12 * size)}
    return timed_rows(sizes.row("attention", name), sizes, prepare, costs, timer)


def _attention(qkv: Tensor, queries: Tensor, causal: bool) -> Tensor:
    """What some of the queries see, as it is defined: (3, …, n, HEAD) to (…, queries, HEAD)."""
    q, k, v = qkv.unbind(0)
    scores = q[..., queries, :] @ k.mT / HEAD**0.5
    if causal:
        later = torch.arange(k.shape[-2], device=k.device) > queries[:, None]
        scores = scores.masked_fill(later, -torch.inf)
    return scores.softmax(-1) @ v


def _inputs(sizes: Sizes, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Kernel, input and gradient of the output, length last."""
    lags = sizes.n if sizes.causal else 2 * sizes.n - 1
    whole = sizes.dtype if sizes.dtype == torch.float64 else torch.float32
    kernel = sizes._replace(dtype=whole).normal((sizes.channels, lags), seed) / lags**0.5
    shape = (sizes.batch, sizes.channels, sizes.n)
    return kernel, sizes.normal(shape, seed + 3), sizes.normal(shape, seed + 6)


def _lay(tensor: Tensor, method: Method) -> Tensor:
    tensor = tensor.detach()
    return tensor if method.length_last else tensor.transpose(-1, -2).contiguous()


def _errors(method: Method, sizes: Sizes, inputs: tuple[Tensor, ...]) -> dict[str, float]:
    kernel, x, grad = inputs
    known = exact.sample(kernel, x, grad, sizes.causal)
    kernel, x, grad = (_lay(tensor, method) for tensor in inputs)
    kernel.requires_grad_()
    x.requires_grad_()
    y = method.run(kernel, x, sizes.causal)
    found = (y, *torch.autograd.grad(y, [x, kernel], grad))
    y, grad_x, grad_kernel = (t if method.length_last else t.transpose(-1, -2) for t in found)
    return {
        "values": exact.relative_error(y[..., known.places], known.y),
        "gradient of x": exact.relative_error(grad_x[..., known.places], known.grad_x),
        "gradient of the kernel": exact.relative_error(
            grad_kernel[..., known.taps], known.grad_kernel
        ),
    }


def _caller(
    method: Method, sizes: Sizes, inputs: list[tuple[Tensor, Tensor, Tensor]]
) -> Callable[[int, bool], Any]:
    laid = [[_lay(tensor, method) for tensor in one] for one in inputs]
    for kernel, x, _ in laid:
        kernel.requires_grad_()
        x.requires_grad_()

    def call(number: int, backward: bool) -> Any:
        kernel, x, grad = laid[number % len(laid)]
        if not backward:
            with torch.no_grad():
                return method.run(kernel, x, sizes.causal)
        y = method.run(kernel, x, sizes.causal)
        return torch.autograd.grad(y, [kernel, x], grad)

    return call


def _costs(name: str, sizes: Sizes) -> dict[str, tuple[float, float]]:
    """Operations of the algorithm, and the bytes of inputs and outputs.

    Of a matrix product only the half below the diagonal is counted if it is causal; of an FFT
    method its transforms, 2.5 N log₂ N operations for a real one of N = 2n. Backward takes twice
    as many as forward as a matrix product, and as many as forward by FFT, spectra being at hand.
    """
    n, batch, channels = sizes.n, sizes.batch, sizes.channels
    size = n * batch * channels * sizes.dtype.itemsize
    taps = channels * n * 4 * (1 if sizes.causal else 2)
    if name in ("reference", "fft", "monarch", "flashfftconv"):
        forward = (2 * batch + 1) * channels * 2.5 * 2 * n * math.log2(2 * n)
        flops = (forward, 2 * forward)
    else:
        pairs = n * (n + 1) / 2 if sizes.causal else n**2
        forward = 2 * pairs * batch * channels
        flops = (forward, 3 * forward)
    return {
        "forward": (flops[0], 2 * size + taps),
        "forward+backward": (flops[1], 5 * size + 3 * taps),
    }
