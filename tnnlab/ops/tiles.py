"""The Toeplitz product of the GPU kernels, as a custom operator of PyTorch: one definition.

Two operators are closed under differentiation: the product ``y = T x`` (or ``Tᵀ x``) and the
correlation that sums ``g[i] x[i - m]``. The gradient of each is made of the two, so that
derivatives of any order run at the speed of the first.

A ``scheme`` names the kernels, on a GPU: ``"tiles"`` those of :mod:`tnnlab.ops._triton`,
``"monarch"`` those of :mod:`tnnlab.ops._monarch`. Derivatives keep to it. Elsewhere both are tiles,
as batched matrix products.
"""

import functools
import importlib
import importlib.util
from typing import Any

import torch
from torch import Tensor

from tnnlab.ops import _blocks

HALF = (torch.float16, torch.bfloat16)
_SHARED_MEMORY = 227 * 1024  # bytes that a block of Hopper can have
_TRITON = importlib.util.find_spec("triton") is not None  # a search of the disk: once


def gpu_kernels_refuse(
    device: torch.device, dtype: torch.dtype, scheme: str = "tiles"
) -> str | None:
    """Why the GPU kernels cannot run with this device and dtype; None where they can."""
    if device.type != "cuda":
        return f"Triton's GPU kernels need a CUDA device, and x is on {device.type}"
    if dtype == torch.float64:
        return "Triton's GPU kernels take float16, bfloat16 and float32, not float64"
    if scheme == "monarch" and dtype == torch.float32:
        return "the kernels of 'monarch' round to float16, and take float16 and bfloat16 only"
    if not _TRITON:
        return "Triton is not installed (pip install triton)"
    name, capability = _gpu(device)
    if capability < (8, 0):
        version = ".".join(map(str, capability))
        return f"Triton's GPU kernels need compute capability 8.0, and {name} has {version}"
    if scheme == "monarch" and (found := _shared_memory(device)) < _SHARED_MEMORY:
        return (
            f"the kernels of 'monarch' need {_SHARED_MEMORY // 1024} KiB of shared memory in a "
            f"block, as Hopper has it, and {name} has {found // 1024}"
        )
    return None


if _TRITON:  # else the compiler, which this imports, has nothing to ask a GPU for
    gpu_kernels_refuse = torch.compiler.assume_constant_result(gpu_kernels_refuse)


@functools.cache
def _gpu(device: torch.device) -> tuple[str, tuple[int, int]]:
    return torch.cuda.get_device_name(device), torch.cuda.get_device_capability(device)


@functools.cache
def _shared_memory(device: torch.device) -> int:
    return int(torch.cuda.get_device_properties(device).shared_memory_per_block_optin)


def tile_product(kernel: Tensor, x: Tensor, causal: bool, transposed: bool, scheme: str) -> Tensor:
    """``T x``, or ``Tᵀ x`` if ``transposed``.

    Args:
        kernel: ``(channels, n)`` if causal, else ``(channels, 2n - 1)``.
        x: ``(batch, channels, n)``.
        scheme: ``"tiles"`` or ``"monarch"``.

    Returns:
        like ``x``, its strides kept where they are dense and the length is innermost.
    """
    run = product_operator if _traced(x) else _past_binding(_Product)
    return run(kernel, x, causal, transposed, scheme)


def tile_correlation(x: Tensor, g: Tensor, causal: bool, scheme: str) -> Tensor:
    """``Σ g[b, c, i] x[b, c, i - m]`` for the lags m of a kernel: ``(channels, lags)``.

    At least float32. ``x`` and ``g``: ``(batch, channels, n)``.
    """
    run = correlation_operator if _traced(x) else _past_binding(_Correlation)
    return run(x, g, causal, scheme)


def _traced(x: Tensor) -> bool:
    """Whether to go through PyTorch's dispatcher, which compilers and subclasses of tensors need.

    The way past it, the same functions as an ``autograd.Function``, costs a CPU a third as much:
    at n = 512 a GPU is done before another product is on its way.
    """
    return torch.compiler.is_compiling() or type(x) not in (Tensor, torch.nn.Parameter)


def _product(kernel: Tensor, x: Tensor, causal: bool, transposed: bool, scheme: str) -> Tensor:
    y = _output(x)
    if gpu_kernels_refuse(x.device, x.dtype):
        return y.copy_(_blocks.product(kernel, x, causal, transposed))
    run, options = _kernels(scheme)
    with torch.cuda.device(x.device):
        run.product(kernel.contiguous(), _rows(x), y, causal, transposed, **options)
    return y


