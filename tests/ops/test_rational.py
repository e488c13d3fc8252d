import pytest
import torch
from torch import Tensor

from tnnlab.ops.rational import companion_matrix, impulse_response, rational_taps, unaliased


def system(order: int = 4, channels: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(order)
    a, b = torch.randn(2, channels, order, generator=generator, dtype=torch.float64)
    # Montel's bound keeps the poles inside the unit circle.
    a = 0.9 * a / a.abs().sum(-1, keepdim=True)
    return a, b, torch.randn(channels, generator=generator, dtype=torch.float64)


def test_the_recurrence_is_the_power_series_of_the_fraction() -> None:
    a, b, h0 = system()
    taps = impulse_response(a, b, h0, 30)
    # (1 + a_1 z + …) · (H - h_0) = b_1 z + …, coefficient by coefficient
    for lag in range(1, 30):
        total = taps[:, lag].clone()
        for i in range(1, min(lag - 1, 4) + 1):
            total += a[:, i - 1] * taps[:, lag - i]
        expected = b[:, lag - 1] if lag <= 4 else torch.zeros(3, dtype=torch.float64)
        torch.testing.assert_close(total, expected)
    torch.testing.assert_close(taps[:, 0], h0)


@pytest.mark.parametrize("length", [2, 4, 10, 64])
def test_the_kernel_is_the_impulse_response_wrapped(length: int) -> None:
    a, b, h0 = system()
    wrapped = impulse_response(a, b, h0, 300 * length).unflatten(1, (-1, length)).sum(1)
    torch.testing.assert_close(rational_taps(a, b, h0, length), wrapped)


@pytest.mark.parametrize("length", [2, 4, 10, 64])
def test_unaliasing_gives_a_system_that_does_not_wrap(length: int) -> None:
    a, b, h0 = system()
    exact = impulse_response(a, *unaliased(a, b, h0, length), length)
    torch.testing.assert_close(exact, rational_taps(a, b, h0, length))


def test_poles_are_the_eigenvalues_of_the_companion_matrix() -> None:
    a, _, _ = system(order=3, channels=1)
    for pole in torch.linalg.eigvals(companion_matrix(a))[0]:
        value = pole**3 + a[0, 0] * pole**2 + a[0, 1] * pole + a[0, 2]
        assert value.abs() < 1e-12


def test_a_pole_on_a_root_of_unity_is_refused() -> None:
    a = torch.tensor([[-1.0]], dtype=torch.float64)  # a pole at z = 1
    with pytest.raises(ValueError, match="pole lies on a root of unity of length 8"):
        unaliased(a, torch.ones_like(a), torch.ones(1, dtype=torch.float64), 8)


def test_bad_shapes_are_named() -> None:
    with pytest.raises(ValueError, match=r"h0 \(channels,\); got \(2, 3\), \(2, 4\), \(2,\)"):
        rational_taps(torch.ones(2, 3), torch.ones(2, 4), torch.ones(2), 8)
    with pytest.raises(ValueError, match="even, at least 2; got 7"):
        rational_taps(torch.ones(2, 3), torch.ones(2, 3), torch.ones(2), 7)
