"""Masked language modelling: what is hidden, and the loss of guessing it."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

NOT_CHOSEN = -100  # the target of a token that is not to be guessed


def mask_tokens(
    tokens: Tensor,
    *,
    mask_token: int,
    vocab_size: int,
    special_tokens: Iterable[int] = (),
    probability: float = 0.15,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Choose tokens to be guessed, and hide them (Devlin et al., 2019; Liu et al., 2019, RoBERTa).

    Each token is chosen with ``probability``, independently. Of the chosen ones 80 % become the
    mask token, 10 % any ordinary token, 10 % stay. Special tokens are neither chosen nor drawn.

    Args:
        tokens: integers of any shape; not changed.
        mask_token: what stands for a hidden token; special itself.
        vocab_size: tokens are 0 … vocab_size - 1.
        special_tokens: others to leave alone, padding among them.
        probability: in [0, 1].
        generator: of the random numbers, on the device of the tokens.

    Returns:
        the model's input, and the targets: the token where one was chosen, else -100.

    Raises:
        ValueError: the probability or a token is out of range, or no ordinary token is left.

    >>> tokens = torch.arange(100)
    >>> inputs, targets = mask_tokens(tokens, mask_token=256, vocab_size=257)
    >>> torch.equal(inputs[targets == -100], tokens[targets == -100])  # others are left alone
    True
    """
    specials = sorted({mask_token, *special_tokens})
    if not 0 <= probability <= 1:
        raise ValueError(f"probability lies in [0, 1]; got {probability}")
    if specials[0] < 0 or specials[-1] >= vocab_size or len(specials) == vocab_size:
        raise ValueError(
            f"mask_token and special_tokens are some of 0 … {vocab_size - 1}, not all; "
            f"got {specials}"
        )
    device = tokens.device
    ordinary = torch.ones(vocab_size, dtype=torch.bool, device=device)
    ordinary[specials] = False

    def chance() -> Tensor:
        return torch.rand(tokens.shape, generator=generator, device=device)

    chosen = (chance() < probability) & ordinary[tokens]
    candidates = ordinary.nonzero().squeeze(1).to(tokens.dtype)
    draw = torch.randint(len(candidates), tokens.shape, generator=generator, device=device)
    fate = chance()
    inputs = torch.where(chosen & (fate < 0.8), mask_token, tokens)
    inputs = torch.where(chosen & (fate >= 0.9), candidates[draw], inputs)
    return inputs, torch.where(chosen, tokens, NOT_CHOSEN)


def chosen_places(targets: Tensor) -> tuple[Tensor, Tensor]:
    """Where something is to be guessed, and what: the scores elsewhere need not be computed.

    Filled up with place 0 and no target to a multiple of a sixteenth of the batch, so that batches
    of one shape have as many places: a compiled model is not compiled anew for each of them.

    Args:
        targets: integers of any shape, -100 where nothing is to be guessed.

    Returns:
        places in the flattened batch, and their targets, both ``(k,)``.

    >>> targets = torch.full((4, 8), -100)
    >>> targets[0, 3], targets[2, 1], targets[3, 0] = 7, 5, 6
    >>> chosen_places(targets)
    (tensor([ 3, 17, 24,  0]), tensor([   7,    5,    6, -100]))
    """
    targets = targets.flatten()
    places = (targets != NOT_CHOSEN).nonzero().squeeze(1)
    fill = -len(places) % max(1, len(targets) // 16)
    return F.pad(places, (0, fill)), F.pad(targets[places], (0, fill), value=NOT_CHOSEN)


def masked_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy in nats over the chosen tokens only; 0 where none was chosen.

    Args:
        logits: ``(..., vocab_size)``.
        targets: ``(...)``, -100 where nothing is to be guessed.

    >>> masked_loss(torch.zeros(3, 8), torch.tensor([5, -100, 2])).exp().round(decimals=4)
    tensor(8.)
    """
    total = F.cross_entropy(
        logits.flatten(0, -2), targets.flatten(), ignore_index=NOT_CHOSEN, reduction="sum"
    )
    return total / (targets != NOT_CHOSEN).sum().clamp(min=1)
