"""The five views of the explorer are views of one kernel."""

import json
import math

import numpy as np
import pytest
import torch

pytest.importorskip("anywidget", reason="anywidget is not installed")

from tnnlab.ops.rational import impulse_response
from tnnlab.widgets.frames import Panel
from tnnlab.widgets.views import LENGTH, SIDE, _views, coefficients, three_poles, views_explorer

SETTINGS = [(0.5, 0, 0.9), (0.8, 30, 0.6), (0.95, 75, -0.8), (0.95, 120, 0.0)]


def heights(panel: Panel) -> list[np.ndarray]:
    return [np.asarray(curve.y) for curve in panel.curves]


@pytest.mark.parametrize(("radius", "angle", "second"), SETTINGS)
def test_the_taps_are_those_of_the_formula(radius: float, angle: float, second: float) -> None:
    m = np.arange(LENGTH)
    expected = radius**m * np.cos(math.radians(angle) * m) + 0.5 * float(second) ** m
    (taps,) = heights(_views(radius, angle, second)[0])
    np.testing.assert_allclose(taps, expected, atol=1e-12)


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_matrix_has_the_taps_on_its_diagonals(setting: tuple[float, float, float]) -> None:
    taps, matrix, *_ = _views(*setting)
    assert matrix.image is not None
    values = np.asarray(matrix.image.values)
    for lag in range(-SIDE + 1, SIDE):
        expected = heights(taps)[0][lag] if lag >= 0 else 0
        np.testing.assert_array_equal(np.diagonal(values, -lag), expected)


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_spectrum_is_the_fourier_series_of_all_taps(
    setting: tuple[float, float, float],
) -> None:
    radius, angle, second = setting
    magnitude, real = heights(_views(*setting)[2])
    taps = three_poles(radius, math.radians(angle), second).kernel(2000)[0]
    frequency = torch.linspace(0, math.pi, len(magnitude), dtype=torch.float64)
    expected = torch.exp(-1j * frequency[:, None] * torch.arange(2000)) @ taps.to(torch.complex128)
    np.testing.assert_allclose(magnitude, expected.abs(), atol=1e-9)
    np.testing.assert_allclose(real, expected.real, atol=1e-9)


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_coefficients_have_the_taps_and_the_poles(setting: tuple[float, float, float]) -> None:
    radius, angle, second = setting
    system = three_poles(radius, math.radians(angle), second)
    a, b = coefficients(system)
    drawn = heights(_views(*setting)[4])
    np.testing.assert_array_equal(drawn[0], a)
    np.testing.assert_array_equal(drawn[1], b)
    series = impulse_response(a[None, 1:], (b[1:] - b[0] * a[1:])[None], b[:1], LENGTH)
    torch.testing.assert_close(series, system.kernel(LENGTH))
    place = radius * complex(math.cos(math.radians(angle)), math.sin(math.radians(angle)))
    for pole in (place, place.conjugate(), second):
        assert min(abs(root - pole) for root in np.roots(a)) < 1e-6


def test_the_plane_shows_both_of_the_pair() -> None:
    picture = _views(0.95, 75, -0.8)[3].image
    assert picture is not None
    assert (np.asarray(picture.values) == 1).sum() == 3
    assert np.array_equal(picture.values, np.flipud(picture.values))


def test_every_position_of_its_controls_is_drawn_and_small() -> None:
    explorer = views_explorer()
    assert len(explorer.frames) == 48
    assert len(explorer.frame["panels"]) == 5
    assert len(json.dumps(explorer.frames)) < 250_000
