"""Sines and cosines of positions, added to the embedding."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.models.shapes import small
from tnnlab.models import (
    ClassifierConfig,
    ImageClassifier,
    ImageConfig,
    PairClassifier,
    SequenceClassifier,
)
from tnnlab.models.positions import Sinusoids

PATH_X = 128 * 128  # positions: the longest task


def naive(n: int, width: int) -> torch.Tensor:
    table = torch.empty(n, width, dtype=torch.float64)
    for i in range(n):
        for c in range(0, width, 2):
            angle = i / 10_000 ** (c / width)
            table[i, c], table[i, c + 1] = math.sin(angle), math.cos(angle)
    return table


def test_they_follow_their_formula() -> None:
    x = torch.randn(2, 1100, 6, dtype=torch.float64)
    torch.testing.assert_close(Sinusoids(6)(x), x + naive(1100, 6))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_angles_are_exact_in_low_precision(dtype: torch.dtype) -> None:
    table = Sinusoids(8)(torch.zeros(1, PATH_X, 8, dtype=dtype))
    assert table.dtype == dtype
    exact = naive(PATH_X, 8).to(dtype).expand(1, -1, -1)
    atol = 2e-3 if dtype == torch.float32 else 2 * torch.finfo(dtype).eps
    torch.testing.assert_close(table, exact, atol=atol, rtol=0)


def test_padding_is_not_counted() -> None:
    mask = torch.tensor([[True] * 5, [False, True, True, False, True]])
    added = Sinusoids(4)(torch.zeros(2, 5, 4, dtype=torch.float64), mask)
    table = naive(5, 4)
    torch.testing.assert_close(added[0], table)
    torch.testing.assert_close(added[1, mask[1]], table[:3])


def test_pixels_are_counted_row_by_row() -> None:
    image = torch.randn(2, 3, 5, 4)
    torch.testing.assert_close(
        Sinusoids(4)(image), Sinusoids(4)(image.flatten(1, 2)).view_as(image)
    )


def test_they_compile_without_a_graph_break() -> None:
    x, mask = torch.randn(2, 9, 4), torch.arange(9).expand(2, 9) < 6
    compiled = torch.compile(Sinusoids(4), fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x, mask), Sinusoids(4)(x, mask))


@pytest.mark.parametrize("operator", ["tno", "attention"])
def test_a_classifier_adds_them_to_its_embedding(operator: str) -> None:
    options = {"sinusoids": True, **small(operator)}
    torch.manual_seed(0)
    model = SequenceClassifier(ClassifierConfig(**options)).eval()
    torch.manual_seed(0)
    plain = SequenceClassifier(ClassifierConfig(**options | {"sinusoids": False})).eval()
    assert model.state_dict().keys() == plain.state_dict().keys()
    x, width = torch.randint(5, (4, 9)), model.config.width
    embedded = plain.embedding(x) * width**0.5 + naive(9, width).float()
    torch.testing.assert_close(model.features(x), plain.mix(embedded))
    mask = torch.arange(9) < torch.tensor([[9], [5], [7], [1]])
    shorter = model(x[1:2, :5], mask[1:2, :5])
    torch.testing.assert_close(model(x, mask)[1:2], shorter, atol=1e-5, rtol=1e-5)


def test_both_of_a_pair_begin_at_position_zero() -> None:
    model = PairClassifier(ClassifierConfig(**small("tno"), sinusoids=True)).eval()
    first, second = torch.randint(5, (2, 9)), torch.randint(5, (2, 6))
    a, b = (model.features(x).mean(1) for x in (first, second))
    pair = torch.cat([a, b, a * b, a - b], 1)
    torch.testing.assert_close(model(first, second), model.head(model.hidden(pair).relu()))


def test_a_model_saved_before_they_were_there_has_none(tmp_path: Path) -> None:
    SequenceClassifier(ClassifierConfig(**small("tno"))).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config.pop("sinusoids") is False
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert SequenceClassifier.from_pretrained(tmp_path).positions is None


@pytest.mark.parametrize("axes", [1, 2])
def test_an_image_classifier_adds_them_to_its_embedding(axes: int) -> None:
    shape = {**small("tno"), "vocab_size": 1, "axes": axes, "patch": 2}
    model = ImageClassifier(ImageConfig(**shape, sinusoids=True)).eval()
    plain = ImageClassifier(ImageConfig(**shape)).eval()
    plain.load_state_dict(model.state_dict())
    given: list[torch.Tensor] = []
    for one in (model, plain):
        one.blocks[0].register_forward_pre_hook(lambda _, args: given.append(args[0]))
        one(torch.ones(2, 6, 8))
    width = model.config.width
    added = (given[0] - given[1]).flatten(1, -2)
    torch.testing.assert_close(added, naive(12, width).float().expand(2, -1, -1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sinusoids": True, "width": 7}, "width is even with sinusoids.*got 7"),
        (
            {
                "sinusoids": True,
                "operator": "attention",
                "operator_options": {"positions": "none", "heads": 2},
                "learned_positions": 9,
            },
            "set one of them; got True and 9",
        ),
    ],
)
def test_what_does_not_fit_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ClassifierConfig(**{**small("tno"), **options})
