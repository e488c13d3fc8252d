"""The explorer of transfer functions draws the kernel that these poles and zeros really have."""

import json
import math

import numpy as np
import pytest
import torch

pytest.importorskip("anywidget", reason="anywidget is not installed")

from tnnlab.ops.rational import companion_matrix
from tnnlab.widgets.frames import Panel
from tnnlab.widgets.rational import EDGE, PIXELS, _rational, coefficients, rational_explorer

RADII = [0.5, 0.8, 0.9, 0.97, 1.02]


def draw(radius: float = 0.9, pole: float = 45, zero: float = 180, length: int = 12) -> list[Panel]:
    return _rational(radius, pole, zero, length)


def heights(panel: Panel) -> list[np.ndarray]:
    return [np.asarray(curve.y) for curve in panel.curves]


@pytest.mark.parametrize("radius", RADII)
def test_the_coefficients_have_these_poles_and_zeros(radius: float) -> None:
    a, b, h0 = coefficients(radius, 0.7, 0.95, 2.0)
    poles = torch.linalg.eigvals(companion_matrix(a))[0]
    zeros = torch.linalg.eigvals(companion_matrix(a + b / h0))[0]
    for found, r, angle in ((poles, radius, 0.7), (zeros, 0.95, 2.0)):
        place = r * complex(math.cos(angle), math.sin(angle))
        upper = found[found.imag.argmax()]
        assert abs(complex(upper) - place) < 1e-12


def test_the_recurrence_is_the_power_series_of_the_two_polynomials() -> None:
    exact, _, _ = heights(draw()[1])
    a, b, h0 = (value[0] for value in coefficients(0.9, math.radians(45), 0.95, math.pi))
    numerator, denominator = [1.0, *(a + b / h0)], [1.0, *a]
    series = []
    for m in range(12):  # long division
        rest = numerator[m] if m < 3 else 0.0
        series.append(rest - sum(denominator[q] * series[m - q] for q in (1, 2) if q <= m))
    np.testing.assert_allclose(exact, series, rtol=1e-10)


@pytest.mark.parametrize("length", [12, 48])
@pytest.mark.parametrize("radius", RADII)
def test_the_corrected_recurrence_meets_the_fft(radius: float, length: int) -> None:
    _, aliased, corrected = heights(draw(radius, length=length)[1])
    np.testing.assert_allclose(corrected, aliased, atol=1e-10 * np.abs(aliased).max())


@pytest.mark.parametrize("radius", RADII[:-1])
def test_the_fft_adds_the_taps_beyond_the_length(radius: float) -> None:
    _, aliased, _ = heights(draw(radius)[1])
    long, _, _ = heights(draw(radius, length=12 * 120)[1])
    np.testing.assert_allclose(aliased, long.reshape(-1, 12).sum(0), rtol=1e-8, atol=1e-8)


def test_the_spectrum_is_that_of_the_drawn_kernel() -> None:
    _, kernel, spectrum = draw()
    _, samples = heights(spectrum)
    _, aliased, _ = heights(kernel)
    np.testing.assert_allclose(samples, np.abs(np.fft.rfft(aliased)), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("radius", RADII)
def test_the_plane_says_whether_the_poles_are_inside(radius: float) -> None:
    plane = draw(radius, pole=0)[0]
    assert plane.image is not None
    columns = np.flatnonzero(np.asarray(plane.image.values).max(0) == 1)
    place = np.linspace(-EDGE, EDGE, PIXELS)[columns]
    assert abs(place.mean() - radius) < 0.04
    assert ("unstable" in plane.note) == (radius > 1)


def test_every_position_of_its_controls_is_drawn_and_small() -> None:
    explorer = rational_explorer()
    assert len(explorer.frames) == 80
    assert len(explorer.frame["panels"]) == 3
    assert len(json.dumps(explorer.frames)) < 350_000
