"""The circulant explorer draws what an FFT of that size really computes."""

import pytest
import torch

from tnnlab.ops import toeplitz_matrix
from tnnlab.widgets.circulant import LENGTH, SIZES, _circulant, _rings, circulant_explorer, corner


def lags(n: int, causal: bool) -> torch.Tensor:
    return torch.arange(0 if causal else 1 - n, n)


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
@pytest.mark.parametrize("size", [7, 8, 12, 13, 20])
def test_the_corner_is_what_an_fft_of_this_size_applies(size: int, causal: bool) -> None:
    n = 7
    lag = lags(n, causal)
    kernel = torch.randn(len(lag), dtype=torch.float64)
    x = torch.randn(n, dtype=torch.float64)
    column = torch.zeros(size, dtype=torch.float64)
    for m, tap in zip(lag.tolist(), kernel, strict=True):
        column[m % size] += tap
    circular = torch.fft.irfft(torch.fft.rfft(column) * torch.fft.rfft(x, n=size), n=size)
    torch.testing.assert_close(corner(kernel, lag, size) @ x, circular[:n])


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
def test_the_corner_is_the_toeplitz_matrix_from_2n_minus_1_on(causal: bool) -> None:
    n = 7
    kernel = torch.randn(len(lags(n, causal)), dtype=torch.float64)
    matrix = toeplitz_matrix(kernel, causal)
    for size in range(n, 2 * n + 4):
        right = torch.equal(corner(kernel, lags(n, causal), size), matrix)
        assert right == (size >= 2 * n - 1)


@pytest.mark.parametrize("size", SIZES)
def test_the_note_counts_the_wrong_outputs(size: int) -> None:
    reached = max(0, 2 * LENGTH - 1 - size)  # at one end, or at each of the two
    for side, count in (("causal", reached), ("bidirectional", min(LENGTH, 2 * reached))):
        note = _circulant(size, side)[-1].note
        expected = f"{count} of {LENGTH} outputs are wrong." if count else "Every output is right."
        assert note == expected


def test_orange_leaves_the_circle_when_it_is_large_enough() -> None:
    for causal in (True, False):
        assert (_rings(2 * LENGTH - 2, causal) < 0).any()
        assert not (_rings(2 * LENGTH - 1, causal) < 0).any()


def test_every_position_of_its_controls_is_drawn() -> None:
    explorer = circulant_explorer()
    assert len(explorer.frames) == 2 * len(SIZES)
    assert len(explorer.frame["panels"]) == 3