def _correlation(x: Tensor, g: Tensor, causal: bool, scheme: str) -> Tensor:
    if gpu_kernels_refuse(x.device, x.dtype):
        return _blocks.correlate(x, g, causal).clone()
    run, options = _kernels(scheme)
    with torch.cuda.device(x.device):
        return run.correlate(_rows(x), _rows(g), causal, **options)


def _kernels(scheme: str) -> tuple[Any, dict[str, Any]]:
    """The module of the kernels, and the options that they take."""
    if scheme == "monarch":
        return _module("_monarch"), {}
    return _module("_triton"), {"precision": _precision()}


@functools.cache
def _module(name: str) -> Any:
    return importlib.import_module(f"tnnlab.ops.{name}")


product_operator = torch.library.custom_op("tnnlab::tile_product", _product, mutates_args=())
correlation_operator = torch.library.custom_op(
    "tnnlab::tile_correlation", _correlation, mutates_args=()
)


@product_operator.register_fake
def _(kernel: Tensor, x: Tensor, causal: bool, transposed: bool, scheme: str) -> Tensor:
    return _output(x)


@correlation_operator.register_fake
def _(x: Tensor, g: Tensor, causal: bool, scheme: str) -> Tensor:
    n = x.shape[-1]
    dtype = torch.promote_types(x.dtype, torch.float32)
    return x.new_empty(x.shape[-2], n if causal else 2 * n - 1, dtype=dtype)


def _save_product(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    kernel, x, ctx.causal, ctx.transposed, ctx.scheme = inputs
    ctx.save_for_backward(kernel, x)


def _differentiate_product(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    kernel, x = ctx.saved_tensors
    grad_kernel = grad_x = None
    if ctx.needs_input_grad[0]:
        pair = (grad, x) if ctx.transposed else (x, grad)
        grad_kernel = tile_correlation(*pair, ctx.causal, ctx.scheme).to(kernel.dtype)
    if ctx.needs_input_grad[1]:
        grad_x = tile_product(kernel, grad, ctx.causal, not ctx.transposed, ctx.scheme)
    return grad_kernel, grad_x, None, None, None


def _save_correlation(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, g, ctx.causal, ctx.scheme = inputs
    ctx.save_for_backward(x, g)


def _differentiate_correlation(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, g = ctx.saved_tensors
    grad_x = grad_g = None
    if ctx.needs_input_grad[0]:
        grad_x = tile_product(grad, g, ctx.causal, True, ctx.scheme)
    if ctx.needs_input_grad[1]:
        grad_g = tile_product(grad, x, ctx.causal, False, ctx.scheme)
    return grad_x, grad_g, None, None


product_operator.register_autograd(_differentiate_product, setup_context=_save_product)
correlation_operator.register_autograd(_differentiate_correlation, setup_context=_save_correlation)


class _Product(torch.autograd.Function):
    forward = staticmethod(_product)
    setup_context = staticmethod(_save_product)
    backward = staticmethod(_differentiate_product)  # pyright: ignore


class _Correlation(torch.autograd.Function):
    forward = staticmethod(_correlation)
    setup_context = staticmethod(_save_correlation)
    backward = staticmethod(_differentiate_correlation)  # pyright: ignore


def _past_binding(function: Any) -> Any:
    """``function.apply`` without its first step, which fills in default arguments: there are none.

    It binds the arguments by ``inspect``, a fifth of what a short product costs a CPU. Transforms
    of ``torch.func`` need what else the method does.
    """
    if torch._C._are_functorch_transforms_active():
        return function.apply
    return super(torch.autograd.Function, function).apply  # pyright: ignore


def _rows(x: Tensor) -> Tensor:
    """``x`` with its length innermost in memory, copied only if it is not."""
    return x if x.stride(-1) == 1 else x.contiguous()


def _output(x: Tensor) -> Tensor:
    """An empty tensor like ``x``: strides kept, so that channels may come first, or made plain."""
    return torch.empty_like(x) if x.stride(-1) == 1 else x.new_empty(x.shape)


def _precision() -> str:
    """Of float32 products on tensor cores: TF32 only where the user asked PyTorch for it."""
    return "ieee" if torch.get_float32_matmul_precision() == "highest" else "tf32"
