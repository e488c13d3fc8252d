import pytest
import torch
from torch import Tensor, nn

from tests.contract import BOTH, OperatorContract
from tnnlab.operators import ski
from tnnlab.operators.ski import SKITNO, WarpedKernel, inverse_time_warp
from tnnlab.ops.interpolation import inducing_points, interpolation_matrix, interpolation_weights


class SKIContract(OperatorContract):
    """SKI has a matrix, not a kernel: the tests about kernels do not apply."""

    degree = 1

    def build(self, channels: int, causal: bool) -> nn.Module:
        return SKITNO(channels, causal=causal, inducing=6, sparse_width=5, degree=self.degree)

    def dense(self, operator: nn.Module, x: Tensor, causal: bool) -> Tensor:
        return torch.einsum("cij,bjc->bic", operator.matrix(x.shape[-2]), x)

    def taps(self, operator: nn.Module, n: int) -> Tensor:
        return operator.matrix(n)

    test_the_kernel_is_the_impulse_response = None  # type: ignore[assignment]
    test_whether_a_longer_kernel_extends_a_shorter = None  # type: ignore[assignment]


class TestSKI(SKIContract):
    pass


class TestSKICubic(SKIContract):
    degree = 3


def naive(operator: SKITNO, n: int) -> Tensor:
    """The definition, entry by entry, from the operator's parameters."""
    points = inducing_points(n, operator.inducing)
    kernel = operator.low_rank
    size = kernel.positive.shape[1]
    values = torch.cat(
        [kernel.negative, torch.zeros(operator.channels, 1, dtype=torch.float64), kernel.positive],
        dim=1,
    )

    def tap(t: float) -> Tensor:
        place = ((1.0 if t >= 0 else -1.0) * kernel.decay ** abs(t) + 1) * size
        left = min(int(place), 2 * size - 1)
        return values[:, left] + (place - left) * (values[:, left + 1] - values[:, left])

    gram = torch.stack(
        [torch.stack([tap(float(p - q)) for q in points], -1) for p in points], dim=1
    )
    weights = interpolation_matrix(n, operator.inducing)
    matrix = weights @ gram @ weights.T
    half = operator.sparse.shape[1] // 2
    for i in range(n):
        for j in range(max(0, i - half), min(n, i + half + 1)):
            matrix[:, i, j] += operator.sparse[:, i - j + half]
    return matrix


@pytest.mark.parametrize("n", [1, 2, 7, 20])
def test_the_matrix_follows_the_definition(n: int) -> None:
    torch.manual_seed(0)
    operator = SKITNO(2, inducing=4, sparse_width=3, decay=0.9).double()
    torch.testing.assert_close(operator.matrix(n), naive(operator, n))


