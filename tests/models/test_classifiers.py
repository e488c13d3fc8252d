from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.models.shapes import EACH_OPERATOR, FEW, small
from tnnlab.models import (
    ClassifierConfig,
    ImageClassifier,
    ImageConfig,
    PairClassifier,
    SequenceClassifier,
)
from tnnlab.operators import Separable2D
from tnnlab.pretrained import Pretrained


def train(model: nn.Module, labels: Tensor, *inputs: Tensor) -> tuple[float, float]:
    """First and last loss of a few updates on one batch."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(40):
        loss = F.cross_entropy(model(*inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses[0], losses[-1]


def tokens(n: int, batch: int = 4, seed: int = 0) -> Tensor:
    return torch.randint(20, (batch, n), generator=torch.Generator().manual_seed(seed))


def image_config(operator: str = "tno", mixer: str = "gtu", **options: Any) -> ImageConfig:
    return ImageConfig(**{**small(operator, mixer, classes=3), "vocab_size": 1, **options})


@FEW
@pytest.mark.parametrize("norm", ["layer", "batch"])
def test_a_sequence_classifier_learns(operator: str, mixer: str, norm: str) -> None:
    torch.manual_seed(0)
    config = ClassifierConfig(**small(operator, mixer, classes=4, norm=norm))
    before, after = train(SequenceClassifier(config), torch.arange(4), tokens(12))
    assert after < 0.5 * before


def test_the_answer_is_a_linear_map_of_the_pooled_features() -> None:
    torch.manual_seed(0)
    model = SequenceClassifier(ClassifierConfig(**small("tno", pooling="mean", classes=5)))
    pooled = model.features(tokens(7)).mean(1)
    torch.testing.assert_close(model(tokens(7)), pooled @ model.head.weight.T + model.head.bias)


def test_a_pair_classifier_follows_its_formula() -> None:
    torch.manual_seed(0)
    model = PairClassifier(ClassifierConfig(**small("rtf", pooling="last")))
    first, second = tokens(7), tokens(11, seed=1)
    a, b = model.features(first)[:, -1], model.features(second)[:, -1]
    hidden = torch.cat([a, b, a * b, a - b], 1) @ model.hidden.weight.T + model.hidden.bias
    expected = hidden.clamp(min=0) @ model.head.weight.T + model.head.bias
    torch.testing.assert_close(model(first, second), expected)


@FEW
def test_a_pair_classifier_learns(operator: str, mixer: str) -> None:
    torch.manual_seed(0)
    model = PairClassifier(ClassifierConfig(**small(operator, mixer)))
    labels = torch.tensor([0, 1, 0, 1])
    before, after = train(model, labels, tokens(12), tokens(10, seed=1))
    assert after < 0.5 * before


@FEW
@pytest.mark.parametrize("axes", [1, 2])
def test_an_image_classifier_learns(operator: str, mixer: str, axes: int) -> None:
    torch.manual_seed(0)
    if axes == 2 and (operator == "attention" or mixer == "hyena"):
        with pytest.raises(ValueError, match=r"axes is 1 for .* got 2"):
            image_config(operator, mixer, axes=axes)
        return
    model = ImageClassifier(image_config(operator, mixer, axes=axes, norm="batch"))
    before, after = train(model, torch.arange(3), torch.rand(3, 4, 6))
    assert after < 0.5 * before


@EACH_OPERATOR
@settings(max_examples=10, deadline=None)
@given(batch=st.integers(0, 3), height=st.integers(1, 9), width=st.integers(1, 9))
def test_images_of_any_size(operator: str, batch: int, height: int, width: int) -> None:
    torch.manual_seed(0)
    axes = 1 if operator == "attention" else 2
    model = ImageClassifier(image_config(operator, axes=axes, depth=1)).double().eval()
    images = torch.rand(batch, height, width, dtype=torch.float64)
    y = model(images)
    assert y.shape == (batch, 3)
    for row in range(batch):
        torch.testing.assert_close(y[row], model(images[row : row + 1])[0])


def test_two_axes_have_two_operators() -> None:
    model = ImageClassifier(image_config("rtf", depth=1))
    operator = model.blocks[0].gtu.operator
    assert isinstance(operator, Separable2D)
    a, b = operator.along_width, operator.along_height
    assert a is not b and not a.causal and a.kernel(5).shape == (8, 9)


def test_patches_are_read_row_by_row() -> None:
    torch.manual_seed(0)
    model = ImageClassifier(image_config(patch=2, axes=1, depth=1)).eval()
    images = torch.rand(2, 4, 6)
    corners = [(i, j) for i in (0, 2) for j in (0, 2, 4)]
    patches = torch.stack([images[:, i : i + 2, j : j + 2].flatten(1) for i, j in corners], 1)
    x = model.mix(patches @ model.embedding.weight.T + model.embedding.bias)
    torch.testing.assert_close(model(images), model.head(x.mean(1)))


@pytest.mark.parametrize("pooling", ["first", "last"])
def test_first_and_last_are_corners(pooling: str) -> None:
    torch.manual_seed(0)
    model = ImageClassifier(image_config(pooling=pooling)).eval()
    images = torch.rand(2, 4, 6)
    place = 0 if pooling == "first" else -1
    x = model.mix(model.embedding(images.unsqueeze(-1)))[:, place, place]
    torch.testing.assert_close(model(images), model.head(x))


@EACH_OPERATOR
@pytest.mark.parametrize("kind", [SequenceClassifier, PairClassifier, ImageClassifier])
def test_saving_and_loading_give_the_same_model(
    kind: type[Pretrained], operator: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    inputs: dict[type, list[Tensor]] = {
        SequenceClassifier: [tokens(9)],
        PairClassifier: [tokens(9), tokens(9, seed=1)],
        ImageClassifier: [torch.rand(4, 5, 6)],
    }
    options = {"axes": 1} if kind is ImageClassifier and operator == "attention" else {}
    config = kind.config_class(**small(operator, norm="batch", **options))
    model = kind(config)
    model(*inputs[kind])  # moves the running averages of batch norm
    model.eval().save_pretrained(tmp_path)
    loaded = kind.from_pretrained(tmp_path)
    assert loaded.config == config
    assert torch.equal(loaded(*inputs[kind]), model(*inputs[kind]))


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.filterwarnings("ignore")  # deprecations inside torch's compiler
def test_they_compile_without_a_graph_break(axes: int) -> None:
    torch.compiler.reset()
    torch.manual_seed(0)
    model = ImageClassifier(image_config(axes=axes, norm="batch", depth=1)).eval()
    images = torch.rand(2, 4, 6)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(images), model(images), atol=1e-5, rtol=1e-5)
    reader = SequenceClassifier(ClassifierConfig(**small("tno", norm="batch", depth=1)))
    mask = torch.arange(9).expand(4, 9) < 6
    compiled = torch.compile(reader, fullgraph=True, backend="aot_eager")
    expected = reader(tokens(9), mask)  # in training: the running averages move in the graph
    torch.testing.assert_close(compiled(tokens(9), mask), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": "max"}, "pooling is one of 'mean', 'last', 'first'; got 'max'"),
        ({"classes": 0}, "classes is at least 1; got 0"),
        ({"axes": 3}, r"axes is 1 \(a sequence of pixels\) or 2; got 3"),
        ({"patch": 0}, "patch is at least 1; got 0"),
    ],
)
def test_a_bad_configuration_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        image_config(**options)


@pytest.mark.parametrize("shape", [(4, 4), (1, 3, 4), (1, 4, 0), (1, 1, 4, 4)], ids=str)
def test_images_that_do_not_fit_are_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\(batch, height, width\), its sides multiples of patch"):
        ImageClassifier(image_config(patch=2))(torch.zeros(shape))
