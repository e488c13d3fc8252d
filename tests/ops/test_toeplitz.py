"""The Toeplitz product against a Python loop, in values and gradients."""

import importlib.util
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import tnnlab.ops.toeplitz as toeplitz
from tnnlab.ops import choose_method, toeplitz_matmul, toeplitz_matrix

LENGTHS = [1, 2, 3, 17, 64, 127, 1000]
METHODS = ["dense", "fft", "tiles"]
BOTH = pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])


def make(
    n: int, causal: bool, *, channels: int = 3, batch: tuple[int, ...] = (2,), dtype=torch.float64
) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(n)
    lags = n if causal else 2 * n - 1
    kernel = torch.randn(channels, lags, generator=generator, dtype=torch.float64)
    x = torch.randn(*batch, channels, n, generator=generator, dtype=torch.float64)
    return kernel.to(dtype), x.to(dtype)


def loop(kernel: Tensor, x: Tensor, causal: bool) -> Tensor:
    """The definition, lag by lag."""
    n = x.shape[-1]
    y = torch.zeros_like(x)
    for lag in range(0 if causal else 1 - n, n):
        tap = kernel[:, lag if causal else lag + n - 1, None]
        if lag >= 0:
            y[..., lag:] += tap * x[..., : n - lag]
        else:
            y[..., :lag] += tap * x[..., -lag:]
    return y


def relative(value: Tensor, reference: Tensor) -> float:
    value, reference = value.detach().double(), reference.detach().double()
    return float((value - reference).norm() / reference.norm().clamp(min=1e-300))


@BOTH
@pytest.mark.parametrize("n", LENGTHS)
def test_the_matrix_holds_the_kernel_at_lag_i_minus_j(n: int, causal: bool) -> None:
    kernel, _ = make(n, causal)
    matrix = toeplitz_matrix(kernel, causal)
    assert matrix.shape == (3, n, n)
    i, j = torch.arange(n)[:, None], torch.arange(n)[None, :]
    lag = i - j
    expected = kernel[:, lag.clamp(min=0)] * (lag >= 0) if causal else kernel[:, lag + n - 1]
    assert torch.equal(matrix, expected)


@BOTH
@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("method", METHODS)
def test_values_and_gradients_equal_the_loop(method: str, n: int, causal: bool) -> None:
    kernel, x = (tensor.requires_grad_() for tensor in make(n, causal))
    grad = torch.randn_like(x)
    y = toeplitz_matmul(kernel, x, causal=causal, method=method)
    expected = loop(kernel, x, causal)
    gradients = torch.autograd.grad(y, (kernel, x), grad)
    references = torch.autograd.grad(expected, (kernel, x), grad)
    assert relative(y, expected) < 1e-13
    for value, reference in zip(gradients, references, strict=True):
        assert value.shape == reference.shape
        assert relative(value, reference) < 1e-13


@BOTH
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("batch", [(), (0,), (1,), (2, 0), (2, 3)], ids=str)
def test_any_leading_dimensions(batch: tuple[int, ...], method: str, causal: bool) -> None:
    kernel, x = (tensor.requires_grad_() for tensor in make(9, causal, batch=batch))
    y = toeplitz_matmul(kernel, x, causal=causal, method=method)
    assert y.shape == x.shape
    torch.testing.assert_close(y, loop(kernel, x, causal))
    grad_kernel, grad_x = torch.autograd.grad(y.sum(), (kernel, x))
    assert grad_kernel.shape == kernel.shape
    assert grad_x.shape == x.shape


@BOTH
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float32, 2e-6), (torch.float16, 2e-3), (torch.bfloat16, 1e-2)],
    ids=["float32", "float16", "bfloat16"],
)
@pytest.mark.parametrize("kernel_in_float32", [True, False])
def test_lower_precision_stays_near_float64(
    dtype: torch.dtype, tolerance: float, kernel_in_float32: bool, method: str, causal: bool
) -> None:
    kernel, x = make(300, causal)
    low_kernel = kernel.to(torch.float32 if kernel_in_float32 else dtype).requires_grad_()
    low_x = x.to(dtype).requires_grad_()
    y = toeplitz_matmul(low_kernel, low_x, causal=causal, method=method)
    reference = loop(low_kernel.double(), low_x.double(), causal)
    assert y.dtype == dtype
    assert relative(y, reference) < tolerance
    grads = torch.autograd.grad(y.float().square().sum(), (low_kernel, low_x))
    references = torch.autograd.grad(reference.square().sum(), (low_kernel, low_x))
    for value, expected, source in zip(grads, references, (low_kernel, low_x), strict=True):
        assert value.dtype == source.dtype
        assert relative(value, expected) < 3 * tolerance


