"""Language models of mamba_ssm's blocks, to be timed beside ours: embedding, norms and loss are the
same, and all else is theirs.

Their GPU kernels take no float64. So each block has a twin that computes what the papers define,
step by step: Gu & Dao, "Mamba" (2023), Algorithm 2; Dao & Gu, "Transformers are SSMs" (ICML 2024),
§7.
"""

import dataclasses
import importlib
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tnnlab.models import CausalLM, TNNConfig
from tnnlab.parameters import count_parameters


class MambaMixer(nn.Module):
    """A block of mamba_ssm in the place of a GTU.

    Shape: ``(batch, length, width)`` to the same.

    >>> MambaMixer(nn.Identity())(torch.zeros(2, 10, 8)).shape
    torch.Size([2, 10, 8])
    """

    def __init__(self, mamba: nn.Module) -> None:
        super().__init__()
        self.mamba = mamba

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.mamba(x)


class NaiveMixer(MambaMixer):
    """The same block as it is defined; its weights are shared, not copied."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return BLOCKS[type(self.mamba).__name__.lower()][1](self.mamba, x)


def naive_mamba(block: Any, x: Tensor) -> Tensor:
    """``mamba_ssm.Mamba``: a state space for each channel, whose Δ, B and C depend on the input."""
    u, gate = block.in_proj(x).chunk(2, -1)
    u = F.silu(_short_convolution(block.conv1d, u))
    step, b, c = block.x_proj(u).split([block.dt_rank, block.d_state, block.d_state], -1)
    step = F.softplus(block.dt_proj(step))
    decay = torch.exp(step[..., None] * -block.A_log.exp())
    y = _scan(decay, step * u, b, c) + block.D * u
    return block.out_proj(y * F.silu(gate))


def naive_mamba2(block: Any, x: Tensor) -> Tensor:
    """``mamba_ssm.Mamba2``: one decay for all channels and states of a head; a norm after the
    gate."""
    inner, states, heads = block.d_inner, block.d_state, block.nheads
    gate, u, step = block.in_proj(x).split([inner, inner + 2 * states, heads], -1)
    u, b, c = F.silu(_short_convolution(block.conv1d, u)).split([inner, states, states], -1)
    step = F.softplus(step + block.dt_bias)
    decay, step, skip = (
        tensor.repeat_interleave(block.headdim, -1)
        for tensor in (torch.exp(step * -block.A_log.exp()), step, block.D)
    )
    y = (_scan(decay[..., None], step * u, b, c) + skip * u) * F.silu(gate)
    size = y.square().mean(-1, keepdim=True) + block.norm.eps
    return block.out_proj(y * size.rsqrt() * block.norm.weight)


def _short_convolution(convolution: nn.Conv1d, x: Tensor) -> Tensor:
    return convolution(x.mT)[..., : x.shape[1]].mT  # padded on both sides: causal if cut


def _scan(decay: Tensor, u: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """``h_t = decay_t h_{t-1} + u_t b_t``, ``y_t = h_t · c_t`` in each channel.

    Shape: u ``(batch, n, channels)``, b and c ``(batch, n, states)``, decay as both together or
    with 1 state, to ``(batch, n, channels)``.
    """
    state = torch.zeros_like(u[:, 0, :, None] * b[:, 0, None])
    outputs = []
    for t in range(u.shape[1]):
        state = decay[:, t] * state + u[:, t, :, None] * b[:, t, None]
        outputs.append((state * c[:, t, None]).sum(-1))
    return torch.stack(outputs, 1)


# Names of models: the class in mamba_ssm, and its twin.
BLOCKS: dict[str, tuple[str, Callable[[Any, Tensor], Tensor]]] = {
    "mamba": ("Mamba", naive_mamba),
    "mamba2": ("Mamba2", naive_mamba2),
}


def mamba_lm(name: str, config: TNNConfig) -> CausalLM:
    """A causal language model of mamba_ssm's blocks, with its own defaults for their insides.

    Args:
        name: "mamba" or "mamba2".
        config: of a TNN; vocabulary and width are the same, and there are so many blocks (one where
            the TNN has a GTU and a GLU) that the numbers of parameters are nearest.

    Raises:
        ImportError: mamba_ssm is not installed, or cannot run here.

    >>> sorted(BLOCKS)
    ['mamba', 'mamba2']
    """
    try:
        package = importlib.import_module("mamba_ssm")
    except ModuleNotFoundError as error:
        if error.name != "mamba_ssm":
            raise
        raise ImportError("mamba_ssm is not installed (pip install mamba-ssm)") from error
    make = getattr(package, BLOCKS[name][0])
    size = sum(p.numel() for p in make(d_model=config.width).parameters())
    room = count_parameters(config) - config.vocab_size * config.width
    depth = max(1, round(room / size))
    model = CausalLM(dataclasses.replace(config, depth=depth, expansion=1, glu_width=0))
    for block in model.blocks:
        block.gtu = MambaMixer(make(d_model=config.width))
    return model


def with_naive_blocks(model: CausalLM) -> CausalLM:
    """The same model with every block's twin in its place; the model is changed in place."""
    for block in model.blocks:
        block.gtu = NaiveMixer(block.gtu.mamba)  # type: ignore[union-attr]
    return model


def outside_the_graph(model: CausalLM) -> CausalLM:
    """``torch.compile`` leaves the blocks as they are: GPU kernels that it does not know."""
    for block in model.blocks:
        mixer: Any = block.gtu
        mixer.forward = torch.compiler.disable(mixer.forward)
    return model
