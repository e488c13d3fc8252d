"""GPU kernels of the Toeplitz product, in Triton: tensor cores instead of an FFT's memory traffic.

Positions are cut into blocks of ``BLOCK``. One tile ``T[i, j] = k[δ + i - j]`` serves every pair
of blocks at the offset δ, in every sequence of the batch: these (block, sequence) pairs are the
``columns`` of a matrix product, so that tensor cores see wide matrices at every length.

No tile is stored. Row j of a transposed tile is a stretch of the kernel that begins at lag δ - j;
of eight copies of the kernel, each shifted by one, there is always one in which this stretch
begins at a multiple of 16 bytes, so that loads are vectors and can be pipelined.

Both programs sum in a fixed order: results are the same in every run.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

COPIES = 8
PLACES = 512


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
        at = tl.multiple_of(copy + offset, [8])
        taps = tl.load(at[:, None] + i[None, :])
        sums = tl.dot(x, taps, sums, input_precision=PRECISION)

    position = block[:, None] * BLOCK + i[None, :]
    mask = exists[:, None] if WHOLE else exists[:, None] & (position < n)
    y_row = y_ptr + sequence * y_batch + channel * y_channel
    tl.store(y_row[:, None] + position, sums.to(y_ptr.dtype.element_ty), mask=mask)


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


@triton.jit
def _accumulate(
    sums, x_row, g_row, begin, end, back,
    batch, n, x_batch, g_batch,
    BLOCK: tl.constexpr, STRIP: tl.constexpr, STEP: tl.constexpr, SEQUENCES: tl.constexpr,
    MASKED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Add x[column, j] g[column, i] over the blocks from ``begin`` to ``end`` in all sequences."""
    BLOCKS: tl.constexpr = STEP // SEQUENCES
    place = tl.arange(0, STEP)
    x_at = back * BLOCK + tl.arange(0, STRIP)
    g_at = tl.arange(0, BLOCK)
    rounds = tl.cdiv(batch, SEQUENCES)
    for index in tl.range(0, tl.cdiv(end - begin, BLOCKS) * rounds):
        block = begin + index // rounds * BLOCKS + place // SEQUENCES
        sequence = index % rounds * SEQUENCES + place % SEQUENCES
        exists = ((block < end) & (sequence < batch))[:, None]
        x_mask, g_mask = exists, exists
        if MASKED:
            x_place = (block * BLOCK)[:, None] + x_at[None, :]
            x_mask = exists & (x_place >= 0) & (x_place < n)
            g_mask = exists & ((block * BLOCK)[:, None] + g_at[None, :] < n)
        x_start = sequence.to(tl.int64) * x_batch + block * BLOCK
        g_start = sequence.to(tl.int64) * g_batch + block * BLOCK
        x = tl.load(x_row + x_start[:, None] + x_at[None, :], mask=x_mask, other=0.0)
        g = tl.load(g_row + g_start[:, None] + g_at[None, :], mask=g_mask, other=0.0)
        sums = tl.dot(tl.trans(x), g, sums, input_precision=PRECISION)
    return sums


