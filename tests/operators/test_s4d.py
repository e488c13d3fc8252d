import math

import pytest
import torch
from torch import nn

from tests.contract import OperatorContract
from tnnlab.operators.s4d import S4D


class TestS4D(OperatorContract):
    def build(self, channels: int, causal: bool) -> nn.Module:
        return S4D(channels, causal=causal, order=8)


class TestS4DInv(OperatorContract):
    def build(self, channels: int, causal: bool) -> nn.Module:
        return S4D(channels, causal=causal, order=4, init="inv")


def test_the_kernel_is_that_of_the_recurrence() -> None:
    torch.manual_seed(0)
    operator = S4D(3, causal=True, order=6).double()
    pole = torch.complex(-operator.log_decay.exp(), operator.frequency)
    step = torch.exp(pole * operator.log_step.exp()[:, None])
    state = (step - 1) / pole  # after one unit impulse
    taps = []
    for _ in range(20):
        taps.append(2 * (torch.view_as_complex(operator.c) * state).sum(-1).real)
        state = step * state
    expected = torch.stack(taps, dim=1)
    expected[:, 0] += operator.d
    torch.testing.assert_close(operator.kernel(20), expected)


def test_initial_poles_are_the_published_ones() -> None:
    linear, inverse = S4D(1, causal=True, order=8), S4D(1, causal=True, order=8, init="inv")
    assert linear.frequency[0].tolist() == pytest.approx([0, math.pi, 2 * math.pi, 3 * math.pi])
    expected = [8 / math.pi * (8 / (2 * n + 1) - 1) for n in range(4)]
    assert inverse.frequency[0].tolist() == pytest.approx(expected)
    assert linear.log_decay.exp().tolist() == [pytest.approx([0.5] * 4)]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"order": 5}, "even, at least 2"), ({"init": "legs"}, "'lin', 'inv'; got 'legs'")],
)
def test_bad_options_are_named(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        S4D(2, causal=True, **options)
