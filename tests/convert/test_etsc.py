import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tnnlab import FDTNO, RTF, S4D, TNO, HyenaFilter, toeplitz_matrix
from tnnlab.convert import ETSC, DiagonalSSM, etsc
from tnnlab.operators import ToeplitzOperator

FORMS = pytest.mark.parametrize("published", [False, True], ids=["N = n", "N = n + 1"])


def lags(n: int) -> Tensor:
    return torch.arange(n, dtype=torch.float64)


def one_period(undecayed: Tensor, published: bool) -> Tensor:
    last = -undecayed.sum(1, keepdim=True)
    return torch.cat([undecayed, last], dim=1) if published else undecayed


def naive(taps: Tensor, published: bool) -> tuple[Tensor, Tensor]:
    """The system of one channel: all n states, by a Vandermonde solve in float64. The paper's has
    the roots of unity of order n + 1 but for 1, the other one those of order n."""
    n = len(taps)
    j = torch.arange(n, dtype=torch.float64) + int(published)
    poles = torch.exp(-2j * torch.pi * j / (n + int(published)))
    vandermonde = poles[None, :] ** torch.arange(n)[:, None]
    return torch.linalg.solve(vandermonde, taps.to(poles.dtype)), poles


def as_diagonal(system: ETSC) -> DiagonalSSM:
    """The same weights; its kernel is the sum over the poles."""
    poles, residues = map(torch.view_as_complex, (system.poles, system.residues))
    return DiagonalSSM(poles, residues, system.direct)


@FORMS
@pytest.mark.parametrize("n", [1, 2, 3, 8, 17, 64])
def test_it_is_the_solution_of_the_vandermonde_system(n: int, published: bool) -> None:
    torch.manual_seed(0)
    taps = torch.randn(1, n, dtype=torch.float64)
    b, poles = naive(taps[0], published)
    expected = (b * poles ** lags(3 * n + 5)[:, None]).sum(1).real
    found = etsc(taps, published=published).kernel(3 * n + 5)[0]
    torch.testing.assert_close(found, expected)


@FORMS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("n", [1, 2, 3, 7, 64, 257, 1024, 16384])
def test_reconstruction_at_rounding_level(n: int, dtype: torch.dtype, published: bool) -> None:
    torch.manual_seed(0)
    decay = 0.99
    taps = (torch.randn(2, n, dtype=torch.float64) * decay ** lags(n)).to(dtype)
    found = etsc(taps, decay=decay, published=published).kernel(n).to(dtype)
    error = (found - taps).norm() / taps.norm()
    assert error < {torch.float32: 1e-7, torch.float64: 1e-11}[dtype]


@FORMS
@pytest.mark.parametrize("n", [1, 2, 19, 20])
def test_beyond_n_it_is_the_damped_periodic_extension(n: int, published: bool) -> None:
    torch.manual_seed(0)
    decay = 0.9
    undecayed = torch.randn(2, n, dtype=torch.float64)
    kernel = undecayed * decay ** lags(n)
    period = one_period(undecayed, published)
    expected = period.repeat(1, 4) * decay ** lags(4 * period.shape[1])
    system = etsc(kernel, decay=decay, published=published)
    torch.testing.assert_close(system.kernel(4 * period.shape[1]), expected)


