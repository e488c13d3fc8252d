"""Modules that take the next positions and remember the earlier ones."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class Memory(nn.Module):
    """Stands in the place of a causal operator: ``(batch, n, channels)``, n *new* positions, to
    their outputs.

    One position is a :meth:`step`, more are taken at once by :meth:`extend`. Around it stands a
    :class:`Streaming`, which says at which position the new ones begin: to the host by
    :meth:`prepare`, and on the device by the tensor ``clock``.

    Attributes:
        causal: as of an operator.
        states: names of the tensors that change, batch first. They are updated in place, so that
            their addresses hold.
        clock: the first new position, ``(1,)``.
        first: the same number on the host.
        static: with True, a step depends on the clock, not on ``first``: it is then a fixed list
            of operations on fixed addresses, as a CUDA graph holds.

    >>> from tnnlab.generation.window import Window
    >>> memory = Window(torch.tensor([[1.0, 0.5]]))  # one channel: y = x + half of the x before
    >>> streaming = Streaming(nn.Identity(), lambda module: memory)
    >>> streaming(torch.tensor([[[2.0]]])), streaming(torch.tensor([[[4.0], [6.0]]]))
    (tensor([[[2.]]]), tensor([[[5.],
             [8.]]]))
    """

    causal = True
    states: tuple[str, ...] = ()
    clock: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.first = 0
        self.static = False

    def start(self, batch: int) -> None:
        """Forget everything; from now on for so many sequences."""
        for name in self.states:
            state = getattr(self, name)
            if len(state) == batch:
                state.zero_()
            else:
                self.register_buffer(name, state.new_zeros(batch, *state.shape[1:]), False)

    def repeat(self, times: int) -> None:
        """Remember each sequence so many times, for several continuations of one beginning."""
        for name in self.states:
            self.register_buffer(name, getattr(self, name).repeat_interleave(times, 0), False)

    def prepare(self, first: int, n: int) -> None:
        """What the host has to do before n positions from ``first`` on.

        Raises:
            ValueError: there is no room for them.
        """
        self.first = first

    def forward(self, x: Tensor) -> Tensor:
        # In the precision of the taps, whatever the layers around run in.
        with torch.autocast(x.device.type, enabled=False):
            return self.extend(x) if x.shape[1] > 1 else self.step(x[:, 0]).unsqueeze(1)

    def step(self, x: Tensor) -> Tensor:
        """One position: ``(batch, channels)`` to the same."""
        raise NotImplementedError

    def extend(self, x: Tensor) -> Tensor:
        """Several positions at once, in parallel where that is possible."""
        raise NotImplementedError

    def state_bytes(self) -> int:
        """Bytes that change, of all sequences together."""
        return sum(getattr(self, name).nbytes for name in self.states)


def substitute(module: nn.Module, swap: Callable[[nn.Module], nn.Module | None]) -> nn.Module:
    """A copy of a tree of modules with other modules in some places; the parameters are shared.

    Args:
        module: not touched.
        swap: what stands in the place of a module; None: its copy.

    >>> network = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    >>> substitute(network, lambda m: nn.GELU() if isinstance(m, nn.ReLU) else None)[1]
    GELU(approximate='none')
    """
    found = swap(module)
    if found is not None:
        return found
    twin = copy.copy(module)
    twin._modules = {
        name: None if child is None else substitute(child, swap)
        for name, child in module._modules.items()
    }
    return twin


class Streaming(nn.Module):
    """A module whose operators remember: ``streaming(x)`` takes the next n positions of x.

    It shares the parameters of the module that it is made from, and is in evaluation mode.

    Args:
        module: an operator, a layer or a model, ``module(x)`` with positions in dimension 1.
        remember: the :class:`Memory` for an operator; None for modules that need none.

    Attributes:
        seen: positions so far.

    >>> from tnnlab.generation.online import Online
    >>> from tnnlab.operators import TNO
    >>> operator, x = TNO(4, causal=True), torch.randn(2, 10, 4)
    >>> streaming = Streaming(operator, lambda module: Online(operator, length=16))
    >>> streaming.start(2)
    >>> y = torch.cat([streaming(x[:, :6]), *(streaming(x[:, i : i + 1]) for i in range(6, 10))], 1)
    >>> torch.allclose(y, operator(x), atol=1e-4), streaming.seen
    (True, 10)
    """

    clock: Tensor

    def __init__(self, module: nn.Module, remember: Callable[[nn.Module], Memory | None]) -> None:
        super().__init__()
        with torch.no_grad():
            self.module = substitute(module, remember)
        device = next((tensor.device for tensor in module.state_dict().values()), None)
        self.register_buffer("clock", torch.zeros(1, dtype=torch.long, device=device), False)
        self.memories = [m for m in self.module.modules() if isinstance(m, Memory)]
        for memory in self.memories:
            memory.clock = self.clock
        self.eval()
        self.start(1)

    def start(self, batch: int) -> None:
        """Forget everything; from now on for so many sequences."""
        self.seen = 0
        for memory in self.memories:
            memory.start(batch)

    def repeat(self, times: int) -> None:
        """Go on with each sequence so many times: one prompt, several continuations."""
        for memory in self.memories:
            memory.repeat(times)

    @torch.no_grad()
    def prepare(self, n: int) -> None:
        """What the host has to do before n new positions."""
        for memory in self.memories:
            memory.prepare(self.seen, n)
        self.clock.fill_(self.seen)
        self.seen += n

    @torch.no_grad()
    def forward(self, x: Tensor, **options: Any) -> Tensor:
        self.prepare(x.shape[1])
        return self.module(x, **options)

    def state_bytes(self) -> int:
        """Bytes that change from token to token, of all layers and sequences."""
        return sum(memory.state_bytes() for memory in self.memories)
