"""The GPU kernels without a GPU: in Triton's interpreter, on a CPU (``make kernels``)."""

import functools
import importlib.util
import os

import pytest
import torch

from tests.ops import reference
from tests.ops.reference import exact, near

if os.environ.get("TRITON_INTERPRET") != "1" or importlib.util.find_spec("triton") is None:
    pytest.skip("needs Triton and TRITON_INTERPRET=1: make kernels", allow_module_level=True)

from tnnlab.ops import _monarch, _softmax, _triton

BOTH = pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
# Of float16, in which every kernel multiplies here. (The interpreter cuts bfloat16 off, where a GPU
# rounds.) Nearly all of what it allows is the output's rounding, or the operands'.
TOLERANCE = 1e-3
BLOCKS = {"P": 16, "Q": 16}
draw = functools.partial(reference.draw, dtype=torch.float16, device="cpu")


@pytest.fixture(autouse=True)
def _few_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU so small that a program takes several rows."""
    monkeypatch.setattr(_monarch, "_processors", lambda device: 1)


@BOTH
@pytest.mark.parametrize("n", [1, 3, 64, 129, 200])
def test_tiles(n: int, causal: bool) -> None:
    kernel, x, grad = draw(n, 3, causal)
    y, grad_x = torch.empty_like(x), torch.empty_like(x)
    _triton.product(kernel, x, y, causal, False, precision="ieee")
    _triton.product(kernel, grad, grad_x, causal, True, precision="ieee")
    grad_kernel = _triton.correlate(x, grad, causal, precision="ieee")
    near([y, grad_kernel, grad_x], exact(kernel, x, grad, causal), TOLERANCE)


@BOTH
@pytest.mark.parametrize("sizes", [{}, BLOCKS], ids=["one block", "several"])
@pytest.mark.parametrize("n", [1, 3, 255, 256, 257, 700])
def test_fft_on_chip(n: int, sizes: dict[str, int], causal: bool) -> None:
    kernel, x, grad = draw(n, 3, causal)
    y, grad_x = torch.empty_like(x), torch.empty_like(x)
    _monarch.product(kernel, x, y, causal, False, **sizes)
    _monarch.product(kernel, grad, grad_x, causal, True, **sizes)
    grad_kernel = _monarch.correlate(x, grad, causal, **sizes)
    near([y, grad_kernel, grad_x], exact(kernel, x, grad, causal), TOLERANCE)


def test_an_fft_sees_the_future_by_its_rounding_alone() -> None:
    kernel, x, other = draw(200, 2, True)
    later = torch.cat([x[..., :100], other[..., 100:]], -1)
    first, second = torch.empty_like(x), torch.empty_like(x)
    _monarch.product(kernel, x, first, True, False)
    _monarch.product(kernel, later, second, True, False)
    change = (first - second)[..., :100].norm() / first[..., :100].norm()
    assert 0 < change < TOLERANCE
    _triton.product(kernel, x, first, True, False, precision="ieee")
    _triton.product(kernel, later, second, True, False, precision="ieee")
    assert torch.equal(first[..., :100], second[..., :100])  # tiles do not


@BOTH
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of what is not finite
def test_what_is_not_finite_stays_visible(causal: bool) -> None:
    kernel, x, _ = draw(300, 3, causal)
    x[1, 0, 5] = float("inf")
    y = torch.zeros_like(x)
    _monarch.product(kernel, x, y, causal, False)
    assert y[1, 0].isnan().all() and y.isnan().sum() == 300


@pytest.mark.parametrize(("rows", "words", "columns"), [(3, 1, 64), (5, 257, 320), (2, 5000, 5056)])
def test_softmax_loss(rows: int, words: int, columns: int) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = (5 * torch.randn(rows, columns, generator=generator)).half()
    targets = torch.randint(words, (rows,), generator=generator)
    known = logits[:, :words].double().requires_grad_()
    expected = torch.nn.functional.cross_entropy(known, targets, reduction="none")
    (gradient,) = torch.autograd.grad(expected.sum(), known)
    loss = _softmax.softmax_loss(logits, targets, words)
    torch.testing.assert_close(loss.double(), expected.detach(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(logits[:, :words].double(), gradient, rtol=1e-3, atol=1e-6)
    assert not logits[:, words:].any()


def test_the_softmax_loss_leaves_out_words_that_cannot_be() -> None:
    logits = torch.tensor([[-torch.inf, 1.0, 2.0, -torch.inf] + [0.0] * 60]).half()
    loss = _softmax.softmax_loss(logits, torch.tensor([1]), 4)
    torch.testing.assert_close(loss, torch.tensor([1.0]).exp().log1p(), rtol=1e-4, atol=0)
    assert logits[0, [0, 3]].eq(0).all() and logits[0, 1] < 0 < logits[0, 2]


def test_the_softmax_loss_of_what_is_no_word_is_nan() -> None:
    loss = _softmax.softmax_loss(torch.zeros(3, 64).half(), torch.tensor([-100, 60, 4]), 50)
    assert loss.isnan().tolist() == [True, True, False]
