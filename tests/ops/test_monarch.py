"""The GPU kernels of an FFT on chip: blocks that do not divide, extreme scales, what is not finite.

What both kinds of GPU kernels promise is in :mod:`tests.ops.test_gpu_product`.
"""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.ops.reference import GPU, draw, exact, near, through
from tnnlab.ops import toeplitz_matmul
from tnnlab.ops.tiles import gpu_kernels_refuse

BOTH = pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
HALF = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
# The output's own rounding is 1.7e-3 in bfloat16, and 2e-4 in float16.
TOLERANCE = {torch.bfloat16: 2.5e-3, torch.float16: 1e-3}
SMALL = {"P": 16, "Q": 16}  # blocks of 256 positions


def in_blocks(kernel: Tensor, x: Tensor, grad: Tensor, causal: bool) -> list[Tensor]:
    """As ``through``, in blocks so small that there are several."""
    from tnnlab.ops import _monarch

    y, grad_x = torch.empty_like(x), torch.empty_like(x)
    _monarch.product(kernel, x, y, causal, False, **SMALL)
    _monarch.product(kernel, grad, grad_x, causal, True, **SMALL)
    return [y, _monarch.correlate(x, grad, causal, **SMALL), grad_x]


@pytest.mark.gpu
@BOTH
@HALF
@pytest.mark.parametrize("n", [1, 2, 3, 17, 127, 128, 256, 257, 1000, 1024, 1031, 2048])
@pytest.mark.parametrize("batch", [1, 3, 20])
def test_values_and_gradients(batch: int, n: int, dtype: torch.dtype, causal: bool) -> None:
    tensors = draw(n, batch, causal, dtype=dtype)
    near(through(*tensors, causal, "monarch"), exact(*tensors, causal), 1.5 * TOLERANCE[dtype])


@pytest.mark.gpu
@BOTH
@HALF
@pytest.mark.parametrize("n", [4093, 5000, 8192, 12001, 16384, 16385, 40000])
def test_great_lengths(n: int, dtype: torch.dtype, causal: bool) -> None:
    tensors = draw(n, 3, causal, dtype=dtype)
    near(through(*tensors, causal, "monarch"), exact(*tensors, causal), TOLERANCE[dtype])


@pytest.mark.gpu
@BOTH
@HALF
@pytest.mark.parametrize("n", [255, 256, 257, 512, 769, 1009])
def test_several_blocks(n: int, dtype: torch.dtype, causal: bool) -> None:
    tensors = draw(n, 3, causal, dtype=dtype)
    near(in_blocks(*tensors, causal), exact(*tensors, causal), TOLERANCE[dtype])


@pytest.mark.gpu
@settings(max_examples=40)
@given(
    n=st.integers(1, 1200),
    batch=st.integers(1, 9),
    channels=st.integers(1, 5),
    causal=st.booleans(),
)
def test_any_shape(n: int, batch: int, channels: int, causal: bool) -> None:
    tensors = draw(n, batch, causal, channels=channels)
    references = exact(*tensors, causal)
    near(through(*tensors, causal, "monarch"), references, 4e-3)
    near(in_blocks(*tensors, causal), references, 4e-3)


@pytest.mark.gpu
@BOTH
@pytest.mark.parametrize(
    "scales",
    [(1.0, 1.0, 1e-8), (1e4, 1e4, 1e4), (1e-15, 1e15, 1e-15), (1e20, 1e-30, 1e-5)],
    ids=str,
)
def test_extreme_scales(scales: tuple[float, float, float], causal: bool) -> None:
    tensors = draw(700, 3, causal, scales=scales)
    references = exact(*tensors, causal)
    near(through(*tensors, causal, "monarch"), references, TOLERANCE[torch.bfloat16])
    near(in_blocks(*tensors, causal), references, TOLERANCE[torch.bfloat16])


@pytest.mark.gpu
@BOTH
def test_each_sequence_has_its_own_scale(causal: bool) -> None:
    kernel, x, _ = draw(700, 4, causal)
    factors = torch.tensor([1.0, 2.0**-40, 2.0**40, 0.0], device=GPU)[:, None, None]
    y = toeplitz_matmul(kernel, x, causal=causal, method="monarch")
    scaled = toeplitz_matmul(kernel, (x * factors).to(x.dtype), causal=causal, method="monarch")
    assert torch.equal(scaled, (y * factors).to(y.dtype))  # powers of two: exactly


@pytest.mark.gpu
@BOTH
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_stays_visible(value: float, causal: bool) -> None:
    kernel, x, grad = draw(700, 3, causal)
    x[1, 0, 5] = value
    y, grad_kernel, _ = through(kernel, x, grad, causal, "monarch")
    assert y[1, 0].isnan().all() and y.isnan().sum() == 700
    assert grad_kernel[0].isnan().all() and grad_kernel[1:].isfinite().all()
    blocks = in_blocks(kernel, x, grad, causal)[0]  # the whole first block, and what depends on it
    assert blocks[1, 0].isnan().all() and blocks.isnan().sum() == 700
    kernel[2, 7] = value
    y = toeplitz_matmul(kernel, grad, causal=causal, method="monarch")
    assert y[:, 2].isnan().all() and y[:, :2].isfinite().all()


@pytest.mark.gpu
@BOTH
def test_several_blocks_are_the_same_in_every_run(causal: bool) -> None:
    tensors = draw(1031, 9, causal)
    first, second = in_blocks(*tensors, causal), in_blocks(*tensors, causal)
    assert all(torch.equal(*pair) for pair in zip(first, second, strict=True))


@pytest.mark.gpu
def test_second_derivatives() -> None:
    kernel, x, grad = draw(300, 2, True, dtype=torch.float16, scales=(0.1, 1.0, 1.0))
    grad = grad.requires_grad_()
    found = []
    for method in ("monarch", "fft"):
        source = [kernel, x, grad]
        if method == "fft":
            source = [tensor.detach().double() for tensor in source]
        source = [tensor.detach().requires_grad_() for tensor in source]
        y = toeplitz_matmul(*source[:2], causal=True, method=method)
        first = torch.autograd.grad(y, source[:2], source[2], create_graph=True)
        found.append(torch.autograd.grad(sum(g.double().square().mean() for g in first), source))
    near(list(found[0]), list(found[1]), 5e-3)


def test_they_take_float16_and_bfloat16_only() -> None:
    for dtype in (torch.float32, torch.float64):
        reason = gpu_kernels_refuse(torch.device("cuda"), dtype, "monarch")
        assert reason is not None and "float16" in reason
