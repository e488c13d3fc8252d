"""One token through a Toeplitz network in five GPU kernels a block.

Norm, projections and activations are one, the operator's memory is one, and the output projection
with gate and residual is one: :mod:`tnnlab.generation._triton`. What they compute is what the
modules compute, with less rounding between.
"""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from tnnlab.convert import DiagonalSSM, StateSpace
from tnnlab.generation.memory import Memory
from tnnlab.generation.online import BLOCK, Online
from tnnlab.generation.recurrent import Recurrent
from tnnlab.generation.sampling import Sampler
from tnnlab.generation.window import Window
from tnnlab.layers import GTU, TNNBlock
from tnnlab.models import CausalLM
from tnnlab.ops.tiles import gpu_kernels_refuse

MOST_STATES = 128  # of a full matrix that a GPU kernel holds in registers


def refuse_fusion(lm: CausalLM) -> str | None:
    """Why this model's token cannot be fused; None where it can."""
    config, weight = lm.config, lm.embedding.weight
    if config.norm != "rms" or not config.pre_norm:
        return "the fused step has an RMS norm before each layer"
    gtus = [cast(TNNBlock, block).gtu for block in lm.blocks]
    if not all(isinstance(gtu, GTU) and isinstance(gtu.operator, Memory) for gtu in gtus):
        return "the fused step is that of gated Toeplitz units"
    return gpu_kernels_refuse(weight.device, weight.dtype)


def fused_logits(lm: CausalLM) -> Callable[[Tensor], Tensor]:
    """``lm.next_logits`` for one token of each sequence, ``(batch,)`` to ``(batch, vocab)``.

    Args:
        lm: its operators remember; see :func:`refuse_fusion`.
    """
    from tnnlab.generation._triton import embed, gated_product, normed_pair, normed_product

    blocks = [cast(TNNBlock, block) for block in lm.blocks]
    gtus = [cast(GTU, block.gtu) for block in blocks]
    steps = [memory_step(cast(Memory, gtu.operator)) for gtu in gtus]
    layers = list(zip(gtus, steps, (block.glu for block in blocks), strict=True))
    embedding, gain = lm.embedding.weight, lm.config.width**0.5

    def logits(tokens: Tensor) -> Tensor:
        x = embed(tokens, embedding, gain)
        for gtu, step, glu in layers:
            u, v = normed_pair(x, gtu.u_proj, gtu.v_proj, both=True)
            x = gated_product(u, step(v), gtu.o, x)
            if glu is not None:
                a, b = normed_pair(x, glu.l1, glu.l2, both=False)
                x = gated_product(a, b, glu.l3, x)
        return normed_product(x, embedding)

    return logits


def fused_step(lm: CausalLM, sampler: Sampler) -> Callable[[Tensor], None]:
    """Replace each of ``tokens (batch,)`` by the one drawn after it."""
    from tnnlab.generation._triton import greedy

    logits = fused_logits(lm)
    if sampler.temperature == 0:
        return lambda tokens: greedy(logits(tokens), tokens)
    return lambda tokens: cast(None, tokens.copy_(sampler(logits(tokens))))


def memory_step(memory: Memory) -> Callable[[Tensor], Tensor]:
    """``memory.step`` as one GPU kernel, where there is one for it."""
    from tnnlab.generation import _triton

    if isinstance(memory, Window):
        return lambda x: _triton.ring_step(
            x, memory.ring, memory.turned, memory.clock, start=memory.width - 1, turn=-1
        )
    if isinstance(memory, Online):
        # Rows of the table one after the other: from place 32 r on stand the taps to output r.
        rows = memory.table.transpose(0, 1).reshape(memory.channels, -1)
        return lambda x: _triton.ring_step(
            x, memory.block, rows, memory.clock, start=0, turn=BLOCK, past=memory.ready
        )
    if isinstance(memory, Recurrent) and memory.state.dtype == torch.float32:
        system, read = memory.system, memory.read
        if isinstance(system, DiagonalSSM):
            return lambda x: _triton.diagonal_step(
                x, memory.state, system.poles, read, system.direct
            )
        if isinstance(system, StateSpace) and system.order <= MOST_STATES:
            return lambda x: _triton.dense_step(
                x, memory.state, system.A, system.B, read, system.direct
            )
    return memory.step
