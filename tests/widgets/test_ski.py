"""The SKI explorer draws the nearest band plus low rank, and states its error."""

import json

import pytest
import torch

from tnnlab.ops import toeplitz_matrix
from tnnlab.ops.interpolation import inducing_points, interpolation_matrix
from tnnlab.widgets.ski import (
    KERNELS,
    LENGTH,
    POINTS,
    WIDTHS,
    _fit,
    _relative,
    _ski,
    example_kernel,
    ski_explorer,
)


@pytest.mark.parametrize("kernel", KERNELS)
def test_what_is_missing_is_orthogonal_to_what_could_be_added(kernel: str) -> None:
    inducing, width = 9, 5
    matrix, _, row, _ = _ski(kernel, inducing, width)
    fit = _fit(kernel, inducing, width)
    error = toeplitz_matrix(example_kernel(kernel), causal=False) - fit.sparse - fit.low_rank
    W = interpolation_matrix(LENGTH, inducing)
    in_points = W.T @ error @ W  # its diagonals are sums against each tap of A
    for lag in range(1 - inducing, inducing):
        assert abs(float(in_points.diagonal(lag).sum())) < 1e-9
    for lag in range(-(width // 2), width // 2 + 1):
        assert abs(float(error.diagonal(lag).sum())) < 1e-9
    torch.testing.assert_close(
        torch.as_tensor(row.curves[0].y), torch.as_tensor(matrix.image.values)[LENGTH // 2]
    )


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_wider_band_never_hurts(kernel: str) -> None:
    for inducing in POINTS:
        errors = [_relative(kernel, inducing, width) for width in WIDTHS]
        assert errors == sorted(errors, reverse=True)


def test_the_band_takes_the_spike() -> None:
    """With it the error is that of the smooth kernel; without, more points hardly help."""
    for inducing in POINTS:
        smooth = _relative("smooth", inducing, 5) / _relative("smooth + spike", inducing, 5)
        assert 0.9 < smooth < 1.4
    alone = [_relative("smooth + spike", inducing, 0) for inducing in POINTS]
    assert alone[-1] > 0.5 * alone[0]


def test_every_point_is_a_position() -> None:
    for inducing in POINTS:
        points = inducing_points(LENGTH, inducing)
        assert torch.equal(points, points.round())


@pytest.mark.parametrize("width", WIDTHS)
def test_the_point_lies_on_the_curve_and_the_note_states_it(width: int) -> None:
    panel = _ski("jump at lag 0", 9, width)[-1]
    curve, _, point = panel.curves
    assert curve.y[POINTS.index(9)] == point.y[0]
    assert panel.note.startswith(f"{point.y[0]:.1%} of")
    assert f"{17 + width} numbers in place of 65" in panel.note


def test_every_position_of_its_controls_is_drawn_and_small() -> None:
    explorer = ski_explorer()
    assert len(explorer.frames) == len(KERNELS) * len(POINTS) * len(WIDTHS)
    assert len(explorer.frame["panels"]) == 4
    assert len(json.dumps(explorer.frames)) < 300_000
