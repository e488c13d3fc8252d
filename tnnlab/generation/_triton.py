"""GPU kernels of one token: what stands between two of them would be launches, not work.

At a batch of one a token reads every weight once and multiplies it once. A linear layer is then a
stream of rows, and the norm before it, the bias, activation, gate and residual after it ride along.
"""

import functools
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
def _turn(EARLY: tl.constexpr):
    """Wait for the kernel before this one, then let the next one begin to load its weights.

    What stands before this in a program may read what no kernel of the last two writes; and a
    kernel that begins finds all but the last one done.
    """
    if EARLY:
        tl.extra.cuda.gdc_wait()
        tl.extra.cuda.gdc_launch_dependents()


@triton.jit
def _embed_program(
    tokens_ptr, table_ptr, x_ptr, width, gain, EARLY: tl.constexpr, STEP: tl.constexpr
):  # fmt: skip
    """``x = gain · table[token]``."""
    _turn(EARLY)
    row = tl.program_id(0)
    token = tl.load(tokens_ptr + row)
    i = tl.arange(0, STEP)
    x = tl.load(table_ptr + token * width + i, mask=i < width, other=0.0).to(tl.float32) * gain
    tl.store(x_ptr + row * width + i, x.to(x_ptr.dtype.element_ty), mask=i < width)


