"""Remember a state: a long convolution as a recurrence."""

import torch
from torch import Tensor

from tnnlab.convert import DiagonalSSM, StateSpace
from tnnlab.generation.memory import Memory


class Recurrent(Memory):
    """A state space, step by step: a token costs O(states), at any position.

    The steps are those of ``system.step``, in place: the state is read twice and written once.

    Args:
        system: as converted (:func:`tnnlab.convert.etsc`, :func:`tnnlab.convert.reduce`), in the
            precision that it runs in.

    >>> from tnnlab.convert import etsc
    >>> from tnnlab.generation import Streaming
    >>> system = etsc(torch.tensor([[1.0, 0.5, 0.25]])).float()
    >>> streaming = Streaming(system, lambda module: Recurrent(system))
    >>> streaming(torch.eye(1, 3).view(1, 3, 1)).flatten().round(decimals=4)
    tensor([1.0000, 0.5000, 0.2500])
    """

    states = ("state",)
    state: Tensor
    read: Tensor

    def __init__(self, system: DiagonalSSM | StateSpace) -> None:
        super().__init__()
        self.channels, self.system = system.channels, system
        if isinstance(system, DiagonalSSM):  # Re(c u) = Re c Re u - Im c Im u
            read = (system.residues * torch.tensor([1.0, -1.0]).to(system.residues)).flatten(1)
        else:
            read = system.C.clone()
        self.register_buffer("read", read, False)
        self.register_buffer("state", system.start(0), False)

    def step(self, x: Tensor) -> Tensor:
        now = x.to(self.state.dtype)
        y = self.system.direct * now + torch.einsum("cj,bcj->bc", self.read, self.state.flatten(2))
        if isinstance(self.system, DiagonalSSM):
            poles = torch.view_as_complex(self.system.poles)
            torch.view_as_complex(self.state).mul_(poles)
            self.state[..., 0].add_(now.unsqueeze(2))
        else:
            moved = torch.einsum("cij,bcj->bci", self.system.A, self.state)
            self.state.copy_(moved.addcmul_(self.system.B, now.unsqueeze(2)))
        return y.to(x.dtype)

    def extend(self, x: Tensor) -> Tensor:
        if self.first > 0:  # the state answers, too: one by one
            return torch.stack([self.step(position) for position in x.unbind(1)], dim=1)
        inputs = x.to(self.state.dtype)
        self.state.copy_(self.system.state(inputs))
        return self.system(inputs).to(x.dtype)