@FORMS
@settings(max_examples=25, derandomize=True)
@given(n=st.integers(1, 200), decay=st.floats(0.3, 1), seed=st.integers(0, 99))
def test_any_length_and_decay(published: bool, n: int, decay: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    undecayed = torch.randn(2, n, generator=generator, dtype=torch.float64)
    kernel = undecayed * decay ** lags(n)
    error = (etsc(kernel, decay=decay, published=published).kernel(n) - kernel).abs()
    assert (error < 1e-11 * decay ** lags(n) + 1e-300).all()  # small where the taps are


@FORMS
@pytest.mark.parametrize("n", [1, 2, 3, 7, 64, 65])
def test_half_of_the_poles_and_the_real_ones(n: int, published: bool) -> None:
    torch.manual_seed(0)
    undecayed = torch.randn(3, n, dtype=torch.float64)
    system = etsc(undecayed * 0.9 ** lags(n), decay=0.9, published=published)
    poles, residues = map(torch.view_as_complex, (system.poles, system.residues))
    assert system.period == n + published
    assert poles.shape[1] == ((n + 1) // 2 if published else n // 2 + 1)
    assert (poles.imag < 1e-15).all()  # one of each pair
    torch.testing.assert_close(poles.abs(), torch.full_like(poles.real, 0.9))
    if not published:  # the pole at the decay carries the mean
        torch.testing.assert_close(poles[:, 0], torch.full_like(poles[:, 0], 0.9))
        torch.testing.assert_close(residues[:, 0], 0.9 * undecayed.mean(1) + 0j)
    if system.period % 2 == 0:  # and the one opposite the alternating mean
        period = one_period(undecayed, published)
        sign = (-1.0) ** lags(system.period)
        torch.testing.assert_close(poles[:, -1], torch.full_like(poles[:, -1], -0.9))
        torch.testing.assert_close(residues[:, -1], -0.9 * (sign * period).mean(1) + 0j)


@FORMS
@pytest.mark.parametrize("n", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("length", [1, 2, 40, 200])
def test_the_kernel_by_fft_is_the_sum_over_the_poles(n: int, length: int, published: bool) -> None:
    torch.manual_seed(0)
    system = etsc(torch.randn(2, n) * 0.95 ** lags(n), decay=0.95, published=published)
    both = (system, as_diagonal(system))
    weight = torch.randn(2, length, dtype=torch.float64)
    found = []
    for one in both:
        leaves = [one.residues.requires_grad_(), one.direct.requires_grad_()]
        taps = one.kernel(length)
        gradients = torch.autograd.grad((taps * weight).sum(), leaves, materialize_grads=True)
        found.append((taps, *gradients))
    torch.testing.assert_close(*found)


@FORMS
@pytest.mark.parametrize("n", [1, 2, 7, 24])
def test_the_recurrence_and_the_convolution_of_a_long_input(n: int, published: bool) -> None:
    torch.manual_seed(0)
    length = 3 * n + 5
    undecayed = torch.randn(2, n, dtype=torch.float64)
    system = etsc(undecayed * 0.95 ** lags(n), decay=0.95, published=published)
    period = one_period(undecayed, published)
    kernel = period.repeat(1, length)[:, :length] * 0.95 ** lags(length)
    x = torch.randn(2, length, 2, dtype=torch.float64, requires_grad=True)
    expected = torch.einsum("cij,bjc->bic", toeplitz_matrix(kernel, causal=True), x)
    weight = torch.randn_like(x)
    torch.testing.assert_close(system(x), expected)
    torch.testing.assert_close(
        torch.autograd.grad((system(x) * weight).sum(), x),
        torch.autograd.grad((expected * weight).sum(), x),
    )
    torch.testing.assert_close(system.scan(x), expected.detach())


@pytest.mark.parametrize("decay", [0.987, 0.99973, 1.0])
@pytest.mark.parametrize("n", [256, 4096])
def test_a_kernel_in_float32_keeps_its_digits(n: int, decay: float) -> None:
    torch.manual_seed(0)
    taps = (torch.randn(2, n, dtype=torch.float64) * decay ** lags(n)).float()
    for published in (False, True):
        system = etsc(taps, decay=decay, published=published).float()
        kernel = system.kernel(3 * n)
        exact = etsc(taps, decay=decay, published=published).kernel(3 * n)
        assert kernel.dtype == torch.float32
        assert (kernel - exact).norm() < 1e-6 * exact.norm()
        assert (kernel[:, :n] - taps).norm() < 1e-6 * taps.norm()
        # What the sum over rounded poles loses: the phase.
        assert (as_diagonal(system).float().kernel(n) - taps).norm() > 1e-6 * taps.norm()


def test_the_appended_tap_is_what_float32_cannot_hold() -> None:
    taps = torch.ones(1, 4096)
    errors = [
        (etsc(taps, published=published).float().kernel(4096) - taps).abs().max()
        for published in (False, True)
    ]
    assert errors[0] < 1e-6 < errors[1]


@FORMS
def test_a_state_dict_round_trip(published: bool) -> None:
    torch.manual_seed(0)
    decay = torch.tensor([0.9, 1.0])
    system = etsc(torch.randn(2, 12), decay=decay, published=published)
    other = etsc(torch.zeros(2, 12), published=published)
    other.load_state_dict(copy.deepcopy(system.state_dict()))
    x = torch.randn(1, 40, 2)
    assert other.kernel(40).equal(system.kernel(40))
    assert other.scan(x).equal(system.scan(x))
    with pytest.raises(RuntimeError, match="size mismatch"):
        etsc(torch.zeros(2, 14), published=published).load_state_dict(system.state_dict())


def test_residues_that_fit_no_form() -> None:
    residues = torch.zeros(1, 3, dtype=torch.complex64)
    with pytest.raises(ValueError, match=r"period of 8 has 5 residues, or one less.*got 3"):
        ETSC(residues, torch.zeros(1), period=8, decay=torch.ones(1))


def test_a_decay_for_each_channel_that_underflows() -> None:
    decay = torch.tensor([0.1, 0.99], dtype=torch.float64)
    kernel = torch.randn(2, 2000, dtype=torch.float64) * decay[:, None] ** lags(2000)
    system = etsc(kernel, decay=decay)
    torch.testing.assert_close(system.kernel(2000), kernel)


@FORMS
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
def test_any_causal_operator_becomes_a_recurrence(
    operator: ToeplitzOperator, published: bool
) -> None:
    torch.manual_seed(0)
    operator = operator.double()
    x = torch.randn(2, 60, 3, dtype=torch.float64)
    system = etsc(operator.kernel(60), published=published)
    torch.testing.assert_close(system.scan(x), operator(x).detach())


@pytest.mark.parametrize("decay", [0.0, 1.1, -1.0, torch.ones(2)])
def test_a_decay_that_does_not_fit(decay: float | Tensor) -> None:
    with pytest.raises(ValueError, match=r"decay lies in \(0, 1\].*3 channels; got"):
        etsc(torch.ones(3, 4), decay=decay)
