"""The one operation of this package: a Toeplitz matrix per channel, times a sequence.

    y[..., c, i] = Σ_j kernel[c, i - j] · x[..., c, j]

Tensors have their length last. A causal kernel holds lags 0 … n-1; a bidirectional one lags
-(n-1) … n-1, in this order. See Qin et al., "Toeplitz Neural Network for Sequence Modeling"
(ICLR 2023), §3.2, and Gray, "Toeplitz and Circulant Matrices: A Review", §3.
"""

import warnings
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from tnnlab.ops.crossovers import LADDER, arithmetic, crossover, measured_here
from tnnlab.ops.fft import fast_size
from tnnlab.ops.matrix import toeplitz_matrix
from tnnlab.ops.tiles import HALF, gpu_kernels_refuse, tile_product

METHODS = ("auto", "dense", "fft", "tiles", "triton", "monarch")
_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

# A dense product stores channels · n² numbers: beyond this many bytes it is not worth its memory.
_DENSE_BYTES = 2**30
# On a CPU it takes longer to write a matrix than it saves, unless this many times as many sequences
# as n use it; matrices as small as this one are as good as free.
_SEQUENCES, _SMALL = 1 / 3, 32
# On a CPU the FFT takes so many channels at a time that their padded input has this many bytes.
_CACHE_BYTES = 2**20


class Choice(NamedTuple):
    """What :func:`toeplitz_matmul` would run, and why.

    >>> choice = choose_method(4096, 8, device="cpu", dtype=torch.float32)
    >>> choice.method, "crossover" in choice.reason
    ('fft', True)
    """

    method: str  #: as :func:`toeplitz_matmul` takes it
    reason: str  #: in words


def choose_method(
    length: int,
    channels: int,
    *,
    device: torch.device | str,
    dtype: torch.dtype,
    causal: bool = True,
    sequences: int | None = None,
) -> Choice:
    """Say which method ``method="auto"`` picks, and why.

    Up to which length each method is the fastest was measured: on this machine if ``tnnlab bench
    crossovers`` did so, else elsewhere.

    Args:
        length: n, the number of positions.
        channels: the number of Toeplitz matrices.
        device: where the product runs.
        dtype: of ``x``.
        causal: whether the kernel is.
        sequences: how many there are; None: many.

    >>> choose_method(16, 8, device="cpu", dtype=torch.float32).method
    'dense'
    >>> choose_method(4096, 8, device="cpu", dtype=torch.float32).method
    'fft'
    """
    device = torch.device(device)
    kind, refusal = arithmetic(device, dtype)
    where = f"on {kind}; {refusal}" if refusal else f"on {kind}"
    where = f"({'measured on this machine' if measured_here(device, kind) else 'built in'}) {where}"
    size = channels * length**2 * dtype.itemsize
    limit = 0
    # An FFT on chip takes a power of two of positions, whatever n is: it overtakes tiles where it
    # fits, be there twice as many or not.
    on_chip = crossover(device, kind, "monarch")
    for method in LADDER:
        if refusal and method in ("triton", "monarch"):  # measured with another dtype
            continue
        if not (longest := crossover(device, kind, method)):
            continue
        limit = longest
        if method in ("tiles", "triton") and not causal and not on_chip:
            limit //= 2  # twice the tiles: as at twice the length
        if length > limit:
            continue
        if method == "dense" and size > _DENSE_BYTES:
            return Choice("fft", f"dense matrices would take {size / 2**20:,.0f} MiB {where}")
        few = sequences is not None and sequences < _SEQUENCES * length
        if method == "dense" and kind == "cpu" and few and length > _SMALL:
            return Choice("fft", f"{sequences} sequences are few for n = {length} {where}")
        return Choice(method, f"n = {length} is at most the crossover n = {limit} {where}")
    return Choice("fft", f"n = {length} is above the crossover n = {limit} {where}")


