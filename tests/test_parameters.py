import dataclasses

import pytest
import torch

from tests.models.shapes import EACH, small
from tnnlab.models import (
    CausalLM,
    ClassifierConfig,
    ImageClassifier,
    ImageConfig,
    MaskedLM,
    SequenceClassifier,
    TNNConfig,
)
from tnnlab.parameters import count_parameters, match_width


@EACH
@pytest.mark.parametrize("multiple", [4, 16])
def test_no_other_width_is_nearer(operator: str, mixer: str, multiple: int) -> None:
    config = TNNConfig(**small(operator, mixer))
    target = 30_000
    matched = match_width(config, target, multiple=multiple)
    assert matched.width % multiple == 0

    def error(width: int) -> int:
        glu_width = max(1, round(width * 12 / 8))
        other = dataclasses.replace(config, width=width, glu_width=glu_width)
        return abs(CausalLM(other).num_parameters() - target)

    errors = {width: error(width) for width in range(multiple, 129, multiple)}
    assert min(errors, key=lambda width: errors[width]) == matched.width < 128


def test_a_model_matches_itself() -> None:
    config = TNNConfig.wikitext103()
    assert count_parameters(config) == 48_662_016
    assert match_width(config, 48_662_016, multiple=64) == config
    narrow = dataclasses.replace(config, width=64, glu_width=64)
    assert match_width(narrow, 48_662_016, multiple=64) == config


def test_targets_below_and_far_above() -> None:
    config = TNNConfig(**small("tno"))
    assert match_width(config, 1, multiple=16).width == 16
    target = 10**8
    size = count_parameters(match_width(config, target))
    assert abs(size - target) < 0.01 * target


def test_it_counts_the_model_that_is_asked_for() -> None:
    config = ClassifierConfig(**small("rtf"), classes=10)
    image = ImageConfig(**small("rtf"), classes=10)
    assert count_parameters(config, SequenceClassifier) == (
        SequenceClassifier(config).num_parameters()
    )
    assert count_parameters(config, MaskedLM) == MaskedLM(config).num_parameters()
    matched = match_width(image, 20_000, model=ImageClassifier)
    assert isinstance(matched, ImageConfig)
    size = ImageClassifier(matched).num_parameters()
    assert abs(size - 20_000) < 0.3 * 20_000


def test_no_glu_stays_no_glu() -> None:
    config = match_width(TNNConfig(**small("rtf", "s4", glu_width=0)), 20_000)
    assert config.glu_width == 0


def test_counting_draws_no_random_numbers() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    count_parameters(TNNConfig(**small("rtf")))
    assert torch.equal(torch.rand(1), expected)


def test_bad_arguments_are_named() -> None:
    config = TNNConfig(**small("tno"))
    with pytest.raises(ValueError, match="at least 1; got 0 and 8"):
        match_width(config, 0)
    attention = TNNConfig(operator="attention", operator_options={"heads": 12})
    with pytest.raises(ValueError, match=r"heads cut 24 channels into equal parts.*got 16"):
        match_width(dataclasses.replace(attention, operator_options={"heads": 16}), 10**6)
