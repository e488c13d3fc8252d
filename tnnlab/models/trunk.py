"""What all models have: an embedding, blocks, a last norm."""

import torch
from torch import Tensor, nn

from tnnlab.attention import LearnedPositions
from tnnlab.models.build import make_block
from tnnlab.models.config import TNNConfig
from tnnlab.models.positions import Sinusoids
from tnnlab.norms import BLOCK_NORMS, normalize
from tnnlab.operators import shared_kernels
from tnnlab.pretrained import Pretrained


class Trunk(Pretrained):
    """Blocks over an embedding, and a final norm where the blocks are pre-norm.

    Args:
        config: the model's shape.
        embedding: makes ``width`` channels of what the model reads.
        causal: whether positions see earlier ones only.
        axes: 2: the blocks run on ``(batch, height, width, channels)``.
        sinusoids: add :class:`~tnnlab.models.positions.Sinusoids` to the embedding.

    >>> from tnnlab.models import CausalLM, TNNConfig
    >>> model = CausalLM(TNNConfig(vocab_size=257, depth=2, width=32, glu_width=32))
    >>> model.mix(torch.zeros(2, 10, 32)).shape, len(model.blocks)
    (torch.Size([2, 10, 32]), 2)
    """

    config_class = TNNConfig

    def __init__(
        self,
        config: TNNConfig,
        embedding: nn.Module,
        *,
        causal: bool,
        axes: int = 1,
        sinusoids: bool = False,
    ) -> None:
        super().__init__()
        self.config = config
        self.embedding = embedding
        rows = config.learned_positions
        self.positions: nn.Module | None = None
        if sinusoids:
            self.positions = Sinusoids(config.width)
        elif rows:
            self.positions = LearnedPositions(rows, config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            make_block(config, causal=causal, axes=axes) for _ in range(config.depth)
        )
        self.norm = BLOCK_NORMS[config.norm](config.width) if config.pre_norm else nn.Identity()

    def mix(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Added positions where there are some, dropout, blocks, norm: ``(batch, n, width)`` to the
        same."""
        if self.positions is not None:
            x = self.positions(x, mask)
        x = self.dropout(x)
        operators = [getattr(block.gtu, "operator", None) for block in self.blocks]
        kernels = shared_kernels(operators, x.shape[1:-1])
        for block, given in zip(self.blocks, kernels, strict=True):
            x = block(x, mask, **given)
        return normalize(self.norm, x, mask)


class TokenModel(Trunk):
    """A model that reads tokens. By default no positional embedding: position lives in the kernels,
    so it runs at any length (attention with ``learned_positions`` excepted). The embedding starts
    from N(0, 1/width) and is scaled by √width.

    Padding: what stands where ``mask`` is False changes no feature elsewhere. How *much* padding
    there is changes nothing either where a longer kernel extends a shorter one (TNO, S4D, Hyena,
    attention; RTF up to its length), and approximately where the operator depends on the length it
    is given (FD, SKI, normalised lags).

    Args:
        config: the model's shape.
        causal: whether positions see earlier ones only.
        sinusoids: add :class:`~tnnlab.models.positions.Sinusoids` to the embedding.

    >>> from tnnlab.models import CausalLM, TNNConfig
    >>> model = CausalLM(TNNConfig(vocab_size=257, depth=2, width=32, glu_width=32))
    >>> model.features(torch.randint(257, (2, 10))).shape
    torch.Size([2, 10, 32])
    """

    embedding: nn.Embedding

    def __init__(self, config: TNNConfig, *, causal: bool, sinusoids: bool = False) -> None:
        embedding = nn.Embedding(config.vocab_size, config.width)
        nn.init.normal_(embedding.weight, std=config.width**-0.5)
        super().__init__(config, embedding, causal=causal, sinusoids=sinusoids)

    def features(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """What the output layer sees: tokens ``(batch, n)`` to ``(batch, n, width)``.

        Args:
            tokens: integers.
            mask: ``(batch, n)`` of bool, True at real tokens, False at padding; None: all real.

        Raises:
            ValueError: tokens are not a ``(batch, n)`` tensor of integers with n ≥ 1, or the mask
                is not bool or has another shape.
        """
        if tokens.ndim != 2 or tokens.shape[1] < 1 or tokens.is_floating_point():
            raise ValueError(
                "tokens is an integer tensor of shape (batch, n) with n ≥ 1; "
                f"got {tokens.dtype} of shape {tuple(tokens.shape)}"
            )
        if mask is not None and (mask.dtype != torch.bool or mask.shape != tokens.shape):
            raise ValueError(
                f"the mask is a bool tensor as large as the tokens, {tuple(tokens.shape)}, True "
                f"at real ones; got {mask.dtype} of shape {tuple(mask.shape)}"
            )
        return self.mix(self.embedding(tokens) * self.config.width**0.5, mask)
