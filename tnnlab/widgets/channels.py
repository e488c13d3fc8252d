"""What the channels of a trained model do: how far they look back, what they let pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tnnlab.operators.base import ToeplitzOperator

SHARE = 0.9  # of a channel's energy
HALF_POWER, REFUSED = 0.5**0.5, 0.1  # of the peak of the spectrum: what of a constant passes
KINDS = ("take differences", "copy one lag", "average", "cancel in part")


@dataclass(frozen=True)
class Layer:
    """The causal kernels of a layer, each with energy 1 and a largest tap that is positive.

    This changes nothing that matters: the linear map behind the operator undoes any factor.

    Attributes:
        taps: ``(channels, length)``, float64.
        memory: how many lags, from 0 on, hold 90 % of a channel's energy, ``(channels,)``.
        pitch: mean frequency of its power spectrum, in half cycles per step, ``(channels,)``.
        peak: frequency at which the spectrum is largest.
        mean: magnitude of the spectrum at frequency 0, relative to the largest.
        kind: index into ``KINDS``, by the first rule that fits: ``mean`` is below 0.1; one tap
            holds 90 % of the energy; ``mean`` is above √½, so that half of a constant's power
            passes; anything else, which takes taps of both signs.

    >>> describe(torch.tensor([[4.0, 3.0]])).taps
    tensor([[0.8000, 0.6000]], dtype=torch.float64)
    """

    taps: Tensor
    memory: Tensor
    pitch: Tensor
    peak: Tensor
    mean: Tensor
    kind: Tensor


def describe(kernel: Tensor) -> Layer:
    """Causal taps ``(channels, length)`` as a :class:`Layer`.

    >>> kernel = torch.tensor([[0.0, 2.0, 0.0], [1.0, 1.0, 1.0], [-1.0, 1.0, 0.0]])
    >>> layer = describe(kernel)
    >>> layer.memory.tolist(), [KINDS[kind] for kind in layer.kind]
    ([2, 3, 2], ['copy one lag', 'average', 'take differences'])
    """
    taps = kernel.detach().double().cpu()
    tiny = torch.finfo(taps.dtype).tiny
    largest = taps.gather(1, taps.abs().argmax(dim=1, keepdim=True))
    taps = torch.where(largest < 0, -taps, taps) / taps.norm(dim=1, keepdim=True).clamp_min(tiny)
    energy = taps.square()
    spectrum = torch.fft.rfft(taps, n=max(4096, 2 * taps.shape[1])).abs()
    frequency = torch.linspace(0, 1, spectrum.shape[1], dtype=torch.float64)
    power, highest = spectrum.square(), spectrum.amax(dim=1).clamp_min(tiny)
    peak, mean = frequency[spectrum.argmax(dim=1)], spectrum[:, 0] / highest
    rules = torch.stack([mean < REFUSED, energy.amax(dim=1) >= SHARE, mean > HALF_POWER, mean >= 0])
    return Layer(
        taps=taps,
        memory=(energy.cumsum(dim=1) < SHARE * energy.sum(dim=1, keepdim=True)).sum(dim=1) + 1,
        pitch=(power @ frequency) / power.sum(dim=1).clamp_min(tiny),
        peak=peak,
        mean=mean,
        kind=rules.int().argmax(dim=0),  # the first that is true
    )


@torch.no_grad()
def layers_of(model: nn.Module, length: int) -> list[Layer]:
    """The layers of a model whose token mixers are causal Toeplitz operators.

    Args:
        model: has ``blocks``.
        length: of the kernels.

    Raises:
        TypeError, ValueError: another model; the message names the layer.

    >>> import tnnlab
    >>> config = tnnlab.TNNConfig(vocab_size=257, depth=2, width=16, glu_width=16)
    >>> [layer.taps.shape for layer in layers_of(tnnlab.CausalLM(config), 64)]
    [torch.Size([48, 64]), torch.Size([48, 64])]
    """
    blocks: Any = getattr(model, "blocks", None)
    if blocks is None:
        raise TypeError(
            "the kernels are those of a model with blocks, such as tnnlab.CausalLM; "
            f"got {type(model).__name__}"
        )
    layers = []
    for number, block in enumerate(blocks, 1):
        operator = getattr(block.gtu, "operator", block.gtu)
        if not isinstance(operator, ToeplitzOperator) or not operator.causal:
            raise ValueError(
                f"layer {number} mixes positions by {type(operator).__name__}, which has no causal "
                "kernel: give a model whose layers are causal Toeplitz operators"
            )
        layers.append(describe(operator.kernel(length)))
    return layers


def stored_model() -> nn.Module:
    """The byte-level network that comes with the package.

    >>> len(stored_model().blocks)
    4
    """
    from tnnlab.widgets.packed import unpack
    from tnnlab.widgets.writer import STORED

    return unpack(STORED.read_bytes())
