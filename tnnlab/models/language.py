"""Language models: one that reads from left to right, one that fills gaps."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tnnlab.models.config import TNNConfig
from tnnlab.models.trunk import TokenModel
from tnnlab.norms import LayerNorm
from tnnlab.ops import linear_cross_entropy


class CausalLM(TokenModel):
    """A causal language model without attention (Qin et al., ICLR 2023, §3.6).

    Token embedding scaled by √width and shared with the output, blocks, and a final norm where
    the blocks are pre-norm. No positional embedding: position lives in the kernels, so the model
    runs at any length, whatever length it was trained at. The embedding starts from N(0, 1/width).

    Args:
        config: the model's shape.

    Raises:
        ValueError: the norm is "batch": its statistics would show each token the later ones.

    >>> model = CausalLM(TNNConfig(vocab_size=257, depth=2, width=32, glu_width=32))
    >>> import torch
    >>> model(torch.randint(257, (2, 10))).shape
    torch.Size([2, 10, 257])
    """

    def __init__(self, config: TNNConfig) -> None:
        if config.norm == "batch":
            raise ValueError(
                "norm is 'rms' or 'layer' in a causal language model: batch statistics run over "
                "positions, so that training would see the future; got 'batch'"
            )
        super().__init__(config, causal=True)

    def forward(self, tokens: Tensor, targets: Tensor | None = None) -> Tensor:
        """Scores of the next token: ``(batch, n)`` integers to ``(batch, n, vocab_size)``.

        With ``targets``, integers ``(batch, n)``: their mean loss in nats instead, for which the
        scores need never exist all at once (:func:`tnnlab.ops.linear_cross_entropy`).
        """
        features = self.features(tokens)
        if targets is not None:
            return linear_cross_entropy(features, self.embedding.weight, targets)
        return F.linear(features, self.embedding.weight)

    def next_logits(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Scores of the token after the last: ``(batch, n)`` integers to ``(batch, vocab_size)``.

        ``mask`` as in :meth:`~tnnlab.models.trunk.TokenModel.features`: shorter texts stand at the
        right, padding at the left.
        """
        return F.linear(self.features(tokens, mask)[:, -1], self.embedding.weight)

    def generate(self, prompts: Any, **options: Any) -> list[list[int]]:
        """Continue prompts: :func:`tnnlab.generation.generate` of this model."""
        from tnnlab.generation import generate

        return generate(self, prompts, **options)


class MaskedLM(TokenModel):
    """A bidirectional language model that says which tokens were hidden.

    The head is RoBERTa's (Liu et al., 2019): ``LayerNorm(GELU(W x + b))``, then the shared
    embedding and a bias for each token. Hide tokens with :func:`tnnlab.models.mask_tokens`; the
    loss is :func:`tnnlab.models.masked_loss`.

    Args:
        config: the model's shape; ``vocab_size`` counts the mask token.

    >>> config = TNNConfig(vocab_size=258, depth=1, width=32, glu_width=32)
    >>> MaskedLM(config)(torch.randint(258, (2, 10))).shape
    torch.Size([2, 10, 258])
    """

    def __init__(self, config: TNNConfig) -> None:
        super().__init__(config, causal=False)
        self.dense = nn.Linear(config.width, config.width)
        self.dense_norm = LayerNorm(config.width)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(
        self, tokens: Tensor, mask: Tensor | None = None, places: Tensor | None = None
    ) -> Tensor:
        """Scores of the token at each position, ``(batch, n, vocab_size)``; mask: not padding.

        With ``places``, integers ``(k,)`` that count through the whole batch: there only,
        ``(k, vocab_size)``. The output layer is the larger part of a small model, and few tokens
        are hidden (:func:`tnnlab.models.masking.chosen_places`).
        """
        x = self.features(tokens, mask)
        if places is not None:
            x = x.flatten(0, 1)[places]
        x = self.dense_norm(F.gelu(self.dense(x)))
        return F.linear(x, self.embedding.weight, self.bias)
