import pytest
import torch

from tnnlab.ops.hilbert import causal_taps, hilbert


@pytest.mark.parametrize("half", [1, 2, 3, 8, 17, 64])
def test_the_window_and_the_hilbert_transform_agree(half: int) -> None:
    real = torch.randn(3, half + 1, dtype=torch.float64)
    spectrum = torch.fft.rfft(causal_taps(real), n=2 * half)
    torch.testing.assert_close(spectrum.real, real)
    torch.testing.assert_close(spectrum.imag, -hilbert(real))


@pytest.mark.parametrize("half", [2, 5, 16])
def test_the_real_part_determines_a_causal_sequence(half: int) -> None:
    taps = torch.randn(2, half + 1, dtype=torch.float64)
    real = torch.fft.rfft(taps, n=2 * half).real
    torch.testing.assert_close(causal_taps(real), taps)


def test_gradients_agree_with_finite_differences() -> None:
    real = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(causal_taps, (real,))
    assert torch.autograd.gradcheck(hilbert, (real,))


@pytest.mark.parametrize("function", [causal_taps, hilbert])
def test_one_frequency_is_not_a_spectrum(function) -> None:
    with pytest.raises(ValueError, match="at least two points"):
        function(torch.ones(3, 1))
