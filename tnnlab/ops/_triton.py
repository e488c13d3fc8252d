"""GPU kernels of the Toeplitz product, in Triton: tensor cores instead of an FFT's memory traffic.

Positions are cut into blocks of ``BLOCK``. One tile ``T[i, j] = k[δ + i - j]`` serves every pair
of blocks at the offset δ, in every sequence of the batch: these (block, sequence) pairs are the
``columns`` of a matrix product, so that tensor cores see wide matrices at every length.

No tile is stored. Row j of a transposed tile is a stretch of the kernel that begins at lag δ - j;
of eight copies of the kernel, each shifted by one, there is always one in which this stretch
begins at a multiple of 16 bytes, so that loads are vectors and can be pipelined.

Both programs sum in a fixed order: results are the same in every run.
"""

import functools

import torch
import triton
import triton.language as tl
from torch import Tensor

from tnnlab.ops._launch import Program

COPIES = 8
PLACES = 512


@Program
@triton.jit
def _product_program(
    x_ptr, copies_ptr, y_ptr,
    batch, n, blocks,
    x_batch, x_channel, y_batch, y_channel, row, origin,
    SIDE: tl.constexpr, BLOCK: tl.constexpr, STEP: tl.constexpr, COLUMNS: tl.constexpr,
    WHOLE: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """One channel, ``COLUMNS`` (block, sequence) pairs: y[column, i] = Σ x[column, j] T_δ[j, i]."""
    tiles = tl.cdiv(blocks * batch, COLUMNS)
    channel = (tl.program_id(0) // tiles).to(tl.int64)
    tile = tl.program_id(0) % tiles
    if SIDE == "past":  # the last blocks have the longest past: heaviest first
        tile = tiles - 1 - tile

    column = tile * COLUMNS + tl.arange(0, COLUMNS)
    block = column // batch
    sequence = (column % batch).to(tl.int64)
    exists = column < blocks * batch
    i = tl.arange(0, BLOCK)
    j = tl.arange(0, STEP)

    # Offsets δ = first output of the block - first input of the step, which some column needs.
    first = tile * COLUMNS // batch * BLOCK
    last = tl.minimum((tile * COLUMNS + COLUMNS - 1) // batch, blocks - 1) * BLOCK
    low = STEP - BLOCK if SIDE == "past" else first - blocks * BLOCK + STEP
    high = 0 if SIDE == "future" else last

    x_row = x_ptr + sequence * x_batch + channel * x_channel
    copy = copies_ptr + (channel * 8 + j % 8) * row + origin - j // 8 * 8
    sums = tl.zeros((COLUMNS, BLOCK), dtype=tl.float32)
    for offset in tl.range(low, high + STEP, STEP):
        start = block * BLOCK - offset
        inside = exists & (start >= 0) & (start < n)
        position = start[:, None] + j[None, :]
        mask = inside[:, None] if WHOLE else inside[:, None] & (position < n)
        x = tl.load(x_row[:, None] + position, mask=mask, other=0.0)
        # A multiple of 16 bytes. Told of 8 only, Triton copies by way of the L1 cache, in which the
        # tiles of neighbouring offsets meet: on Hopper 1.5 times as fast at n = 8192.
        at = tl.multiple_of(copy + offset, [8])
        taps = tl.load(at[:, None] + i[None, :])
        sums = tl.dot(x, taps, sums, input_precision=PRECISION)

    position = block[:, None] * BLOCK + i[None, :]
    mask = exists[:, None] if WHOLE else exists[:, None] & (position < n)
    y_row = y_ptr + sequence * y_batch + channel * y_channel
    tl.store(y_row[:, None] + position, sums.to(y_ptr.dtype.element_ty), mask=mask)


@Program
@triton.jit
def _copies_program(
    kernel_ptr, copies_ptr, lags, zero, direction, row, origin, PLACES: tl.constexpr
):  # fmt: skip
    """Place p of copy s holds the kernel at lag p - s - origin, zero where it has no such lag."""
    channel = tl.program_id(0).to(tl.int64)
    place = tl.program_id(1) * PLACES + tl.arange(0, PLACES)
    for copy in tl.static_range(8):
        tap = zero + direction * (place - copy - origin)
        exists = (tap >= 0) & (tap < lags)
        value = tl.load(kernel_ptr + channel * lags + tap, mask=exists, other=0.0)
        value = value.to(copies_ptr.dtype.element_ty)
        tl.store(copies_ptr + (channel * 8 + copy) * row + place, value, mask=place < row)


@Program
@triton.jit
def _correlation_program(
    x_ptr, g_ptr, lower_ptr, upper_ptr,
    batch, n, blocks,
    x_batch, x_channel, g_batch, g_channel, pairs, first_offset,
    BLOCK: tl.constexpr, STEP: tl.constexpr, SEQUENCES: tl.constexpr,
    CAUSAL: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """One channel, two offsets: Σ_columns x[column, j] g[column + offset, i], summed by i - j.

    Columns are blocks of x. Each is read once for two blocks of g, at an even offset and the next.
    """
    channel = (tl.program_id(0) // pairs).to(tl.int64)
    pair = tl.program_id(0) % pairs
    offset = first_offset + 2 * pair  # in blocks
    i = tl.arange(0, BLOCK)
    x_row = x_ptr + channel * x_channel
    g_row = g_ptr + channel * g_channel

    # A step takes SEQUENCES sequences of some blocks; rounds of steps take all sequences.
    BLOCKS: tl.constexpr = STEP // SEQUENCES
    place = tl.arange(0, STEP)
    rounds = tl.cdiv(batch, SEQUENCES)
    low, high = tl.maximum(-offset - 1, 0), tl.minimum(blocks - offset, blocks)
    near = tl.zeros((BLOCK, BLOCK), dtype=tl.float32)
    far = tl.zeros((BLOCK, BLOCK), dtype=tl.float32)
    for step in tl.range(0, tl.cdiv(high - low, BLOCKS) * rounds):
        block = low + step // rounds * BLOCKS + place // SEQUENCES
        sequence = step % rounds * SEQUENCES + place % SEQUENCES
        exists = ((block < high) & (sequence < batch))[:, None]
        sequence = sequence.to(tl.int64)[:, None]
        x_at = (block * BLOCK)[:, None] + i[None, :]
        near_at = x_at + offset * BLOCK
        far_at = near_at + BLOCK
        inside = exists & (near_at < n) if CAUSAL else exists & (near_at >= 0) & (near_at < n)
        x = tl.load(x_row + sequence * x_batch + x_at, mask=exists & (x_at < n), other=0.0)
        g = tl.load(g_row + sequence * g_batch + near_at, mask=inside, other=0.0)
        near = tl.dot(tl.trans(x), g, near, input_precision=PRECISION)
        g = tl.load(g_row + sequence * g_batch + far_at, mask=exists & (far_at < n), other=0.0)
        far = tl.dot(tl.trans(x), g, far, input_precision=PRECISION)

    at = (channel * pairs + pair) * 2 * BLOCK + i
    lower, upper = _diagonals(near, BLOCK)
    tl.store(lower_ptr + at, lower)
    tl.store(upper_ptr + at, upper)
    lower, upper = _diagonals(far, BLOCK)
    tl.store(lower_ptr + at + BLOCK, lower)
    tl.store(upper_ptr + at + BLOCK, upper)


@triton.jit
def _diagonals(sums, SIZE: tl.constexpr):
    """The sums of ``sums[j, i]`` with i - j = m, and with i - j = m - SIZE, for m = 0 … SIZE - 1.

    Row j is turned by j places: these diagonals come to stand in column m.
    """
    place = tl.arange(0, SIZE)
    j, m = place[:, None], place[None, :]
    turned = tl.gather(sums, (m + j) % SIZE, axis=1)
    lower = tl.sum(tl.where(m + j < SIZE, turned, 0.0), axis=0)
    upper = tl.sum(tl.where(m + j < SIZE, 0.0, turned), axis=0)
    return lower, upper


@Program
@triton.jit
def _lags_program(
    lower_ptr, upper_ptr, y_ptr, places, lags, start, BLOCK: tl.constexpr, PLACES: tl.constexpr
):  # fmt: skip
    """A lag is a sum of the lower part of one tile and of the upper part of the next."""
    channel = tl.program_id(0).to(tl.int64)
    lag = tl.program_id(1) * PLACES + tl.arange(0, PLACES)
    place = start + lag
    exists = lag < lags
    row = channel * places + place
    lower = tl.load(lower_ptr + row - BLOCK, mask=exists & (place >= BLOCK), other=0.0)
    upper = tl.load(upper_ptr + row, mask=exists & (place < places), other=0.0)
    tl.store(y_ptr + channel * lags + lag, lower + upper, mask=exists)


def product(
    kernel: Tensor, x: Tensor, y: Tensor, causal: bool, transposed: bool, *, precision: str,
    **launch: int,
) -> None:  # fmt: skip
    """Write ``kernel (channels, lags)`` times ``x (batch, channels, n)``, or the transposed
    matrix times ``x``, into ``y``.

    ``x`` and ``y`` have a stride of 1 along their length, ``kernel`` is contiguous; ``precision``,
    of float32 on tensor cores, is ``"tf32"`` or ``"ieee"``; ``launch`` replaces tile sizes.
    """
    batch, channels, n = x.shape
    options = product_launch(n, batch, x.dtype) | launch
    block, columns = options["BLOCK"], options["COLUMNS"]
    blocks = cdiv(n, block)
    side = ("future" if transposed else "past") if causal else "both"
    # The lags that a tile can reach: a block beyond those that the product needs.
    origin = block if side == "past" else blocks * block
    row = origin + (block if side == "future" else blocks * block) + COPIES
    row = cdiv(row, 16) * 16
    copies = torch.empty(channels, COPIES, row, dtype=x.dtype, device=x.device)
    zero, direction = 0 if causal else n - 1, -1 if transposed else 1
    _copies_program[(channels, cdiv(row, PLACES))](
        kernel, copies, kernel.shape[-1], zero, direction, row, origin, PLACES=PLACES
    )
    _product_program[(channels * cdiv(blocks * batch, columns),)](
        x, copies, y, batch, n, blocks,
        x.stride(0), x.stride(1), y.stride(0), y.stride(1), row, origin,
        SIDE=side, WHOLE=n % block == 0, PRECISION=precision, **options,
    )  # fmt: skip


def correlate(x: Tensor, g: Tensor, causal: bool, *, precision: str, **launch: int) -> Tensor:
    """The sums Σ g[i] x[i - m] over the batch, for all lags m: ``(channels, lags)``, float32."""
    batch, channels, n = x.shape
    options = correlation_launch(n, batch, x.dtype) | launch
    block = options["BLOCK"]
    blocks = cdiv(n, block)
    first = 0 if causal else -blocks
    pairs = cdiv(blocks - first, 2)
    lower, upper = x.new_empty(2, channels, 2 * pairs, block, dtype=torch.float32)
    _correlation_program[(channels * pairs,)](
        x, g, lower, upper, batch, n, blocks,
        x.stride(0), x.stride(1), g.stride(0), g.stride(1), pairs, first,
        SEQUENCES=min(options["STEP"], next_power_of_2(batch)),
        CAUSAL=causal, PRECISION=precision, **options,
    )  # fmt: skip
    return sum_lags(lower, upper, n, causal, first)


def sum_lags(lower: Tensor, upper: Tensor, n: int, causal: bool, first: int) -> Tensor:
    """The lags of a kernel, of both parts of each tile, ``(channels, offsets, block)``.

    ``first`` is the first tile's offset, in blocks.
    """
    channels, _, block = lower.shape
    start = (1 - first) * block - (0 if causal else n - 1)
    lags = n if causal else 2 * n - 1
    y = lower.new_empty(channels, lags)
    _lags_program[(channels, cdiv(lags, PLACES))](
        lower, upper, y, lower[0].numel(), lags, start, BLOCK=block, PLACES=PLACES
    )
    return y


@functools.cache
def product_launch(n: int, batch: int, dtype: torch.dtype) -> dict[str, int]:
    """Sizes of the product's tiles, as measured on an NVIDIA H200."""
    block = min(128, max(16, next_power_of_2(n)))
    half = dtype.itemsize == 2
    step = min(block, 64 if half else 32)
    columns = min(128, max(16, next_power_of_2(batch * cdiv(n, block))))
    return {"BLOCK": block, "STEP": step, "COLUMNS": columns, "num_warps": 4, "num_stages": 3}


@functools.cache
def correlation_launch(n: int, batch: int, dtype: torch.dtype) -> dict[str, int]:
    """Sizes of the correlation's tiles, as measured on an NVIDIA H200."""
    block = min(64, max(16, next_power_of_2(n)))
    step = 64 if dtype.itemsize == 2 else 32
    return {"BLOCK": block, "STEP": step, "num_warps": 4, "num_stages": 3}


def cdiv(a: int, b: int) -> int:
    """The quotient, rounded up. (Triton's own serves kernels too, and takes a CPU microseconds.)"""
    return -(-a // b)


def next_power_of_2(n: int) -> int:
    """The smallest power of two that is not below ``n``, 1 or more."""
    return 1 << (n - 1).bit_length()
