"""GPU kernels of the Toeplitz product by FFT, in Triton: on chip, on tensor cores, unpadded.

A block of ``L = P Q`` positions j is twisted by ``w^j``, where ``w = exp(iπ/2L)``: what wraps
around a circle of L places then comes back times ``w^L = i``, in the imaginary part. So a complex
kernel ``κ[m] = k[m] - i k[m - L]`` yields, as the real part, all L × L of a Toeplitz block: one
FFT of size L, without zero padding (a right-angle convolution). Longer sequences are cut into
blocks, which are summed as spectra.

The FFT is two matrix products (a Monarch matrix; Fu et al., "FlashFFTConv", ICLR 2024, §3): with
position ``m₁ Q + m₂`` and frequency ``k₁ + P k₂``

    X = ((F₁ x) ⊙ T) F₂,    inverse: F₁ᴴ ((Y F₂ᴴ) ⊙ T*)

Spectra and inverses agree in their order, and nothing is transposed. The twist is in F₁ and T.

Operands are float16, sums float32. Powers of two keep the operands in range: a block is divided by
one at its largest value's size, which its spectrum carries along; so is a sum before its inverse.
F₁ and F₂ are unitary but for a power of two: float16 would round 1 / √128 the same way everywhere.

All programs sum in a fixed order: results are the same in every run.
"""

import functools
import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from tnnlab.ops._launch import Program
from tnnlab.ops._triton import cdiv, next_power_of_2, sum_lags

MOST = 8  # rows of a program


@Program
@triton.jit
def _spectra_program(
    x_ptr, spectra_ptr, scales_ptr, f1_ptr, twist_ptr, f2_ptr,
    rows, share, batch, blocks, start, length, x_batch, x_channel, gain,
    COMPLEX: tl.constexpr, P: tl.constexpr, Q: tl.constexpr,
):  # fmt: skip
    """``share`` blocks: real, or ``COMPLEX``, as κ: with the block before as -i times it.

    The first block of a sequence begins at ``start``; there are zeros before place 0 and from
    ``length`` on.
    """
    f1_re, f1_im, f2_re, f2_im = _tables_on_chip(f1_ptr, f2_ptr, P, Q)
    place = _matrix(P, Q)
    first = tl.program_id(0).to(tl.int64) * share
    for step in tl.range(0, tl.minimum(share, rows - first).to(tl.int32)):
        row = first + step
        x_row = x_ptr + row // blocks % batch * x_batch + row // (batch * blocks) * x_channel
        position = start + (row % blocks).to(tl.int32) * (P * Q) + place
        real = _load(x_row, position, (position >= 0) & (position < length))
        if COMPLEX:
            position -= P * Q
            # Place 0 would be lag -L, of which no output knows.
            exists = (position >= 0) & (position < length) & (place > 0)
            imag = -_load(x_row, position, exists)
            scale, inverse = _power_of_two(tl.maximum(_peak(real), _peak(imag)))
            real, imag = (real * inverse).to(tl.float16), (imag * inverse).to(tl.float16)
            re = tl.dot(-f1_im, imag, tl.dot(f1_re, real))
            im = tl.dot(f1_re, imag, tl.dot(f1_im, real))
            re, im = _rows_forward(re, im, f2_re, f2_im, twist_ptr, P, Q)
        else:
            re, im, scale = _forward(real, f1_re, f1_im, f2_re, f2_im, twist_ptr, P, Q)
        at = spectra_ptr + row * (2 * P * Q) + place
        tl.store(at, re.to(tl.float16))
        tl.store(at + P * Q, im.to(tl.float16))
        tl.store(scales_ptr + row, scale * gain)


