"""Approximations through inducing points: their definitions, and bounds that are never violated."""

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from tnnlab.nystrom import (
    best_of_rank,
    blocks,
    direct_bound,
    fit_ski,
    interpolation_remainder,
    largest_derivative,
    nystrom,
    nystrom_error,
    ski,
    ski_bound,
    ski_error,
)
from tnnlab.ops.interpolation import inducing_points, interpolation_matrix

SHAPES: dict[str, Callable[[Tensor], Tensor]] = {
    "gauss": lambda u: torch.exp(-u.square() / 2),
    "cauchy": lambda u: 1 / (1 + u.square()),
    "sech": lambda u: 1 / torch.cosh(u),
}
# The largest |second| and |fourth| derivatives, all at 0 but for the sign.
DERIVATIVES = {"gauss": (1, 3), "cauchy": (2, 24), "sech": (1, 5)}
DEGREES = pytest.mark.parametrize("degree", [1, 3])


def skewed(t: Tensor, scale: float = 6.0) -> Tensor:
    """A smooth kernel that is not symmetric."""
    u = t / scale
    return (1 + u / 2) * torch.exp(-u.square() / 2)


def bumps(t: Tensor, terms: list[tuple[str, float, float, float]]) -> Tensor:
    return sum((a * SHAPES[s]((t - c) / w) for s, a, c, w in terms), torch.zeros_like(t))


def norm(matrix: Tensor) -> float:
    return float(torch.linalg.matrix_norm(matrix, ord=2))


def test_the_blocks_follow_the_definition() -> None:
    n, r = 7, 3
    points = inducing_points(n, r).tolist()
    rows, columns = {"T": range(n), "B": range(n)}, {"T": range(n), "F": range(n)}
    for name, block in blocks(skewed, n, r)._asdict().items():
        for a, i in enumerate(rows.get(name, points)):
            for b, j in enumerate(columns.get(name, points)):
                torch.testing.assert_close(block[a, b], skewed(torch.tensor(i - j).double()))


def test_nystrom_is_the_written_formula() -> None:
    _, B, A, F = blocks(skewed, 30, 7)
    torch.testing.assert_close(nystrom(skewed, 30, 7), B @ torch.linalg.inv(A) @ F)


def test_nystrom_restores_what_the_points_span() -> None:
    def wave(t: Tensor) -> Tensor:
        return torch.cos(0.3 * t) + torch.sin(0.2 * t)  # rank 4

    T = blocks(wave, 40, 4).T
    torch.testing.assert_close(nystrom(wave, 40, 4), T)
    torch.testing.assert_close(nystrom(wave, 40, 9), T)  # A is singular here


@DEGREES
def test_every_position_a_point_leaves_no_error(degree: int) -> None:
    torch.testing.assert_close(ski(skewed, 20, 20, degree), blocks(skewed, 20, 20).T)
    assert ski_error(skewed, 20, 20, degree) < 1e-12
    assert direct_bound(skewed, 20, 20, degree) < 1e-12


def test_the_nearest_matrix_of_a_rank_misses_the_next_singular_value() -> None:
    matrix = torch.randn(9, 9, dtype=torch.float64)
    singular = torch.linalg.svdvals(matrix)
    for r in (1, 4, 8):
        near = best_of_rank(matrix, r)
        assert torch.linalg.matrix_rank(near) == r
        assert norm(matrix - near) == pytest.approx(float(singular[r]))


@pytest.mark.parametrize("shape", SHAPES)
def test_derivatives_are_those_worked_out_by_hand(shape: str) -> None:
    for order, largest in zip((2, 4), DERIVATIVES[shape], strict=True):
        found = largest_derivative(lambda t: SHAPES[shape](t / 5), order, reach=40)
        assert found == pytest.approx(largest / 5**order)


@pytest.mark.parametrize(("n", "r"), [(33, 5), (40, 7), (20, 20), (8, 30)])
def test_the_remainder_is_attained_by_the_polynomial_of_the_next_degree(n: int, r: int) -> None:
    def parabola(t: Tensor) -> Tensor:
        return t.square()

    _, B, A, F = blocks(parabola, n, r)
    W = interpolation_matrix(n, r)
    attained = max(float((B - W @ A).abs().max()), float((F - A @ W.T).abs().max()))
    assert attained == pytest.approx(interpolation_remainder(parabola, n, r), abs=1e-9)
    assert attained <= ((n - 1) / (r - 1)) ** 2 / 4 + 1e-9  # L h² / 8 with L = 2


