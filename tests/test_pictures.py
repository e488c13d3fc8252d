"""The pictures show what they say: right numbers in cells, right counts, outputs of T x."""

import numpy as np
import pytest
import torch

from tnnlab.ops import toeplitz_matmul

pytest.importorskip("matplotlib", reason="the extra `book` is not installed")
from tnnlab import pictures


@pytest.fixture(autouse=True)
def canvas():
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
def test_product_draws_kernel_matrix_and_output(causal: bool) -> None:
    n = 9
    kernel, x = torch.randn(n if causal else 2 * n - 1), torch.randn(n)
    figure = pictures.product(kernel, x, causal=causal, row=4)
    y = toeplitz_matmul(kernel[None], x[None], causal=causal)[0]
    (side,) = (axes for axes in figure.axes if axes.get_title().startswith("output"))
    np.testing.assert_allclose(side.lines[0].get_xdata(), y.numpy(), rtol=1e-6)
    figure.canvas.draw()


def test_embedding_repeats_the_matrix_in_its_corner() -> None:
    n, size = 4, 9
    small, large = pictures.embedding(n, size).axes
    cells = [
        {t.get_position(): t.get_text() for t in axes.texts if t.get_text()}
        for axes in (small, large)
    ]
    assert len(cells[0]) == n * n and len(cells[1]) == size * size
    assert cells[0].items() <= cells[1].items()
    assert cells[1][(size - 1, 0)] == "1"  # after the future comes the past: it goes round
    assert sum(text == "·" for text in cells[1].values()) == size * (size - (2 * n - 1))


def test_embedding_refuses_a_circle_that_is_too_small() -> None:
    with pytest.raises(ValueError, match="at least 2n - 1 = 7 places, got 6"):
        pictures.embedding(4, 6)


@pytest.mark.parametrize("output", [0, 2])
def test_rings_count_the_wrong_products(output: int) -> None:
    n, sizes = 6, (6, 8, 11, 12)
    figure = pictures.rings(n, sizes, output)
    counts = [int(axes.texts[-1].get_text().split()[0]) for axes in figure.axes]
    assert counts == [max(0, 2 * n - 1 - size - output) for size in sizes]
