"""The loss of a language model without its logits: the output layer and its loss, chunk by chunk.

Logits are the largest tensor of a language model: 65,536 tokens times 50,257 words are 13 GB in
float32, several times over. Here a chunk of them exists at a time. Its gradient is known as soon
as its loss is, so the forward pass computes both and the backward pass only scales. On a GPU, in
half precision, one kernel finds the losses of a chunk and turns its logits into their gradient
(:mod:`tnnlab.ops._softmax`).
"""

import importlib
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tnnlab.ops.tiles import HALF, gpu_kernels_refuse

CHUNK = 8192
ALIGNMENT = 64


def linear_cross_entropy(x: Tensor, weight: Tensor, targets: Tensor, chunk: int = CHUNK) -> Tensor:
    """The mean of ``cross_entropy(x @ weight.T, targets)``, in nats.

    Args:
        x: ``(..., width)``; under autocast the matrix products run in its half precision.
        weight: ``(vocabulary, width)``.
        targets: integers ``(...)``, each a row of ``weight``: another is an error, or on a GPU in
            half precision makes the loss nan.
        chunk: how many rows of logits exist at a time.

    Returns:
        a scalar in float32 (float64 for float64 input), differentiable once in ``x`` and
        ``weight``.

    Raises:
        ValueError: shapes that do not fit, or no targets at all.

    >>> x, weight = torch.zeros(4, 8), torch.ones(10, 8)
    >>> linear_cross_entropy(x, weight, torch.arange(4)).exp().round()
    tensor(10.)
    """
    if x.shape[:-1] != targets.shape or x.shape[-1] != weight.shape[-1] or not targets.numel():
        raise ValueError(
            "x is (..., width), weight (vocabulary, width) and targets (...), at least one; got "
            f"{tuple(x.shape)}, {tuple(weight.shape)} and {tuple(targets.shape)}"
        )
    if torch.is_autocast_enabled(x.device.type):
        dtype = torch.get_autocast_dtype(x.device.type)
        x, weight = x.to(dtype), weight.to(dtype)
    fused = x.dtype in HALF and gpu_kernels_refuse(x.device, x.dtype) is None
    flat = x.flatten(0, -2), weight, targets.flatten().contiguous()
    return _LinearCrossEntropy.apply(*flat, chunk, fused)[0]


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        x: Tensor, weight: Tensor, targets: Tensor, chunk: int, fused: bool
    ) -> tuple[Tensor, ...]:
        precise = torch.promote_types(x.dtype, torch.float32)
        words, loss_of = len(weight), _by_kernel if fused else _softmax_loss
        # Matrix products are several times slower where rows of logits begin off alignment.
        weight = F.pad(weight, (0, 0, 0, -words % ALIGNMENT))
        loss = torch.zeros((), dtype=precise, device=x.device)
        grad_x = torch.empty_like(x)
        grad_weight = torch.zeros(weight.shape, dtype=precise, device=x.device)
        with torch.autocast(x.device.type, enabled=False):
            for start in range(0, len(x), chunk):
                rows = slice(start, start + chunk)
                chunk_loss, grad = loss_of(x[rows] @ weight.T, targets[rows], words)
                loss += chunk_loss
                grad_x[rows] = grad @ weight
                grad_weight += grad.T @ x[rows]
        return loss / len(x), grad_x, grad_weight[:words]  # of the sum: half precision holds it

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*output[1:])
        ctx.dtype = inputs[1].dtype

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        grad_x, grad_weight = ctx.saved_tensors
        scale = grad / len(grad_x)  # a loss scaler's, too, comes before all rounding
        to_x = (scale * grad_x.to(grad.dtype)).to(grad_x.dtype)
        return to_x, (scale * grad_weight).to(ctx.dtype), None, None, None


@torch.library.custom_op("tnnlab::softmax_loss", mutates_args=("logits",))
def softmax_loss(logits: Tensor, targets: Tensor, words: int) -> Tensor:
    """The loss of each row, by the GPU kernel; logits become their gradient."""
    with torch.cuda.device(logits.device):
        return importlib.import_module("tnnlab.ops._softmax").softmax_loss(logits, targets, words)


@softmax_loss.register_fake
def _(logits: Tensor, targets: Tensor, words: int) -> Tensor:
    return logits.new_empty(logits.shape[0], dtype=torch.float32)


def _by_kernel(logits: Tensor, targets: Tensor, words: int) -> tuple[Tensor, Tensor]:
    """What :func:`_softmax_loss` returns; the gradient stands in the place of the logits."""
    return softmax_loss(logits, targets, words).sum(), logits


def _softmax_loss(logits: Tensor, targets: Tensor, words: int) -> tuple[Tensor, Tensor]:
    """The summed loss of rows of logits, and its gradient in the logits, in their dtype.

    Columns beyond ``words`` are padding: their gradient is zero.
    """
    word = torch.arange(logits.shape[-1], device=logits.device)
    precise = logits.to(torch.promote_types(logits.dtype, torch.float32))
    precise = precise.masked_fill(word >= words, float("-inf"))
    log_sum = precise.logsumexp(-1, keepdim=True)
    at = targets.unsqueeze(-1)
    loss = (log_sum - precise.gather(-1, at)).sum()
    gradient = (precise - log_sum).exp()
    return loss, torch.where(word == at, gradient - 1, gradient).to(logits.dtype)
