from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tests.contract import BOTH, Watched, assert_same
from tnnlab.operators import FDTNO, RTF, S4D, SKITNO, TNO, HyenaFilter, Separable2D

CHANNELS = 3
Build = Callable[[bool], nn.Module]
OPERATORS: dict[str, Build] = {
    "tno": lambda causal: TNO(CHANNELS, causal=causal, rpe_width=8, rpe_depth=1),
    "fd": lambda causal: FDTNO(CHANNELS, causal=causal, rpe_width=8, rpe_depth=1),
    "fd-interpolated": lambda causal: FDTNO(CHANNELS, causal=causal, points=5),
    "ski": lambda causal: SKITNO(CHANNELS, causal=causal, inducing=4, sparse_width=3),
    "rtf": lambda causal: RTF(CHANNELS, causal=causal, order=4, length=16, init="montel"),
    "s4d": lambda causal: S4D(CHANNELS, causal=causal, order=4),
    "hyena": lambda causal: HyenaFilter(CHANNELS, causal=causal, length=16, bands=2, width=8),
}
EACH = pytest.mark.parametrize("name", OPERATORS)


def make(name: str, causal: bool) -> Separable2D:
    torch.manual_seed(0)
    return Separable2D(OPERATORS[name](causal), OPERATORS[name](causal)).double()


def image(height: int = 5, width: int = 7, batch: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (batch, height, width, CHANNELS)
    return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()


def row_by_row(operator: nn.Module, x: Tensor) -> Tensor:
    return torch.stack([operator(x[:, i]) for i in range(x.shape[1])], dim=1)


def published(operator: Separable2D, x: Tensor) -> Tensor:
    """Width then height, plus height then width, a row or a column at a time."""

    def columns(x: Tensor) -> Tensor:
        return row_by_row(operator.along_height, x.transpose(1, 2)).transpose(1, 2)

    def rows(x: Tensor) -> Tensor:
        return row_by_row(operator.along_width, x)

    return columns(rows(x)) + rows(columns(x))


@EACH
@BOTH
@pytest.mark.parametrize("size", [(5, 7), (1, 6), (1, 1)], ids=str)
def test_one_pass_equals_the_two_published_ones(
    name: str, causal: bool, size: tuple[int, int]
) -> None:
    operator, x = make(name, causal), image(*size)
    y, expected = operator(x), published(operator, x)
    assert_same(y, expected, [x, *operator.parameters()])


@BOTH
def test_it_is_twice_the_kronecker_product_of_two_toeplitz_matrices(causal: bool) -> None:
    operator, x = make("tno", causal), image(4, 6)

    def matrix(one: nn.Module, n: int) -> Tensor:
        eye = torch.eye(n, dtype=torch.float64)[..., None].expand(n, n, CHANNELS)
        return one(eye).permute(2, 1, 0)  # the responses to unit impulses are the columns

    rows, columns = matrix(operator.along_width, 6), matrix(operator.along_height, 4)
    whole = torch.stack([2 * torch.kron(columns[c], rows[c]) for c in range(CHANNELS)])
    expected = torch.einsum("cij,bjc->bic", whole, x.flatten(1, 2)).unflatten(1, (4, 6))
    torch.testing.assert_close(operator(x), expected)


def test_a_causal_one_sees_no_later_row_or_column() -> None:
    operator, x = make("rtf", True), image()
    changed = x.detach().clone()
    changed[:, 3:] += 1
    changed[:, :, 4:] += 1
    torch.testing.assert_close(operator(changed)[:, :3, :4], operator(x)[:, :3, :4])


@EACH
@pytest.mark.filterwarnings("ignore")  # deprecations inside torch's compiler
def test_it_compiles_without_a_graph_break(name: str) -> None:
    torch.compiler.reset()
    operator, x = make(name, False), image()
    compiled = torch.compile(operator, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), operator(x))


def test_an_empty_batch() -> None:
    assert make("ski", False)(image(batch=0)).shape == (0, 5, 7, CHANNELS)


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(ValueError, match=r"\(3, True\) along the width and \(3, False\)"):
        Separable2D(OPERATORS["tno"](True), OPERATORS["tno"](False))
    with pytest.raises(ValueError, match=r"\(batch, height, width, channels\).*got \(2, 5, 3\)"):
        make("tno", True)(torch.zeros(2, 5, 3))


def test_both_operators_are_given_what_they_read_along() -> None:
    along_width, along_height = Watched(4), Watched(4)
    rows = torch.randn(4, 2, 5, 6)  # channels first, as a GTU has them
    Separable2D(along_width, along_height)(rows.movedim(0, -1))
    assert along_width.reads_along() and along_height.reads_along()
