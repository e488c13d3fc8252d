import json

import numpy as np
import pytest
import torch

pytest.importorskip("anywidget", reason="anywidget is not installed")

from tnnlab import TNO
from tnnlab.widgets import kernel_explorer, toeplitz_explorer
from tnnlab.widgets.frames import unpack


def curves(explorer, panel: int) -> list[np.ndarray]:
    data = explorer.frame["panels"][panel]
    return [unpack(c["y"], data.get("y_scale", "linear")) for c in data["curves"]]


def test_the_kernel_explorer_shows_a_tno_and_its_spectrum() -> None:
    explorer = kernel_explorer()
    explorer.values = {"activation": "silu", "depth": 2, "decay": 0.97, "length": 96}
    torch.manual_seed(4)
    operator = TNO(3, causal=True, rpe_depth=2, rpe_activation="silu", decay=0.97)
    kernel = operator.kernel(96).detach().double().numpy()
    np.testing.assert_allclose(curves(explorer, 0)[:3], kernel, atol=np.ptp(kernel) / 4000)
    spectrum = np.abs(np.fft.rfft(kernel))
    np.testing.assert_allclose(curves(explorer, 1), spectrum, rtol=0.01)


def test_it_leaves_the_random_state_alone_and_is_the_same_twice() -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    first = kernel_explorer()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert kernel_explorer().frames == first.frames


@pytest.mark.parametrize("make", [kernel_explorer, toeplitz_explorer])
def test_its_page_stays_small(make) -> None:
    explorer = make()
    assert len(json.dumps(explorer.frames)) < 500_000


@pytest.mark.parametrize("side", ["causal", "bidirectional"])
def test_the_toeplitz_explorer_multiplies_by_the_matrix_it_shows(side: str) -> None:
    explorer = toeplitz_explorer()
    explorer.values = {"shape": "oscillation", "scale": 6, "side": side}
    rows, columns, _, *packed = explorer.frame["panels"][1]["image"]
    matrix = unpack(packed).reshape(rows, columns)
    x, y = curves(explorer, 2)
    np.testing.assert_allclose(matrix @ x, y, atol=0.02)
    assert (np.abs(np.triu(matrix, 1)).max() < 1e-3) == (side == "causal")