@triton.jit
def _normed_program(
    x_ptr, w1_ptr, b1_ptr, w2_ptr, b2_ptr, y1_ptr, y2_ptr, batch, inner, outputs,
    EARLY: tl.constexpr, ROWS: tl.constexpr, OUTPUTS: tl.constexpr, STEP: tl.constexpr,
    PAIR: tl.constexpr, BOTH: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """A linear layer, or a pair of them, of the RMS norm of x. The norm is one number a row: x is
    multiplied first and divided by it afterwards."""
    output = tl.program_id(0) * OUTPUTS + tl.arange(0, OUTPUTS)
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    here, some = output < outputs, row < batch
    i = tl.arange(0, STEP)
    places = output.to(tl.int64)[:, None] * inner + i[None, :]
    x_places = row[:, None] * inner + i[None, :]
    first = tl.zeros((ROWS, OUTPUTS), dtype=tl.float32)
    second = tl.zeros((ROWS, OUTPUTS), dtype=tl.float32)
    squares = tl.zeros((ROWS,), dtype=tl.float32)
    if ROWS == 1:  # one step takes all: its weights are on their way while x is being made
        w_mask = here[:, None] & (i < inner)[None, :]
        w = tl.load(w1_ptr + places, mask=w_mask, other=0.0)
        if PAIR:
            v = tl.load(w2_ptr + places, mask=w_mask, other=0.0)
        _turn(EARLY)
        x = tl.load(x_ptr + x_places, mask=(i < inner)[None, :], other=0.0)
        high = x.to(tl.float32)
        squares += tl.sum(high * high, axis=1)
        first = _product(x, w, first, ROWS, PRECISION)
        if PAIR:
            second = _product(x, v, second, ROWS, PRECISION)
    else:
        _turn(EARLY)
        for begin in range(0, inner, STEP):
            inside = begin + i < inner
            x_mask, w_mask = some[:, None] & inside[None, :], here[:, None] & inside[None, :]
            x = tl.load(x_ptr + begin + x_places, mask=x_mask, other=0.0)
            high = x.to(tl.float32)
            squares += tl.sum(high * high, axis=1)
            w = tl.load(w1_ptr + begin + places, mask=w_mask, other=0.0)
            first = _product(x, w, first, ROWS, PRECISION)
            if PAIR:
                w = tl.load(w2_ptr + begin + places, mask=w_mask, other=0.0)
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
    EARLY: tl.constexpr, ROWS: tl.constexpr, OUTPUTS: tl.constexpr, STEP: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """``y = x + (u ⊙ v) Wᵀ + b``."""
    output = tl.program_id(0) * OUTPUTS + tl.arange(0, OUTPUTS)
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    here, some = output < outputs, row < batch
    i = tl.arange(0, STEP)
    places = output[:, None] * inner + i[None, :]
    x_places = row[:, None] * inner + i[None, :]
    sums = tl.zeros((ROWS, OUTPUTS), dtype=tl.float32)
    bias = tl.load(b_ptr + output, mask=here, other=0.0).to(tl.float32)[None, :]
    if ROWS == 1:
        inside = (i < inner)[None, :]
        w = tl.load(w_ptr + places, mask=here[:, None] & inside, other=0.0)
        _turn(EARLY)
        u = tl.load(u_ptr + x_places, mask=inside, other=0.0).to(tl.float32)
        v = tl.load(v_ptr + x_places, mask=inside, other=0.0).to(tl.float32)
        sums = _product((u * v).to(w.dtype), w, sums, ROWS, PRECISION)
    else:
        _turn(EARLY)
        for begin in range(0, inner, STEP):
            inside = begin + i < inner
            x_mask, w_mask = some[:, None] & inside[None, :], here[:, None] & inside[None, :]
            u = tl.load(u_ptr + begin + x_places, mask=x_mask, other=0.0).to(tl.float32)
            v = tl.load(v_ptr + begin + x_places, mask=x_mask, other=0.0).to(tl.float32)
            w = tl.load(w_ptr + begin + places, mask=w_mask, other=0.0)
            sums = _product((u * v).to(w.dtype), w, sums, ROWS, PRECISION)
    at = row[:, None] * outputs + output[None, :]
    mask = some[:, None] & here[None, :]
    y = tl.load(x_ptr + at, mask=mask, other=0.0).to(tl.float32) + sums + bias
    tl.store(y_ptr + at, y.to(y_ptr.dtype.element_ty), mask=mask)


@triton.jit
def _greedy_program(
    logits_ptr, tokens_ptr, vocabulary, EARLY: tl.constexpr, CHUNK: tl.constexpr
):  # fmt: skip
    """The first of the largest scores of a row."""
    _turn(EARLY)
    row = tl.program_id(0)
    i = tl.arange(0, CHUNK)
    best = tl.full((CHUNK,), float("-inf"), dtype=tl.float32)
    token = i
    for begin in range(0, vocabulary, CHUNK):
        place = logits_ptr + row.to(tl.int64) * vocabulary + begin + i
        score = tl.load(place, mask=begin + i < vocabulary, other=float("-inf")).to(tl.float32)
        token = tl.where(score > best, begin + i, token)
        best = tl.maximum(score, best)
    first = tl.min(tl.where(best == tl.max(best, axis=0), token, vocabulary), axis=0)
    tl.store(tokens_ptr + row, first.to(tl.int64))


@triton.jit
def _ring_program(
    x_ptr, ring_ptr, taps_ptr, past_ptr, clock_ptr, y_ptr, channels, width, start, turn, row,
    EARLY: tl.constexpr, CHANNELS: tl.constexpr, CHUNK: tl.constexpr, PAST: tl.constexpr,
):  # fmt: skip
    """Put x into its slot of the ring; the ring times taps, whose first is ``start + turn · slot``
    of ``row`` to a channel; with PAST, more is added from that slot of another ring."""
    channel = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    here = channel < channels
    at = tl.program_id(1) * channels + channel
    slot = tl.load(clock_ptr) % width
    ring = ring_ptr + at.to(tl.int64) * width
    taps = taps_ptr + channel * row + start + turn * slot
    y = tl.zeros((CHANNELS,), dtype=tl.float32)
    if PAST:
        y += tl.load(past_ptr + at.to(tl.int64) * width + slot, mask=here, other=0.0)
    own = tl.zeros((CHANNELS,), dtype=tl.float32)
    for begin in range(0, width, CHUNK):
        q = begin + tl.arange(0, CHUNK)
        mask = here[:, None] & (q < width)[None, :]
        seen = tl.load(ring[:, None] + q[None, :], mask=mask, other=0.0).to(tl.float32)
        t = tl.load(taps[:, None] + q[None, :], mask=mask, other=0.0).to(tl.float32)
        new = (q == slot)[None, :]
        own += tl.sum(tl.where(new, t, 0.0), axis=1)
        y += tl.sum(tl.where(new, 0.0, seen * t), axis=1)
    _turn(EARLY)
    now = tl.load(x_ptr + at, mask=here, other=0.0).to(ring_ptr.dtype.element_ty)
    y += own * now.to(tl.float32)
    tl.store(ring + slot, now, mask=here)
    tl.store(y_ptr + at, y.to(y_ptr.dtype.element_ty), mask=here)


@triton.jit
def _diagonal_program(
    x_ptr, state_ptr, poles_ptr, read_ptr, direct_ptr, y_ptr, channels, states,
    EARLY: tl.constexpr, CHANNELS: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """``y = d x + Re Σ c u``, then ``u = λ u + x``, in place."""
    channel = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    here = channel < channels
    at = tl.program_id(1) * channels + channel
    direct = tl.load(direct_ptr + channel, mask=here, other=0.0)
    _turn(EARLY)
    now = tl.load(x_ptr + at, mask=here, other=0.0).to(tl.float32)
    y = now * direct
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
    EARLY: tl.constexpr, ROWS: tl.constexpr, STATES: tl.constexpr,
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
    _turn(EARLY)
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


def embed(tokens: Tensor, table: Tensor, gain: float) -> Tensor:
    """``gain · table[tokens]``: ``(batch,)`` to ``(batch, width)``."""
    batch, width = tokens.shape[0], table.shape[1]
    x = table.new_empty(batch, width)
    step = triton.next_power_of_2(width)
    _embed_program[(batch,)](tokens, table, x, width, gain, STEP=step, **early(x.device))
    return x


def normed_pair(x: Tensor, one: nn.Linear, two: nn.Linear, *, both: bool) -> tuple[Tensor, Tensor]:
    """``SiLU(one(n))`` and ``two(n)`` of ``n = RMSNorm(x)``, x ``(batch, width)``; with ``both``
    the second through a SiLU as well."""
    batch, inner, outputs = *x.shape, one.out_features
    y1, y2 = x.new_empty(2, batch, outputs)
    grid, sizes = linear_launch(batch, inner, outputs, 64, x.device, x.dtype)
    _normed_program[grid](
        x, one.weight, one.bias, two.weight, two.bias, y1, y2, batch, inner, outputs,
        PAIR=True, BOTH=both, **sizes,
    )  # fmt: skip
    return y1, y2


def normed_product(x: Tensor, weight: Tensor) -> Tensor:
    """``RMSNorm(x)``, x ``(batch, width)``, times the transpose of ``weight (outputs, width)``."""
    batch, inner, outputs = *x.shape, weight.shape[0]
    y = x.new_empty(batch, outputs)
    grid, sizes = linear_launch(batch, inner, outputs, 64, x.device, x.dtype)
    _normed_program[grid](
        x, weight, weight, weight, weight, y, y, batch, inner, outputs,
        PAIR=False, BOTH=False, **sizes,
    )  # fmt: skip
    return y


def gated_product(u: Tensor, v: Tensor, linear: nn.Linear, x: Tensor) -> Tensor:
    """``x + linear(u ⊙ v)``, u and v ``(batch, inner)``."""
    batch, inner, outputs = *u.shape, linear.out_features
    y = torch.empty_like(x)
    grid, sizes = linear_launch(batch, inner, outputs, 16, x.device, x.dtype)
    _gated_program[grid](u, v, linear.weight, linear.bias, x, y, batch, inner, outputs, **sizes)
    return y


def linear_launch(
    batch: int, inner: int, outputs: int, most_rows: int, device: torch.device, dtype: torch.dtype
) -> tuple[tuple[int, int], dict[str, Any]]:
    """Programs of a linear layer: one row of x is summed by threads, more go to tensor cores.

    Sizes as measured on an NVIDIA H100.
    """
    whole = triton.next_power_of_2(inner)
    sizes: dict[str, Any]
    if batch == 1:
        sizes = {"ROWS": 1, "OUTPUTS": max(4, 4096 // whole), "STEP": whole}
        sizes["num_warps"] = 2 if whole <= 512 and outputs <= 2048 else 4
    else:
        sizes = {"ROWS": min(most_rows, max(16, triton.next_power_of_2(batch)))}
        sizes["OUTPUTS"] = 16 if outputs <= 2048 else 128  # many programs hide what a load takes
        sizes["STEP"] = min(128 if outputs <= 2048 else 64, max(16, whole))
        sizes["num_warps"] = 2 if most_rows == 16 else 4
        sizes["num_stages"] = 4 if outputs <= 2048 else 3
    precision = "ieee" if dtype == torch.float32 else "tf32"  # half precision has but one
    grid = triton.cdiv(outputs, sizes["OUTPUTS"]), triton.cdiv(batch, sizes["ROWS"])
    return grid, {**sizes, "PRECISION": precision, **early(device)}


@functools.cache
def early(device: torch.device) -> dict[str, bool]:
    """Launch a kernel before the one before it is done, where GPU and Triton can (see _turn)."""
    can = torch.cuda.is_available() and torch.cuda.get_device_capability(device) >= (9, 0)
    if can and hasattr(getattr(tl.extra, "cuda", None), "gdc_wait"):
        return {"EARLY": True, "launch_pdl": True}
    return {"EARLY": False}


def greedy(logits: Tensor, tokens: Tensor) -> None:
    """``tokens = logits.argmax(-1)``: ``(batch, vocab)`` into ``(batch,)``."""
    batch, vocabulary = logits.shape
    chunk = min(16384, triton.next_power_of_2(vocabulary))
    options = {"CHUNK": chunk, "num_warps": max(1, min(16, chunk // 512))}
    _greedy_program[(batch,)](logits, tokens, vocabulary, **options, **early(logits.device))


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
    group = max(1, (1024 if batch == 1 else 2048) // chunk)
    y = torch.empty_like(x)
    _ring_program[(triton.cdiv(channels, group), batch)](
        x, ring, taps, ring if past is None else past, clock, y,
        channels, width, start, turn, taps.stride(0),
        CHANNELS=group, CHUNK=chunk, PAST=past is not None, **early(x.device),
    )  # fmt: skip
    return y


def diagonal_step(x: Tensor, state: Tensor, poles: Tensor, read: Tensor, direct: Tensor) -> Tensor:
    """One step of a diagonal state space; ``read (channels, 2 states)``: Re c, -Im c by turns."""
    batch, channels, states, _ = state.shape
    chunk = min(512, triton.next_power_of_2(states))
    group = max(1, 128 // chunk)
    options = {"CHANNELS": group, "CHUNK": chunk, "num_warps": 1 if chunk <= 128 else 4}
    y = torch.empty_like(x)
    _diagonal_program[(triton.cdiv(channels, group), batch)](
        x, state, poles, read, direct, y, channels, states, **options, **early(x.device)
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
        **early(x.device),
    )  # fmt: skip
    return y
