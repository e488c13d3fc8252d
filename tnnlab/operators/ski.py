"""SKI-TNO: a few taps near the diagonal, plus a low-rank matrix seen through inducing points."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tnnlab.operators.base import check_input
from tnnlab.ops.interpolation import interpolation_matrix, interpolation_weights
from tnnlab.ops.tiles import gpu_kernels_refuse
from tnnlab.ops.toeplitz import toeplitz_matmul, toeplitz_matrix


def inverse_time_warp(lags: Tensor, decay: float) -> Tensor:
    """Lags to [-1, 1]: ``sign(t) · λ^|t|``, so that far lags meet at 0, from both sides.

    Lag 0 counts as positive and goes to 1.

    >>> inverse_time_warp(torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0]), decay=0.5)
    tensor([-0.2500, -0.5000,  1.0000,  0.5000,  0.2500])
    """
    return torch.where(lags < 0, -1.0, 1.0) * decay ** lags.abs()


class WarpedKernel(nn.Module):
    """A kernel of any real lag with no MLP: piecewise linear in the inverse time warp.

    ``k(t) = f(sign(t) λ^|t|)`` with f linear between ``2 · points + 1`` evenly spaced places in
    [-1, 1]; its values there are learned, except f(0) = 0: the kernel vanishes at infinite lag,
    and a longer sequence asks for values between the ones that were trained, not beyond.

    Args:
        channels: one kernel each.
        points: learned values on each side of 0.
        decay: λ in (0, 1).

    Shape: lags ``(m,)`` to taps ``(channels, m)``.

    >>> WarpedKernel(4, points=8, decay=0.9)(torch.arange(-9.0, 10.0)).shape
    torch.Size([4, 19])
    """

    def __init__(self, channels: int, *, points: int, decay: float) -> None:
        super().__init__()
        if points < 1 or not 0 < decay < 1:
            raise ValueError(
                f"a warped kernel has points ≥ 1, 0 < decay < 1; got {points}, {decay}"
            )
        self.decay = decay
        # About 1 / (1 - λ) lags count: taps of size 1 - λ do not drown what is added to them.
        size = 1 - decay
        self.negative = nn.Parameter(size * torch.randn(channels, points))  # at -1 … -1 / points
        self.positive = nn.Parameter(size * torch.randn(channels, points))  # at 1 / points … 1

    def forward(self, lags: Tensor) -> Tensor:
        dtype = torch.promote_types(self.positive.dtype, torch.float32)
        points = self.positive.shape[1]
        # From 0 outwards on each side: far lags keep all their digits, close to 0.
        place = inverse_time_warp(lags.to(dtype), self.decay).abs() * points
        left = place.floor().long().clamp(0, points - 1)
        sides = (
            torch.lerp(values[:, left], values[:, left + 1], place - left)
            for values in (
                F.pad(self.negative.to(dtype).flip(1), (1, 0)),
                F.pad(self.positive.to(dtype), (1, 0)),
            )
        )
        negative, positive = sides
        return torch.where(lags < 0, negative, positive)


class SKITNO(nn.Module):
    """Structured-kernel-interpolation Toeplitz operator (Moreno, Mei & Walters, 2023, §3.2).

    ``T ≈ T_sparse + W A Wᵀ`` in each channel: a short convolution, and a kernel seen only at the
    differences of r inducing points (A, Toeplitz), interpolated to all positions (W). Linear in n:
    O(n + r log r), but where an exact product is the faster way to apply a few taps. The sum is not
    Toeplitz: it has a :meth:`matrix` and no kernel.

    Causal masking destroys the low rank. The causal operator is the published remedy, a running sum
    of r numbers at every position (Appendix B): O(n r) time *and memory* per channel, far more than
    the exact product takes. It is here to be measured; the book shows what can be saved of it.

    Args:
        channels: one matrix each.
        causal: use the running sums.
        inducing: r, the number of inducing points.
        sparse_width: taps of the short convolution; even ones are rounded up. Centred on lag 0, or
            lags 0 … sparse_width - 1 if causal.
        decay: λ of the inverse time warp, in (0, 1).
        degree: of the interpolation, 1 or 3.
        points: learned values of the kernel on each side of 0; None: as many as inducing points.

    Shape: ``(batch, length, channels)`` to the same, any length ≥ 1.

    >>> operator = SKITNO(4, inducing=8, sparse_width=3)
    >>> x = torch.randn(2, 30, 4)
    >>> y = torch.einsum("cij,bjc->bic", operator.matrix(30), x)
    >>> torch.allclose(operator(x), y, atol=1e-5)
    True
    """

    def __init__(
        self,
        channels: int,
        *,
        causal: bool = False,
        inducing: int = 64,
        sparse_width: int = 33,
        decay: float = 0.99,
        degree: int = 1,
        points: int | None = None,
    ) -> None:
        super().__init__()
        if channels < 1 or sparse_width < 1:
            raise ValueError(
                f"channels and sparse_width are at least 1; got {channels} and {sparse_width}"
            )
        interpolation_weights(1, inducing, degree)  # refuses what does not fit
        self.channels, self.causal = channels, causal
        self.inducing, self.degree = inducing, degree
        self.low_rank = WarpedKernel(channels, points=points or inducing, decay=decay)
        width = sparse_width + 1 - sparse_width % 2
        self.sparse = nn.Parameter(torch.randn(channels, width) / width**0.5)

    def forward(self, x: Tensor) -> Tensor:
        check_input(self, x)
        x = x.transpose(-1, -2)
        low_rank = self._running_sums(x) if self.causal else self._low_rank(x)
        return (self._sparse(x) + low_rank).transpose(-1, -2)

    def matrix(self, n: int) -> Tensor:
        """The whole operator as dense matrices, ``(channels, n, n)``."""
        weights = self._interpolation(n)
        gram = toeplitz_matrix(self.inducing_kernel(n), causal=False)
        with torch.autocast(weights.device.type, enabled=False):
            low_rank = weights @ gram @ weights.T
        width = self.sparse.shape[1]
        start = 0 if self.causal else -(width // 2)
        lag = torch.arange(n)[:, None] - torch.arange(n)[None, :]
        near = (lag >= start) & (lag < start + width)
        taps = self.sparse[:, (lag - start).clamp(0, width - 1)]
        matrix = low_rank + torch.where(near.to(taps.device), taps.to(low_rank.dtype), 0.0)
        return matrix.tril() if self.causal else matrix

    def kernel(self, n: int) -> Tensor:
        """Refused: the operator is not a Toeplitz matrix."""
        raise NotImplementedError("SKI's matrix W A Wᵀ is not Toeplitz: use matrix(n)")

    def inducing_kernel(self, n: int) -> Tensor:
        """A's taps, at the differences of the inducing points: ``(channels, 2r - 1)``."""
        if n < 1:
            raise ValueError(f"a matrix has a length n ≥ 1; got {n}")
        steps = torch.arange(1 - self.inducing, self.inducing, device=self.sparse.device)
        return self.low_rank(steps * ((n - 1) / (self.inducing - 1)))

    def _interpolation(self, n: int) -> Tensor:
        dtype = torch.promote_types(self.sparse.dtype, torch.float32)
        device = self.sparse.device  # made there: in a compiled graph nothing is left to the CPU
        return interpolation_matrix(n, self.inducing, self.degree, device=device).to(dtype)

    def _sparse(self, x: Tensor) -> Tensor:
        """The short convolution: as an exact product where that is the faster way."""
        n, width = x.shape[-1], self.sparse.shape[1]
        if prefers_product(n, width, x.device, x.dtype):
            around = (0, n - width) if self.causal else (n - 1 - width // 2,) * 2  # < 0: cut off
            taps = self.sparse.to(torch.promote_types(x.dtype, torch.float32))
            return toeplitz_matmul(F.pad(taps, around), x, causal=self.causal)
        left = width - 1 if self.causal else width // 2
        padded = F.pad(x.reshape(-1, *x.shape[-2:]), (left, width - 1 - left))
        with torch.autocast(x.device.type, enabled=False):
            taps = self.sparse.flip(1).unsqueeze(1).to(x.dtype)  # stored lag by lag
            return F.conv1d(padded, taps, groups=self.channels).view(x.shape)

    def _low_rank(self, x: Tensor) -> Tensor:
        n = x.shape[-1]
        kernel = self.inducing_kernel(n)
        with torch.autocast(x.device.type, enabled=False):
            if prefers_dense(self.inducing, x.device.type):
                weights = self._interpolation(n).to(x.dtype)
                mixed = toeplitz_matmul(kernel.to(x.dtype), x @ weights, causal=False)
                return mixed @ weights.T
            indices, values = interpolation_weights(n, self.inducing, self.degree, device=x.device)
            values = values.to(kernel.dtype)
            gathered = gather(x.to(kernel.dtype), indices, values, self.inducing)
            mixed = toeplitz_matmul(kernel, gathered, causal=False)
            return scatter(mixed, indices, values).to(x.dtype)

    def _running_sums(self, x: Tensor) -> Tensor:
        n = x.shape[-1]
        weights = self._interpolation(n)
        gram = toeplitz_matrix(self.inducing_kernel(n), causal=False)
        with torch.autocast(x.device.type, enabled=False):
            seen = (x.unsqueeze(-1).to(weights.dtype) * weights).cumsum(dim=-2)
            return ((weights @ gram) * seen).sum(-1).to(x.dtype)


def prefers_dense(inducing: int, device_type: str) -> bool:
    """Whether W runs as a small matrix (else by its two or four non-zeros a row).

    A dense product does r / 2 times the arithmetic and none of the scattered memory traffic.

    >>> prefers_dense(64, "cpu"), prefers_dense(10_000, "cpu")
    (True, False)
    """
    return inducing <= (512 if device_type == "cuda" else 64)


def prefers_product(n: int, width: int, device: torch.device, dtype: torch.dtype) -> bool:
    """Whether taps near the diagonal run as a Toeplitz product, zeros elsewhere; else as a
    convolution, O(n · width), in which each channel is a group of its own.

    On a core of a CPU the convolution is the slower one up to some fifty times its width. On a GPU
    the product's kernels are taken at every length: nothing is padded and copied for them.

    >>> [prefers_product(n, 33, torch.device("cpu"), torch.float32) for n in (512, 8192)]
    [True, False]
    """
    return n <= 50 * width or not gpu_kernels_refuse(device, dtype)


def gather(x: Tensor, indices: Tensor, weights: Tensor, inducing: int) -> Tensor:
    """``Wᵀ x`` by the non-zeros of W: ``(..., channels, n)`` to ``(..., channels, r)``.

    >>> indices, weights = interpolation_weights(5, r=3)
    >>> gather(torch.ones(1, 5), indices, weights.float(), 3)  # each input falls onto its points
    tensor([[1.5000, 2.0000, 1.5000]])
    """
    y = x.new_zeros(*x.shape[:-1], inducing)
    for index, weight in zip(indices.T, weights.T, strict=True):
        y = y.index_add(-1, index, x * weight)
    return y


def scatter(x: Tensor, indices: Tensor, weights: Tensor) -> Tensor:
    """``W x`` by the non-zeros of W: ``(..., channels, r)`` to ``(..., channels, n)``.

    >>> indices, weights = interpolation_weights(5, r=3)
    >>> scatter(torch.tensor([[0.0, 2.0, 4.0]]), indices, weights.float())
    tensor([[0., 1., 2., 3., 4.]])
    """
    terms = [x[..., index] * weight for index, weight in zip(indices.T, weights.T, strict=True)]
    return torch.stack(terms).sum(0)
