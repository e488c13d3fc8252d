"""What every Toeplitz operator is: a module that generates a kernel and applies it."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from tnnlab.ops import toeplitz_matmul


def check_input(operator: nn.Module, x: Tensor) -> None:
    """Refuse what is not ``(batch, length, channels)`` for an operator's channels, length ≥ 1.

    Raises:
        ValueError: says what was given and what fits.
    """
    if x.ndim < 2 or x.shape[-1] != operator.channels or x.shape[-2] < 1:
        raise ValueError(
            f"{type(operator).__name__} takes (batch, length, channels) with length ≥ 1 and "
            f"channels = {operator.channels}; got {tuple(x.shape)}"
        )


class ToeplitzOperator(nn.Module, ABC):
    """A Toeplitz matrix per channel, whose kernel a subclass generates for any length.

    ``operator(x)`` equals ``toeplitz_matmul(operator.kernel(n), x)``; plots, conversions and
    tests use only these two.

    Args:
        channels: the number of channels, each with a kernel of its own.
        causal: whether output i sees inputs 0 … i only.

    Attributes:
        extends: whether ``kernel(m)`` extends ``kernel(n)`` for all m > n, so that there is one
            kernel, of which a length shows a part.
        is_state_space: whether its parameters are those of a recurrence, which a training run
            gives a learning rate of their own and no weight decay.

    >>> class Shift(ToeplitzOperator):  # y[i] = x[i - 1]
    ...     def kernel(self, n):
    ...         return (torch.arange(n) == 1).float().repeat(self.channels, 1)
    >>> Shift(2, causal=True)(torch.tensor([[[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]]]))
    tensor([[[ 0.,  0.],
             [ 1., 10.],
             [ 2., 20.]]])
    """

    extends: bool = True
    is_state_space: bool = False

    def __init__(self, channels: int, *, causal: bool) -> None:
        super().__init__()
        if channels < 1:
            raise ValueError(f"an operator has at least one channel, got {channels}")
        self.channels = channels
        self.causal = causal

    @abstractmethod
    def kernel(self, n: int) -> Tensor:
        """The taps at length n: ``(channels, n)`` if causal, else ``(channels, 2n - 1)``.

        Lag 0 comes first in a causal kernel, lag -(n-1) in a bidirectional one. float32 (float64
        if the weights are), differentiable in the operator's parameters.

        Raises:
            ValueError: n is below 1.
        """

    def envelope(self) -> Tensor:
        """ρ ``(channels,)`` in (0, 1]: by its construction the kernel is ``ρ^|m|`` times something
        that does not decay. 1 where the construction says nothing."""
        return torch.ones(self.channels, dtype=torch.float64)

    def forward(self, x: Tensor, kernel: Tensor | None = None) -> Tensor:
        """Mix positions: ``(batch, n, channels)`` to the same, for any n ≥ 1.

        Args:
            x: the sequences.
            kernel: ``self.kernel(n)``, where it is at hand
                (:func:`tnnlab.operators.shared_kernels`).

        Raises:
            ValueError: the last dimension is not ``channels``, or there are fewer than 2.
        """
        check_input(self, x)
        if kernel is None:
            kernel = self.kernel(x.shape[-2])
        y = toeplitz_matmul(kernel, x.transpose(-1, -2), causal=self.causal)
        return y.transpose(-1, -2)

    def extra_repr(self) -> str:
        return f"channels={self.channels}, causal={self.causal}"
