"""What is timed is first compared with the definition, and refused where it is wrong."""

import pytest
import torch

from tests.contract import BOTH
from tnnlab.bench import exact, products, training
from tnnlab.bench.modules import OPERATORS, operator_rows
from tnnlab.bench.reference import reference_product, with_reference_operators
from tnnlab.bench.rows import Sizes
from tnnlab.models import CausalLM, TNNConfig
from tnnlab.ops import toeplitz_matrix

CPU = torch.device("cpu")


def no_timer(call):
    raise AssertionError("this must not be timed")


def timer(call):
    call(0)
    return {"time_s": 2.0, "peak_bytes": 7}


def tensors(n: int, causal: bool) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(n)
    shapes = [(3, n if causal else 2 * n - 1), (2, 3, n), (2, 3, n)]
    return [torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes]


@BOTH
@pytest.mark.parametrize("n", [1, 2, 17, 60])
def test_sampled_values_are_those_of_the_matrix(n: int, causal: bool) -> None:
    kernel, x, grad = tensors(n, causal)
    known = exact.sample(kernel, x, grad, causal)
    kernel.requires_grad_()
    x.requires_grad_()
    y = torch.einsum("cij,bcj->bci", toeplitz_matrix(kernel, causal), x)
    grad_x, grad_kernel = torch.autograd.grad(y, [x, kernel], grad)
    torch.testing.assert_close(known.y, y[..., known.places])
    torch.testing.assert_close(known.grad_x, grad_x[..., known.places])
    torch.testing.assert_close(known.grad_kernel, grad_kernel[..., known.taps])
    assert {0, n // 2, n - 1} <= set(known.places.tolist())


@BOTH
@pytest.mark.parametrize("n", [1, 2, 17, 60])
def test_the_published_form_is_the_matrix_product(n: int, causal: bool) -> None:
    kernel, x, grad = (tensor.float().requires_grad_() for tensor in tensors(n, causal))
    y = reference_product(kernel.T, x.mT, causal).mT
    expected = torch.einsum("cij,bcj->bci", toeplitz_matrix(kernel, causal), x)
    torch.testing.assert_close(y, expected, atol=1e-4, rtol=1e-4)
    for value, reference in zip(
        torch.autograd.grad(y, [x, kernel], grad),
        torch.autograd.grad(expected, [x, kernel], grad),
        strict=True,
    ):
        torch.testing.assert_close(value, reference, atol=1e-4, rtol=1e-4)


def test_a_model_in_its_published_form_is_the_same_model() -> None:
    torch.manual_seed(0)
    model = CausalLM(TNNConfig(vocab_size=11, depth=2, width=16, glu_width=16, dropout=0.0))
    tokens = torch.randint(11, (2, 9))
    expected = model(tokens)
    parameters = list(model.parameters())
    published = with_reference_operators(model)
    torch.testing.assert_close(published(tokens), expected, atol=1e-4, rtol=1e-4)
    assert [id(p) for p in published.parameters()] == [id(p) for p in parameters]


@BOTH
@pytest.mark.parametrize("name", ["reference", "dense", "fft", "tiles"])
def test_products_are_checked_then_timed(name: str, causal: bool) -> None:
    rows = products.product_rows(name, Sizes(20, 2, 3, causal, torch.float32, CPU), timer)
    assert [row["pass"] for row in rows] == ["forward", "forward+backward"]
    for row in rows:
        assert 0 < max(row["errors"].values()) < 1e-5
        assert row["tokens_per_s"] == 20 and row["time_s"] == 2.0


def test_operations_and_bytes_are_those_of_a_causal_product() -> None:
    sizes = Sizes(4, 2, 3, True, torch.bfloat16, CPU)
    costs = products._costs("dense", sizes)
    pairs, taps = 4 + 3 + 2 + 1, 3 * 4 * 4
    assert costs["forward"] == (2 * pairs * 2 * 3, 2 * (4 * 2 * 3 * 2) + taps)
    assert costs["forward+backward"] == (3 * 2 * pairs * 2 * 3, 5 * (4 * 2 * 3 * 2) + 3 * taps)


@BOTH
@pytest.mark.parametrize("name", list(OPERATORS))
def test_operators_are_checked_then_timed(name: str, causal: bool) -> None:
    rows = operator_rows(name, Sizes(20, 2, 4, causal, torch.float32, CPU), timer)
    assert [row["pass"] for row in rows] == ["forward", "forward+backward"]
    assert 0 < max(rows[0]["errors"].values()) < 1e-4


@pytest.mark.parametrize("causal", [True, False])
def test_attention_of_some_queries_is_that_of_all(causal: bool) -> None:
    qkv = torch.randn(3, 2, 1, 9, products.HEAD, dtype=torch.float64)
    queries = torch.tensor([0, 3, 8])
    everything = torch.nn.functional.scaled_dot_product_attention(*qkv, is_causal=causal)
    found = products._attention(qkv, queries, causal)
    torch.testing.assert_close(found, everything[..., queries, :])


def test_attention_is_checked_then_timed() -> None:
    sizes = Sizes(20, 2, 300, True, torch.float32, CPU)
    rows = products.attention_rows("attention", sizes, timer)
    assert [row["channels"] for row in rows] == [128, 128]
    assert 0 < max(rows[0]["errors"].values()) < 1e-5


@pytest.mark.parametrize(
    "wrong",
    [
        lambda kernel, x, causal: reference_product(kernel, x, causal) * 1.01,
        lambda kernel, x, causal: reference_product(kernel.roll(1, 0), x, causal),
        lambda kernel, x, causal: reference_product(kernel, x, causal) / 0,
        lambda kernel, x, causal: reference_product(kernel, x.detach(), causal) + 0 * x,
    ],
    ids=["a factor", "another lag", "infinite", "no gradient"],
)
def test_a_wrong_result_is_not_timed(wrong, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(products.METHODS, "wrong", products.Method(wrong, length_last=False))
    (row,) = products.product_rows("wrong", Sizes(9, 2, 3, True, torch.float32, CPU), no_timer)
    assert row["wrong"] and "relative error" in row["skipped"] and row["errors"]


def test_a_method_that_refuses_says_why() -> None:
    sizes = Sizes(9, 2, 3, True, torch.float32, CPU)
    for name, reason in (("triton", "need a CUDA device"), ("flashfftconv", "No module")):
        (row,) = products.product_rows(name, sizes, no_timer)
        assert not row["wrong"] and reason in row["skipped"]
    (row,) = products.product_rows("dense", sizes._replace(n=20000, batch=1), no_timer)
    assert row["skipped"] == "one tensor of 4,578 MiB, more than 256 MiB"


def test_a_wrong_model_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    loss = training._loss

    def factor(name, model, tokens, *, precision):
        value = loss(name, model, tokens, precision=precision)
        return value * 1.1 if value.dtype == torch.float32 else value

    monkeypatch.setattr(training, "_loss", factor)
    bench = training.PRESETS["smoke"]
    row = training._row("tno", bench.config, bench, CPU)
    assert row["wrong"] and "relative error" in row["skipped"]
