"""RPEs that are evaluated together say what each says alone."""

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.contract import BOTH, assert_same
from tnnlab.models import CausalLM, ImageClassifier, ImageConfig, TNNConfig, trunk
from tnnlab.operators import FDTNO, RPE, RTF, TNO, Separable2D, rpe, shared, shared_kernels
from tnnlab.operators.rpe import evaluate_together

SMALL = TNNConfig(
    vocab_size=50, depth=3, width=8, expansion=2, glu_width=8, rpe_width=8, rpe_depth=2, dropout=0.0
)
OPERATORS = {
    "tno": lambda causal: TNO(4, causal=causal, rpe_width=8),
    "learned decay": lambda causal: TNO(4, causal=causal, learned_decay=True, rpe_depth=0),
    "decay per channel": lambda causal: TNO(4, causal=causal, decay=torch.rand(4) / 2 + 0.5),
    "normalised lags": lambda causal: TNO(4, causal=causal, normalize_lags=True, rpe_norm="layer"),
    "fd": lambda causal: FDTNO(4, causal=causal, rpe_width=8, rpe_activation="silu"),
}
EACH = pytest.mark.parametrize("name", list(OPERATORS))


def operators(name: str, causal: bool, number: int = 3) -> list[nn.Module]:
    torch.manual_seed(0)
    made = [OPERATORS[name](causal).double() for _ in range(number)]
    for operator in made:  # a layer norm begins as the identity
        for parameter in operator.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
    return made


def alone(operators: list[Any], shape: Any) -> list[dict[str, Any]]:
    """Stands in the place of ``shared_kernels``: each layer makes its own kernel."""
    return [{} for _ in operators]


def layer_by_layer(model: nn.Module, x: Tensor) -> Tensor:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trunk, "shared_kernels", alone)
        return model(x)


@pytest.mark.parametrize("activation", ["relu", "gelu", "silu", "sine"])
@pytest.mark.parametrize("norm", ["rms", "layer", "none"])
@pytest.mark.parametrize("depth", [0, 3])
def test_rpes_together_are_rpes_one_by_one(depth: int, norm: str, activation: str) -> None:
    torch.manual_seed(0)
    options: Any = {"width": 8, "depth": depth, "activation": activation, "norm": norm}
    rpes = [RPE(5, **options).double() for _ in range(3)]
    weights = [p for one in rpes for p in one.parameters()]
    for weight in weights:
        weight.data += 0.1 * torch.randn_like(weight)
    positions = torch.arange(-9, 10)
    expected = torch.stack([one(positions).T for one in rpes])
    assert_same(evaluate_together(rpes, positions), expected, weights)


@EACH
@BOTH
@pytest.mark.parametrize("n", [1, 2, 33])
def test_shared_kernels_are_those_of_the_operators(name: str, causal: bool, n: int) -> None:
    made = operators(name, causal)
    found = torch.stack([given["kernel"] for given in shared_kernels(made, (n,))])
    weights = [p for operator in made for p in operator.parameters()]
    assert_same(found, torch.stack([operator.kernel(n) for operator in made]), weights)


@EACH
@BOTH
def test_an_operator_uses_the_kernel_that_it_is_given(name: str, causal: bool) -> None:
    (operator,) = operators(name, causal, number=1)
    x = torch.randn(2, 9, 4, dtype=torch.float64)
    kernel = operator.kernel(9)
    torch.testing.assert_close(operator(x, kernel=kernel), operator(x))
    torch.testing.assert_close(operator(x, kernel=3 * kernel), 3 * operator(x))


def test_what_is_not_alike_is_left_alone() -> None:
    class Other(TNO):
        def kernel(self, n: int) -> Tensor:
            return 2 * super().kernel(n)

    def like(**options: Any) -> TNO:
        return TNO(4, **{"causal": True, "rpe_width": 8, **options})

    others = [
        *(like(causal=False), like(normalize_lags=True), like(rpe_width=4), like(rpe_depth=2)),
        *(like(rpe_norm="layer"), like(rpe_activation="gelu"), like().double()),
        *(FDTNO(4, causal=True), RTF(4, causal=True), None, nn.Identity()),
        *(Other(4, causal=True), Other(4, causal=True)),
        *(FDTNO(4, causal=True, points=5), FDTNO(4, causal=True, points=5)),
    ]
    found = shared_kernels([like(), *others, like(decay=0.5)], (7,))
    assert [bool(given) for given in found] == [True, *[False] * len(others), True]