@Program
@triton.jit
def _product_program(
    x_ptr, x_scales_ptr, kernel_ptr, kernel_scales_ptr, y_ptr, f1_ptr, twist_ptr, f2_ptr,
    rows, share, batch, n, blocks, offsets, zero,
    x_batch, x_channel, y_batch, y_channel,
    SIDE: tl.constexpr, TRANSPOSED: tl.constexpr, FUSED: tl.constexpr,
    P: tl.constexpr, Q: tl.constexpr,
):  # fmt: skip
    """``share`` blocks of outputs: Σ_J K_(I - J) X_J; transposed: Σ_J K*_(J - I) X_J; inverted.

    ``x`` are spectra; or, ``FUSED``, positions, of one block. K_0 stands at ``zero``.
    """
    f1_re, f1_im, f2_re, f2_im = _tables_on_chip(f1_ptr, f2_ptr, P, Q)
    place = _matrix(P, Q)
    first = tl.program_id(0).to(tl.int64) * share
    for step in tl.range(0, tl.minimum(share, rows - first).to(tl.int32)):
        row = first + step
        channel = row // (batch * blocks)
        sequence = row % batch
        block = (row // batch % blocks).to(tl.int32)
        kernel_row = channel * offsets + zero
        if FUSED:
            x = _load(x_ptr + sequence * x_batch + channel * x_channel, place, place < n)
            x_re, x_im, scale = _forward(x, f1_re, f1_im, f2_re, f2_im, twist_ptr, P, Q)
            k_re, k_im = _load_kernel(kernel_ptr, kernel_row, place, TRANSPOSED, P * Q)
            scale *= tl.load(kernel_scales_ptr + kernel_row)
            re = (k_re * x_re - k_im * x_im) * scale
            im = (k_re * x_im + k_im * x_re) * scale
        else:
            re = tl.zeros((P, Q), dtype=tl.float32)
            im = tl.zeros((P, Q), dtype=tl.float32)
            x_row = (channel * batch + sequence) * blocks
            low = block if SIDE == "future" else 0
            high = block + 1 if SIDE == "past" else blocks
            for other in tl.range(low, high):
                offset = other - block if TRANSPOSED else block - other
                x_re, x_im = _load_spectrum(x_ptr, x_row + other, place, P * Q)
                k_re, k_im = _load_kernel(kernel_ptr, kernel_row + offset, place, TRANSPOSED, P * Q)
                scale = tl.load(x_scales_ptr + x_row + other)
                scale *= tl.load(kernel_scales_ptr + kernel_row + offset)
                re += (k_re * x_re - k_im * x_im) * scale
                im += (k_re * x_im + k_im * x_re) * scale

        re, im, scale = _rows_back(re, im, f2_re, f2_im, twist_ptr, P, Q)
        y = _columns_back(re, im, f1_re, f1_im) * scale
        y_row = y_ptr + sequence * y_batch + channel * y_channel
        position = block * (P * Q) + place
        tl.store(y_row + position, y.to(y_ptr.dtype.element_ty), mask=position < n)


@Program
@triton.jit
def _correlation_program(
    x_ptr, x_scales_ptr, g_ptr, g_scales_ptr, lower_ptr, upper_ptr, f1_ptr, twist_ptr, f2_ptr,
    batch, n, blocks, offsets, first_offset, x_batch, x_channel, g_batch, g_channel, gain,
    FUSED: tl.constexpr, P: tl.constexpr, Q: tl.constexpr,
):  # fmt: skip
    """One channel, one offset: Σ X*_(I - offset) G_I; its inverse is c[m], lag m, - i · lag m - L.

    Both lags are counted from ``offset`` blocks. ``x`` and ``g`` are spectra; or, ``FUSED``,
    positions, of one block.
    """
    f1_re, f1_im, f2_re, f2_im = _tables_on_chip(f1_ptr, f2_ptr, P, Q)
    place = _matrix(P, Q)
    channel = (tl.program_id(0) // offsets).to(tl.int64)
    offset = first_offset + tl.program_id(0) % offsets  # in blocks
    low, high = tl.maximum(offset, 0), tl.minimum(blocks + offset, blocks)
    x_row, g_row = x_ptr + channel * x_channel, g_ptr + channel * g_channel
    re = tl.zeros((P, Q), dtype=tl.float32)
    im = tl.zeros((P, Q), dtype=tl.float32)
    for step in tl.range(0, batch * (high - low)):
        if FUSED:
            x = _load(x_row, place, place < n)
            x_re, x_im, scale = _forward(x, f1_re, f1_im, f2_re, f2_im, twist_ptr, P, Q)
            x_re, x_im = x_re.to(tl.float16), x_im.to(tl.float16)
            g = _load(g_row, place, place < n)
            g_re, g_im, g_scale = _forward(g, f1_re, f1_im, f2_re, f2_im, twist_ptr, P, Q)
            scale *= g_scale
            x_row += x_batch
            g_row += g_batch
        else:
            row = (channel * batch + step // (high - low)) * blocks + low + step % (high - low)
            x_re, x_im = _load_spectrum(x_ptr, row - offset, place, P * Q)
            g_re, g_im = _load_spectrum(g_ptr, row, place, P * Q)
            scale = tl.load(x_scales_ptr + row - offset) * tl.load(g_scales_ptr + row)
        re += (x_re.to(tl.float32) * g_re + x_im.to(tl.float32) * g_im) * scale
        im += (x_re.to(tl.float32) * g_im - x_im.to(tl.float32) * g_re) * scale

    re, im, scale = _rows_back(re, im, f2_re, f2_im, twist_ptr, P, Q)
    scale *= gain
    at = tl.program_id(0).to(tl.int64) * (P * Q) + place
    tl.store(lower_ptr + at, _columns_back(re, im, f1_re, f1_im) * scale)
    upper = _columns_back(-im, re, f1_re, f1_im) * scale  # -Im c
    tl.store(upper_ptr + at, tl.where(place > 0, upper, 0.0))  # at 0 nothing wraps, but rounding


@triton.jit
def _tables_on_chip(f1_ptr, f2_ptr, P: tl.constexpr, Q: tl.constexpr):
    """F₁ and F₂, which all rows of a program need."""
    f1, f2 = f1_ptr + _matrix(P, P), f2_ptr + _matrix(Q, Q)
    return tl.load(f1), tl.load(f1 + P * P), tl.load(f2), tl.load(f2 + Q * Q)


@triton.jit
def _forward(x, f1_re, f1_im, f2_re, f2_im, twist_ptr, P: tl.constexpr, Q: tl.constexpr):
    """The spectrum of a block, in float32, and the power of two that it was divided by."""
    scale, inverse = _power_of_two(_peak(x))
    x = (x * inverse).to(tl.float16)
    re, im = tl.dot(f1_re, x), tl.dot(f1_im, x)
    re, im = _rows_forward(re, im, f2_re, f2_im, twist_ptr, P, Q)
    return re, im, scale


@triton.jit
def _rows_forward(re, im, f2_re, f2_im, twist_ptr, P: tl.constexpr, Q: tl.constexpr):
    """``(A ⊙ T) F₂``."""
    t_re, t_im = _twist(twist_ptr, P, Q)
    a_re = (re * t_re - im * t_im).to(tl.float16)
    a_im = (re * t_im + im * t_re).to(tl.float16)
    re = tl.dot(-a_im, f2_im, tl.dot(a_re, f2_re))
    im = tl.dot(a_im, f2_re, tl.dot(a_re, f2_im))
    return re, im


@triton.jit
def _rows_back(re, im, f2_re, f2_im, twist_ptr, P: tl.constexpr, Q: tl.constexpr):
    """``(Y F₂ᴴ) ⊙ T*`` in float16, and the power of two that it was divided by."""
    scale, inverse = _power_of_two(_peak(tl.maximum(tl.abs(re), tl.abs(im))))
    y_re, y_im = (re * inverse).to(tl.float16), (im * inverse).to(tl.float16)
    re = tl.dot(y_im, f2_im, tl.dot(y_re, f2_re))
    im = tl.dot(-y_re, f2_im, tl.dot(y_im, f2_re))
    t_re, t_im = _twist(twist_ptr, P, Q)
    b_re = (re * t_re + im * t_im).to(tl.float16)
    b_im = (im * t_re - re * t_im).to(tl.float16)
    return b_re, b_im, scale


@triton.jit
def _columns_back(re, im, f1_re, f1_im):
    """The real part of ``F₁ᴴ B``."""
    return tl.dot(tl.trans(f1_im), im, tl.dot(tl.trans(f1_re), re))


@triton.jit
def _twist(twist_ptr, P: tl.constexpr, Q: tl.constexpr):
    at = twist_ptr + _matrix(P, Q)
    return tl.load(at).to(tl.float32), tl.load(at + P * Q).to(tl.float32)


@triton.jit
def _matrix(ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """The places of a matrix, row by row."""
    return tl.arange(0, ROWS)[:, None] * COLUMNS + tl.arange(0, COLUMNS)[None, :]


@triton.jit
def _load(row_ptr, position, mask):
    return tl.load(row_ptr + position, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def _load_spectrum(ptr, row, place, SIZE: tl.constexpr):
    at = ptr + row * (2 * SIZE) + place
    return tl.load(at).to(tl.float32), tl.load(at + SIZE).to(tl.float32)


@triton.jit
def _load_kernel(ptr, row, place, TRANSPOSED: tl.constexpr, SIZE: tl.constexpr):
    """The spectrum of a block of the matrix, or of its transpose: the conjugate."""
    re, im = _load_spectrum(ptr, row, place, SIZE)
    if TRANSPOSED:
        im = -im
    return re, im


@triton.jit
def _peak(x):
    return tl.max(tl.max(tl.abs(x), axis=1), axis=0)


@triton.jit
def _power_of_two(peak):
    """The power of two at or just below ``peak``, and its inverse: exact, by their exponent's bits.

    Exponents stop where a power or its inverse would not be a normal number. A peak that is not
    finite has NaN as its power: it must show. (A maximum may pass over a NaN; no product does.)
    """
    exponent = peak.to(tl.int32, bitcast=True) >> 23
    exponent = tl.minimum(tl.maximum(exponent, 1), 253)
    power = (exponent << 23).to(tl.float32, bitcast=True)
    inverse = ((254 - exponent) << 23).to(tl.float32, bitcast=True)
    return tl.where(peak < float("inf"), power, float("nan")), inverse


def product(
    kernel: Tensor, x: Tensor, y: Tensor, causal: bool, transposed: bool, **sizes: int
) -> None:
    """Write ``kernel (channels, lags)`` times ``x (batch, channels, n)``, or the transposed
    matrix times ``x``, into ``y``.

    ``x`` and ``y`` have a stride of 1 along their length, ``kernel`` is contiguous; ``sizes``
    replaces what :func:`launch` says.
    """
    batch, channels, n = x.shape
    options, size, blocks, first, offsets = _plan(n, causal, sizes)
    start = (0 if causal else n - 1) + first * size
    fused = blocks == 1
    pairs = not (causal and fused)  # a causal kernel of one block has no lag below 0: it is real
    spectra = _spectra(kernel[None], offsets, start, _gain(options), pairs, options)
    signals = (x, spectra[1]) if fused else _spectra(x, blocks, 0, 1.0, False, options)
    rows = channels * batch * blocks
    share = _share(rows, x.device)
    _product_program[(cdiv(rows, share),)](
        *signals, *spectra, y, *_tables(options["P"], options["Q"], x.device),
        rows, share, batch, n, blocks, offsets, -first,
        x.stride(0), x.stride(1), y.stride(0), y.stride(1),
        SIDE=("future" if transposed else "past") if causal else "both",
        TRANSPOSED=transposed, FUSED=fused, **options,
    )  # fmt: skip


def correlate(x: Tensor, g: Tensor, causal: bool, **sizes: int) -> Tensor:
    """The sums Σ g[i] x[i - m] over the batch, for all lags m: ``(channels, lags)``, float32."""
    batch, channels, n = x.shape
    options, size, blocks, first, offsets = _plan(n, causal, sizes)
    fused = blocks == 1
    lower, upper = x.new_empty(2, channels, offsets, size, dtype=torch.float32)
    signals = (x, lower, g, lower)  # fused, there are no scales to read
    if not fused:
        signals = sum((_spectra(z, blocks, 0, 1.0, False, options) for z in (x, g)), ())
    _correlation_program[(channels * offsets,)](
        *signals, lower, upper, *_tables(options["P"], options["Q"], x.device),
        batch, n, blocks, offsets, first,
        x.stride(0), x.stride(1), g.stride(0), g.stride(1), _gain(options),
        FUSED=fused, **options,
    )  # fmt: skip
    return sum_lags(lower, upper, n, causal, first)


def _plan(n: int, causal: bool, sizes: dict[str, int]) -> tuple[dict[str, int], int, int, int, int]:
    """Of a launch: its options, a block's size, the number of blocks; the first offset of a tile,
    in blocks, and how many offsets there are."""
    options = launch(n) | sizes
    size = options["P"] * options["Q"]
    blocks = cdiv(n, size)
    first = 0 if causal else 1 - blocks
    return options, size, blocks, first, blocks - first


def _spectra(
    x: Tensor, blocks: int, start: int, gain: float, pairs: bool, options: dict[str, int]
) -> tuple[Tensor, Tensor]:
    """The spectrum of each block, ``(channels · batch · blocks, 2, L)``, and its scale."""
    batch, channels, length = x.shape
    rows, size = channels * batch * blocks, options["P"] * options["Q"]
    spectra = torch.empty(rows, 2, size, dtype=torch.float16, device=x.device)
    scales = torch.empty(rows, dtype=torch.float32, device=x.device)
    share = _share(rows, x.device)
    _spectra_program[(cdiv(rows, share),)](
        x, spectra, scales, *_tables(options["P"], options["Q"], x.device),
        rows, share, batch, blocks, start, length, x.stride(0), x.stride(1), gain,
        COMPLEX=pairs, **options | {"num_stages": 1},
    )  # fmt: skip
    return spectra, scales


def _share(rows: int, device: torch.device) -> int:
    """How many rows a program takes: more need the tables less often, fewer fill the GPU."""
    return max(1, min(MOST, rows // (4 * _processors(device))))


@functools.cache
def _processors(device: torch.device) -> int:
    return torch.cuda.get_device_properties(device).multi_processor_count


@functools.cache
def _tables(p: int, q: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """F₁, T and F₂, each as its real and its imaginary part."""

    def table(turns: Tensor, scale: float, dtype: torch.dtype) -> Tensor:
        angles = 2 * math.pi * turns
        return torch.stack([angles.cos(), angles.sin()]).mul(scale).to(device, dtype)

    row, column = (torch.arange(size, dtype=torch.float64, device="cpu") for size in (p, q))
    f1 = row / (4 * p) - torch.outer(row, row) / p  # turns; row k₁, column m₁
    twist = column / (4 * p * q) - torch.outer(row, column) / (p * q)
    f2 = -torch.outer(column, column) / q
    return (
        table(f1, 2.0 ** -_half(p), torch.float16),
        table(twist, 1.0, torch.float16),
        table(f2, 2.0 ** -_half(q), torch.float16),
    )


def _gain(options: dict[str, int]) -> float:
    """What a product of two spectra, inverted, is short of: a power of two."""
    p, q = options["P"], options["Q"]
    return 8.0 ** (_half(p) + _half(q)) / (p * q)


def _half(size: int) -> int:
    """The power of two by which F is divided: the root of ``size``, rounded up."""
    return size.bit_length() // 2


@functools.cache
def launch(n: int) -> dict[str, int]:
    """Sizes of the factors and a program's warps, as measured on an NVIDIA H100.

    One block, up to 8,192 positions: of more, registers spill. Beyond, blocks of 4,096; at the
    greatest lengths, whose sums over blocks are long, of 16,384.
    """
    size = max(256, next_power_of_2(n)) if n <= 2**13 else 2**12 if n <= 2**15 else 2**14
    bits = (size - 1).bit_length()
    p = 1 << (bits + 1) // 2
    # Loads of the next row, ahead: where shared memory has room for them.
    stages = 2 if n <= 2**13 else 1
    return {"P": p, "Q": size // p, "num_warps": 8 if p > 64 else 4, "num_stages": stages}