def toeplitz_matmul(kernel: Tensor, x: Tensor, *, causal: bool, method: str = "auto") -> Tensor:
    """Multiply a sequence by one Toeplitz matrix per channel.

    Args:
        kernel: taps, ``(channels, n)`` if causal, else ``(channels, 2n - 1)`` (lag -(n-1) first).
            Its dtype is that of ``x``, or float32 where ``x`` is float16 or bfloat16.
        x: ``(..., channels, n)`` with any leading dimensions; float16, bfloat16, float32, float64.
        causal: whether output i sees inputs 0 … i only.
        method: ``"dense"`` multiplies by the matrix, O(n²); ``"fft"`` by its circulant embedding,
            O(n log n), in float32 arithmetic (float64 for float64 input), also under autocast;
            ``"tiles"`` by one tile for all pairs of blocks at an offset, O(n²) without a matrix:
            batched matrix products, or ``"triton"``, GPU kernels on tensor cores (float32 input in
            TF32 where ``torch.set_float32_matmul_precision`` allows that). ``"monarch"``, GPU
            kernels too, is an FFT kept on chip, its DFTs factored into small matrix products on
            tensor cores, O(n√n) up to n = 8,192 and in blocks beyond: float16 and bfloat16 only,
            operands rounded to float16 with scales that are powers of two. As of any FFT, errors
            are relative to the size of a sequence, not of an output, and reach outputs before what
            causes them: by one part in 2,000 here, where the FFT in float32 has 10⁻⁷. Where GPU
            kernels cannot run, a warning says why and the FFT does it. ``"auto"`` takes what
            :func:`choose_method` says.

    Returns:
        Same shape and dtype as ``x``; differentiable (twice) in both arguments. All but ``"dense"``
        keep their inputs only for the backward pass: no spectrum, no tile.

    Raises:
        ValueError: shapes that do not fit, or an unknown method.
        TypeError: a dtype that is not supported.

    >>> kernel = torch.tensor([[1.0, 0.5, 0.25]])
    >>> toeplitz_matmul(kernel, torch.tensor([[1.0, 0.0, 2.0]]), causal=True)
    tensor([[1.0000, 0.5000, 2.2500]])
    """
    _check(kernel, x, causal)
    if method not in METHODS:
        raise ValueError(f"method is one of {', '.join(map(repr, METHODS))}; got {method!r}")
    if x.numel() == 0:  # FFT libraries refuse an empty batch; the graph stays connected
        return (x * kernel[:, :1]).to(x.dtype)
    if method == "auto":
        n, channels = x.shape[-1], x.shape[-2]
        where: Any = {"device": x.device, "dtype": x.dtype, "causal": causal}
        method = choose_method(n, channels, **where, sequences=x.numel() // (n * channels)).method
    scheme = "monarch" if method == "monarch" else "tiles"
    if method in ("triton", "monarch") and (
        refusal := gpu_kernels_refuse(x.device, x.dtype, scheme)
    ):
        warnings.warn(f"method={method!r} runs as 'fft': {refusal}", stacklevel=2)
        method = "fft"
    if method == "dense":
        return _dense(kernel, x, causal)
    if method == "fft":
        return _FFTProduct.apply(kernel, x, causal)  # type: ignore[no-any-return]
    sequences = x if x.ndim == 3 else x.reshape(-1, *x.shape[-2:])
    return tile_product(kernel, sequences, causal, False, scheme).view(x.shape)


def _check(kernel: Tensor, x: Tensor, causal: bool) -> None:
    if x.ndim < 2 or x.shape[-1] < 1:
        raise ValueError(f"x has shape (..., channels, n) with n ≥ 1; got {tuple(x.shape)}")
    channels, n = x.shape[-2:]
    expected = (channels, n if causal else 2 * n - 1)
    if tuple(kernel.shape) != expected:
        raise ValueError(
            f"for x of shape {tuple(x.shape)} a {'causal' if causal else 'bidirectional'} kernel "
            f"has shape (channels, {'n' if causal else '2n - 1'}) = {expected}; "
            f"got {tuple(kernel.shape)}"
        )
    if x.dtype not in _DTYPES:
        raise TypeError(f"x is float16, bfloat16, float32 or float64; got {x.dtype}")
    if kernel.dtype != x.dtype and not (kernel.dtype == torch.float32 and x.dtype in HALF):
        raise TypeError(
            f"kernel has the dtype of x ({x.dtype})"
            f"{' or float32' if x.dtype in HALF else ''}; got {kernel.dtype}"
        )
    if kernel.device != x.device:
        raise ValueError(f"kernel and x lie on one device; got {kernel.device} and {x.device}")


def _dense(kernel: Tensor, x: Tensor, causal: bool) -> Tensor:
    # Without autocast, which would round a float32 product to half precision.
    with torch.autocast(x.device.type, enabled=False):
        # Rounded as a matrix, not as a kernel: its gradient is then summed in the kernel's dtype.
        matrix = toeplitz_matrix(kernel, causal).to(x.dtype)
        return torch.einsum("cij,...cj->...ci", matrix, x)


class _FFTProduct(torch.autograd.Function):
    """The product as a circular convolution of size N ≥ 2n - 1 (Gray, §3).

    With the kernel's lags laid out from its first one, lag 0 stands at ``start`` (0, or n - 1 for
    a bidirectional kernel) and output i at ``start + i``. What wraps around the circle falls on
    the first n - 1 places of a bidirectional product and beyond the first n of a causal one:
    never on an output.

    The backward pass transforms its saved inputs again: one more FFT of each, in place of keeping
    a complex spectrum of twice the length. It is written in differentiable operations, so that
    second derivatives come for free.
    """

    @staticmethod
    def forward(kernel: Tensor, x: Tensor, causal: bool) -> Tensor:
        n = x.shape[-1]
        start = 0 if causal else n - 1
        size = fast_size(2 * n - 1)
        parts = _parts(x)
        room, y = _room(x, parts, size), torch.empty_like(x)
        for part in parts:
            product = _spectrum(x[..., part, :], size, room).mul_(_spectrum(kernel[part], size))
            y[..., part, :] = _inverse(product, size)[..., start : start + n]
        return y

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, bool], output: Tensor) -> None:
        kernel, x, ctx.causal = inputs
        ctx.save_for_backward(kernel, x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:  # type: ignore[override]
        kernel, x = ctx.saved_tensors
        n = x.shape[-1]
        start = 0 if ctx.causal else n - 1
        size = fast_size(2 * n - 1)
        parts = _parts(x)
        grad_room, x_room = _room(grad, parts, size), _room(x, parts, size)
        grad_kernel = torch.empty_like(kernel) if ctx.needs_input_grad[0] else None
        grad_x = torch.empty_like(x) if ctx.needs_input_grad[1] else None
        for part in parts:
            grad_spectrum = _spectrum(grad[..., part, :], size, grad_room, start)
            if grad_kernel is not None:  # correlate with the input, summed over the batch
                product = _spectrum(x[..., part, :], size, x_room).conj_physical_() * grad_spectrum
                product = product.reshape(-1, *product.shape[-2:]).sum(0)
                grad_kernel[part] = _inverse(product, size)[..., : kernel.shape[-1]]
            if grad_x is not None:  # correlate with the kernel: the transposed matrix
                product = _spectrum(kernel[part], size).conj() * grad_spectrum
                grad_x[..., part, :] = _inverse(product, size)[..., :n]
        return grad_kernel, grad_x, None


def _parts(x: Tensor) -> list[slice]:
    """Channels to transform at a time: on a CPU so few that its cache holds what is between.

    All at once under ``torch.compile``, whose graph would hold one copy of the loop for each part.
    """
    channels = x.shape[-2]
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return [slice(0, channels)]
    step = max(1, _CACHE_BYTES * channels // (8 * x.numel()))  # 2n float32 numbers for each n
    return [slice(first, min(first + step, channels)) for first in range(0, channels, step)]


def _room(x: Tensor, parts: list[slice], size: int) -> Tensor | None:
    """Zeros in which all parts are padded, one after another.

    None where each is to be padded by itself: a single part, or a second derivative, which needs
    all of them again.
    """
    if len(parts) == 1 or torch.is_grad_enabled():
        return None
    dtype = torch.promote_types(x.dtype, torch.float32)
    return x.new_zeros(*x.shape[:-2], parts[0].stop, size, dtype=dtype)


def _spectrum(x: Tensor, size: int, room: Tensor | None = None, start: int = 0) -> Tensor:
    """Of x padded to ``size``, its first number at place ``start``."""
    if room is None:
        shifted = F.pad(x, (start, 0)) if start else x
        return torch.fft.rfft(shifted.to(torch.promote_types(x.dtype, torch.float32)), n=size)
    room = room[..., : x.shape[-2], :]
    room[..., start : start + x.shape[-1]] = x
    return torch.fft.rfft(room)


def _inverse(spectrum: Tensor, size: int) -> Tensor:
    return torch.fft.irfft(spectrum, n=size)
