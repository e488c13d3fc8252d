"""A smooth kernel's Toeplitz matrix seen through inducing points: approximations, errors, a bound.

For study, in float64 and dense: the operator is :class:`tnnlab.operators.SKITNO`. A kernel is a
function of a tensor of real lags. See Moreno, Mei & Walters, "SKI to go Faster" (2023), §3.2 and
Theorem 1; for the Nyström method Williams & Seeger (2001).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from tnnlab.ops.interpolation import inducing_points, interpolation_matrix, interpolation_weights

Kernel = Callable[[Tensor], Tensor]
LAGS_BETWEEN = 16  # places in a lag at which derivatives are looked at


class Blocks(NamedTuple):
    """A kernel between n positions and r inducing points, rows minus columns, float64.

    >>> T, B, A, F = blocks(torch.cos, n=20, r=4)
    >>> tuple(B.shape), tuple(A.shape)
    ((20, 4), (4, 4))
    """

    T: Tensor  #: ``(n, n)``, positions by positions
    B: Tensor  #: ``(n, r)``, positions by points
    A: Tensor  #: ``(r, r)``, points by points
    F: Tensor  #: ``(r, n)``, points by positions


def blocks(kernel: Kernel, n: int, r: int) -> Blocks:
    """The four matrices of a kernel and r inducing points, evenly spaced over [0, n - 1].

    >>> blocks(lambda t: 10 * t, n=3, r=2).B  # positions 0, 1, 2 minus points 0, 2
    tensor([[  0., -20.],
            [ 10., -10.],
            [ 20.,   0.]], dtype=torch.float64)
    """
    i, p = torch.arange(n, dtype=torch.float64), inducing_points(n, r)
    return Blocks(*(kernel(a[:, None] - b) for a, b in ((i, i), (i, p), (p, p), (p, i))))


def nystrom(kernel: Kernel, n: int, r: int) -> Tensor:
    """``B A⁺ F``, the matrix that positions see of each other by way of the points: ``(n, n)``.

    It solves for A⁺F rather than writing A⁺ down, which keeps it accurate where A is close to
    singular.

    >>> torch.dist(nystrom(torch.cos, 20, r=2), blocks(torch.cos, 20, 2).T) < 1e-12  # rank 2
    tensor(True)
    """
    _, B, A, F = blocks(kernel, n, r)
    return B @ torch.linalg.lstsq(A, F, driver="gelsd").solution


def ski(kernel: Kernel, n: int, r: int, degree: int = 1) -> Tensor:
    """``W A Wᵀ``: A between the points, interpolated to positions from both sides: ``(n, n)``.

    >>> torch.dist(ski(lambda t: 3 * t, 20, r=4), blocks(lambda t: 3 * t, 20, 4).T) < 1e-12
    tensor(True)
    """
    W = interpolation_matrix(n, r, degree)
    return W @ blocks(kernel, n, r).A @ W.T


def best_of_rank(matrix: Tensor, r: int) -> Tensor:
    """The nearest matrix of rank r, in the spectral norm: its first r singular triples.

    >>> best_of_rank(torch.diag(torch.tensor([3.0, 2.0, 1.0])), 2).diagonal()
    tensor([3., 2., 0.])
    """
    left, singular, right = torch.linalg.svd(matrix)
    return (left[:, :r] * singular[:r]) @ right[:r]


def nystrom_error(kernel: Kernel, n: int, r: int) -> float:
    """``‖B A⁺ F - T_r‖₂`` with T_r the nearest matrix of rank r to T.

    >>> nystrom_error(torch.cos, 20, r=2) < 1e-12  # cos(i - j) has rank 2
    True
    """
    return _distance_from_best(nystrom(kernel, n, r), kernel, r)


def ski_error(kernel: Kernel, n: int, r: int, degree: int = 1) -> float:
    """``‖W A Wᵀ - T_r‖₂`` with T_r the nearest matrix of rank r to T: what Theorem 1 bounds.

    >>> gauss = lambda t: torch.exp(-((t / 20) ** 2) / 2)
    >>> ski_error(gauss, 100, r=20) < ski_error(gauss, 100, r=10) / 2
    True
    """
    return _distance_from_best(ski(kernel, n, r, degree), kernel, r)


def _distance_from_best(matrix: Tensor, kernel: Kernel, r: int) -> float:
    T = blocks(kernel, len(matrix), r).T
    return float(torch.linalg.matrix_norm(matrix - best_of_rank(T, r), ord=2))


def largest_derivative(kernel: Kernel, order: int, reach: int) -> float:
    """L, the largest ``|dᵒʳᵈᵉʳ k / dtᵒʳᵈᵉʳ|`` at lags in [-reach, reach].

    It is looked for at 16 places in a lag, lag 0 among them: enough for kernels that are smooth on
    the scale of one lag. The kernel is differentiated by autograd, as often as asked.

    >>> largest_derivative(lambda t: torch.exp(-((t / 5) ** 2) / 2), order=2, reach=50)  # 1 / 5²
    0.04
    """
    lags = torch.arange(-LAGS_BETWEEN * reach, LAGS_BETWEEN * reach + 1, dtype=torch.float64)
    lags = (lags / LAGS_BETWEEN).requires_grad_()
    values = kernel(lags)
    for _ in range(order):
        (values,) = torch.autograd.grad(values.sum(), lags, create_graph=True)
    return float(values.detach().abs().max())


def interpolation_remainder(kernel: Kernel, n: int, r: int, degree: int = 1) -> float:
    """Lagrange's bound on each entry of ``B - W A`` and of ``F - A Wᵀ``.

    ``L / (N + 1)! · max |ψ|`` with N the degree, ``ψ(i)`` the product of the distances of position
    i from the N + 1 points that it uses, and L the :func:`largest_derivative` of order N + 1. For
    N = 1 and spacing h it is at most ``L h² / 8``.

    >>> interpolation_remainder(lambda t: t**2, n=11, r=3)  # L = 2, h = 5, not quite 25 / 4
    6.0
    """
    indices, _ = interpolation_weights(n, r, degree)
    distances = torch.arange(n)[:, None] - inducing_points(n, r)[indices]
    largest_psi = float(distances.prod(dim=1).abs().max())
    derivative = largest_derivative(kernel, degree + 1, n - 1)
    return largest_psi / math.factorial(degree + 1) * derivative


def ski_bound(kernel: Kernel, n: int, r: int, degree: int = 1) -> float:
    """The bound of Theorem 1 on :func:`ski_error`, for a kernel with degree + 1 derivatives.

    ``√(n r) · remainder · ((N + 1) √n + min(σ₁(F), σ₁(B)) / σ_r(A)) + nystrom_error``, and infinite
    where A is singular to the precision of float64: there the theorem says nothing.

    >>> gauss = lambda t: torch.exp(-((t / 20) ** 2) / 2)
    >>> ski_error(gauss, 100, r=10) < ski_bound(gauss, 100, r=10)
    True
    """
    _, B, A, F = blocks(kernel, n, r)
    singular = torch.linalg.svdvals(A)
    if singular[-1] <= r * torch.finfo(A.dtype).eps * singular[0]:
        return math.inf
    through_points = min(torch.linalg.matrix_norm(X, ord=2) for X in (F, B)) / singular[-1]
    factor = (degree + 1) * math.sqrt(n) + float(through_points)
    remainder = interpolation_remainder(kernel, n, r, degree)
    return math.sqrt(n * r) * remainder * factor + nystrom_error(kernel, n, r)


def direct_bound(kernel: Kernel, n: int, r: int, degree: int = 1) -> float:
    """A bound on ``‖W A Wᵀ - T‖₂`` without an inverse: ``n · remainder · (1 + ‖W‖_∞)``.

    It interpolates T in its rows, then in its columns, and never mentions Nyström; ours, not the
    paper's. ``‖W‖_∞``, the largest row sum of ``|W|``, is 1 for linear interpolation.

    >>> gauss = lambda t: torch.exp(-((t / 20) ** 2) / 2)
    >>> direct_bound(gauss, 100, r=20) < ski_bound(gauss, 100, r=20) / 1000
    True
    """
    largest_row = float(torch.linalg.matrix_norm(interpolation_matrix(n, r, degree), ord=math.inf))
    return n * interpolation_remainder(kernel, n, r, degree) * (1 + largest_row)


class Fit(NamedTuple):
    """The two parts of a matrix as SKI-TNO writes it, and what was fitted of each.

    >>> fit = fit_ski(torch.eye(6) + 1, r=2, sparse_width=1)
    >>> torch.dist(fit.sparse + fit.low_rank, torch.eye(6) + 1) < 1e-6
    tensor(True)
    """

    sparse: Tensor  #: ``(n, n)``, banded and Toeplitz
    low_rank: Tensor  #: ``W A Wᵀ``, ``(n, n)``
    inducing_kernel: Tensor  #: taps of A, ``(2r - 1,)``, the lag of -(r - 1) points first


def fit_ski(matrix: Tensor, r: int, sparse_width: int, degree: int = 1) -> Fit:
    """The nearest ``T_sparse + W A Wᵀ`` to a square matrix, by least squares over its entries.

    The taps of A and of the band are free, as they are for training. Many fits can be equally near
    (a wide band can take over from A): the smallest taps are taken.

    Args:
        matrix: ``(n, n)``.
        r: inducing points.
        sparse_width: taps of the band, centred on lag 0; odd, or 0 for no band.
        degree: of the interpolation, 1 or 3.

    Raises:
        ValueError: a width that is even.

    >>> fit = fit_ski(torch.eye(6) + 1, r=2, sparse_width=1)
    >>> fit.low_rank[0, 3].round(decimals=6), fit.sparse[0, 0].round(decimals=6)
    (tensor(1., dtype=torch.float64), tensor(1., dtype=torch.float64))
    """
    if sparse_width and sparse_width % 2 == 0:
        raise ValueError(f"sparse_width is odd, or 0 for no band; got {sparse_width}")
    n = len(matrix)
    position, point = torch.arange(n), torch.arange(r)
    bands = torch.arange(-(sparse_width // 2), (sparse_width + 1) // 2)
    lags = torch.arange(1 - r, r)
    W = interpolation_matrix(n, r, degree)
    near = (position[:, None] - position == bands[:, None, None]).to(W.dtype)
    far = W @ (point[:, None] - point == lags[:, None, None]).to(W.dtype) @ W.T
    features = torch.cat([near, far]).flatten(1)
    target = matrix.to(W.dtype).reshape(-1, 1)
    taps = torch.linalg.lstsq(features.T, target, driver="gelsy").solution[:, 0]
    sparse, low_rank = (
        torch.einsum("t,tij->ij", part, feature)
        for part, feature in ((taps[:sparse_width], near), (taps[sparse_width:], far))
    )
    return Fit(sparse, low_rank, taps[sparse_width:])