@DEGREES
def test_the_error_splits_as_the_proof_says(degree: int) -> None:
    n, r = 50, 9
    _, B, A, F = blocks(skewed, n, r)
    W = interpolation_matrix(n, r, degree)
    by_rows, by_columns = B - W @ A, F - A @ W.T
    apart = nystrom(skewed, n, r) - ski(skewed, n, r, degree)
    inverse = torch.linalg.inv(A)
    torch.testing.assert_close(apart, W @ by_columns + by_rows @ inverse @ F)
    torch.testing.assert_close(apart, by_rows @ W.T + B @ inverse @ by_columns)


def test_a_singular_gram_matrix_makes_the_bound_infinite() -> None:
    assert ski_bound(lambda t: SHAPES["gauss"](t / 30), 40, 30) == math.inf
    assert math.isfinite(ski_bound(lambda t: SHAPES["gauss"](t / 3), 40, 10))


TERMS = st.lists(
    st.tuples(
        st.sampled_from(sorted(SHAPES)), st.floats(-2, 2), st.floats(-20, 20), st.floats(1.5, 25)
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=80, deadline=None)
@given(TERMS, st.integers(2, 48), st.data())
def test_the_bounds_hold(terms: list, n: int, data: st.DataObject) -> None:
    degree = data.draw(st.sampled_from([1, 3]))
    r = data.draw(st.integers(degree + 1, max(n, degree + 1)))
    kernel = partial(bumps, terms=terms)
    T, B, A, F = blocks(kernel, n, r)
    size = float(T.abs().max())
    assume(size > 1e-3)
    rounding = 1e-12 * n * size
    W = interpolation_matrix(n, r, degree)
    remainder = interpolation_remainder(kernel, n, r, degree) + rounding
    assert float((B - W @ A).abs().max()) <= remainder
    assert float((F - A @ W.T).abs().max()) <= remainder
    assert norm(W) <= (degree + 1) * math.sqrt(n)
    assert norm(T - ski(kernel, n, r, degree)) <= direct_bound(kernel, n, r, degree) + rounding
    assert ski_error(kernel, n, r, degree) <= ski_bound(kernel, n, r, degree) + rounding


def test_nystrom_error_is_the_distance_to_the_nearest_of_its_rank() -> None:
    n, r = 30, 6
    distance = norm(nystrom(skewed, n, r) - best_of_rank(blocks(skewed, n, r).T, r))
    assert nystrom_error(skewed, n, r) == pytest.approx(distance)


@DEGREES
def test_a_fit_finds_the_parts_it_is_made_of(degree: int) -> None:
    n, r = 40, 6
    band = torch.zeros(n, n, dtype=torch.float64)
    for lag, tap in ((-1, 0.5), (0, 3.0), (1, -0.7)):
        band += tap * torch.diag(torch.ones(n - abs(lag), dtype=torch.float64), -lag)
    low_rank = ski(lambda t: skewed(t, 15), n, r, degree)
    fit = fit_ski(band + low_rank, r, 3, degree)
    torch.testing.assert_close(fit.sparse, band)
    torch.testing.assert_close(fit.low_rank, low_rank)
    lags = torch.arange(1 - r, r) * ((n - 1) / (r - 1))
    torch.testing.assert_close(fit.inducing_kernel, skewed(lags.double(), 15))


def test_a_fit_is_at_least_as_near_as_sampling_the_kernel_and_a_wider_band_helps() -> None:
    n, r = 40, 6
    T = blocks(lambda t: torch.exp(-t.abs() / 4), n, r).T  # a kink at lag 0
    sampled = (T - ski(lambda t: torch.exp(-t.abs() / 4), n, r)).norm()
    errors = [
        float((T - f.sparse - f.low_rank).norm()) for f in map(partial(fit_ski, T, r), (0, 1, 3, 9))
    ]
    assert errors[0] < sampled
    assert errors == sorted(errors, reverse=True) and errors[-1] < errors[0] / 2


def test_an_even_band_is_refused() -> None:
    with pytest.raises(ValueError, match="odd, or 0 for no band; got 4"):
        fit_ski(torch.eye(8), 3, 4)
