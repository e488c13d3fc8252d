"""The model of signals against its formula, and what it refuses."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.models.shapes import EACH, small
from tnnlab.models import CausalRegressor, TNNConfig
from tnnlab.ops import toeplitz_matrix

LINEAR: dict[str, Any] = {"mixer": "linear", "norm": "none", "glu_width": 0}


def regressor(operator: str, mixer: str = "gtu", **options: Any) -> CausalRegressor:
    torch.manual_seed(0)
    return CausalRegressor(TNNConfig(**{**small(operator, mixer), "vocab_size": 1, **options}))


def signal(n: int, batch: int = 2) -> Tensor:
    return torch.randn(batch, n, 1, generator=torch.Generator().manual_seed(n))


@EACH
def test_an_output_never_sees_the_future(operator: str, mixer: str) -> None:
    model, before = regressor(operator, mixer).double().eval(), signal(20).double()
    after = before.clone()
    after[:, 11:] += 1
    one, other = model(before), model(after)
    assert one.shape == before.shape
    torch.testing.assert_close(one[:, :11], other[:, :11])
    assert not torch.allclose(one[:, 11], other[:, 11])


@pytest.mark.parametrize("operator", ["tno", "fd", "rtf", "s4d"])
def test_a_linear_model_is_the_sum_of_its_kernels(operator: str) -> None:
    model = regressor(operator, **LINEAR, depth=1).double()
    x = signal(9).double().requires_grad_()
    matrices = toeplitz_matrix(model.blocks[0].gtu.operator.kernel(9), causal=True)
    matrices = matrices + torch.eye(9)
    u = torch.einsum("bj,c->bcj", x[..., 0], model.embedding.weight[:, 0])
    u = u + model.embedding.bias[:, None]
    mixed = torch.einsum("cij,bcj->bic", matrices.double(), u)
    expected = mixed @ model.head.weight.T + model.head.bias
    grad, sources = torch.randn_like(expected), [x, *model.parameters()]
    torch.testing.assert_close(model(x), expected)
    torch.testing.assert_close(
        torch.autograd.grad(model(x), sources, grad), torch.autograd.grad(expected, sources, grad)
    )


def test_only_the_linear_model_is_linear() -> None:
    x, y = signal(12).double(), signal(12, batch=3)[:2].double() ** 3
    for model, linear in ((regressor("rtf", **LINEAR), True), (regressor("rtf"), False)):
        model, zero = model.double().eval(), torch.zeros_like(x)
        both, apart = model(x + y) - model(zero), model(x) + model(y) - 2 * model(zero)
        assert torch.allclose(both, apart) == linear


def test_saving_and_loading_give_the_same_model(tmp_path: Path) -> None:
    model = regressor("rtf", **LINEAR).eval()
    model.save_pretrained(tmp_path)
    loaded = CausalRegressor.from_pretrained(tmp_path)
    assert loaded.config == model.config
    assert torch.equal(loaded(signal(9)), model(signal(9)))


@pytest.mark.parametrize("shape", [(2, 9), (2, 0, 1), (2, 9, 2)], ids=str)
def test_what_is_no_signal_is_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"a tensor \(batch, n, 1\) of floating point.*got"):
        regressor("tno")(torch.zeros(shape))
    with pytest.raises(ValueError, match=r"got torch.int64 of shape \(2, 9, 1\)"):
        regressor("tno")(torch.zeros(2, 9, 1, dtype=torch.int64))


def test_what_cannot_be_linear_or_causal_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expansion is 1 with mixer 'linear'.*got 3"):
        TNNConfig(operator="rtf", mixer="linear", expansion=3)
    with pytest.raises(ValueError, match="mixer is 'gtu' with operator 'attention'"):
        TNNConfig(operator="attention", mixer="linear", expansion=1)
    with pytest.raises(ValueError, match="training would see the future; got 'batch'"):
        regressor("tno", norm="batch")
