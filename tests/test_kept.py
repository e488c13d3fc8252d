"""Operators of trained models that are kept beside the records."""

import json
from pathlib import Path

import pytest
import torch

from tnnlab import kept
from tnnlab.models import CausalLM, TNNConfig
from tnnlab.results import records_folder


@pytest.mark.parametrize("name", kept.kept_names())
def test_kept_operators_are_those_of_the_record(name: str) -> None:
    """As many layers and channels, the same operator; kernels that a training has shaped."""
    operators = kept.trained_operators(name)
    record = records_folder() / "lm-small" / f"{name.removeprefix('lm-small-')}-seed0.json"
    model = json.loads(record.read_text("utf-8"))["config"]["model"]
    assert len(operators) == model["depth"]
    assert not any(operator.training for operator in operators)
    for operator in operators:
        kernel = operator.kernel(512)
        assert kernel.shape == (model["width"] * model["expansion"], 512)
        assert kernel.isfinite().all()
    fresh = kept.operators_of(CausalLM(TNNConfig(**model)))
    assert [type(part) for part in fresh] == [type(part) for part in operators]
    assert torch.dist(fresh[0].kernel(512), operators[0].kernel(512)) > 1


@pytest.mark.parametrize("operator", ["tno", "fd", "rtf"])
def test_a_round_trip_costs_half_precision(tmp_path: Path, operator: str) -> None:
    torch.manual_seed(0)
    config = TNNConfig(257, depth=2, width=32, glu_width=32, operator=operator, decay=0.9)
    model = CausalLM(config)
    kept.keep_operators(model, tmp_path / "a.safetensors")
    for found, known in zip(
        kept.load_operators(tmp_path / "a.safetensors"), kept.operators_of(model), strict=True
    ):
        for weight, original in zip(found.parameters(), known.parameters(), strict=True):
            assert torch.equal(weight, original.half().float())
    size = (tmp_path / "a.safetensors").stat().st_size
    assert size < 2 * sum(p.numel() for p in model.parameters())  # no embedding, no mixer


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'gpt': choose one of .*lm-small-tno"):
        kept.trained_operators("gpt")


def test_all_that_is_kept_is_small() -> None:
    files = (records_folder().parent / "trained").iterdir()
    assert sum(path.stat().st_size for path in files) < 5_000_000