@pytest.mark.parametrize("degree", [1, 3])
@pytest.mark.parametrize("n", [1, 5, 40])
def test_both_ways_to_apply_w_agree(n: int, degree: int, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    operator = SKITNO(3, inducing=9, sparse_width=3, degree=degree).double()
    x = torch.randn(2, n, 3, dtype=torch.float64)
    outputs = []
    for dense in (True, False):
        monkeypatch.setattr(ski, "prefers_dense", lambda *_, dense=dense: dense)
        outputs.append(operator(x))
    torch.testing.assert_close(*outputs)


@BOTH
@pytest.mark.parametrize("n", [1, 3, 7, 8, 40])
def test_both_ways_to_apply_the_taps_agree(
    n: int, causal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    operator = SKITNO(3, causal=causal, inducing=4, sparse_width=7).double()
    x = torch.randn(2, n, 3, dtype=torch.float64, requires_grad=True)
    grad, found = torch.randn(2, n, 3, dtype=torch.float64), []
    for product in (True, False):
        monkeypatch.setattr(ski, "prefers_product", lambda *_, product=product: product)
        y = operator(x)
        found.append((y, *torch.autograd.grad(y, (x, operator.sparse), grad)))
    torch.testing.assert_close(*found)


@BOTH
def test_the_causal_operator_is_the_lower_triangle(causal: bool) -> None:
    torch.manual_seed(0)
    matrix = SKITNO(2, causal=causal, inducing=5).matrix(30)
    assert (matrix.triu(1) == 0).all() == causal


@pytest.mark.parametrize(("n", "r", "degree"), [(10, 4, 1), (10, 4, 3), (2, 5, 3), (100, 17, 3)])
def test_interpolation_is_exact_on_polynomials(n: int, r: int, degree: int) -> None:
    weights = interpolation_matrix(n, r, degree)
    assert ((weights != 0).sum(1) <= degree + 1).all()
    points, positions = inducing_points(n, r), torch.arange(n, dtype=torch.float64)
    for power in range(degree + 1):
        torch.testing.assert_close(weights @ points**power, positions**power)


def test_weights_are_made_where_they_are_wanted() -> None:
    for made in (
        *interpolation_weights(20, 5, device="meta"),
        interpolation_matrix(20, 5, device="meta"),
    ):
        assert made.device.type == "meta"


def test_the_warp_sends_far_lags_to_zero_from_both_sides() -> None:
    lags = torch.tensor([-1e6, -10.0, -1.0, 0.0, 1.0, 10.0, 1e6])
    warped = inverse_time_warp(lags, 0.9)
    torch.testing.assert_close(
        warped, torch.tensor([0.0, -(0.9**10), -0.9, 1.0, 0.9, 0.9**10, 0.0])
    )


def test_the_kernel_vanishes_at_infinite_lag() -> None:
    kernel = WarpedKernel(3, points=8, decay=0.99)
    assert kernel(torch.tensor([-1e5, 1e5])).abs().max() < 1e-6


def test_it_has_no_kernel_and_says_so() -> None:
    with pytest.raises(NotImplementedError, match="not Toeplitz: use matrix"):
        SKITNO(2).kernel(8)


def test_an_even_width_is_rounded_up() -> None:
    assert SKITNO(2, sparse_width=16).sparse.shape == (2, 17)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inducing": 1}, "r ≥ 2 inducing points"),
        ({"inducing": 3, "degree": 3}, "r ≥ 4 inducing points"),
        ({"degree": 2}, "degree is 1"),
        ({"decay": 1.0}, "0 < decay < 1; got 64, 1.0"),
        ({"sparse_width": 0}, "at least 1; got 2 and 0"),
    ],
)
def test_bad_options_are_named(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SKITNO(2, **options)


def test_weights_need_a_length() -> None:
    with pytest.raises(ValueError, match="n ≥ 1"):
        interpolation_weights(0, 4)


def test_far_lags_keep_their_digits() -> None:
    torch.manual_seed(0)
    kernel = WarpedKernel(2, points=8, decay=0.99)
    lags = torch.tensor([-3000.0, -2000.0, 2000.0, 3000.0])
    taps, exact = kernel(lags), kernel.double()(lags.double())
    torch.testing.assert_close(taps.double(), exact, rtol=1e-3, atol=0)
    assert taps.all()


@pytest.mark.parametrize(("n", "decay"), [(64, 0.9), (512, 0.99), (4096, 0.99)])
def test_neither_part_begins_much_larger_than_its_input(n: int, decay: float) -> None:
    """Of white noise, and of a constant, of which a smooth low-rank part makes most."""
    torch.manual_seed(0)
    operator = SKITNO(64, inducing=32, sparse_width=17, decay=decay)
    with torch.no_grad():
        assert 0.9 < operator.sparse.square().sum(dim=1).mean().sqrt() < 1.1
        kernel = operator.low_rank(torch.arange(1 - n, n))
        assert 0.1 < kernel.square().sum(dim=1).mean().sqrt() < 1
        assert 1 < kernel.sum(dim=1).square().mean().sqrt() < 3
