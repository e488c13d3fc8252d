"""A GPU kernel of the softmax loss, in Triton: logits are read twice and their gradient written
once, in their place.

Both readings are of one row by one program, 100 KB for 50,257 words in half precision: the second
finds it in the cache on the chip. So the memory sees each logit once in each direction.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from tnnlab.ops._launch import Program

BLOCK = 4096  # with 16 warps the fastest of twelve pairs, on an H100


@Program
@triton.jit
def _softmax_program(
    logits_ptr, targets_ptr, loss_ptr, row_stride, words, columns, BLOCK: tl.constexpr
):  # fmt: skip
    """One row: its loss, and over its logits their gradient."""
    row = tl.program_id(0).to(tl.int64)
    logits = logits_ptr + row * row_stride
    lane = tl.arange(0, BLOCK)
    # Read before the reductions below, which no warp leaves before all have come.
    target = tl.load(targets_ptr + row)
    is_word = (target >= 0) & (target < words)
    at_target = tl.load(logits + target, mask=is_word, other=float("nan")).to(tl.float32)

    # Each lane keeps the largest of its logits, and its sum of exponentials relative to that.
    top = tl.full([BLOCK], -1e30, tl.float32)  # finite: the difference of two infinities is none
    total = tl.zeros([BLOCK], tl.float32)
    for start in range(0, columns, BLOCK):
        column = start + lane
        # Masked by columns, a multiple of 16, so that loads are vectors; then by words.
        logit = tl.load(
            logits + column, mask=column < columns, other=0.0, eviction_policy="evict_last"
        )
        logit = tl.where(column < words, logit.to(tl.float32), float("-inf"))
        over = logit - top
        smaller = tl.exp(-tl.abs(over))  # of whichever of the two is smaller
        total = tl.where(over > 0, total * smaller + 1.0, total + smaller)
        top = tl.maximum(top, logit)
    row_top = tl.max(top, 0)
    log_sum = row_top + tl.log(tl.sum(total * tl.exp(top - row_top), 0))
    tl.store(loss_ptr + row, log_sum - at_target)

    for start in range(0, columns, BLOCK):
        column = start + lane
        inside = column < columns
        logit = tl.load(logits + column, mask=inside, other=0.0, eviction_policy="evict_first")
        gradient = tl.exp(logit.to(tl.float32) - log_sum)
        gradient = tl.where(column == target, gradient - 1.0, gradient)
        gradient = tl.where(column < words, gradient, 0.0)
        tl.store(logits + column, gradient.to(logits_ptr.dtype.element_ty), mask=inside)


def softmax_loss(logits: Tensor, targets: Tensor, words: int) -> Tensor:
    """The loss of each row ``(rows,)`` in float32; logits become its gradient in them.

    Args:
        logits: ``(rows, columns)``, each row dense.
        targets: integers ``(rows,)``, dense; the loss of one that is no word is nan.
        words: columns that count; the gradient of the others is zero.
    """
    rows, columns = logits.shape
    loss = torch.empty(rows, dtype=torch.float32, device=logits.device)
    block = min(BLOCK, triton.next_power_of_2(columns))
    _softmax_program[rows,](
        logits, targets, loss, logits.stride(0), words, columns,
        BLOCK=block, num_warps=max(1, block // 256),
    )  # fmt: skip
    return loss
