import pytest
import torch
from torch import Tensor

from tnnlab import RTF, TNO
from tnnlab.convert import from_rtf, reduce, to_rtf


def ringing(n: int) -> Tensor:
    """Two pairs of poles, two channels."""
    lags = torch.arange(n, dtype=torch.float64)
    first = 0.9**lags * torch.cos(0.7 * lags) + 0.8**lags * torch.sin(2 * lags)
    second = 0.7**lags * torch.cos(1.2 * lags) - 0.85**lags * torch.sin(2.5 * lags)
    return torch.stack([first, second])


@pytest.mark.parametrize("n", [300, 301])
def test_taps_state_space_transfer_function_taps(n: int) -> None:
    taps = ringing(n)
    operator = to_rtf(taps, 4)
    torch.testing.assert_close(operator.kernel(n), taps)
    torch.testing.assert_close(from_rtf(operator).kernel(n), taps)
    torch.testing.assert_close(reduce(from_rtf(operator).kernel(n), order=4).kernel(n), taps)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_transfer_function_of_a_tno(order: int) -> None:
    torch.manual_seed(0)
    taps = TNO(4, causal=True).kernel(128).detach().double()
    reduced = reduce(taps, order=order)
    operator = to_rtf(taps, order)
    torch.testing.assert_close(operator.kernel(128), reduced.kernel(128), rtol=0, atol=1e-8)


def test_a_short_kernel_wraps_more_than_once() -> None:
    taps = 0.99 ** torch.arange(6, dtype=torch.float64)[None]
    operator = to_rtf(taps, 5)
    torch.testing.assert_close(operator.kernel(6), taps)


def test_it_can_be_trained_further() -> None:
    operator = to_rtf(ringing(64), 4)
    before = operator.kernel(64).detach()
    operator.kernel(64).square().sum().backward()
    with torch.no_grad():
        for parameter in operator.parameters():
            assert parameter.grad is not None
            parameter -= 1e-3 * parameter.grad
    assert operator.kernel(64).square().sum() < before.square().sum()


def test_more_poles_than_a_polynomial_can_hold() -> None:
    torch.manual_seed(0)
    taps = TNO(2, causal=True).kernel(256).detach()
    with pytest.raises(ValueError, match="take a lower order, or the state space itself"):
        to_rtf(taps, 40)


@pytest.mark.parametrize("length", [8, 40])
def test_the_companion_form_of_an_rtf(length: int) -> None:
    torch.manual_seed(0)
    operator = RTF(3, causal=True, order=6, length=length, init="montel").double()
    system = from_rtf(operator)
    torch.testing.assert_close(system.kernel(length), operator.kernel(length).detach())
    x = torch.randn(2, length, 3, dtype=torch.float64)
    torch.testing.assert_close(system.scan(x), operator.scan(x))


def test_a_bidirectional_one_has_none() -> None:
    with pytest.raises(NotImplementedError, match="sees the future"):
        from_rtf(RTF(2, causal=False))