@BOTH
@pytest.mark.parametrize("method", ["fft", "tiles"])
def test_gradcheck_to_second_order(method: str, causal: bool) -> None:
    kernel, x = (t.requires_grad_() for t in make(5, causal, channels=2))

    def product(kernel: Tensor, x: Tensor) -> Tensor:
        return toeplitz_matmul(kernel, x, causal=causal, method=method)

    assert torch.autograd.gradcheck(product, (kernel, x))
    assert torch.autograd.gradgradcheck(product, (kernel, x))


@BOTH
def test_a_few_channels_at_a_time_are_the_same_product(
    monkeypatch: pytest.MonkeyPatch, causal: bool
) -> None:
    kernel, x = (t.requires_grad_() for t in make(4, causal, channels=3))

    def product(kernel: Tensor, x: Tensor) -> Tensor:
        return toeplitz_matmul(kernel, x, causal=causal, method="fft")

    monkeypatch.setattr(toeplitz, "_CACHE_BYTES", 2 * 64)  # a channel: 8 bytes, 2 sequences of 4
    assert [kernel[part].shape[0] for part in toeplitz._parts(x)] == [2, 1]
    torch.testing.assert_close(product(kernel, x), loop(kernel, x, causal))
    assert torch.autograd.gradcheck(product, (kernel, x))
    assert torch.autograd.gradgradcheck(product, (kernel, x))


@pytest.mark.parametrize("method", METHODS)
def test_transforms_of_torch_func_see_through_it(method: str) -> None:
    kernel, x = (tensor.requires_grad_() for tensor in make(17, True))

    def energy(kernel: Tensor, x: Tensor) -> Tensor:
        return toeplitz_matmul(kernel, x, causal=True, method=method).square().sum()

    found = torch.func.grad(energy, argnums=(0, 1))(kernel, x)
    known = torch.autograd.grad(energy(kernel, x), (kernel, x))
    for one, other in zip(found, known, strict=True):
        torch.testing.assert_close(one, other)

    def steepness(kernel: Tensor) -> Tensor:
        return torch.func.grad(energy)(kernel, x).square().sum()

    # The energy is a square form of the kernel, so its gradient is linear in it.
    torch.testing.assert_close(
        (torch.func.grad(steepness)(kernel) * kernel).sum(), 2 * steepness(kernel)
    )


@pytest.mark.parametrize("method", ["fft", "tiles"])
def test_the_backward_pass_keeps_the_inputs_and_nothing_else(method: str) -> None:
    kernel, x = (t.requires_grad_() for t in make(500, True))
    kept: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        toeplitz_matmul(kernel, x, causal=True, method=method)
    assert {tensor.data_ptr() for tensor in kept} == {kernel.data_ptr(), x.data_ptr()}


@pytest.mark.parametrize("method", METHODS)
def test_a_causal_output_never_sees_the_future(method: str) -> None:
    kernel, x = make(50, True)
    changed = x.clone()
    changed[..., 20:] += 100.0
    before = toeplitz_matmul(kernel, x, causal=True, method=method)
    after = toeplitz_matmul(kernel, changed, causal=True, method=method)
    torch.testing.assert_close(before[..., :20], after[..., :20], atol=1e-11, rtol=0)
    assert not torch.allclose(before[..., 20], after[..., 20])


@BOTH
@pytest.mark.parametrize("method", METHODS)
def test_strides_do_not_matter(method: str, causal: bool) -> None:
    kernel, x = make(40, causal, channels=4, batch=(3,))
    strided_x = x.transpose(-1, -2).contiguous().transpose(-1, -2)
    strided_kernel = kernel.T.contiguous().T
    assert not strided_x.is_contiguous()
    torch.testing.assert_close(
        toeplitz_matmul(strided_kernel, strided_x, causal=causal, method=method),
        toeplitz_matmul(kernel, x, causal=causal, method=method),
    )


