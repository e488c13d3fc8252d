"""Padded positions change no output: not by their content, not by their number."""

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.models.shapes import EACH, EXTENDS, small
from tnnlab.models import (
    ClassifierConfig,
    MaskedLM,
    PairClassifier,
    SequenceClassifier,
    TNNConfig,
)
from tnnlab.models.pooling import POOLINGS

LENGTHS = (5, 9)
POOLED = pytest.mark.parametrize("pooling", POOLINGS)


def texts() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(20, (n,), generator=generator) for n in LENGTHS]


def batch(fill: int, total: int = 9, side: str = "right") -> tuple[Tensor, Tensor]:
    """The texts, padded to ``total``, and the mask of their real tokens."""
    tokens, mask = torch.full((2, total), fill), torch.zeros(2, total, dtype=torch.bool)
    for row, text in enumerate(texts()):
        place = slice(0, len(text)) if side == "right" else slice(total - len(text), total)
        tokens[row, place], mask[row, place] = text, True
    return tokens, mask


def classifier(operator: str, mixer: str = "gtu", **options: Any) -> SequenceClassifier:
    torch.manual_seed(0)
    config = ClassifierConfig(**{**small(operator, mixer, classes=3), **options})
    return SequenceClassifier(config).double().eval()


@EACH
@POOLED
@pytest.mark.parametrize("side", ["left", "right"])
def test_of_a_classifier(operator: str, mixer: str, pooling: str, side: str) -> None:
    model = classifier(operator, mixer, pooling=pooling)
    expected = model(*batch(0, side=side))
    torch.testing.assert_close(model(*batch(7, side=side)), expected)
    if operator in EXTENDS:
        torch.testing.assert_close(model(*batch(7, 20, side)), expected)
        alone = torch.cat([model(text[None]) for text in texts()])
        torch.testing.assert_close(alone, expected)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(
    "options",
    [
        {"operator_options": {"heads": 2, "positions": "alibi"}},
        {"operator_options": {"heads": 2, "positions": "none"}, "learned_positions": 20},
    ],
    ids=["alibi", "learned"],
)
def test_of_other_positions(options: dict[str, Any], side: str) -> None:
    model = classifier("attention", **options)
    expected = model(*batch(0, side=side))
    torch.testing.assert_close(model(*batch(7, 20, side)), expected)
    alone = torch.cat([model(text[None]) for text in texts()])
    torch.testing.assert_close(alone, expected)


@EACH
def test_of_a_causal_classifier(operator: str, mixer: str) -> None:
    model = classifier(operator, mixer, pooling="last", causal=True)
    expected = model(*batch(0, side="left"))
    torch.testing.assert_close(model(*batch(7, side="left")), expected)
    if operator in EXTENDS:
        alone = torch.cat([model(text[None]) for text in texts()])
        torch.testing.assert_close(alone, expected)


@EACH
@pytest.mark.parametrize("norm", ["rms", "batch"])
@pytest.mark.parametrize("pre_norm", [True, False])
def test_while_training(operator: str, mixer: str, norm: str, pre_norm: bool) -> None:
    """Outputs, gradients and the running averages of batch norm."""
    found = []
    for fill, total in ((0, 9), (7, 9), (7, 20)):
        model = classifier(operator, mixer, norm=norm, pre_norm=pre_norm).train()
        tokens, mask = batch(fill, total)
        model.embedding.requires_grad_(False)
        logits = model(tokens, mask)
        logits.square().sum().backward()
        values = [p.grad for p in model.parameters() if p.grad is not None]
        found.append([logits, *values, *model.buffers()])
    torch.testing.assert_close(found[1], found[0])
    if operator in EXTENDS:
        torch.testing.assert_close(found[2], found[0])


@EACH
def test_of_a_masked_language_model(operator: str, mixer: str) -> None:
    torch.manual_seed(0)
    model = MaskedLM(TNNConfig(**small(operator, mixer))).double().eval()
    (tokens, mask), (other, _) = batch(0), batch(7)
    torch.testing.assert_close(model(other, mask)[mask], model(tokens, mask)[mask])


def test_of_a_pair_classifier() -> None:
    torch.manual_seed(0)
    model = PairClassifier(ClassifierConfig(**small("tno"))).double().eval()
    (tokens, mask), (other, longer) = batch(0), batch(7, 20)
    expected = model(tokens, tokens.flip(0), mask, mask.flip(0))
    torch.testing.assert_close(model(other, tokens.flip(0), longer, mask.flip(0)), expected)
    torch.testing.assert_close(model(tokens, other.flip(0), mask, longer.flip(0)), expected)


@POOLED
def test_pooling_follows_its_name(pooling: str) -> None:
    x = torch.randn(3, 6, 4)
    mask = torch.tensor([[1, 1, 1, 0, 0, 0], [0, 0, 1, 1, 1, 1], [0, 1, 0, 1, 1, 0]]).bool()
    pool = POOLINGS[pooling]
    for row in range(3):
        real = x[row, mask[row]]
        expected = {"mean": real.mean(0), "last": real[-1], "first": real[0]}[pooling]
        torch.testing.assert_close(pool(x, mask)[row], expected)
    full = torch.ones(3, 6, dtype=torch.bool)
    torch.testing.assert_close(pool(x, None), pool(x, full))
    assert pool(x, torch.zeros_like(full)).isfinite().all()


@pytest.mark.parametrize("mask", [torch.ones(2, 9), torch.ones(2, 8).bool(), torch.ones(9).bool()])
def test_a_bad_mask_is_named(mask: Tensor) -> None:
    tokens, _ = batch(0)
    with pytest.raises(ValueError, match=r"bool tensor as large as the tokens, \(2, 9\)"):
        classifier("tno")(tokens, mask)
