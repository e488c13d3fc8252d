import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tests.contract import BOTH, Watched
from tnnlab.mixers import DepthwiseConv1d, Hyena, S4Layer
from tnnlab.operators import RTF, S4D, SKITNO, TNO
from tnnlab.ops import toeplitz_matrix


def close_with_gradients(y: Tensor, expected: Tensor, sources: list[Tensor]) -> None:
    torch.testing.assert_close(y, expected)
    grad = torch.randn_like(y)
    torch.testing.assert_close(
        torch.autograd.grad(y, sources, grad), torch.autograd.grad(expected, sources, grad)
    )


def inputs(n: int = 9, channels: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(n)
    return torch.randn(2, n, channels, generator=generator, dtype=torch.float64).requires_grad_()


@BOTH
def test_the_s4_layer_follows_its_formula(causal: bool) -> None:
    torch.manual_seed(0)
    layer, x = S4Layer(S4D(4, causal=causal, order=4)).double(), inputs()
    matrix = toeplitz_matrix(layer.operator.kernel(9), causal)
    mixed = torch.einsum("cij,bjc->bic", matrix, x)
    active = mixed * (1 + torch.erf(mixed / math.sqrt(2))) / 2
    value, gate = (active @ layer.o.weight.T + layer.o.bias).chunk(2, dim=-1)
    expected = value / (1 + torch.exp(-gate))
    close_with_gradients(layer(x), expected, [x, *layer.parameters()])


@BOTH
def test_hyena_follows_its_formula(causal: bool) -> None:
    torch.manual_seed(0)
    operator = RTF(6, causal=causal, order=3, length=16, init="montel")
    layer, x = Hyena(4, operator).double(), inputs()
    projected = x @ layer.projections.weight.T + layer.projections.bias
    taps, start = layer.short.weight[:, 0], 2 if causal else 1
    short = torch.stack(
        [
            layer.short.bias
            + sum(
                taps[:, t] * projected[:, i - start + t] for t in range(3) if 0 <= i - start + t < 9
            )
            for i in range(9)
        ],
        dim=1,
    )
    x0, x1, v = short[..., :6], short[..., 6:12], short[..., 12:]
    matrix = toeplitz_matrix(operator.kernel(9), causal)
    mixed = torch.einsum("cij,bjc->bic", matrix, x1 * v)
    expected = (x0 * mixed) @ layer.o.weight.T + layer.o.bias
    close_with_gradients(layer(x), expected, [x, *layer.parameters()])


def layers(causal: bool) -> list[nn.Module]:
    torch.manual_seed(0)
    operators = [
        TNO(4, causal=causal, rpe_width=8, rpe_depth=1),
        RTF(4, causal=causal, order=4, init="montel"),
        SKITNO(4, causal=causal, inducing=4, sparse_width=3),
    ]
    made = [S4Layer(op) for op in operators] + [Hyena(4, op) for op in operators]
    return [layer.double().eval() for layer in made]


@pytest.mark.parametrize("make", [S4Layer, lambda operator: Hyena(4, operator)])
def test_operators_are_given_what_they_read_along(make: Callable[[nn.Module], nn.Module]) -> None:
    operator = Watched(4)
    make(operator)(torch.randn(3, 7, 4))
    assert operator.reads_along()


def test_the_short_convolution_sums_in_float32() -> None:
    torch.manual_seed(0)
    convolution = DepthwiseConv1d(8, taps=3).bfloat16()
    x = torch.randn(2, 8, 66).bfloat16()
    exact = nn.Conv1d.forward(copy.deepcopy(convolution).double(), x.double())
    assert torch.equal(convolution(x), exact.bfloat16())
    torch.testing.assert_close(convolution(x[0]), convolution(x)[0])


def test_causal_layers_never_see_the_future() -> None:
    x = inputs(20)
    changed = x.detach().clone()
    changed[:, 11:] += 1
    for layer in layers(True):
        before, after = layer(x), layer(changed)
        torch.testing.assert_close(before[:, :11], after[:, :11])
        assert not torch.allclose(before[:, 11], after[:, 11])


def test_bidirectional_layers_see_the_future() -> None:
    x = inputs(20)
    changed = x.detach().clone()
    changed[:, 11:] += 1
    for layer in layers(False):
        assert not torch.allclose(layer(x)[:, 10], layer(changed)[:, 10])


@BOTH
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_no_output(side: str, causal: bool) -> None:
    """Neither its content nor, for kernels that extend, its amount."""
    x = inputs(9).detach()
    for layer in layers(causal):
        padded = []
        for amount, value in ((3, 0.0), (3, 7.0), (6, 7.0)):
            padding = torch.full((2, amount, 4), value, dtype=torch.float64)
            parts = [padding, x] if side == "left" else [x, padding]
            real = torch.cat([torch.full(p.shape[:2], p is x) for p in parts], dim=1)
            padded.append(layer(torch.cat(parts, dim=1), real)[real])
        torch.testing.assert_close(padded[1], padded[0])
        if not isinstance(layer.operator, SKITNO):
            torch.testing.assert_close(padded[2], padded[0])
            torch.testing.assert_close(padded[0], layer(x).flatten(0, 1))


@pytest.mark.parametrize("index", range(6))
@pytest.mark.filterwarnings("ignore")  # deprecations inside torch's compiler
def test_they_compile_without_a_graph_break(index: int) -> None:
    torch.compiler.reset()
    layer, x = layers(True)[index], inputs(30)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), layer(x))


def test_dropout_of_the_s4_layer_acts_in_training_only() -> None:
    torch.manual_seed(0)
    layer, x = S4Layer(S4D(4, causal=True, order=4), dropout=0.5).double(), inputs()
    assert not torch.equal(layer(x), layer(x))
    layer.eval()
    assert torch.equal(layer(x), layer(x))
