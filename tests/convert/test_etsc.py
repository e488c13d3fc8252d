import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tnnlab import FDTNO, RTF, S4D, TNO, HyenaFilter
from tnnlab.convert import etsc


def lags(n: int) -> Tensor:
    return torch.arange(n, dtype=torch.float64)


def naive(taps: Tensor) -> tuple[Tensor, Tensor]:
    """The paper's system of one channel: all n states, by a Vandermonde solve in float64."""
    n = len(taps)
    j = torch.arange(1, n + 1, dtype=torch.float64)
    poles = torch.exp(-2j * torch.pi * j / (n + 1))
    vandermonde = poles[None, :] ** torch.arange(n)[:, None]
    return torch.linalg.solve(vandermonde, taps.to(poles.dtype)), poles


@pytest.mark.parametrize("n", [1, 2, 3, 8, 17, 64])
def test_it_is_the_solution_of_the_vandermonde_system(n: int) -> None:
    torch.manual_seed(0)
    taps = torch.randn(1, n, dtype=torch.float64)
    b, poles = naive(taps[0])
    expected = (b * poles ** lags(3 * n + 5)[:, None]).sum(1).real
    torch.testing.assert_close(etsc(taps).kernel(3 * n + 5)[0], expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("n", [64, 257, 1024, 16384])
def test_reconstruction_at_rounding_level(n: int, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    decay = 0.99
    taps = (torch.randn(2, n, dtype=torch.float64) * decay ** lags(n)).to(dtype)
    found = etsc(taps, decay=decay).kernel(n).to(dtype)
    error = (found - taps).norm() / taps.norm()
    assert error < {torch.float32: 1e-7, torch.float64: 1e-11}[dtype]


def test_beyond_n_it_is_the_damped_periodic_extension() -> None:
    torch.manual_seed(0)
    n, decay = 20, 0.9
    undecayed = torch.randn(2, n, dtype=torch.float64)
    kernel = undecayed * decay ** lags(n)
    period = torch.cat([undecayed, -undecayed.sum(1, keepdim=True)], 1)
    expected = period.repeat(1, 4) * decay ** lags(4 * (n + 1))
    torch.testing.assert_close(etsc(kernel, decay=decay).kernel(4 * (n + 1)), expected)


@settings(max_examples=25, derandomize=True)
@given(n=st.integers(1, 200), decay=st.floats(0.3, 1), seed=st.integers(0, 99))
def test_any_length_and_decay(n: int, decay: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    undecayed = torch.randn(2, n, generator=generator, dtype=torch.float64)
    kernel = undecayed * decay ** lags(n)
    error = (etsc(kernel, decay=decay).kernel(n) - kernel).abs()
    assert (error < 1e-11 * decay ** lags(n) + 1e-300).all()  # small where the taps are


def test_a_decay_for_each_channel_that_underflows() -> None:
    decay = torch.tensor([0.1, 0.99], dtype=torch.float64)
    kernel = torch.randn(2, 2000, dtype=torch.float64) * decay[:, None] ** lags(2000)
    system = etsc(kernel, decay=decay)
    torch.testing.assert_close(system.kernel(2000), kernel)


@pytest.mark.parametrize(
    "operator",
    [
        TNO(3, causal=True),
        FDTNO(3, causal=True),
        RTF(3, causal=True, length=64, init="montel"),
        S4D(3, causal=True),
        HyenaFilter(3, causal=True),
    ],
    ids=lambda operator: type(operator).__name__,
)
def test_any_causal_operator_becomes_a_recurrence(operator: nn.Module) -> None:
    torch.manual_seed(0)
    operator = operator.double()
    x = torch.randn(2, 60, 3, dtype=torch.float64)
    torch.testing.assert_close(etsc(operator.kernel(60)).scan(x), operator(x).detach())


@pytest.mark.parametrize("decay", [0.0, 1.1, -1.0, torch.ones(2)])
def test_a_decay_that_does_not_fit(decay: float | Tensor) -> None:
    with pytest.raises(ValueError, match=r"decay lies in \(0, 1\].*3 channels; got"):
        etsc(torch.ones(3, 4), decay=decay)
