"""Few states with a certificate: balanced truncation of a kernel.

The Hankel operator of a kernel maps past inputs to future outputs; its singular values
``σ_1 ≥ σ_2 ≥ …`` say how well any system with h states can do: no such system comes closer than
``σ_{h+1}`` (Adamjan, Arov & Krein, 1971), and balanced truncation stays within
``2 Σ_{j>h} σ_j`` (Enns, 1984; Al-Saggaf & Franklin, 1987), both in the H∞ norm, the largest
difference of two spectra.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from tnnlab.convert.systems import StateSpace, as_taps
from tnnlab.ops.statespace import hankel_matrix, statespace_taps

CHUNK_BYTES = 2**28  # of Hankel matrices at once


class ReducedStateSpace(StateSpace):
    """A :class:`~tnnlab.convert.StateSpace` that knows how far it may be, and is, from its kernel.

    Args:
        A, B, C, direct: as for :class:`~tnnlab.convert.StateSpace`.
        hankel_values: σ, ``(channels, n - 1)``, descending.
        orders: states that each channel uses, ``(channels,)``; the rest of its rows is zero.
        bound: ``2 Σ_{j>h} σ_j``, ``(channels,)``: no frequency is off by more.
        peak_error: the largest difference of the two spectra that was measured, ``(channels,)``.
        l2_error: root of the summed squared differences of taps, ``(channels,)``.

    >>> system = reduce(0.5 ** torch.arange(16)[None], order=1)
    >>> bool(system.peak_error <= system.bound), system.A.shape
    (True, torch.Size([1, 1, 1]))
    """

    hankel_values: Tensor
    orders: Tensor
    bound: Tensor
    peak_error: Tensor
    l2_error: Tensor

    def __init__(self, A: Tensor, B: Tensor, C: Tensor, direct: Tensor, **measures: Tensor) -> None:
        super().__init__(A, B, C, direct)
        for name in ("hankel_values", "orders", "bound", "peak_error", "l2_error"):
            self.register_buffer(name, measures[name])


def reduce(
    kernel: Tensor, *, order: int | None = None, tolerance: float | None = None
) -> ReducedStateSpace:
    """The kernel's system with few states: real, stable, with a certificate.

    The taps are those of a shift register ``s_i = N s_{i-1} + t x_i``, which holds the outputs to
    come; the eigenvectors of the symmetric Hankel matrix are its balanced directions, and the
    system is restricted to the h largest. In this orthonormal basis ``A = Vᵀ N V`` is a
    contraction, and stable whatever h is: an eigenvector to a pole on the unit circle would be one
    of the shift, which is nilpotent.

    Args:
        kernel: taps ``(channels, n)``, n ≥ 2; lags ≥ n count as zero, so that a kernel cut off in
            the middle has an edge to reproduce: give more taps where the operator has them.
        order: h for every channel, 1 … n - 1, or
        tolerance: for each channel the smallest h with ``bound ≤ tolerance · max |spectrum|``.

    Returns:
        a :class:`~tnnlab.convert.reduction.ReducedStateSpace`, in float64. ``.diagonal()`` gives
        it O(h) steps.

    Raises:
        ValueError: neither or both of order and tolerance, or one outside its range.

    >>> taps = 0.9 ** torch.arange(64)[None] + 0.5 ** torch.arange(64)[None]
    >>> system = reduce(taps, tolerance=0.01)
    >>> system.orders, bool(system.bound < 0.01 * taps.sum())
    (tensor([7]), True)
    """
    taps = as_taps(kernel)
    n = taps.shape[1]
    _check(n, order, tolerance)
    per_chunk = max(1, CHUNK_BYTES // (8 * (n - 1) ** 2))
    parts = [_reduce(part, order, tolerance) for part in taps.split(per_chunk)]
    most = max(part["C"].shape[1] for part in parts)
    for part in parts:
        more = most - part["C"].shape[1]
        part["A"] = F.pad(part["A"], (0, more, 0, more))
        part["B"], part["C"] = F.pad(part["B"], (0, more)), F.pad(part["C"], (0, more))
    return ReducedStateSpace(**{name: torch.cat([p[name] for p in parts]) for name in parts[0]})


def hankel_values(kernel: Tensor) -> Tensor:
    """The Hankel singular values of taps ``(channels, n)``: ``(channels, n - 1)``, descending.

    >>> hankel_values(torch.tensor([[9.0, 0.0, 1.0]]))  # a pure delay: all states count the same
    tensor([[1., 1.]], dtype=torch.float64)
    """
    values = torch.linalg.eigvalsh(hankel_matrix(as_taps(kernel))).abs()
    return values.sort(dim=1, descending=True).values


def choose_order(values: Tensor, allowed: Tensor) -> Tensor:
    """The smallest h ≥ 1 with ``2 Σ_{j>h} σ_j ≤ allowed``: σ ``(channels, m)``, ``(channels,)``.

    >>> choose_order(torch.tensor([[4.0, 1.0, 0.25]]), torch.tensor([0.5]))  # 2 · 0.25 is allowed
    tensor([2])
    """
    tails = 2 * values.flip(1).cumsum(1).flip(1)  # column h: all values from σ_{h+1} on
    return (tails > allowed[:, None]).sum(1).clamp_min(1)


def _check(n: int, order: int | None, tolerance: float | None) -> None:
    if (order is None) == (tolerance is None):
        raise ValueError(f"give order or tolerance, one of them; got {order} and {tolerance}")
    if n < 2:
        raise ValueError(f"a kernel to reduce has at least two taps; got n = {n}")
    if order is not None and not 1 <= order <= n - 1:
        raise ValueError(f"a kernel with n = {n} taps has orders 1 … {n - 1}; got {order}")
    if tolerance is not None and not 0 < tolerance < 1:
        raise ValueError(f"tolerance lies in (0, 1); got {tolerance}")


def _reduce(taps: Tensor, order: int | None, tolerance: float | None) -> dict[str, Tensor]:
    n = taps.shape[1]
    values, vectors = torch.linalg.eigh(hankel_matrix(taps))
    largest_first = values.abs().argsort(dim=1, descending=True)
    values = values.gather(1, largest_first)
    sigma = values.abs()
    if order is None:
        peak = torch.fft.rfft(taps, n=4 * n).abs().amax(1)
        orders = choose_order(sigma, (tolerance or 0.0) * peak)
    else:
        orders = torch.full((len(taps),), order, device=taps.device)
    most = int(orders.max())
    columns = largest_first[:, None, :most].expand(-1, n - 1, -1)
    V = vectors.gather(2, columns)
    used = torch.arange(most, device=taps.device) < orders[:, None]
    V = V * used[:, None]
    A = V[:, :-1].mT @ V[:, 1:]  # Vᵀ N V, N the shift by one row
    B, C, direct = values[:, :most] * V[:, 0], V[:, 0], taps[:, 0]
    peak_error, l2_error = _errors(A, B, C, direct, taps)
    beyond = torch.arange(n - 1, device=taps.device) >= orders[:, None]
    return {
        "A": A,
        "B": B,
        "C": C,
        "direct": direct,
        "hankel_values": sigma,
        "orders": orders,
        "bound": 2 * (sigma * beyond).sum(1),
        "peak_error": peak_error,
        "l2_error": l2_error,
    }


def _errors(A: Tensor, B: Tensor, C: Tensor, D: Tensor, taps: Tensor) -> tuple[Tensor, Tensor]:
    """The largest difference of spectra on 8 n frequencies, and the ℓ² norm of that of the taps."""
    size = 8 * taps.shape[1]
    # All lags folded onto the first 8 n: exact samples of the spectrum, as for an RTF.
    eye = torch.eye(A.shape[-1], dtype=A.dtype, device=A.device)
    wrapped = torch.linalg.solve(eye - torch.linalg.matrix_power(A, size), B[..., None])[..., 0]
    folded = statespace_taps(A, wrapped, C, D, size + 1)
    folded[:, 0] += folded[:, size]
    exact = statespace_taps(A, B, C, D, size)
    for found in (folded, exact):
        found[:, : taps.shape[1]] -= taps
    return torch.fft.rfft(folded[:, :size]).abs().amax(1), exact.norm(dim=1)
