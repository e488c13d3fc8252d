"""Remember the last inputs: a long convolution as a dot product, a short one as it is."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tnnlab.generation.memory import Memory
from tnnlab.ops import toeplitz_matmul


class Window(Memory):
    """The last w inputs and the first w taps: exact up to position w, then a sliding window.

    The inputs lie in a ring, the newest in the place of the oldest. A token costs O(w).

    Args:
        taps: ``(channels, w)``.

    >>> from tnnlab.generation import Streaming
    >>> streaming = Streaming(nn.Identity(), lambda module: Window(torch.tensor([[1.0, 0.5]])))
    >>> streaming(torch.tensor([[[2.0], [4.0], [6.0]]])).flatten()
    tensor([2., 5., 8.])
    """

    states = ("ring",)
    ring: Tensor
    turned: Tensor

    def __init__(self, taps: Tensor) -> None:
        super().__init__()
        self.channels, self.width = taps.shape
        # Its part from w - 1 - s on has at place q the tap of lag (s - q) mod w.
        self.register_buffer("turned", taps.flip(1).repeat(1, 2), False)
        self.register_buffer("ring", taps.new_zeros(0, *taps.shape), False)

    def step(self, x: Tensor) -> Tensor:
        slot = self.clock % self.width
        self.ring.index_copy_(2, slot, x.unsqueeze(2).to(self.ring.dtype))
        if self.static:
            places = torch.arange(self.width, device=x.device) + (self.width - 1 - slot)
            taps = self.turned.index_select(1, places)
        else:
            taps = self.turned.narrow(1, self.width - 1 - self.first % self.width, self.width)
        return torch.einsum("cw,bcw->bc", taps, self.ring).to(x.dtype)

    def extend(self, x: Tensor) -> Tensor:
        new = x.mT.to(self.ring.dtype)
        known = min(self.first, self.width - 1)
        past = self.ring.index_select(2, self._places(self.first - known, self.first))
        inputs = torch.cat([past, new], dim=2)
        taps = self.turned[:, : self.width].flip(1)[:, : inputs.shape[2]]
        taps = F.pad(taps, (0, inputs.shape[2] - taps.shape[1]))
        y = toeplitz_matmul(taps, inputs, causal=True)[..., known:]
        kept, end = min(new.shape[2], self.width), self.first + new.shape[2]
        self.ring.index_copy_(2, self._places(end - kept, end), new[..., -kept:])
        return y.mT.to(x.dtype)

    def _places(self, begin: int, end: int) -> Tensor:
        return torch.arange(begin, end, device=self.ring.device) % self.width


class ShortConvolution(Memory):
    """A causal ``Conv1d``, which the layer around it pads with zeros at the left: the last inputs
    come in their place.

    Args:
        convolution: of any width ≥ 2, depth-wise or not.

    Shape: ``(batch, channels, width - 1 + n)`` to ``(batch, channels, n)``.

    >>> from tnnlab.generation import Streaming
    >>> convolution = nn.Conv1d(1, 1, kernel_size=3, bias=False)
    >>> _ = nn.init.ones_(convolution.weight)
    >>> memory = ShortConvolution(convolution)
    >>> memory.start(1)
    >>> with torch.no_grad():
    ...     [memory(F.pad(torch.tensor([[[x]]]), (2, 0))).item() for x in (1.0, 2.0, 3.0, 4.0)]
    [1.0, 3.0, 6.0, 9.0]
    """

    states = ("recent",)
    recent: Tensor

    def __init__(self, convolution: nn.Conv1d) -> None:
        super().__init__()
        self.convolution = convolution
        self.past = convolution.kernel_size[0] - 1
        shape = (0, convolution.in_channels, self.past)
        self.register_buffer("recent", convolution.weight.new_zeros(shape), False)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.recent.to(x.dtype), x[..., self.past :]], dim=2)
        self.recent.copy_(x[..., -self.past :])
        return cast(Tensor, self.convolution(x))