@triton.jit
def _correlation_program(
    x_ptr, g_ptr, lower_ptr, upper_ptr,
    batch, n, blocks,
    x_batch, x_channel, g_batch, g_channel, strips, first_strip,
    BLOCK: tl.constexpr, STRIP: tl.constexpr, STEP: tl.constexpr, SEQUENCES: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """One channel, one strip of lags: Σ_columns x[column, j] g[column, i], summed by i - j.

    A column is a block of ``BLOCK`` outputs i in one sequence, with the ``STRIP`` inputs j that
    end ``strip * STRIP`` places before the block does.
    """
    channel = (tl.program_id(0) // strips).to(tl.int64)
    index = tl.program_id(0) % strips
    RATIO: tl.constexpr = STRIP // BLOCK
    strip = first_strip + index
    j = tl.arange(0, STRIP)
    g_row = g_ptr + channel * g_channel
    x_row = x_ptr + channel * x_channel
    back = 1 - (strip + 1) * RATIO  # blocks from the outputs to the first input

    # Blocks with some of their inputs inside, and of these, blocks that need no masks.
    low = tl.maximum(strip * RATIO, 0)
    high = tl.minimum(blocks, blocks - back)
    inner = tl.minimum(tl.maximum(-back, low), high)
    outer = tl.minimum(tl.maximum(n // BLOCK + tl.minimum(strip * RATIO, 0), inner), high)
    sums = tl.zeros((STRIP, BLOCK), dtype=tl.float32)
    sums = _accumulate(
        sums, x_row, g_row, low, inner, back, batch, n, x_batch, g_batch,
        BLOCK, STRIP, STEP, SEQUENCES, True, PRECISION,
    )  # fmt: skip
    sums = _accumulate(
        sums, x_row, g_row, inner, outer, back, batch, n, x_batch, g_batch,
        BLOCK, STRIP, STEP, SEQUENCES, False, PRECISION,
    )  # fmt: skip
    sums = _accumulate(
        sums, x_row, g_row, outer, high, back, batch, n, x_batch, g_batch,
        BLOCK, STRIP, STEP, SEQUENCES, True, PRECISION,
    )  # fmt: skip

    # Turn row j by j places, so that a diagonal i - j = m stands in one column, and one of
    # m - BLOCK in the same, further down; then the rows of each block of inputs can be summed.
    m = tl.arange(0, BLOCK)[None, :]
    turned = tl.gather(sums, (m + j[:, None]) % BLOCK, axis=1)
    stays = m + (j % BLOCK)[:, None] < BLOCK
    lower = tl.sum(tl.reshape(tl.where(stays, turned, 0.0), (RATIO, BLOCK, BLOCK)), axis=1)
    upper = tl.sum(tl.reshape(tl.where(stays, 0.0, turned), (RATIO, BLOCK, BLOCK)), axis=1)
    place = index * RATIO + RATIO - 1 - tl.arange(0, RATIO)  # the first inputs have the longest lag
    at = (channel * strips * RATIO + place)[:, None] * BLOCK + m
    tl.store(lower_ptr + at, lower)
    tl.store(upper_ptr + at, upper)


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
    blocks = triton.cdiv(n, block)
    side = ("future" if transposed else "past") if causal else "both"
    # The lags that a tile can reach: a block beyond those that the product needs.
    origin = block if side == "past" else blocks * block
    row = origin + (block if side == "future" else blocks * block) + COPIES
    row = triton.cdiv(row, 16) * 16
    copies = torch.empty(channels, COPIES, row, dtype=x.dtype, device=x.device)
    zero, direction = 0 if causal else n - 1, -1 if transposed else 1
    _copies_program[(channels, triton.cdiv(row, PLACES))](
        kernel, copies, kernel.shape[-1], zero, direction, row, origin, PLACES=PLACES
    )
    _product_program[(channels * triton.cdiv(blocks * batch, columns),)](
        x, copies, y, batch, n, blocks,
        x.stride(0), x.stride(1), y.stride(0), y.stride(1), row, origin,
        SIDE=side, WHOLE=n % block == 0, PRECISION=precision, **options,
    )  # fmt: skip


def correlate(x: Tensor, g: Tensor, causal: bool, *, precision: str, **launch: int) -> Tensor:
    """The sums Σ g[i] x[i - m] over the batch, for all lags m: ``(channels, lags)``, float32."""
    batch, channels, n = x.shape
    options = correlation_launch(n, batch, x.dtype) | launch
    block, strip = options["BLOCK"], options["STRIP"]
    ratio = strip // block
    strips = triton.cdiv(n, strip)
    first = 0 if causal else -triton.cdiv(n - block, strip)
    lower, upper = x.new_empty(2, channels, (strips - first) * ratio, block, dtype=torch.float32)
    _correlation_program[(channels * (strips - first),)](
        x, g, lower, upper, batch, n, triton.cdiv(n, block),
        x.stride(0), x.stride(1), g.stride(0), g.stride(1), strips - first, first,
        SEQUENCES=min(options["STEP"], triton.next_power_of_2(batch)),
        PRECISION=precision, **options,
    )  # fmt: skip
    start = (1 - first * ratio) * block - (0 if causal else n - 1)
    lags = n if causal else 2 * n - 1
    y = x.new_empty(channels, lags, dtype=torch.float32)
    _lags_program[(channels, triton.cdiv(lags, PLACES))](
        lower, upper, y, lower[0].numel(), lags, start, BLOCK=block, PLACES=PLACES
    )
    return y


def product_launch(n: int, batch: int, dtype: torch.dtype) -> dict[str, int]:
    """Sizes of the product's tiles, as measured on an NVIDIA H200."""
    block = min(128, max(16, triton.next_power_of_2(n)))
    half = dtype.itemsize == 2
    step = min(block, 64 if half else 32)
    columns = min(128, max(16, triton.next_power_of_2(batch * triton.cdiv(n, block))))
    return {"BLOCK": block, "STEP": step, "COLUMNS": columns, "num_warps": 8, "num_stages": 3}


def correlation_launch(n: int, batch: int, dtype: torch.dtype) -> dict[str, int]:
    """Sizes of the correlation's tiles, as measured on an NVIDIA H200."""
    block = min(64, max(16, triton.next_power_of_2(n)))
    strip = min(128, max(block, triton.next_power_of_2(n)))
    step = 64 if dtype.itemsize == 2 else 32
    return {"BLOCK": block, "STRIP": strip, "STEP": step, "num_warps": 4, "num_stages": 3}
