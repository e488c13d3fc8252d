"""The five decoders, by name: how a language model remembers what it has read."""

from functools import partial
from typing import Any, Protocol, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tnnlab._names import nearest
from tnnlab.attention import Attention, LearnedPositions
from tnnlab.convert import DiagonalSSM, StateSpace
from tnnlab.convert.model import ConvertedLM
from tnnlab.convert.one import convert_operator, toeplitz
from tnnlab.generation.attention import KeyValueCache, NextPositions
from tnnlab.generation.memory import Memory, Streaming, substitute
from tnnlab.generation.online import Online, check_room
from tnnlab.generation.recurrent import Recurrent
from tnnlab.generation.window import ShortConvolution, Window
from tnnlab.models import CausalLM
from tnnlab.operators import SKITNO, ToeplitzOperator
from tnnlab.ops import toeplitz_matmul

Module = TypeVar("Module", bound=nn.Module)
DECODERS = ("full", "window", "etsc", "reduced", "online")


class Decoder(Protocol):
    """A language model with a memory.

    >>> from tnnlab.models import CausalLM, TNNConfig
    >>> model = CausalLM(TNNConfig(vocab_size=257, depth=1, width=32, glu_width=32)).eval()
    >>> decoder = make_decoder(model, "window", length=64)
    >>> decoder.start(2)
    >>> _ = decoder(torch.tensor([[72, 101], [72, 105]]))  # two prompts of two tokens each
    >>> decoder(torch.tensor([[108], [33]])).shape  # scores of the token after the third
    torch.Size([2, 257])
    """

    def start(self, batch: int) -> None:
        """Forget everything; from now on for so many sequences."""
        ...

    def __call__(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Read n more tokens, ``(batch, n)``; scores of the one after them, ``(batch, vocab)``.

        Where ``mask`` is False stands padding, at the left of the first tokens.
        """
        ...


class StreamingLM(Streaming):
    """A :class:`Decoder` whose operators remember.

    >>> from tnnlab.models import CausalLM, TNNConfig
    >>> model = CausalLM(TNNConfig(vocab_size=257, depth=1, width=32, glu_width=32)).eval()
    >>> decoder, tokens = make_decoder(model, "online", length=64), torch.tensor([[72, 101, 108]])
    >>> torch.allclose(decoder(tokens), model.next_logits(tokens), atol=1e-4), decoder.seen
    (True, 3)
    """

    module: CausalLM

    @torch.no_grad()
    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        self.prepare(tokens.shape[1])
        return self.module.next_logits(tokens, mask)


class Recompute:
    """A :class:`Decoder` that remembers the tokens alone, and reads all of them again for each
    new one: what a model does that is only a function of its input.

    Args:
        model: shared, not touched.
        length: operators whose kernel depends on the length keep the one of this length; None:
            each new token makes the text longer, and gives such a model other kernels.

    >>> from tnnlab.models import CausalLM, TNNConfig
    >>> model = CausalLM(TNNConfig(vocab_size=257, depth=1, width=32, glu_width=32)).eval()
    >>> decoder, tokens = Recompute(model), torch.tensor([[72, 101, 108]])
    >>> torch.allclose(decoder(tokens), model.next_logits(tokens), atol=1e-4), decoder.tokens
    (True, tensor([[ 72, 101, 108]]))
    """

    def __init__(self, model: CausalLM, length: int | None = None) -> None:
        def swap(module: nn.Module) -> nn.Module | None:
            if length is None or not _remembers(module) or isinstance(module, Attention):
                return None
            operator = toeplitz(module)
            return None if operator.extends else _OneKernel(operator, length)

        with torch.no_grad():
            self.model = cast(CausalLM, substitute(model, swap)).eval()
        self.start(1)

    def start(self, batch: int) -> None:
        device = self.model.embedding.weight.device
        self.tokens = torch.zeros(batch, 0, dtype=torch.long, device=device)
        self.mask: Tensor | None = None

    @torch.no_grad()
    def __call__(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        self.tokens = torch.cat([self.tokens, tokens], dim=1)
        if mask is not None:  # padding stands at the left of all there is
            self.mask = mask
        elif self.mask is not None:
            self.mask = F.pad(self.mask, (0, tokens.shape[1]), value=True)
        return self.model.next_logits(self.tokens, self.mask)


class _OneKernel(nn.Module):
    """An operator with the kernel of one length at every length up to it."""

    taps: Tensor

    def __init__(self, operator: ToeplitzOperator, length: int) -> None:
        super().__init__()
        self.causal, self.name = True, type(operator).__name__
        self.register_buffer("taps", operator.kernel(length), False)

    def forward(self, x: Tensor) -> Tensor:
        check_room(self.name, self.taps.shape[1], x.shape[1])
        return toeplitz_matmul(self.taps[:, : x.shape[1]], x.mT, causal=True).mT


def make_decoder(
    model: CausalLM,
    name: str | None = None,
    *,
    length: int | None = None,
    order: int | None = None,
    tolerance: float | None = None,
) -> Decoder:
    """A decoder for a model.

    Args:
        model: its parameters are shared, and it is not touched.
        name: how long convolutions remember:

            * ``"full"``: not at all; all tokens are read again for each new one, O(t log t).
            * ``"window"``: the last ``length`` inputs, O(length). Exact up to that position, then
              the kernel is cut off.
            * ``"etsc"``: the kernel's first ``length`` taps as a state space
              (:func:`tnnlab.convert.etsc`), O(length). Exact up to that position, then the kernel
              goes on periodically, damped by its envelope.
            * ``"reduced"``: few states (:func:`tnnlab.convert.reduce`) for these taps, O(order).
            * ``"online"``: all inputs, exactly at any length, O(log² t) on average
              (:class:`tnnlab.generation.online.Online`).

            Attention has a cache of ``length`` keys and values with "window" and "online", and no
            kernel that could be converted. None: "window", or for a converted model its method.
        length: n ≥ 1. Where the kernel depends on the length (FD, RTF beyond its own, normalised
            lags), the kernel *is* the one of this length, in every decoder. None: with "full"
            alone; such a kernel then changes with each token.
        order, tolerance: for "reduced", one of them.

    Raises:
        ValueError: an unknown name, a length below 1, an operator without a kernel, or options
            that the conversion refuses.

    >>> from tnnlab.models import CausalLM, TNNConfig
    >>> model = CausalLM(TNNConfig(vocab_size=257, depth=1, width=32, glu_width=32)).eval()
    >>> decoders = [make_decoder(model, name, length=64) for name in ("full", "window", "etsc")]
    >>> scores = [decoder(torch.tensor([[72, 101, 108]])) for decoder in decoders]
    >>> all(torch.allclose(score, scores[0], atol=1e-3) for score in scores)
    True
    """
    if length is not None and length < 1:
        raise ValueError(f"length is at least 1; got {length}")
    method = model.config.method if isinstance(model, ConvertedLM) else None
    name = name or method or "window"
    if name not in DECODERS:
        raise ValueError(f"there is no decoder {name!r}: {nearest(name, DECODERS)}")
    if name == "full":
        return Recompute(model, length)
    if length is None:
        raise ValueError(f"the decoder {name!r} needs a length: how many taps a kernel has")
    if method and name in ("etsc", "reduced") and name != method:
        raise ValueError(
            f"this model was converted by {method!r}: take that decoder, or convert the original"
        )
    if name != "reduced" and (order, tolerance) != (None, None):
        raise ValueError(f"order and tolerance are for the decoder 'reduced', not for {name!r}")
    if name in ("etsc", "reduced"):
        make = partial(_recurrent, method=name, length=length, order=order, tolerance=tolerance)
    else:
        make = partial(_window if name == "window" else Online, length=length)

    def remember(module: nn.Module) -> Memory | None:
        if isinstance(module, nn.Conv1d):
            return ShortConvolution(_twin(module))
        if isinstance(module, LearnedPositions):
            return NextPositions(_twin(module), length)
        if isinstance(module, Attention) and name in ("window", "online"):
            return KeyValueCache(_twin(module), length)
        return make(toeplitz(module)) if _remembers(module) else None

    return StreamingLM(model, remember)


def _twin(module: Module) -> Module:
    return cast(Module, substitute(module, lambda _: None))


def _remembers(module: nn.Module) -> bool:
    return isinstance(module, ToeplitzOperator | SKITNO | Attention)


def _window(operator: ToeplitzOperator, *, length: int) -> Window:
    return Window(operator.kernel(length))


def _recurrent(operator: ToeplitzOperator, *, method: str, **options: Any) -> Recurrent:
    if isinstance(operator, DiagonalSSM | StateSpace):
        return Recurrent(_twin(operator))
    return Recurrent(convert_operator(operator, method, **options)[0])
