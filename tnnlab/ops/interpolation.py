"""Interpolation from a few inducing points to all positions, as structured kernel interpolation
uses it (Wilson & Nickisch, 2015; Moreno, Mei & Walters, "SKI to go Faster", 2023, §3.2).

A matrix W, n × r, with ``degree + 1`` non-zeros in a row: row i holds the Lagrange weights of
position i on the ``degree + 1`` inducing points nearest to it. Rows sum to 1, and polynomials up
to ``degree`` are reproduced exactly.
"""

import torch
from torch import Tensor

DEGREES = (1, 3)


def inducing_points(n: int, r: int) -> Tensor:
    """r points evenly spaced over [0, n - 1], both ends included: float64 ``(r,)``.

    Raises:
        ValueError: n is below 1 or r below 2.

    >>> inducing_points(9, r=3)
    tensor([0., 4., 8.], dtype=torch.float64)
    """
    if n < 1 or r < 2:
        raise ValueError(f"inducing points need n ≥ 1 positions and r ≥ 2 points; got {n}, {r}")
    return torch.linspace(0, n - 1, r, dtype=torch.float64)


def interpolation_weights(
    n: int, r: int, degree: int = 1, *, device: torch.device | str | None = None
) -> tuple[Tensor, Tensor]:
    """W as its non-zeros: which inducing points each position uses, and with what weight.

    Args:
        n: positions 0 … n - 1.
        r: inducing points, at least degree + 1.
        degree: 1 (linear) or 3 (cubic).
        device: where they are computed.

    Returns:
        indices ``(n, degree + 1)``, int64, and weights ``(n, degree + 1)``, float64.

    Raises:
        ValueError: another degree, or too few points for it.

    >>> indices, weights = interpolation_weights(5, r=3)
    >>> indices[1], weights[1]  # position 1 lies half-way between points 0 and 2
    (tensor([0, 1]), tensor([0.5000, 0.5000], dtype=torch.float64))
    """
    if degree not in DEGREES:
        raise ValueError(f"degree is 1 (linear) or 3 (cubic); got {degree}")
    if n < 1 or r < degree + 1:
        raise ValueError(
            f"degree {degree} needs n ≥ 1 positions and r ≥ {degree + 1} inducing points; "
            f"got n = {n}, r = {r}"
        )
    # In units of the spacing the points are 0 … r - 1. At n = 1 they coincide: position 0 is 0.
    position = torch.arange(n, dtype=torch.float64, device=device) * ((r - 1) / max(n - 1, 1))
    first = (position.floor().long() - degree // 2).clamp(0, r - 1 - degree)
    indices = first[:, None] + torch.arange(degree + 1, device=device)
    weights = position.new_ones(n, degree + 1)
    for j in range(degree + 1):
        for other in range(degree + 1):
            if other != j:
                weights[:, j] *= (position - indices[:, other]) / (j - other)
    return indices, weights


def interpolation_matrix(
    n: int, r: int, degree: int = 1, *, device: torch.device | str | None = None
) -> Tensor:
    """W as a dense matrix, float64 ``(n, r)``; arguments as :func:`interpolation_weights`.

    >>> interpolation_matrix(5, r=3).sum(dim=1)
    tensor([1., 1., 1., 1., 1.], dtype=torch.float64)
    >>> interpolation_matrix(5, r=3) @ inducing_points(5, r=3)  # linear functions are exact
    tensor([0., 1., 2., 3., 4.], dtype=torch.float64)
    """
    indices, weights = interpolation_weights(n, r, degree, device=device)
    return weights.new_zeros(n, r).scatter(1, indices, weights)