@given(
    n=st.integers(1, 80),
    channels=st.integers(1, 4),
    batch=st.lists(st.integers(0, 3), max_size=2).map(tuple),
    causal=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_methods_agree_on_any_shape(
    n: int, channels: int, batch: tuple[int, ...], causal: bool
) -> None:
    kernel, x = make(n, causal, channels=channels, batch=batch)
    dense = toeplitz_matmul(kernel, x, causal=causal, method="dense")
    fft = toeplitz_matmul(kernel, x, causal=causal, method="fft")
    torch.testing.assert_close(fft, dense)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.filterwarnings("ignore")  # deprecations inside torch's compiler
def test_it_compiles_without_a_graph_break(method: str) -> None:
    compiled = torch.compile(
        lambda kernel, x: toeplitz_matmul(kernel, x, causal=True, method=method), fullgraph=True
    )
    for n in (12, 20, 33):  # the second and third length run with a dynamic shape
        kernel, x = (t.requires_grad_() for t in make(n, True, dtype=torch.float32))
        y, expected = compiled(kernel, x), toeplitz_matmul(kernel, x, causal=True, method=method)
        torch.testing.assert_close(y, expected)
        grad = torch.randn_like(x)
        torch.testing.assert_close(
            torch.autograd.grad(y, (kernel, x), grad),
            torch.autograd.grad(expected, (kernel, x), grad),
        )


@pytest.mark.parametrize("method", METHODS)
def test_autocast_does_not_lower_the_precision(method: str) -> None:
    kernel, x = make(100, True, dtype=torch.float32)
    expected = toeplitz_matmul(kernel, x, causal=True, method=method)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = toeplitz_matmul(kernel, x, causal=True, method=method)
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, expected)


@pytest.mark.parametrize(
    ("kernel", "x", "causal", "message"),
    [
        (torch.ones(3, 4), torch.ones(2, 3, 5), True, r"\(channels, n\) = \(3, 5\); got \(3, 4\)"),
        (torch.ones(3, 5), torch.ones(3, 5), False, r"\(channels, 2n - 1\) = \(3, 9\)"),
        (torch.ones(5), torch.ones(3, 5), True, r"\(3, 5\); got \(5,\)"),
        (torch.ones(3, 0), torch.ones(3, 0), True, "n ≥ 1"),
        (torch.ones(3), torch.ones(3), True, r"\(\.\.\., channels, n\)"),
    ],
)
def test_shapes_that_do_not_fit_are_named(
    kernel: Tensor, x: Tensor, causal: bool, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        toeplitz_matmul(kernel, x, causal=causal)


@pytest.mark.parametrize(
    ("kernel_dtype", "x_dtype", "message"),
    [
        (torch.int64, torch.int64, "x is float16, bfloat16, float32 or float64; got torch.int64"),
        (torch.float64, torch.float32, r"dtype of x \(torch.float32\); got torch.float64"),
        (torch.float32, torch.float64, r"dtype of x \(torch.float64\); got torch.float32"),
        (torch.bfloat16, torch.float16, "or float32; got torch.bfloat16"),
    ],
)
def test_dtypes_that_do_not_fit_are_named(
    kernel_dtype: torch.dtype, x_dtype: torch.dtype, message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        toeplitz_matmul(
            torch.ones(2, 3, dtype=kernel_dtype), torch.ones(2, 3, dtype=x_dtype), causal=True
        )


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ValueError, match="'tiles', 'triton', 'monarch'; got 'winograd'"):
        toeplitz_matmul(torch.ones(2, 3), torch.ones(2, 3), causal=True, method="winograd")


@pytest.mark.parametrize(("shape", "causal"), [((4,), False), ((0,), True), ((), True)])
def test_a_matrix_needs_whole_lags(shape: tuple[int, ...], causal: bool) -> None:
    with pytest.raises(ValueError, match=r"kernel has shape .* got"):
        toeplitz_matrix(torch.ones(shape), causal)


def test_the_choice_gives_its_reason() -> None:
    short = choose_method(8, 4, device="cpu", dtype=torch.float32)
    long = choose_method(10_000, 4, device="cpu", dtype=torch.float32)
    wide = choose_method(64, 10**6, device="cpu", dtype=torch.float64)
    assert (short.method, long.method, wide.method) == ("dense", "fft", "fft")
    assert "MiB" in wide.reason
    assert "n = 8" in short.reason
    assert "n = 10000" in long.reason


@pytest.mark.skipif(importlib.util.find_spec("triton") is not None, reason="imports the compiler")
def test_a_product_does_not_import_the_compiler() -> None:
    code = (
        "import sys, torch, tnnlab\n"
        "kernel, x = torch.ones(2, 300, requires_grad=True), torch.ones(3, 2, 300)\n"
        "for method in ('dense', 'fft', 'auto'):\n"
        "    tnnlab.toeplitz_matmul(kernel, x, causal=True, method=method).sum().backward()\n"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0


@pytest.mark.gpu
@BOTH
@pytest.mark.parametrize("method", [*METHODS, "auto"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_the_gpu_agrees_with_the_cpu(dtype: torch.dtype, method: str, causal: bool) -> None:
    kernel, x = make(513, causal, dtype=dtype)
    y = toeplitz_matmul(kernel.cuda(), x.cuda(), causal=causal, method=method)
    reference = loop(kernel.double(), x.double(), causal)
    assert relative(y.cpu(), reference) < (2e-6 if dtype == torch.float32 else 1e-2)
