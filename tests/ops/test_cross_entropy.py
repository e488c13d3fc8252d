"""The loss in chunks against PyTorch's on all logits."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tnnlab.ops import linear_cross_entropy
from tnnlab.ops.cross_entropy import softmax_loss


def make(rows: tuple[int, ...], dtype: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(*rows, 6, generator=generator, dtype=torch.float64).to(dtype)
    weight = torch.randn(11, 6, generator=generator, dtype=torch.float64).to(dtype)
    targets = torch.randint(11, rows, generator=generator)
    return x.requires_grad_(), weight.requires_grad_(), targets


def naive(x: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy((x @ weight.T).flatten(0, -2), targets.flatten())


@pytest.mark.parametrize("chunk", [1, 4, 10, 64])
@pytest.mark.parametrize("rows", [(1,), (10,), (2, 5)], ids=str)
def test_values_and_gradients_equal_the_naive_loss(rows: tuple[int, ...], chunk: int) -> None:
    x, weight, targets = make(rows)
    loss, expected = linear_cross_entropy(x, weight, targets, chunk), naive(x, weight, targets)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(
        torch.autograd.grad(3 * loss, (x, weight)), torch.autograd.grad(3 * expected, (x, weight))
    )


def test_half_precision_is_as_near_as_its_matrix_products() -> None:
    x, weight, targets = make((64,), torch.bfloat16)
    loss = linear_cross_entropy(x, weight, targets, 16)
    exact_x, exact_weight = (t.detach().double().requires_grad_() for t in (x, weight))
    expected = naive(exact_x, exact_weight, targets)
    assert loss.dtype == torch.float32
    assert abs(loss - expected) < 1e-2 * expected
    grads = torch.autograd.grad(loss, (x, weight))
    references = torch.autograd.grad(expected, (exact_x, exact_weight))
    for value, reference in zip(grads, references, strict=True):
        assert value.dtype == torch.bfloat16
        assert (value - reference).norm() < 1e-2 * reference.norm()


def test_a_loss_scaler_comes_before_the_rounding_of_gradients() -> None:
    x, weight, targets = make((65_536,), torch.float16)
    exact_x, exact_weight = (t.detach().double().requires_grad_() for t in (x, weight))
    known = torch.autograd.grad(naive(exact_x, exact_weight, targets), (exact_x, exact_weight))
    scaled = 2.0**16 * linear_cross_entropy(x, weight, targets)
    for value, reference in zip(torch.autograd.grad(scaled, (x, weight)), known, strict=True):
        error = (value.double() / 2.0**16 - reference).norm() / reference.norm()
        assert value.dtype == torch.float16 and error < 1e-3


def test_autocast_computes_in_half_and_returns_gradients_in_full() -> None:
    x, weight, targets = make((32,), torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = linear_cross_entropy(x, weight, targets)
    expected = naive(x, weight, targets)
    assert loss.dtype == torch.float32
    assert 0 < abs(loss - expected) < 1e-2 * expected
    assert all(g.dtype == torch.float32 for g in torch.autograd.grad(loss, (x, weight)))


@pytest.mark.filterwarnings("ignore")  # deprecations inside torch's compiler
def test_it_compiles_without_a_graph_break() -> None:
    x, weight, targets = make((10,))
    compiled = torch.compile(linear_cross_entropy, fullgraph=True, backend="aot_eager")
    loss, expected = compiled(x, weight, targets, 4), naive(x, weight, targets)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(
        torch.autograd.grad(loss, (x, weight)), torch.autograd.grad(expected, (x, weight))
    )


@pytest.mark.parametrize(
    ("x", "weight", "targets"),
    [((4, 6), (11, 5), (4,)), ((4, 6), (11, 6), (3,)), ((0, 6), (11, 6), (0,))],
)
def test_shapes_that_do_not_fit_are_named(
    x: tuple[int, ...], weight: tuple[int, ...], targets: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match=r"\(vocabulary, width\).*got"):
        linear_cross_entropy(
            torch.ones(x), torch.ones(weight), torch.ones(targets, dtype=torch.int64)
        )


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore")  # deprecations inside torch's compiler
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_on_a_gpu_half_precision_is_as_near(dtype: torch.dtype, compiled: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(300, 64, generator=generator).to("cuda", dtype).requires_grad_()
    weight = torch.randn(5003, 64, generator=generator).div(4).to("cuda", dtype).requires_grad_()
    targets = torch.randint(5003, (300,), generator=generator).cuda()
    loss_of = torch.compile(linear_cross_entropy) if compiled else linear_cross_entropy
    exact = [t.detach().double().requires_grad_() for t in (x, weight)]
    expected = naive(exact[0], exact[1], targets)
    loss = loss_of(x, weight, targets, 128)
    assert loss.dtype == torch.float32 and abs(loss - expected) < 1e-3 * expected
    known = torch.autograd.grad(expected, exact)
    for value, reference in zip(torch.autograd.grad(loss, (x, weight)), known, strict=True):
        assert value.dtype == dtype and (value - reference).norm() < 1e-2 * reference.norm()
    assert torch.equal(loss, loss_of(x, weight, targets, 128))
    apart = torch.stack([targets, 0 * targets], 1)[:, 0]  # the kernel reads them side by side
    assert torch.equal(loss, loss_of(x, weight, apart, 128))


@pytest.mark.gpu
def test_the_kernel_is_a_whole_operator_of_pytorch() -> None:
    logits = torch.randn(8, 320, device="cuda", dtype=torch.bfloat16)
    targets = torch.randint(257, (8,), device="cuda")
    torch.library.opcheck(softmax_loss, (logits, targets, 257))
