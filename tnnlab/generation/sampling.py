"""From scores to a token."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sampler:
    """Draws one token for each row of scores.

    Attributes:
        temperature: divides the scores before the softmax; 0 takes the most likely token.
        top_k: draw among the k most likely tokens; None: among all.
        top_p: draw among the most likely tokens that together have at least this probability
            (nucleus sampling: Holtzman et al., 2020); None: among all. Applied after ``top_k``.
        generator: random numbers of its own; None: torch's.

    Raises:
        ValueError: a number outside its range.

    >>> scores = torch.tensor([[3.0, 2.0, 1.0, 0.0]])
    >>> Sampler(temperature=0)(scores), Sampler(top_k=2).probabilities(scores).round(decimals=2)
    (tensor([0]), tensor([[0.7300, 0.2700, 0.0000, 0.0000]]))
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    generator: torch.Generator | None = None

    def __post_init__(self) -> None:
        if self.temperature < 0:
            raise ValueError(f"temperature is at least 0; got {self.temperature}")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k is at least 1, or None; got {self.top_k}")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p lies in (0, 1], or is None; got {self.top_p}")

    def __call__(self, logits: Tensor) -> Tensor:
        """``(batch, vocab)`` to ``(batch,)``. No step waits for the device."""
        if self.temperature == 0:
            return logits.argmax(dim=-1)
        probabilities = self.probabilities(logits)
        # Of exponential times with these rates the first is i's with the i-th probability. The
        # same as torch.multinomial, whose checks would stop a GPU.
        times = torch.empty_like(probabilities).exponential_(generator=self.generator)
        return (probabilities / times).argmax(dim=-1)

    def probabilities(self, logits: Tensor) -> Tensor:
        """What is drawn from, at a temperature above 0: ``(batch, vocab)``, in float32 at least."""
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32)) / self.temperature
        if self.top_k is not None and self.top_k < logits.shape[-1]:
            least = logits.topk(self.top_k, dim=-1).values[:, -1:]
            logits = logits.masked_fill(logits < least, float("-inf"))
        if self.top_p is not None:
            ordered, tokens = torch.softmax(logits, dim=-1).sort(dim=-1, descending=True)
            enough = ordered.cumsum(dim=-1) - ordered >= self.top_p  # without this one
            logits = logits.masked_fill(
                torch.zeros_like(enough).scatter(1, tokens, enough), -torch.inf
            )
        return torch.softmax(logits, dim=-1)
