import math

import pytest
import torch
from torch import nn

from tests.contract import OperatorContract
from tnnlab.operators.fd import FDTNO
from tnnlab.ops.hilbert import hilbert


class TestFDTNO(OperatorContract):
    extends = False  # a longer sequence samples the spectrum on a finer grid

    def build(self, channels: int, causal: bool) -> nn.Module:
        return FDTNO(channels, causal=causal)


class TestFDTNOInterpolated(OperatorContract):
    extends = False

    def build(self, channels: int, causal: bool) -> nn.Module:
        return FDTNO(channels, causal=causal, points=16)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 64])
def test_the_causal_spectrum_completes_the_real_part_by_a_hilbert_transform(n: int) -> None:
    torch.manual_seed(0)
    operator = FDTNO(3, causal=True, rpe_activation="silu").double()
    real = operator.spectrum(n)
    half = real.shape[1] - 1
    assert 2 * half >= 2 * n > half or n == 1
    complete = torch.complex(real, -hilbert(real))
    torch.testing.assert_close(torch.fft.irfft(complete, n=2 * half)[:, :n], operator.kernel(n))


@pytest.mark.parametrize("n", [1, 2, 5, 64])
def test_the_bidirectional_kernel_never_needs_the_time_domain(n: int) -> None:
    torch.manual_seed(0)
    operator = FDTNO(3, causal=False).double()
    x = torch.randn(2, n, 3, dtype=torch.float64)
    spectrum = operator.spectrum(n)
    assert torch.equal(spectrum.imag[:, [0, -1]], torch.zeros(3, 2, dtype=torch.float64))
    size = 2 * (spectrum.shape[1] - 1)
    product = torch.fft.rfft(x.transpose(1, 2), n=size) * spectrum
    expected = torch.fft.irfft(product, n=size)[..., :n].transpose(1, 2)
    torch.testing.assert_close(operator(x), expected)


def test_frequencies_run_from_zero_to_pi() -> None:
    frequencies = FDTNO(2, causal=True).frequencies(100)
    assert frequencies.shape == (129,)
    assert frequencies[0] == 0
    assert frequencies[-1].item() == pytest.approx(math.pi)


def test_a_longer_kernel_extends_a_shorter_up_to_aliasing() -> None:
    torch.manual_seed(0)
    operator = FDTNO(4, causal=True, rpe_activation="gelu").double()
    short, long = operator.kernel(256), operator.kernel(1024)
    assert (long[:, :256] - short).norm() < 1e-2 * short.norm()


def test_interpolation_meets_its_values() -> None:
    operator = FDTNO(2, causal=True, points=5).double()
    values = operator.rpe(torch.linspace(0, math.pi, 9, dtype=torch.float64))
    learned = operator.rpe.values
    torch.testing.assert_close(values[::2], learned)
    torch.testing.assert_close(values[1::2], (learned[:-1] + learned[1:]) / 2)


def test_too_few_points_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 points, got 1"):
        FDTNO(2, causal=True, points=1)
