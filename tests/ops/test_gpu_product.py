"""What both kinds of GPU kernels promise: layouts, graphs, compilation, the same in every run."""

import pytest
import torch

from tests.ops.reference import draw, exact, near, through
from tnnlab.ops import toeplitz_matmul
from tnnlab.ops.tiles import correlation_operator, product_operator

BOTH = pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
METHODS = pytest.mark.parametrize("method", ["triton", "monarch"])


@pytest.mark.gpu
@METHODS
@BOTH
def test_results_are_the_same_in_every_run(causal: bool, method: str) -> None:
    tensors = draw(1031, 9, causal)
    first, second = through(*tensors, causal, method), through(*tensors, causal, method)
    assert all(torch.equal(*pair) for pair in zip(first, second, strict=True))


@pytest.mark.gpu
@METHODS
@BOTH
def test_launches_in_any_order_are_their_own(causal: bool, method: str) -> None:
    # Of other alignments, lengths, batches and types: each is compiled for, and remembered.
    cases = [(700, 5, torch.bfloat16), (701, 5, torch.float16), (16, 1, torch.bfloat16)]
    drawn = [draw(n, batch, causal, dtype=dtype) for n, batch, dtype in cases]
    kernel, x, grad = draw(704, 5, causal)
    drawn.append((kernel, x[1:], grad[1:]))
    drawn.append((kernel[:, :-2] if causal else kernel[:, 2:-2], x[..., 1:-1], grad[..., 1:-1]))
    for _ in range(2):
        for tensors in drawn:
            near(through(*tensors, causal, method), exact(*tensors, causal), 4e-3)


@pytest.mark.gpu
@METHODS
@BOTH
def test_channels_first_in_memory_stays_so(causal: bool, method: str) -> None:
    kernel, x, grad = draw(700, 5, causal)
    first = x.transpose(0, 1).contiguous().transpose(0, 1)
    y = toeplitz_matmul(kernel, first, causal=causal, method=method)
    assert y.stride() == first.stride()
    assert torch.equal(y, toeplitz_matmul(kernel, x, causal=causal, method=method))
    last = x.transpose(1, 2).contiguous().transpose(1, 2)
    tolerance = {"triton": 3e-3, "monarch": 2.5e-3}[method]
    for other in (first, last):
        found = through(kernel, other, grad, causal, method)
        near(found, exact(kernel, x, grad, causal), tolerance)


@pytest.mark.gpu
@METHODS
def test_a_captured_graph_replays_on_new_input(method: str) -> None:
    kernel, x, _ = draw(700, 4, True)
    toeplitz_matmul(kernel, x, causal=True, method=method)  # compiles; monarch writes its tables
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = toeplitz_matmul(kernel, x, causal=True, method=method)
    x.copy_(torch.randn_like(x))
    graph.replay()
    assert torch.equal(y, toeplitz_matmul(kernel, x, causal=True, method=method))


@pytest.mark.gpu
@METHODS
@BOTH
@pytest.mark.filterwarnings("ignore")  # deprecations inside torch's compiler
def test_it_compiles_without_a_graph_break(causal: bool, method: str) -> None:
    compiled = torch.compile(
        lambda kernel, x: toeplitz_matmul(kernel, x, causal=causal, method=method), fullgraph=True
    )
    for n in (300, 400):
        kernel, x, grad = draw(n, 3, causal)
        kernel, x = kernel.requires_grad_(), x.requires_grad_()
        found = torch.autograd.grad(compiled(kernel, x), (kernel, x), grad)
        near(list(found), exact(kernel, x, grad, causal)[1:], 3e-3)


@pytest.mark.gpu
@METHODS
@BOTH
def test_the_custom_operators_keep_pytorchs_rules_on_a_gpu(causal: bool, method: str) -> None:
    scheme = "tiles" if method == "triton" else method
    kernel, x, grad = (tensor.requires_grad_() for tensor in draw(40, 2, causal))
    torch.library.opcheck(product_operator, (kernel, x, causal, False, scheme))
    torch.library.opcheck(correlation_operator, (x, grad, causal, scheme))


@METHODS
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_where_they_cannot_run_a_warning_says_why(dtype: torch.dtype, method: str) -> None:
    kernel, x = torch.randn(2, 9, dtype=dtype), torch.randn(3, 2, 9, dtype=dtype)
    reason = rf"'{method}' runs as 'fft': .*CUDA device, and x is on cpu"
    with pytest.warns(UserWarning, match=reason):
        y = toeplitz_matmul(kernel, x, causal=True, method=method)
    assert torch.equal(y, toeplitz_matmul(kernel, x, causal=True, method="fft"))
