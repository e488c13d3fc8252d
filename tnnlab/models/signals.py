"""A model of signals: a number in and a number out at each position."""

from torch import Tensor, nn

from tnnlab.models.config import TNNConfig
from tnnlab.models.trunk import Trunk


class CausalRegressor(Trunk):
    """One number for each position of a signal, from what stands at and before it: a linear map of
    the number, blocks, a linear map.

    With the mixer "linear", the norm "none" and no GLU, all of it is linear: the sum of its
    kernels (and a constant), as the published models of the Delay task are.

    Args:
        config: the model's shape; there are no tokens, and ``vocab_size`` is not used.

    Raises:
        ValueError: the norm is "batch": its statistics would show each position the later ones.

    >>> import torch
    >>> model = CausalRegressor(TNNConfig(vocab_size=1, depth=1, width=8, glu_width=8))
    >>> model(torch.randn(2, 10, 1)).shape
    torch.Size([2, 10, 1])
    """

    def __init__(self, config: TNNConfig) -> None:
        if config.norm == "batch":
            raise ValueError(
                "norm is 'rms', 'layer' or 'none' in a causal model: batch statistics run over "
                "positions, so that training would see the future; got 'batch'"
            )
        super().__init__(config, nn.Linear(1, config.width), causal=True)
        self.head = nn.Linear(config.width, 1)

    def forward(self, signal: Tensor) -> Tensor:
        """``(batch, n, 1)`` to the same.

        Raises:
            ValueError: another shape, or integers.
        """
        shape = tuple(signal.shape)
        if len(shape) != 3 or shape[1] < 1 or shape[2] != 1 or not signal.is_floating_point():
            raise ValueError(
                "a signal is a tensor (batch, n, 1) of floating point numbers with n ≥ 1; "
                f"got {signal.dtype} of shape {shape}"
            )
        return self.head(self.mix(self.embedding(signal)))
