import pytest
import torch
from torch import nn

from tests.contract import BOTH, OperatorContract
from tnnlab.operators.rtf import RTF
from tnnlab.ops.rational import companion_matrix, impulse_response


class TestRTF(OperatorContract):
    extends = True  # up to its length L all kernels are prefixes of one

    def build(self, channels: int, causal: bool) -> nn.Module:
        return RTF(channels, causal=causal, order=8, length=128, init="montel")


class TestRTFShared(OperatorContract):
    extends = True

    def build(self, channels: int, causal: bool) -> nn.Module:
        return RTF(
            channels,
            causal=causal,
            order=5,
            length=301,
            denominators=2 - channels % 2,
            init="xavier",
            stable=True,
        )


@pytest.mark.parametrize("length", [2, 5, 64])
@pytest.mark.parametrize("order", [1, 4, 9])
def test_convolution_and_recurrence_agree(order: int, length: int) -> None:
    torch.manual_seed(0)
    operator = RTF(3, causal=True, order=order, length=length, init="montel", stable=True).double()
    x = torch.randn(2, length, 3, dtype=torch.float64)
    torch.testing.assert_close(operator.scan(x), operator(x))


def test_without_the_correction_they_do_not() -> None:
    torch.manual_seed(0)
    operator = RTF(2, causal=True, order=4, length=16, init="montel").double()
    a, b, h0 = operator.coefficients()
    assert not torch.allclose(impulse_response(a, b, h0, 16), operator.kernel(16), rtol=1e-3)


def test_zeros_make_the_identity_up_to_a_factor() -> None:
    operator = RTF(3, causal=True, order=4, length=8).double()
    expected = torch.zeros(3, 8, dtype=torch.float64)
    expected[:, 0] = operator.h0.detach()
    torch.testing.assert_close(operator.kernel(8).detach(), expected)


def test_the_backward_system_begins_at_lag_minus_one() -> None:
    operator = RTF(1, causal=False, order=1, length=8).double()
    with torch.no_grad():
        operator.h0.copy_(torch.tensor([2.0, 3.0]))
    taps = operator.kernel(4)[0].tolist()
    assert taps == pytest.approx([0, 0, 3, 2, 0, 0, 0])  # lags -3 … 3


@BOTH
def test_neighbouring_channels_share_denominators(causal: bool) -> None:
    operator = RTF(6, causal=causal, order=3, denominators=2, init="xavier")
    a, b, _ = operator.coefficients()
    assert a.shape == b.shape == (6 if causal else 12, 3)
    assert torch.equal(a[0], a[2])
    assert not torch.equal(a[2], a[3])


def test_the_stable_constraint_keeps_all_poles_inside() -> None:
    torch.manual_seed(0)
    operator = RTF(8, causal=True, order=6, init="xavier", stable=True).double()
    with torch.no_grad():
        operator.a.mul_(100)
    a, _, _ = operator.coefficients()
    assert torch.linalg.eigvals(companion_matrix(a)).abs().max() < 1


def test_the_order_costs_no_aliasing_in_the_polynomials() -> None:
    torch.manual_seed(0)
    operator = RTF(2, causal=True, order=20, length=8, init="montel", stable=True).double()
    a, b, h0 = operator.coefficients()
    exact = impulse_response(a, b, h0, 8 * 400).unflatten(1, (-1, 8)).sum(1)
    torch.testing.assert_close(operator.kernel(8), exact)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": 0}, "at least 1; got 0 and 512"),
        ({"length": 0}, "at least 1; got 64 and 0"),
        ({"denominators": 3}, "3 denominators do not divide 4 channels"),
        ({"init": "ones"}, "'zeros', 'xavier', 'montel'; got 'ones'"),
    ],
)
def test_bad_options_are_named(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RTF(4, causal=True, **options)


def test_a_bidirectional_operator_has_no_recurrence() -> None:
    with pytest.raises(NotImplementedError, match="sees the future: no recurrence"):
        RTF(2, causal=False).recurrence()
