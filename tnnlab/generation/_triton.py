"""GPU kernels of one token: what stands between two of them would be launches, not work.

At a batch of one a token reads every weight once and multiplies it once. A linear layer is then a
stream of rows, and the norm before it, the bias, activation, gate and residual after it ride along.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor, nn


@triton.jit
def _silu(x):
    return x / (1 + tl.exp(-x))


@triton.jit
def _product(x, w, sums, ROWS: tl.constexpr, PRECISION: tl.constexpr):
    """``sums (ROWS, outputs)`` and x times the transpose of w."""
    if ROWS == 1:
        return sums + tl.sum(x.to(tl.float32) * w.to(tl.float32), axis=1)[None, :]
    else:
        return tl.dot(x, tl.trans(w), sums, input_precision=PRECISION)


@triton.jit
def _normed_program(
    x_ptr, w1_ptr, b1_ptr, w2_ptr, b2_ptr, y1_ptr, y2_ptr, batch, inner, outputs,
    ROWS: tl.constexpr, OUTPUTS: tl.constexpr, STEP: tl.constexpr,
    PAIR: tl.constexpr, BOTH: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """A linear layer, or a pair of them, of the RMS norm of x. The norm is one number a row: x is
    multiplied first and divided by it afterwards."""
    output = tl.program_id(0) * OUTPUTS + tl.arange(0, OUTPUTS)
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    here, some = output < outputs, row < batch
    step = tl.arange(0, STEP)
    first = tl.zeros((ROWS, OUTPUTS), dtype=tl.float32)
    second = tl.zeros((ROWS, OUTPUTS), dtype=tl.float32)
    squares = tl.zeros((ROWS,), dtype=tl.float32)
    places = output.to(tl.int64)[:, None] * inner
    for begin in range(0, inner, STEP):
        i = begin + step
        inside = i < inner
        x_mask, w_mask = some[:, None] & inside[None, :], here[:, None] & inside[None, :]
        x = tl.load(x_ptr + row[:, None] * inner + i[None, :], mask=x_mask, other=0.0)
        high = x.to(tl.float32)
        squares += tl.sum(high * high, axis=1)
        w = tl.load(w1_ptr + places + i[None, :], mask=w_mask, other=0.0)
        first = _product(x, w, first, ROWS, PRECISION)
        if PAIR:
            w = tl.load(w2_ptr + places + i[None, :], mask=w_mask, other=0.0)
            second = _product(x, w, second, ROWS, PRECISION)
    scale = (1 / (tl.sqrt(squares / inner) + 1e-8))[:, None]
    at = row[:, None] * outputs + output[None, :]
    mask = some[:, None] & here[None, :]
    first = first * scale
    if PAIR:
        first += tl.load(b1_ptr + output, mask=here, other=0.0).to(tl.float32)[None, :]
        bias = tl.load(b2_ptr + output, mask=here, other=0.0).to(tl.float32)[None, :]
        second = second * scale + bias
        first = _silu(first)
        if BOTH:
            second = _silu(second)
        tl.store(y2_ptr + at, second.to(y2_ptr.dtype.element_ty), mask=mask)
    tl.store(y1_ptr + at, first.to(y1_ptr.dtype.element_ty), mask=mask)


@triton.jit
def _gated_program(
    u_ptr, v_ptr, w_ptr, b_ptr, x_ptr, y_ptr, batch, inner, outputs,
    ROWS: tl.constexpr, OUTPUTS: tl.constexpr, STEP: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """``y = x + (u ⊙ v) Wᵀ + b``."""
    output = tl.program_id(0) * OUTPUTS + tl.arange(0, OUTPUTS)
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    here, some = output < outputs, row < batch
    step = tl.arange(0, STEP)
    sums = tl.zeros((ROWS, OUTPUTS), dtype=tl.float32)
    for begin in range(0, inner, STEP):
        i = begin + step
        inside = i < inner
        x_mask, w_mask = some[:, None] & inside[None, :], here[:, None] & inside[None, :]
        at = row[:, None] * inner + i[None, :]
        u = tl.load(u_ptr + at, mask=x_mask, other=0.0)
        v = tl.load(v_ptr + at, mask=x_mask, other=0.0)
        w = tl.load(w_ptr + output[:, None] * inner + i[None, :], mask=w_mask, other=0.0)
        gated = (u.to(tl.float32) * v.to(tl.float32)).to(w.dtype)
        sums = _product(gated, w, sums, ROWS, PRECISION)
    at = row[:, None] * outputs + output[None, :]
    mask = some[:, None] & here[None, :]
    bias = tl.load(b_ptr + output, mask=here, other=0.0).to(tl.float32)[None, :]
    y = tl.load(x_ptr + at, mask=mask, other=0.0).to(tl.float32) + sums + bias
    tl.store(y_ptr + at, y.to(y_ptr.dtype.element_ty), mask=mask)


@triton.jit
def _ring_program(
    x_ptr, ring_ptr, taps_ptr, past_ptr, clock_ptr, y_ptr, channels, width, start, turn, row,
    CHANNELS: tl.constexpr, CHUNK: tl.constexpr, PAST: tl.constexpr,
):  # fmt: skip
    """Put x into its slot of the ring; the ring times taps, whose first is ``start + turn · slot``
    of ``row`` to a channel; with PAST, more is added from that slot of another ring."""
    channel = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    here = channel < channels
    at = tl.program_id(1) * channels + channel
    slot = tl.load(clock_ptr) % width
    now = tl.load(x_ptr + at, mask=here, other=0.0).to(ring_ptr.dtype.element_ty)
    ring = ring_ptr + at.to(tl.int64) * width
    taps = taps_ptr + channel * row + start + turn * slot
    y = tl.zeros((CHANNELS,), dtype=tl.float32)
    if PAST:
        y += tl.load(past_ptr + at.to(tl.int64) * width + slot, mask=here, other=0.0)
    for begin in range(0, width, CHUNK):
        q = begin + tl.arange(0, CHUNK)
        mask = here[:, None] & (q < width)[None, :]
        seen = tl.load(ring[:, None] + q[None, :], mask=mask, other=0.0)
        seen = tl.where((q == slot)[None, :], now[:, None], seen)
        t = tl.load(taps[:, None] + q[None, :], mask=mask, other=0.0)
        y += tl.sum(seen.to(tl.float32) * t.to(tl.float32), axis=1)
    tl.store(ring + slot, now, mask=here)
    tl.store(y_ptr + at, y.to(y_ptr.dtype.element_ty), mask=here)


@triton.jit
def _diagonal_program(
    x_ptr, state_ptr, poles_ptr, read_ptr, direct_ptr, y_ptr, channels, states,
    CHANNELS: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """``y = d x + Re Σ c u``, then ``u = λ u + x``, in place."""
    channel = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    here = channel < channels
    at = tl.program_id(1) * channels + channel
    now = tl.load(x_ptr + at, mask=here, other=0.0).to(tl.float32)
    y = now * tl.load(direct_ptr + channel, mask=here, other=0.0)
    for begin in range(0, states, CHUNK):
        j = begin + tl.arange(0, CHUNK)
        mask = here[:, None] & (j < states)[None, :]
        place = state_ptr + (at.to(tl.int64)[:, None] * states + j[None, :]) * 2
        weight = (channel[:, None] * states + j[None, :]) * 2
        re, im = tl.load(place, mask=mask, other=0.0), tl.load(place + 1, mask=mask, other=0.0)
        c = tl.load(read_ptr + weight, mask=mask, other=0.0)
        d = tl.load(read_ptr + weight + 1, mask=mask, other=0.0)  # its sign is turned already
        y += tl.sum(c * re + d * im, axis=1)
        a = tl.load(poles_ptr + weight, mask=mask, other=0.0)
        b = tl.load(poles_ptr + weight + 1, mask=mask, other=0.0)
        tl.store(place, a * re - b * im + now[:, None], mask=mask)
        tl.store(place + 1, a * im + b * re, mask=mask)
    tl.store(y_ptr + at, y.to(y_ptr.dtype.element_ty), mask=here)


@triton.jit
def _dense_program(
    x_ptr, state_ptr, a_ptr, b_ptr, read_ptr, direct_ptr, y_ptr, batch, channels, states,
    ROWS: tl.constexpr, STATES: tl.constexpr,
):  # fmt: skip
    """``y = D x + C s``, then ``s = A s + B x``, in place: one channel of some sequences."""
    channel = tl.program_id(0)
    j = tl.arange(0, STATES)
    inside = j < states
    square = inside[:, None] & inside[None, :]
    place = (channel * states + j[:, None]).to(tl.int64) * states + j[None, :]
    a = tl.load(a_ptr + place, mask=square, other=0.0)
    b = tl.load(b_ptr + channel * states + j, mask=inside, other=0.0)
    c = tl.load(read_ptr + channel * states + j, mask=inside, other=0.0)
    direct = tl.load(direct_ptr + channel)
    for number in range(ROWS):
        row = tl.program_id(1) * ROWS + number
        if row < batch:
            at = row * channels + channel
            now = tl.load(x_ptr + at).to(tl.float32)
            state = state_ptr + at.to(tl.int64) * states + j
            s = tl.load(state, mask=inside, other=0.0)
            y = direct * now + tl.sum(c * s, axis=0)
            tl.store(state, tl.sum(a * s[None, :], axis=1) + b * now, mask=inside)
            tl.store(y_ptr + at, y.to(y_ptr.dtype.element_ty))


def normed_pair(x: Tensor, one: nn.Linear, two: nn.Linear, *, both: bool) -> tuple[Tensor, Tensor]:
    """``SiLU(one(n))`` and ``two(n)`` of ``n = RMSNorm(x)``, x ``(batch, width)``; with ``both``
    the second through a SiLU as well."""
    batch, inner, outputs = *x.shape, one.out_features
    y1, y2 = x.new_empty(2, batch, outputs)
    grid, sizes = linear_launch(batch, inner, outputs, x.dtype)
    _normed_program[grid](
        x, one.weight, one.bias, two.weight, two.bias, y1, y2, batch, inner, outputs,
        PAIR=True, BOTH=both, **sizes,
    )  # fmt: skip
    return y1, y2


def normed_product(x: Tensor, weight: Tensor) -> Tensor:
    """``RMSNorm(x)``, x ``(batch, width)``, times the transpose of ``weight (outputs, width)``."""
    batch, inner, outputs = *x.shape, weight.shape[0]
    y = x.new_empty(batch, outputs)
    grid, sizes = linear_launch(batch, inner, outputs, x.dtype)
    _normed_program[grid](
        x, weight, weight, weight, weight, y, y, batch, inner, outputs,
        PAIR=False, BOTH=False, **sizes,
    )  # fmt: skip
    return y


def gated_product(u: Tensor, v: Tensor, linear: nn.Linear, x: Tensor) -> Tensor:
    """``x + linear(u ⊙ v)``, u and v ``(batch, inner)``."""
    batch, inner, outputs = *u.shape, linear.out_features
    y = torch.empty_like(x)
    grid, sizes = linear_launch(batch, inner, outputs, x.dtype)
    _gated_program[grid](u, v, linear.weight, linear.bias, x, y, batch, inner, outputs, **sizes)
    return y


def linear_launch(
    batch: int, inner: int, outputs: int, dtype: torch.dtype
) -> tuple[tuple[int, int], dict[str, Any]]:
    """Programs of a linear layer: one row of x is summed by threads, more go to tensor cores."""
    few = outputs <= 2048  # enough of them must be in flight to hide what a load takes
    if batch == 1:
        rows, tile, step = 1, 4 if few else 16, min(512, triton.next_power_of_2(inner))
    else:
        rows = min(64, max(16, triton.next_power_of_2(batch)))
        tile, step = 16 if few else 64, min(64, max(16, triton.next_power_of_2(inner)))
    precision = "ieee" if dtype == torch.float32 else "tf32"  # half precision has but one
    sizes = {"ROWS": rows, "OUTPUTS": tile, "STEP": step, "PRECISION": precision, "num_warps": 4}
    return (triton.cdiv(outputs, tile), triton.cdiv(batch, rows)), sizes


def ring_step(
    x: Tensor, ring: Tensor, taps: Tensor, clock: Tensor, *, start: int, turn: int,
    past: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Put x ``(batch, channels)`` into its slot of ``ring (batch, channels, width)``.

    Returns:
        the sum over it with the taps ``taps[c, start + turn · slot + q]``, and ``past[…, slot]``.
    """
    batch, channels, width = ring.shape
    chunk = min(512, triton.next_power_of_2(width))
    group = max(1, 1024 // chunk)
    y = torch.empty_like(x)
    _ring_program[(triton.cdiv(channels, group), batch)](
        x, ring, taps, ring if past is None else past, clock, y,
        channels, width, start, turn, taps.stride(0),
        CHANNELS=group, CHUNK=chunk, PAST=past is not None,
    )  # fmt: skip
    return y


def diagonal_step(x: Tensor, state: Tensor, poles: Tensor, read: Tensor, direct: Tensor) -> Tensor:
    """One step of a diagonal state space; ``read (channels, 2 states)``: Re c, -Im c by turns."""
    batch, channels, states, _ = state.shape
    chunk = min(256, triton.next_power_of_2(states))
    group = max(1, 512 // chunk)
    y = torch.empty_like(x)
    _diagonal_program[(triton.cdiv(channels, group), batch)](
        x, state, poles, read, direct, y, channels, states, CHANNELS=group, CHUNK=chunk
    )
    return y


def dense_step(x: Tensor, state: Tensor, A: Tensor, B: Tensor, C: Tensor, direct: Tensor) -> Tensor:
    """One step of a state space with full matrices, of up to 128 states."""
    batch, channels, states = state.shape
    rows = min(8, batch)
    y = torch.empty_like(x)
    _dense_program[(channels, triton.cdiv(batch, rows))](
        x, state, A, B, C, direct, y, batch, channels, states,
        ROWS=rows, STATES=triton.next_power_of_2(states), num_warps=1 if states <= 32 else 4,
    )  # fmt: skip
    return y
