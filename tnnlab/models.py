"""A Toeplitz language model and the configuration that describes it."""

from dataclasses import dataclass, fields
from typing import Self

import torch.nn.functional as F
from torch import Tensor, nn

from tnnlab.layers import GLU, GTU, TNNBlock
from tnnlab.norms import NORMS, lookup
from tnnlab.operators import TNO, ToeplitzOperator
from tnnlab.operators.rpe import ACTIVATIONS
from tnnlab.pretrained import Pretrained


@dataclass(frozen=True)
class TNNConfig:
    """The shape of a Toeplitz network; the defaults are the published WikiText-103 model.

    Attributes:
        vocab_size: number of tokens.
        depth: number of blocks.
        width: d, channels of the residual stream.
        expansion: e, the operator works on e · d channels.
        glu_width: inner channels of the GLU.
        operator: what mixes positions: "tno".
        rpe_width: width of the RPE's hidden layers.
        rpe_depth: number of the RPE's hidden layers.
        rpe_activation: "relu", "gelu" or "silu".
        rpe_norm: "rms" (no parameters) or "layer".
        normalize_lags: give the RPE lag / n in place of the lag.
        decay: λ in (0, 1], per step of lag; 1 means none.
        learned_decay: λ a parameter per channel, starting between ``decay`` and 1.
        norm: "rms" (no parameters) or "layer", in the blocks and before the output.
        pre_norm: normalise before each mixer, else after its residual.
        dropout: on embeddings and on each mixer's output; in [0, 1).

    Raises:
        ValueError: a value outside what is listed above.
    """

    vocab_size: int = 50257
    depth: int = 7
    width: int = 512
    expansion: int = 3
    glu_width: int = 512
    operator: str = "tno"
    rpe_width: int = 64
    rpe_depth: int = 6
    rpe_activation: str = "relu"
    rpe_norm: str = "rms"
    normalize_lags: bool = False
    decay: float = 0.99
    learned_decay: bool = False
    norm: str = "rms"
    pre_norm: bool = True
    dropout: float = 0.1

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            lowest = 0 if field.name == "rpe_depth" else 1
            if field.type is int and value < lowest:
                raise ValueError(f"{field.name} is at least {lowest}; got {value}")
        lookup("operator", self.operator, OPERATORS)
        lookup("rpe_activation", self.rpe_activation, ACTIVATIONS)
        lookup("rpe_norm", self.rpe_norm, NORMS)
        lookup("norm", self.norm, NORMS)
        if not 0 < self.decay <= 1:
            raise ValueError(f"decay lies in (0, 1] (1: no decay); got {self.decay}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout lies in [0, 1); got {self.dropout}")

    @classmethod
    def wikitext103(cls) -> Self:
        """The published causal language model: 7 blocks, 48.6 M parameters (ICLR 2023, §4.1)."""
        return cls()


def _tno(config: TNNConfig, causal: bool) -> ToeplitzOperator:
    return TNO(
        config.expansion * config.width,
        causal=causal,
        rpe_width=config.rpe_width,
        rpe_depth=config.rpe_depth,
        rpe_activation=config.rpe_activation,
        rpe_norm=config.rpe_norm,
        normalize_lags=config.normalize_lags,
        decay=config.decay,
        learned_decay=config.learned_decay,
    )


OPERATORS = {"tno": _tno}


def _block(config: TNNConfig, causal: bool) -> TNNBlock:
    return TNNBlock(
        GTU(config.width, OPERATORS[config.operator](config, causal)),
        GLU(config.width, config.glu_width),
        width=config.width,
        norm=config.norm,
        pre_norm=config.pre_norm,
        dropout=config.dropout,
    )


class CausalLM(Pretrained):
    """A causal language model without attention (Qin et al., ICLR 2023, §3.6).

    Token embedding scaled by √width and shared with the output, blocks, and a final norm where
    the blocks are pre-norm. No positional embedding: position lives in the kernels, so the model
    runs at any length, whatever length it was trained at. The embedding starts from N(0, 1/width).

    Args:
        config: the model's shape.

    >>> model = CausalLM(TNNConfig(vocab_size=257, depth=2, width=32, glu_width=32))
    >>> import torch
    >>> model(torch.randint(257, (2, 10))).shape
    torch.Size([2, 10, 257])
    """

    config_class = TNNConfig

    def __init__(self, config: TNNConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.width)
        nn.init.normal_(self.embedding.weight, std=config.width**-0.5)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(_block(config, causal=True) for _ in range(config.depth))
        self.norm = NORMS[config.norm](config.width) if config.pre_norm else nn.Identity()

    def features(self, tokens: Tensor) -> Tensor:
        """What the output layer sees: tokens ``(batch, n)`` to ``(batch, n, width)``.

        Raises:
            ValueError: tokens are not a ``(batch, n)`` tensor of integers with n ≥ 1.
        """
        if tokens.ndim != 2 or tokens.shape[1] < 1 or tokens.is_floating_point():
            raise ValueError(
                "tokens is an integer tensor of shape (batch, n) with n ≥ 1; "
                f"got {tokens.dtype} of shape {tuple(tokens.shape)}"
            )
        x = self.dropout(self.embedding(tokens) * self.config.width**0.5)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def forward(self, tokens: Tensor) -> Tensor:
        """Scores of the next token: ``(batch, n)`` integers to ``(batch, n, vocab_size)``."""
        return F.linear(self.features(tokens), self.embedding.weight)
