"""The hidden tokens: a text with gaps, and a bidirectional language model that fills them."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tnnlab.models import MaskedLM, mask_tokens, masked_loss
from tnnlab.models.masking import NOT_CHOSEN, chosen_places
from tnnlab.pretrained import Pretrained
from tnnlab.training.errors import ConfigError
from tnnlab.training.evaluation import HeldOut, add_up, answers, evaluating
from tnnlab.training.language import TextObjective
from tnnlab.training.masked import MaskedRun

#: What is hidden of held-out text is the same in all runs. The key of a training batch ends with a
#: process counted from 1, and so is another.
HELD_OUT = (0, 0, 0)


class MaskedLanguageModelling(TextObjective):
    """Windows of a corpus with gaps; the loss of each hidden token.

    What is hidden is drawn on the CPU, from the run's seed and the number of the batch: a run that
    goes on, and one on other hardware, has the same gaps. An end of text is never hidden. The
    measures of a split are ``loss_per_masked_token`` in nats, ``perplexity_per_masked_token``,
    the ``accuracy`` of the guesses, and the number of ``masked_tokens``.
    """

    criterion = "loss_per_masked_token"
    added_tokens = 1  # the mask
    windows_on_gpu = False

    def __init__(self, config: MaskedRun, accelerator: Any) -> None:
        super().__init__(config, accelerator)
        self.hidden = config.data.hidden
        self.gaps = {split: self.with_gaps(of) for split, of in self.held_out.items()}

    def make_model(self) -> MaskedLM:
        return MaskedLM(self.config.model)

    def hide(self, tokens: Tensor, key: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Inputs with gaps and their targets, as :func:`tnnlab.models.mask_tokens`; the same ones
        for the same key."""
        seed = np.random.SeedSequence(key).generate_state(1, np.uint64)
        return mask_tokens(
            tokens,
            mask_token=self.tokenizer.vocab_size,
            vocab_size=self.config.model.vocab_size,
            special_tokens=[self.tokenizer.end_of_text],
            probability=self.hidden,
            generator=torch.Generator().manual_seed(int(seed[0])),
        )

    def with_gaps(self, held_out: HeldOut) -> tuple[Tensor, Tensor]:
        """Windows of held-out text, ``(windows, length)``: inputs and targets. What is left of the
        text after the last whole window is left out; tokens that are not scored are never hidden.
        """
        length = self.config.data.length
        whole = len(held_out.tokens) // length * length
        if not whole:
            raise ConfigError(
                f"data.length is {length}, and a held-out split has {len(held_out.tokens)} tokens: "
                "take shorter windows, more text, or a larger evaluation.limit"
            )
        tokens = torch.from_numpy(held_out.tokens[:whole].astype(np.int64)).view(-1, length)
        inputs, targets = self.hide(tokens, HELD_OUT)
        if held_out.scored is not None:
            scored = torch.from_numpy(held_out.scored[:whole]).view(-1, length)
            inputs = torch.where(scored, inputs, tokens)
            targets = torch.where(scored, targets, NOT_CHOSEN)
        return inputs, targets

    def batch(self, number: int) -> tuple[Tensor, ...]:
        tokens, _ = self.batches.batch(number)
        key = (self.config.seed, number, 1 + self.accelerator.process_index)
        inputs, targets = self.hide(tokens, key)
        return inputs, *chosen_places(targets)

    def loss(self, model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        inputs, places, targets = batch
        return masked_loss(model(inputs, places=places), targets)

    def measure(self, model: nn.Module, split: str) -> dict[str, float]:
        def batches() -> Iterator[tuple[Tensor, ...]]:
            parts = (part.split(self.config.evaluation.batch_size) for part in self.gaps[split])
            for inputs, targets in zip(*parts, strict=True):
                yield inputs, *chosen_places(targets)

        def tally(batch: tuple[Tensor, ...]) -> tuple[float, int, int]:
            inputs, places, targets = batch
            return answers(model(inputs, places=places), targets)

        nats, right, count = add_up(model, batches(), tally, self.accelerator)
        loss = nats / count
        return {
            "loss_per_masked_token": loss,
            "perplexity_per_masked_token": math.exp(loss) if loss < 700 else math.inf,
            "accuracy": right / count,
            "masked_tokens": int(count),
        }

    def summary(self, found: Mapping[str, float]) -> str:
        return (
            f"{found['loss_per_masked_token']:.4f} nats per masked token, "
            f"{found['accuracy']:.2%} guessed"
        )

    def samples(self, model: Pretrained) -> list[str]:
        count = self.config.evaluation.samples
        inputs, targets = (part[:count] for part in self.gaps["validation"])
        if not count:
            return []
        with evaluating(model), torch.compiler.set_stance("force_eager"):
            guesses = model(inputs.to(self.accelerator.device)).argmax(-1).cpu()
        rows = zip(inputs, targets, guesses, strict=True)
        return [with_guesses(*row, decode=self.tokenizer.decode) for row in rows]


def with_guesses(
    inputs: Tensor, targets: Tensor, guesses: Tensor, *, decode: Callable[[list[int]], str]
) -> str:
    """A text with its gaps filled: ``[right]``, or ``[wrong|what it was]``.

    Args:
        inputs, targets: of one window, ``(n,)``, as `mask_tokens` gives them.
        guesses: the model's, ``(n,)``; looked at in the gaps only.
        decode: tokens to text.

    >>> inputs, targets = torch.tensor([97, 256, 99, 256]), torch.tensor([-100, 98, -100, 100])
    >>> guesses = torch.tensor([0, 98, 0, 69])
    >>> with_guesses(inputs, targets, guesses, decode=lambda tokens: bytes(tokens).decode())
    'a[b]c[E|d]'
    """
    text, plain = "", []
    for token, target, guess in zip(*map(Tensor.tolist, (inputs, targets, guesses)), strict=True):
        if target == NOT_CHOSEN:
            plain.append(token)
        else:
            wrong = "" if guess == target else f"|{decode([target])}"
            text += f"{decode(plain)}[{decode([guess])}{wrong}]"
            plain = []
    return text + decode(plain)
