"""The spectrum explorer draws a causal kernel whose spectrum has the chosen real part."""

import json
import math

import pytest
import torch
from torch import Tensor

pytest.importorskip("anywidget", reason="anywidget is not installed")

from tnnlab.ops.hilbert import causal_taps, hilbert
from tnnlab.widgets.spectrum import (
    HALF,
    MEMORY,
    SHAPES,
    SHOWN,
    _spectrum,
    real_part,
    spectrum_explorer,
)

CENTRES = [0, 0.25, 0.5, 0.75]
WIDTHS = [0.03125, 0.0625, 0.125, 0.25]
every_shape = pytest.mark.parametrize("shape", SHAPES)


def envelope(shape: str, width: float, lag: Tensor) -> Tensor:
    """What the taps do not exceed: the Fourier integral of the bump without its cosine."""
    w = math.pi * width
    if shape == "smooth":
        return w * math.sqrt(2 / math.pi) * torch.exp(-((w * lag) ** 2) / 2)
    if shape == "kink":
        return 4 / (math.pi * w * lag**2)
    return 2 / (math.pi * lag)


@every_shape
def test_the_imaginary_part_is_minus_the_hilbert_transform_of_the_real_one(shape: str) -> None:
    real, imaginary = (torch.as_tensor(c.y) for c in _spectrum(shape, 0.25, 0.125)[0].curves)
    full = real_part(shape, 0.25, 0.125)
    torch.testing.assert_close(real, full[::SHOWN])
    torch.testing.assert_close(imaginary, -hilbert(full)[::SHOWN])


@every_shape
def test_the_kernel_is_the_even_one_through_the_window(shape: str) -> None:
    causal, even = _spectrum(shape, 0.25, 0.0625)[1].curves
    lags, causal, even = (torch.as_tensor(v) for v in (causal.x, causal.y, even.y))
    window = torch.where(lags < 0, 0.0, torch.where(lags == 0, 1.0, 2.0)).double()
    torch.testing.assert_close(causal, window * even)
    torch.testing.assert_close(even[lags.abs() <= 24], even[lags.abs() <= 24].flip(0))


@every_shape
@pytest.mark.parametrize("centre", CENTRES)
@pytest.mark.parametrize("width", WIDTHS)
def test_the_taps_stay_below_the_envelope_of_their_shape(
    shape: str, centre: float, width: float
) -> None:
    lag = torch.arange(1, 65, dtype=torch.float64)
    taps = causal_taps(real_part(shape, centre, width))[1:65]
    assert (taps.abs() <= 1.02 * envelope(shape, width, lag) + 1e-14).all()


@every_shape
def test_moving_the_bump_multiplies_the_kernel_by_a_cosine(shape: str) -> None:
    lag = torch.arange(HALF + 1, dtype=torch.float64)
    low, high = (causal_taps(real_part(shape, centre, 0.125)) for centre in (0, 0.25))
    torch.testing.assert_close(high, low * torch.cos(0.25 * math.pi * lag))


@every_shape
def test_the_note_states_the_energy_of_the_long_lags(shape: str) -> None:
    kernel = _spectrum(shape, 0.5, 0.03125)[1]
    energy = causal_taps(real_part(shape, 0.5, 0.03125)).square()
    beyond = float(energy[MEMORY + 1 :].sum() / energy.sum())
    assert kernel.note.startswith(f"{beyond:.2%} of the energy")
    assert _spectrum("smooth", 0.5, 0.25)[1].note.startswith("Less than 0.01% of")


def test_the_note_compares_two_octaves_of_lags() -> None:
    size = causal_taps(real_part("kink", 0.25, 0.0625)).abs()
    assert f"is {size[8:16].max():.1g}, at" in _spectrum("kink", 0.25, 0.0625)[2].note
    assert "lags 16 to 31 only rounding." in _spectrum("smooth", 0.25, 0.25)[2].note


def test_a_broken_bump_makes_the_longest_kernel() -> None:
    def beyond(shape: str) -> float:
        energy = causal_taps(real_part(shape, 0.25, 0.125)).square()
        return float(energy[MEMORY + 1 :].sum())

    assert beyond("smooth") < 1e-6 < beyond("kink") < beyond("jump") / 10


def test_every_position_of_its_controls_is_drawn_and_small() -> None:
    explorer = spectrum_explorer()
    assert len(explorer.frames) == len(SHAPES) * len(CENTRES) * len(WIDTHS)
    assert len(explorer.frame["panels"]) == 3
    assert len(json.dumps(explorer.frames)) < 250_000