def test_both_axes_of_an_image_are_looked_at() -> None:
    parts = operators("tno", False, number=4)
    images = [Separable2D(*parts[:2]), Separable2D(*parts[2:])]
    for height, width in ((3, 5), (4, 4)):
        found = shared_kernels(images, (height, width))
        for image, given in zip(images, found, strict=True):
            for side, n in (("along_height", height), ("along_width", width)):
                expected = getattr(image, side).kernel(n)
                torch.testing.assert_close(given[side]["kernel"], expected)


MODELS = {
    "tno": lambda: CausalLM(SMALL),
    "fd": lambda: CausalLM(dataclasses.replace(SMALL, operator="fd", rpe_norm="layer")),
    "after": lambda: CausalLM(dataclasses.replace(SMALL, pre_norm=False, norm="layer")),
    "hyena": lambda: CausalLM(dataclasses.replace(SMALL, mixer="hyena")),
    "s4": lambda: CausalLM(dataclasses.replace(SMALL, mixer="s4", expansion=1)),
    "image": lambda: ImageClassifier(ImageConfig(depth=2, width=8, glu_width=8, dropout=0.0)),
}


def model_and_input(name: str) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    model = MODELS[name]().double()
    x = torch.rand(2, 5, 6).double() if name == "image" else torch.randint(50, (2, 20))
    return model, x


@pytest.mark.parametrize("name", list(MODELS))
def test_a_model_computes_what_its_layers_compute_alone(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, x = model_and_input(name)
    expected = layer_by_layer(model, x)
    monkeypatch.setattr(rpe.RPE, "forward", None)  # none is evaluated alone
    assert_same(model(x), expected, list(model.parameters()))


def test_a_model_of_mixed_layers() -> None:
    model, x = model_and_input("tno")
    model.blocks[1].gtu.operator = RTF(16, causal=True, order=4, length=32).double()
    assert_same(model(x), layer_by_layer(model, x), list(model.parameters()))


def test_layers_may_share_their_weights() -> None:
    model, x = model_and_input("tno")
    model.blocks[2].gtu.operator = model.blocks[0].gtu.operator
    assert_same(model(x), layer_by_layer(model, x), list(model.parameters()))


@BOTH
@pytest.mark.parametrize("name", ["tno", "fd", "normalised lags"])
def test_kernels_keep_full_precision(name: str, causal: bool) -> None:
    made = [operator.bfloat16() for operator in operators(name, causal)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = [given["kernel"] for given in shared_kernels(made, (600,))]
    for kernel, operator in zip(found, made, strict=True):
        assert kernel.dtype == torch.float32
        torch.testing.assert_close(kernel, operator.kernel(600), atol=1e-5, rtol=1e-4)


def test_without_gradients_kernels_exist_at_once_only_where_there_is_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = operators("tno", True)
    monkeypatch.setattr(shared, "_ROOM", 3 * 4 * 10 * 4)  # of 10 taps for 4 channels
    with torch.no_grad():
        assert all(shared_kernels(made, (10,)))
        assert not any(shared_kernels(made, (11,)))
    assert all(shared_kernels(made, (11,)))


@pytest.mark.filterwarnings("ignore")  # deprecations inside torch's compiler
@pytest.mark.parametrize("name", ["tno", "fd", "image"])
def test_a_model_compiles_without_a_graph_break(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.compiler.reset()
    model, x = model_and_input(name)
    expected = layer_by_layer(model, x)
    monkeypatch.setattr(rpe.RPE, "forward", None)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    assert_same(compiled(x), expected, list(model.parameters()))
