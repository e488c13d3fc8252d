"""The explorer of order reduction draws true errors, between the best possible and the bound."""

import json

import numpy as np
import pytest
import torch

pytest.importorskip("anywidget", reason="anywidget is not installed")

from tnnlab.convert import reduce
from tnnlab.widgets.frames import Panel
from tnnlab.widgets.plane import CIRCLE, EDGE, pole_map
from tnnlab.widgets.states import (
    BINS,
    KERNELS,
    LENGTH,
    ORDERS,
    _states,
    example_kernel,
    states_explorer,
)


def curves(panel: Panel) -> list[np.ndarray]:
    return [np.asarray(curve.y) for curve in panel.curves]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("order", [1, 4, 40])
def test_errors_are_those_of_the_drawn_kernels(kernel: str, order: int) -> None:
    taps, spectrum, _, _ = _states(kernel, order)
    whole, _ = curves(taps)
    system = reduce(torch.as_tensor(whole)[None], order=order)
    long = system.kernel(40_000)[0].numpy()  # all of it
    long[:LENGTH] -= whole
    frequency = np.linspace(0, np.pi, BINS)
    expected = np.abs(np.exp(-1j * frequency[:, None] * np.arange(40_000)) @ long)
    error, bound, least = curves(spectrum)
    np.testing.assert_allclose(error, expected, atol=1e-6 * np.abs(whole).max(), rtol=1e-6)
    assert (error <= bound + 1e-9).all()
    assert bound[0] >= 0.99 * least[0]


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_measured_peak_lies_between_its_two_bounds(kernel: str) -> None:
    measured, bound, least, here = curves(_states(kernel, 6)[3])
    assert (measured <= bound + 1e-9).all()
    assert (measured >= 0.9 * least - 1e-9).all()  # a grid of frequencies may miss a bit
    assert here[0] == measured[ORDERS.index(6)]


def test_what_the_kernels_teach() -> None:
    """Two pairs of poles need four states, a cut costs many, a delay all of them."""
    needed = {}
    for kernel in KERNELS:
        measured, *_ = curves(_states(kernel, 1)[3])
        peak = torch.fft.rfft(example_kernel(kernel), n=8 * LENGTH).abs().max()
        small = measured < 0.01 * float(peak)
        needed[kernel] = ORDERS[int(small.argmax())] if small.any() else LENGTH
    assert needed["damped waves"] == 4
    assert needed["fresh TNO"] < needed["fresh TNO, cut off"] < needed["pure delay"] == LENGTH


def test_the_same_kernels_every_time_and_nobody_elses_random_numbers() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = example_kernel("fresh TNO")
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(example_kernel("fresh TNO"), first)


@pytest.mark.parametrize("place", [0.5 + 0.5j, -0.9j, -1 + 0j])
def test_a_pole_is_drawn_where_it_lies(place: complex) -> None:
    picture = pole_map(torch.tensor([place, 5 + 5j]), pixels=47)
    assert set(picture.unique().tolist()) == {0.0, CIRCLE, 1.0}
    row, column = (int(value) for value in (picture == 1).nonzero()[0])
    axis = np.linspace(-EDGE, EDGE, 47)
    assert abs(axis[column] - place.real) < 0.03
    assert abs(-axis[row] - place.imag) < 0.03
    assert (picture == 1).sum() == 1


def test_every_position_of_its_controls_is_drawn_and_small() -> None:
    explorer = states_explorer()
    assert len(explorer.frames) == len(KERNELS) * len(ORDERS)
    assert len(explorer.frame["panels"]) == 4
    assert len(json.dumps(explorer.frames)) < 250_000
