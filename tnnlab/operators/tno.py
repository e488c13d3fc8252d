"""TNO: a kernel from an MLP over relative positions, with exponential decay."""

import torch
from torch import Tensor, nn

from tnnlab.operators.base import ToeplitzOperator
from tnnlab.operators.rpe import RPE


class TNO(ToeplitzOperator):
    """Toeplitz neural operator (Qin et al., ICLR 2023, §3.2-3.4).

    ``kernel at lag m, channel c = λ^|m| · RPE(m)_c``. The weights do not depend on the length:
    ``kernel(m)`` extends ``kernel(n)`` for m > n (unless lags are normalised).

    Args:
        channels: one kernel each.
        causal: lags 0 … n-1, or else -(n-1) … n-1.
        rpe_width, rpe_depth, rpe_activation, rpe_norm: of the :class:`RPE`.
        normalize_lags: feed lag / n to the RPE in place of the lag. The kernel then stretches
            with the length, and ``kernel(m)`` does not extend ``kernel(n)``.
        decay: λ in (0, 1]; 1 means none. One number, or a tensor ``(channels,)``.
        learned_decay: make λ a parameter per channel, ``decay + (1 - decay) · sigmoid(γ)``.

    Shape: ``(batch, length, channels)`` to the same.

    Raises:
        ValueError: a decay outside (0, 1], an unknown activation or norm.

    >>> operator = TNO(4, causal=True)
    >>> operator(torch.randn(2, 10, 4)).shape, operator.kernel(10).shape
    (torch.Size([2, 10, 4]), torch.Size([4, 10]))
    """

    def __init__(
        self,
        channels: int,
        *,
        causal: bool,
        rpe_width: int = 64,
        rpe_depth: int = 6,
        rpe_activation: str = "relu",
        rpe_norm: str = "rms",
        normalize_lags: bool = False,
        decay: float | Tensor = 0.99,
        learned_decay: bool = False,
    ) -> None:
        super().__init__(channels, causal=causal)
        rates = decay.flatten().tolist() if isinstance(decay, Tensor) else [decay] * channels
        if len(rates) != channels or not all(0 < rate <= 1 for rate in rates):
            raise ValueError(
                "decay λ lies in (0, 1] (1: no decay), one number or one for each channel; "
                f"got {decay}"
            )
        self.rpe = RPE(
            channels, width=rpe_width, depth=rpe_depth, activation=rpe_activation, norm=rpe_norm
        )
        self.normalize_lags = normalize_lags
        self.extends = not normalize_lags
        self.decay: float | Tensor
        if isinstance(decay, Tensor):
            self.register_buffer("decay", decay.flatten().clone())
        else:
            self.decay = decay
        self.gamma = nn.Parameter(torch.randn(channels)) if learned_decay else None

    def lags(self, n: int) -> Tensor:
        """The lags of the kernel, as integers: ``(n,)`` if causal, else ``(2n - 1,)``."""
        if n < 1:
            raise ValueError(f"a kernel has a length n ≥ 1; got {n}")
        return torch.arange(0 if self.causal else 1 - n, n, device=self.rpe.pos_proj.weight.device)

    def positions(self, n: int) -> Tensor:
        """What the RPE is evaluated at: the lags, or lag / n."""
        lags = self.lags(n)
        return lags / n if self.normalize_lags else lags

    def kernel(self, n: int) -> Tensor:
        return self.kernel_of(self.rpe(self.positions(n)).T, n)

    def kernel_of(self, values: Tensor, n: int) -> Tensor:
        """``kernel(n)``, given the RPE's values at ``positions(n)``: ``(channels, lags)``."""
        rate = self._rate(values.dtype)
        if isinstance(rate, Tensor):
            rate = rate.unsqueeze(-1)
        return values * rate ** self.lags(n).abs().to(values.dtype)

    def envelope(self) -> Tensor:
        rate = self._rate(torch.float64)
        device = self.rpe.pos_proj.weight.device
        return torch.as_tensor(rate, dtype=torch.float64, device=device).expand(self.channels)

    def _rate(self, dtype: torch.dtype) -> float | Tensor:
        rate = self.decay
        if self.gamma is not None:
            rate = rate + (1 - rate) * torch.sigmoid(self.gamma.to(dtype))
        return rate.to(dtype) if isinstance(rate, Tensor) else rate

    def extra_repr(self) -> str:
        decay = "per channel" if isinstance(self.decay, Tensor) else self.decay
        learned = ", learned_decay=True" if self.gamma is not None else ""
        return f"{super().extra_repr()}, decay={decay}{learned}"
