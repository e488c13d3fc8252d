"""The relative position encoder: a small MLP from a position to one number per channel."""

from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tnnlab.norms import NORMS, lookup


class Sine(nn.Module):
    """``sin(x)``: an RPE of sines can oscillate from the start (Romero et al., "CKConv", ICLR 2022;
    Sitzmann et al., "Implicit Neural Representations", NeurIPS 2020).

    A norm before it would keep only the sign of a far lag: it goes with ``norm="none"``.

    >>> Sine()(torch.tensor([0.0, torch.pi / 2])).tolist()
    [0.0, 1.0]
    """

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(x)


ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "sine": Sine,
}


class RPE(nn.Module):
    """Relative position encoder (Qin et al., ICLR 2023, §3.3).

    ``Linear(1, width)``, then ``depth`` times [norm, activation, ``Linear(width, width)``], then
    norm, activation, ``Linear(width, channels)``.

    It computes in float32 (float64 if its weights are) even under autocast or with half-precision
    weights: bfloat16 cannot tell lag 511 from 512.

    Args:
        channels: numbers produced for each position.
        width: of the hidden layers.
        depth: hidden layers, 0 or more.
        activation: ``"relu"``, ``"gelu"``, ``"silu"`` or ``"sine"``.
        norm: ``"rms"`` (no parameters), ``"layer"`` or ``"none"``.

    Shape: positions ``(n,)`` to ``(n, channels)``.

    >>> RPE(4, depth=3)(torch.arange(-9, 10)).shape
    torch.Size([19, 4])
    """

    def __init__(
        self,
        channels: int,
        *,
        width: int = 64,
        depth: int = 6,
        activation: str = "relu",
        norm: str = "rms",
    ) -> None:
        super().__init__()
        self.form = (channels, width, depth, activation, norm)  # equal: the same layers
        make_activation = lookup("the RPE's activation", activation, ACTIVATIONS)
        make_norm = lookup("the RPE's norm", norm, NORMS)

        def layer(out_features: int) -> nn.Sequential:
            linear = nn.Linear(width, out_features)
            return nn.Sequential(make_norm(width), make_activation(), linear)

        self.pos_proj = nn.Linear(1, width)
        self.layers = nn.ModuleList(layer(width) for _ in range(depth))
        self.out = layer(channels)

    def forward(self, positions: Tensor) -> Tensor:
        weight = self.pos_proj.weight
        dtype = torch.promote_types(weight.dtype, torch.float32)
        with torch.autocast(weight.device.type, enabled=False):
            x = _linear(self.pos_proj, positions.to(dtype).unsqueeze(-1))
            for layer in (*self.layers, self.out):
                norm, activation, linear = cast(nn.Sequential, layer)
                x = _linear(cast(nn.Linear, linear), activation(norm(x)))
        return x


def _linear(linear: nn.Linear, x: Tensor) -> Tensor:
    return F.linear(x, linear.weight.to(x.dtype), linear.bias.to(x.dtype))


def evaluate_together(rpes: Sequence[RPE], positions: Tensor) -> Tensor:
    """``[rpe(positions).T for rpe in rpes]`` as one batched MLP, for RPEs of one ``form``.

    Each layer is one batched matrix product. The weights are stacked anew in each call: every RPE
    keeps its own, and their gradients flow to them.

    Shape: positions ``(n,)`` to ``(rpes, channels, n)``, positions being neighbours in memory.

    >>> rpes, positions = [RPE(4), RPE(4), RPE(4)], torch.arange(10)
    >>> together = evaluate_together(rpes, positions)
    >>> torch.allclose(together[1], rpes[1](positions).T, atol=1e-5), together.shape
    (True, torch.Size([3, 4, 10]))
    """
    weight = rpes[0].pos_proj.weight
    dtype = torch.promote_types(weight.dtype, torch.float32)
    with torch.autocast(weight.device.type, enabled=False):
        x = positions.to(dtype).unsqueeze(-1).expand(len(rpes), -1, 1)
        weights, biases = _weights([rpe.pos_proj for rpe in rpes], dtype)
        for layers in zip(*((*rpe.layers, rpe.out) for rpe in rpes), strict=True):
            x = torch.baddbmm(biases[:, None], x, weights.mT)
            norms, activations, linears = zip(*layers, strict=True)
            x = activations[0](_norms(norms, x))
            weights, biases = _weights(linears, dtype)
        return torch.baddbmm(biases[..., None], weights, x.mT)


def _norms(norms: Sequence[nn.Module], x: Tensor) -> Tensor:
    if not isinstance(norms[0], nn.LayerNorm):  # the others learn nothing
        return norms[0](x)
    weights, biases = _weights(norms, x.dtype)
    x = F.layer_norm(x, norms[0].normalized_shape, eps=norms[0].eps)
    return torch.addcmul(biases[:, None], x, weights[:, None])


def _weights(modules: Sequence[Any], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Weights and biases of modules of one shape, stacked."""
    weights, biases = ([getattr(m, name) for m in modules] for name in ("weight", "bias"))
    return torch.stack(weights).to(dtype), torch.stack(biases).to(dtype)
