"""The explorer of trained kernels: what it draws and says is true of the model."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("anywidget", reason="anywidget is not installed")

from tnnlab import CausalLM, TNNConfig
from tnnlab.models import MaskedLM
from tnnlab.widgets import trained_explorer
from tnnlab.widgets.channels import KINDS, Layer, describe, layers_of, stored_model
from tnnlab.widgets.frames import Panel, unpack
from tnnlab.widgets.trained import _panels

SMALL: dict[str, Any] = {
    "vocab_size": 257,
    "depth": 2,
    "width": 8,
    "expansion": 2,
    "glu_width": 8,
    "rpe_width": 8,
}


@cache
def stored() -> list[Layer]:
    return layers_of(stored_model(), 512)


def curves(panel: Panel) -> list[np.ndarray]:
    return [np.asarray(curve.y) for curve in panel.curves]


def test_the_stored_networks_taps_are_those_of_its_recurrence() -> None:
    """An impulse sent through the state space step by step, not its formula for the kernel."""
    impulse = (torch.arange(40) == 0).float()[None, :, None].expand(1, 40, 128)
    for block, layer in zip(stored_model().blocks, stored(), strict=True):
        found = block.gtu.operator.scan(impulse)[0].T.double()
        norm = block.gtu.operator.kernel(512).double().norm(dim=1, keepdim=True)
        torch.testing.assert_close(found.abs() / norm, layer.taps[:, :40].abs(), atol=1e-4, rtol=0)
        assert (layer.taps.amax(dim=1) == layer.taps.abs().amax(dim=1)).all()


@pytest.mark.parametrize("number", range(4))
def test_what_it_measures_by_a_plain_loop(number: int) -> None:
    layer, frequency = stored()[number], np.linspace(0, 1, 2049)
    waves = np.exp(-1j * np.pi * frequency[:, None] * np.arange(512))
    for channel in range(0, 128, 11):
        taps = layer.taps[channel].numpy()
        share, memory = 0.0, 0
        while share < 0.9 * np.sum(taps**2):
            share, memory = share + taps[memory] ** 2, memory + 1
        spectrum = np.abs(waves @ taps)
        constant = abs(taps.sum()) / spectrum.max()
        assert layer.memory[channel] == memory
        assert float(layer.peak[channel]) == pytest.approx(frequency[spectrum.argmax()])
        assert float(layer.mean[channel]) == pytest.approx(constant)
        assert float(layer.pitch[channel]) == pytest.approx(
            np.average(frequency, weights=spectrum**2)
        )
        kind = 0 if constant < 0.1 else 1 if (taps**2).max() >= 0.9 else 3 - (constant > 0.5**0.5)
        assert layer.kind[channel] == kind


@pytest.mark.parametrize(
    ("taps", "kind", "says"),
    [
        ([1.0, -1.0, 0.0, 0.0], "take differences", "a constant passes at 0% of the peak"),
        ([1.0, 0.0, 0.1, 0.0], "copy one lag", "the step itself"),
        ([0.0, -1.0, 0.1, 0.0], "copy one lag", "the step before"),
        ([0.1, 0.0, 0.0, 1.0], "copy one lag", "the step 3 back"),
        ([1.0, 1.0, 1.0, 1.0], "average", "a constant passes at 100% of the peak"),
        ([1.0, 0.5, -1.0, 0.0], "cancel in part", "steps pass best, a constant passes at 2"),
    ],
)
def test_kinds_by_kernels_that_anyone_can_name(taps: list[float], kind: str, says: str) -> None:
    kernel = torch.tensor([taps, taps]) * 7
    layer = describe(torch.nn.functional.pad(kernel, (0, 12)))
    assert KINDS[int(layer.kind[0])] == kind
    assert says in _panels([layer], 0, 0, "memory")[1].note


def test_a_channel_without_any_tap_is_no_error() -> None:
    layer = describe(torch.zeros(2, 16))
    assert torch.isfinite(layer.pitch).all() and torch.isfinite(layer.mean).all()


@pytest.mark.parametrize("order", ["memory", "pitch"])
def test_the_panels_are_of_the_channel_and_of_its_layer(order: str) -> None:
    layer = stored()[2]
    channel = int(np.argsort(getattr(layer, order).numpy(), kind="stable")[77])
    kernel, spectrum, whole, memory = _panels(stored(), 2, 77, order)
    taps = layer.taps[channel].numpy()
    np.testing.assert_array_equal(curves(kernel)[0], taps[: len(curves(kernel)[0])])
    assert f"Channel {channel + 1}:" in kernel.note
    waves = np.exp(-1j * np.pi * np.linspace(0, 1, 49)[:, None] * np.arange(512))
    np.testing.assert_allclose(curves(spectrum)[0], np.abs(waves @ taps), atol=1e-9)
    lags = np.asarray(whole.curves[0].x).astype(int) - 1
    sizes = np.sort(np.abs(layer.taps.numpy())[:, lags], axis=0)
    this, middle, low, high = curves(whole)
    np.testing.assert_array_equal(this, np.abs(taps)[lags])
    np.testing.assert_allclose(middle, (sizes[63] + sizes[64]) / 2)
    assert (sizes[12] <= low).all() and (low <= sizes[13]).all()
    assert (sizes[114] <= high).all() and (high <= sizes[115]).all()
    for curve, of in zip(memory.curves, stored(), strict=False):
        np.testing.assert_array_equal(
            np.asarray(curve.y)[[0, 12, 24]], np.sort(of.memory.numpy())[[0, 64, 127]]
        )
    here = memory.curves[-1]
    assert np.asarray(here.y)[0] == layer.memory[channel]
    assert round(float(np.asarray(here.x)[0]) * 1.27) == int(
        np.flatnonzero(np.argsort(layer.memory.numpy(), kind="stable") == channel)[0]
    )


def test_what_the_layers_of_the_stored_network_do() -> None:
    """What the book says of them."""
    first = stored()[0]
    medians = [int(layer.memory.double().quantile(0.5)) for layer in stored()]
    assert medians == sorted(medians) and medians[-1] > 5 * medians[0]
    assert float(first.taps[:, 0].square().mean()) < 0.05
    assert float(first.taps[:, 1:3].square().sum(dim=1).mean()) > 0.8
    kinds = [torch.bincount(layer.kind, minlength=4).tolist() for layer in stored()]
    assert sum(kinds[0]) == 128 and kinds[0][1] > 25 and kinds[3][2] > 100
    assert kinds[0][1] > max(kind[1] for kind in kinds[1:])


def test_it_starts_with_the_network_of_the_package_and_stays_small() -> None:
    explorer = trained_explorer()
    assert len(explorer.frames) == 4 * 9 * 2
    assert len(json.dumps(explorer.frames)) < 250_000
    explorer.values = {"layer": 4, "channel": 128, "order": "memory"}
    longest = explorer.frame["panels"][3]["curves"][3]["y"]
    assert unpack(longest, "log")[-1] == pytest.approx(int(stored()[3].memory.max()), rel=0.01)


@pytest.mark.parametrize(
    "changes",
    [
        {"operator": "tno"},
        {"operator": "fd", "mixer": "s4", "expansion": 1},
        {"operator": "rtf", "mixer": "hyena", "operator_options": {"order": 4, "length": 32}},
        {"operator": "s4d", "depth": 6},
        {"operator": "hyena", "depth": 1},
    ],
)
def test_any_model_of_causal_kernels(changes: dict) -> None:
    torch.manual_seed(0)
    model = CausalLM(TNNConfig(**{**SMALL, **changes}))
    explorer = trained_explorer(model, length=32)
    assert ("layer" in explorer.values) == (len(model.blocks) > 1)
    kernel = model.blocks[0].gtu.operator.kernel(32).detach()
    explorer.values = {"channel": 1}
    number = int(explorer.frame["panels"][0]["note"].split()[1].strip(":")) - 1
    drawn = unpack(explorer.frame["panels"][0]["curves"][0]["y"])
    taps = kernel[number] / kernel[number].norm()
    sign = 1 if taps.max() == taps.abs().max() else -1
    np.testing.assert_allclose(drawn, sign * taps[: len(drawn)].numpy(), atol=1e-3)
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    assert len(explorer.figure().axes) == 4


def test_layers_beyond_four_are_quiet_but_for_the_one_that_is_shown() -> None:
    model = CausalLM(TNNConfig(**{**SMALL, "depth": 6}))
    drawn = _panels(layers_of(model, 32), 4, 0, "memory")[3].curves
    assert [curve.style for curve in drawn] == ["dashed"] * 4 + ["line", "dashed", "points"]
    assert [c.label for c in drawn if c.label] == ["other layers", "layer 5", "this channel"]


def test_a_model_without_causal_kernels_is_refused() -> None:
    with pytest.raises(TypeError, match=r"a model with blocks, .* got Linear"):
        trained_explorer(torch.nn.Linear(2, 2))
    attention = CausalLM(
        TNNConfig(**{**SMALL, "operator": "attention", "width": 64, "expansion": 1})
    )
    with pytest.raises(ValueError, match="layer 1 mixes positions by Attention"):
        trained_explorer(attention)
    with pytest.raises(ValueError, match="layer 1 mixes positions by TNO, which has no causal"):
        trained_explorer(MaskedLM(TNNConfig(**SMALL)))
    with pytest.raises(ValueError, match="at least 16 taps; got 8"):
        trained_explorer(length=8)
