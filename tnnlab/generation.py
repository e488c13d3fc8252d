"""Drawing text from a language model, one token at a time."""

import torch
from torch import Tensor, nn


@torch.no_grad()
def sample(
    model: nn.Module,
    tokens: Tensor,
    *,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    seed: int | None = None,
) -> Tensor:
    """Continue each prompt, recomputing the whole sequence for every token.

    There is no window: a Toeplitz model runs at any length, so all that was drawn stays in view.
    N tokens cost N passes over up to n + N positions.

    Args:
        model: ``(batch, n)`` tokens to ``(batch, n, vocab)`` logits. It runs in evaluation mode,
            and is given back in the mode that it came in.
        tokens: prompts, integers of shape ``(batch, n)`` with n ≥ 1.
        max_new_tokens: how many to add to each.
        temperature: divides the logits before the softmax; 0 takes the most likely token.
        top_k: draw among the k most likely tokens; None: among all.
        seed: of a random generator of its own, so that nothing else's numbers change; None draws
            differently each time.

    Returns:
        prompts and continuations, ``(batch, n + max_new_tokens)``.

    Raises:
        ValueError: an empty prompt, or a number outside its range.
    """
    _check(tokens, max_new_tokens, temperature, top_k)
    generator = torch.Generator(device=tokens.device)
    generator.seed() if seed is None else generator.manual_seed(seed)
    was_training = model.training
    model.eval()
    try:
        for _ in range(max_new_tokens):
            logits = model(tokens)[:, -1].float()
            new = _draw(logits, temperature, top_k, generator)
            tokens = torch.cat((tokens, new), dim=1)
    finally:
        model.train(was_training)
    return tokens


def _draw(
    logits: Tensor, temperature: float, top_k: int | None, generator: torch.Generator
) -> Tensor:
    """One token for each row of ``(batch, vocab)`` logits: ``(batch, 1)``."""
    if temperature == 0:
        return logits.argmax(dim=-1, keepdim=True)
    if top_k is not None and top_k < logits.shape[-1]:
        least = logits.topk(top_k, dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < least, float("-inf"))
    probabilities = torch.softmax(logits / temperature, dim=-1)
    return torch.multinomial(probabilities, 1, generator=generator)


def _check(tokens: Tensor, max_new_tokens: int, temperature: float, top_k: int | None) -> None:
    if tokens.ndim != 2 or tokens.shape[1] == 0 or tokens.is_floating_point():
        raise ValueError(
            "tokens are integers of shape (batch, n) with n ≥ 1, "
            f"not {tokens.dtype} of shape {tuple(tokens.shape)}: begin with end-of-document tokens"
            " where there is no prompt"
        )
    if max_new_tokens < 0 or temperature < 0 or (top_k is not None and top_k < 1):
        raise ValueError(
            f"max_new_tokens {max_new_tokens} and temperature {temperature} are at least 0, "
            f"top_k {top_k} at least 1 or None"
        )
