import pytest
import torch

from tnnlab.convert import etsc
from tnnlab.convert.rivals import gradient_fit, vandermonde_fit, vandermonde_matrix


def test_with_the_roots_of_unity_the_solve_is_etsc() -> None:
    torch.manual_seed(0)
    taps = torch.randn(2, 20, dtype=torch.float64)
    poles = torch.exp(-2j * torch.pi * torch.arange(1, 21, dtype=torch.float64) / 21)
    torch.testing.assert_close(vandermonde_fit(taps, poles).kernel(20), taps)
    torch.testing.assert_close(vandermonde_fit(taps, poles).kernel(20), etsc(taps).kernel(20))


def test_real_nodes_are_exact_for_few_taps_and_useless_for_many() -> None:
    torch.manual_seed(0)
    few, many = (torch.randn(1, n, dtype=torch.float64) for n in (5, 80))
    errors = []
    for taps in (few, many):
        n = taps.shape[1]
        nodes = torch.linspace(0.1, 0.95, n - 1, dtype=torch.float64)
        found = vandermonde_fit(taps, nodes).kernel(n)
        errors.append(float((found - taps).norm() / taps.norm()))
    assert errors[0] < 1e-10
    assert errors[1] > 1e-2


def test_roots_of_unity_are_the_best_conditioned_nodes() -> None:
    n = 32
    roots = torch.exp(-2j * torch.pi * torch.arange(1, n, dtype=torch.float64) / n)
    real = torch.linspace(-0.95, 0.95, n - 1, dtype=torch.float64) + 0j
    assert torch.linalg.cond(vandermonde_matrix(roots, n)) < 10
    assert torch.linalg.cond(vandermonde_matrix(real, n)) > 1e8


@pytest.mark.parametrize("seed", [0, 1])
def test_gradient_descent_gets_closer_and_stays_stable(seed: int) -> None:
    taps = (0.9 ** torch.arange(30, dtype=torch.float64))[None]
    system, errors = gradient_fit(taps, 4, steps=200, seed=seed)
    assert errors[-1] < 0.5 * errors[0]
    found = (system.kernel(30) - taps).norm() / taps.norm()
    torch.testing.assert_close(found, errors[-1], rtol=0.1, atol=0)
    poles = torch.view_as_complex(system.poles)
    assert (poles.abs() < 1).all()


def test_a_pole_at_zero_is_one_tap() -> None:
    matrix = vandermonde_matrix(torch.zeros(1, dtype=torch.complex128), 4)
    assert matrix[:, 0].tolist() == [1, 0, 0]
