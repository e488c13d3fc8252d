import math

import pytest
import torch
from torch import nn

from tests.contract import OperatorContract
from tnnlab.operators.hyena import HyenaFilter


class TestHyenaFilter(OperatorContract):
    def build(self, channels: int, causal: bool) -> nn.Module:
        return HyenaFilter(channels, causal=causal, length=128, bands=4, width=8)


def test_the_kernel_follows_the_definition() -> None:
    torch.manual_seed(0)
    operator = HyenaFilter(2, causal=False, length=10, bands=3, width=5, depth=2).double()
    bands = [1e-4 + i * (2 - 1e-4) / 2 for i in range(3)]
    kernel = operator.kernel(6)
    for column, lag in enumerate(range(-5, 6)):
        angles = [2 * math.pi * lag / 10 * band for band in bands]
        features = [lag / 9, *map(math.cos, angles), *(-math.sin(angle) for angle in angles)]
        x = torch.tensor(features, dtype=torch.float64)
        for linear, frequency in zip(operator.layers, operator.sine, strict=True):
            x = torch.sin(frequency * (linear.weight @ x + linear.bias))
        rates = torch.tensor([math.log(100) / 1.5, math.log(100) / 0.3], dtype=torch.float64)
        expected = (operator.out.weight @ x) * torch.exp(-abs(lag) / 9 * rates)
        expected = expected + (operator.bias if lag == 0 else 0)
        torch.testing.assert_close(kernel[:, column], expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("options", [{"length": 1}, {"bands": 0}, {"depth": 0}])
def test_bad_options_are_named(options: dict) -> None:
    with pytest.raises(ValueError, match="length is at least 2, bands and depth at least 1"):
        HyenaFilter(2, causal=True, **options)
