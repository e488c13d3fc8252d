"""Continue prompts: read them, then draw token after token."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from tnnlab.generation.decoders import Decoder, make_decoder
from tnnlab.generation.graph import one_token
from tnnlab.generation.sampling import Sampler
from tnnlab.models import CausalLM

Prompts = Tensor | Sequence[Sequence[int]]


def generate(model: CausalLM, prompts: Prompts, **options: Any) -> list[list[int]]:
    """Continue each prompt: all that :func:`stream` yields, prompt by prompt.

    Returns:
        the new tokens of each prompt, at most ``max_new_tokens``; a stop token is the last one.

    >>> from tnnlab.models import CausalLM, TNNConfig
    >>> model = CausalLM(TNNConfig(vocab_size=257, depth=1, width=32, glu_width=32))
    >>> options = {"max_new_tokens": 5, "temperature": 0}
    >>> new = generate(model, [[72, 101], [72]], **options)
    >>> new == generate(model, [[72, 101], [72]], decoder="full", **options), len(new[0])
    (True, 5)
    """
    continuations: list[list[int]] = [[] for _ in range(len(prompts))]
    for tokens in stream(model, prompts, **options):
        for continuation, token in zip(continuations, tokens, strict=True):
            if token is not None:
                continuation.append(token)
    return continuations


def stream(
    model: CausalLM,
    prompts: Prompts,
    *,
    max_new_tokens: int,
    decoder: str | Decoder | None = None,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    stop_tokens: Sequence[int] = (),
    seed: int | None = None,
    length: int | None = None,
    order: int | None = None,
    tolerance: float | None = None,
) -> Iterator[list[int | None]]:
    """Continue prompts, a token of each at a time.

    Prompts of different lengths are padded at the left. Padding enters the operators as zeros, and
    they see distances only, so that each prompt is continued as it would be alone.

    Args:
        model: not touched; it need not be in evaluation mode.
        prompts: token lists, or integers ``(batch, n)``; each at least one token.
        max_new_tokens: how many to draw at most.
        decoder: a name of :data:`tnnlab.generation.DECODERS`, or one that was made before
            (:func:`tnnlab.generation.make_decoder`, where the names are explained). None: "window",
            or a converted model's own.
        temperature, top_k, top_p: of the :class:`tnnlab.generation.Sampler`.
        stop_tokens: what ends a continuation.
        seed: of a random generator of its own, so that nothing else's numbers change; None draws
            differently each time. The numbers depend on the batch.
        length, order, tolerance: of a decoder that is named. Length None: as many positions as
            there can be here, so that every decoder but "reduced" is exact; "full" then reads the
            text as it is.

    Yields:
        the new token of each prompt, None where it has ended. Ends when all have.

    Raises:
        ValueError: an empty prompt, a token outside the vocabulary, or an option out of range.

    >>> from tnnlab.models import CausalLM, TNNConfig
    >>> model = CausalLM(TNNConfig(vocab_size=257, depth=1, width=32, glu_width=32))
    >>> for tokens in stream(model, [[72, 101], [72]], max_new_tokens=2, seed=0):
    ...     print(len(tokens))  # one for each prompt
    2
    2
    """
    tokens, mask = _left_padded(prompts, model.config.vocab_size)
    if max_new_tokens < 0:
        raise ValueError(f"max_new_tokens is at least 0; got {max_new_tokens}")
    device = model.embedding.weight.device
    generator = torch.Generator(device=device)
    generator.seed() if seed is None else generator.manual_seed(seed)
    sampler = Sampler(temperature, top_k, top_p, generator)
    if decoder is None or isinstance(decoder, str):
        if length is None and decoder != "full":
            length = max(1, tokens.shape[1] + max_new_tokens - 1)  # the last is never read
        decoder = make_decoder(model, decoder, length=length, order=order, tolerance=tolerance)
    elif (length, order, tolerance) != (None, None, None):
        raise ValueError("length, order and tolerance are of a decoder that is named: none here")
    if len(tokens) == 0 or max_new_tokens == 0:
        return iter(())
    drawn = _draws(decoder, tokens.to(device), None if mask is None else mask.to(device), sampler)
    return _until_stopped(drawn, max_new_tokens, set(stop_tokens), len(tokens))


def sample(
    model: CausalLM,
    tokens: Tensor,
    *,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    seed: int | None = None,
) -> Tensor:
    """Continue each prompt, recomputing the whole sequence for every token: the naive twin of
    :func:`generate`.

    Args:
        model: not touched; it need not be in evaluation mode.
        tokens: prompts, integers ``(batch, n)`` with n ≥ 1.
        max_new_tokens, temperature, top_k, seed: as for :func:`stream`.

    Returns:
        prompts and continuations, ``(batch, n + max_new_tokens)``.

    Raises:
        ValueError: as :func:`stream`.

    >>> from tnnlab.models import CausalLM, TNNConfig
    >>> model = CausalLM(TNNConfig(vocab_size=257, depth=1, width=32, glu_width=32))
    >>> sample(model, torch.tensor([[72, 101]]), max_new_tokens=3, seed=0).shape
    torch.Size([1, 5])
    """
    options: dict[str, Any] = {"temperature": temperature, "top_k": top_k, "seed": seed}
    new = generate(model, tokens, max_new_tokens=max_new_tokens, decoder="full", **options)
    return torch.cat([tokens, tokens.new_tensor(new).view(len(tokens), max_new_tokens)], dim=1)


def _left_padded(prompts: Prompts, vocabulary: int) -> tuple[Tensor, Tensor | None]:
    """Prompts as ``(batch, longest)`` on the CPU, and where their tokens are; None: everywhere."""
    if isinstance(prompts, Tensor) and (prompts.ndim != 2 or prompts.is_floating_point()):
        raise ValueError(
            "prompts are lists of tokens, or integers of shape (batch, n); "
            f"got {prompts.dtype} of shape {tuple(prompts.shape)}"
        )
    rows = [torch.as_tensor(prompt, dtype=torch.long).cpu() for prompt in prompts]
    for row in rows:
        if row.ndim != 1 or len(row) == 0:
            raise ValueError(
                "a prompt has at least one token: begin with the end-of-document token where "
                f"there is nothing to continue; got one of shape {tuple(row.shape)}"
            )
        if row.min() < 0 or row.max() >= vocabulary:
            raise ValueError(
                f"tokens of this model are 0 … {vocabulary - 1}; a prompt has "
                f"{int(row.min())} … {int(row.max())}"
            )
    longest = max(map(len, rows), default=1)
    tokens = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros(len(rows), longest, dtype=torch.bool)
    for i, row in enumerate(rows):
        tokens[i, longest - len(row) :], mask[i, longest - len(row) :] = row, True
    return tokens, None if bool(mask.all()) else mask


def _draws(
    decoder: Decoder, tokens: Tensor, mask: Tensor | None, sampler: Sampler
) -> Iterator[Tensor]:
    """New tokens ``(batch,)``, without end."""
    step = one_token(decoder, sampler, len(tokens))
    decoder.start(len(tokens))
    new = sampler(decoder(tokens, mask))
    while True:
        yield new
        new = step(new)


def _until_stopped(
    drawn: Iterator[Tensor], most: int, stop_tokens: set[int], batch: int
) -> Iterator[list[int | None]]:
    ended = [False] * batch
    for _, new in zip(range(most), drawn, strict=False):
        row = [None if end else token for end, token in zip(ended, new.tolist(), strict=True)]
        yield row
        ended = [end or token in stop_tokens for end, token in zip(ended, row, strict=True)]
        if all(ended):
            return
