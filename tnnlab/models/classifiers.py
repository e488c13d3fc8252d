"""Classifiers of sequences of tokens, and of pairs of them."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tnnlab.models.config import ClassifierConfig
from tnnlab.models.pooling import POOLINGS
from tnnlab.models.trunk import TokenModel


class SequenceClassifier(TokenModel):
    """One answer for a sequence: features, pooled over real positions, through a linear map.

    Args:
        config: the model's shape.

    >>> config = ClassifierConfig(vocab_size=18, depth=1, width=16, glu_width=16, classes=10)
    >>> import torch
    >>> SequenceClassifier(config)(torch.randint(18, (2, 30))).shape
    torch.Size([2, 10])
    """

    config_class = ClassifierConfig
    config: ClassifierConfig

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__(config, causal=config.causal, sinusoids=config.sinusoids)
        self.head = nn.Linear(config.width, config.classes)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Scores: tokens ``(batch, n)`` to ``(batch, classes)``.

        ``mask``: as for :meth:`~tnnlab.models.trunk.TokenModel.features`.
        """
        return self.head(POOLINGS[self.config.pooling](self.features(tokens, mask), mask))


class PairClassifier(TokenModel):
    """One answer for two sequences that never see each other (Tay et al., "Long Range Arena", 2021,
    the retrieval task).

    The same network makes vectors a and b of them; ``[a, b, a ⊙ b, a - b]`` goes through an MLP
    with one hidden layer of ``width`` channels and ReLU.

    Args:
        config: the model's shape.

    >>> config = ClassifierConfig(vocab_size=18, depth=1, width=16, glu_width=16, classes=2)
    >>> first, second = torch.randint(18, (4, 30)), torch.randint(18, (4, 20))
    >>> PairClassifier(config)(first, second).shape
    torch.Size([4, 2])
    """

    config_class = ClassifierConfig
    config: ClassifierConfig

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__(config, causal=config.causal, sinusoids=config.sinusoids)
        self.hidden = nn.Linear(4 * config.width, config.width)
        self.head = nn.Linear(config.width, config.classes)

    def encode(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """One sequence as a vector: ``(batch, n)`` to ``(batch, width)``."""
        return POOLINGS[self.config.pooling](self.features(tokens, mask), mask)

    def forward(
        self,
        first: Tensor,
        second: Tensor,
        first_mask: Tensor | None = None,
        second_mask: Tensor | None = None,
    ) -> Tensor:
        """Scores ``(batch, classes)`` of two ``(batch, n)``; their lengths may differ."""
        a, b = self.encode(first, first_mask), self.encode(second, second_mask)
        pair = torch.cat([a, b, a * b, a - b], dim=-1)
        return self.head(F.relu(self.hidden(pair)))
