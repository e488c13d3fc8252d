import json
import math
from typing import Any

import pytest
import torch

from tests.training.helpers import change
from tnnlab.training import ConfigError, RunConfig, TrainingConfig, learning_rate
from tnnlab.training.config import KINDS, differences, run_class
from tnnlab.training.devices import resolve_precision
from tnnlab.training.tasks import ImageRun


def test_a_configuration_survives_json() -> None:
    config = RunConfig(name="a", training=TrainingConfig(betas=(0.8, 0.9)))
    assert RunConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"training": {"warmup": 2000}}, "training.warmup is 2000, longer than"),
        ({"training": {"accumulate": 3}}, "accumulate is 3, which does not divide"),
        ({"training": {"compile": "fast"}}, "training.compile"),
        (
            {"training": {"compile": "reduce-overhead", "accumulate": 2}},
            "'reduce-overhead' keeps gradients .*accumulate 2 take true",
        ),
        ({"training": {"schedule": "cosin"}}, "did you mean cosine"),
        ({"training": {"precision": "bf8"}}, "did you mean bf16"),
        ({"training": {"schedule": "inverse-square-root", "warmup": 0}}, "at least 1"),
        ({"training": {"schedule": "warmup-stable-decay"}}, "needs it to be at least 1"),
        ({"training": {"cooldown": 10}}, "the others have none"),
        (
            {"training": {"schedule": "warmup-stable-decay", "cooldown": 950}},
            "together are longer",
        ),
        ({"training": {"betas": [0.9, 1.0]}}, "betas is 1.0; it lies in"),
        ({"training": {"clip": 0.0}}, "above 0"),
        ({"training": {"keep": 0}}, "training.keep is 0; it is at least 1"),
        ({"training": {"final_fraction": 1.5}}, "final_fraction lies in"),
        ({"data": {"corpus": "text"}}, "without data.path"),
        ({"data": {"path": "here"}}, "leave it null"),
        ({"data": {"corpus": "wikitext"}}, "did you mean wikitext103"),
        ({"data": {"length": 0}}, "data.length is 0"),
        ({"evaluation": {"every": 0}}, "evaluation.every is 0"),
        ({"evaluation": {"baseline": True}, "data": {"tokenizer": "gpt2"}}, "pairs of bytes"),
        ({"seed": -1}, "seed is -1"),
        ({"model": {"norm": "batch"}}, "model.norm is 'batch'.*the future"),
        ({"modle": {}}, "unknown key modle: did you mean model"),
        ({"model": {"dept": 3}}, r"unknown key model.dept: did you mean model.depth"),
        ({"model": 3}, "model holds further keys"),
        ({"kind": "clasifier"}, "kind cannot be 'clasifier': did you mean classifier"),
        ({"training": {"kernel_learning_rate": 0.0}}, "kernel_learning_rate is 0.0; it is above 0"),
        ({"evaluation": {"lengths": [64, 0]}}, "evaluation.lengths is 0; it is at least 1"),
        (
            {
                "model": {
                    "operator": "attention",
                    "operator_options": {"positions": "none"},
                    "learned_positions": 64,
                },
                "evaluation": {"lengths": [64, 65]},
            },
            "evaluation.lengths has 65, and model.learned_positions has 64 places",
        ),
        (
            {"kind": "classifier", "model": {"vocab_size": 9, "causal": True, "norm": "batch"}},
            "model.norm is 'batch'.*the future",
        ),
        ({"kind": "classifier", "data": {"task": "path"}}, "data.task cannot be 'path': did you"),
        ({"kind": "classifier", "data": {"length": 0}}, "data.length is 0; it is at least 1"),
        ({"kind": "classifier", "evaluation": {"limit": 0}}, "evaluation.limit is 0"),
        ({"kind": "classifier", "evaluation": {"samples": 1}}, "unknown key evaluation.samples"),
        ({"kind": "image", "model": {"classes": 2, "causal": True, "norm": "batch"}}, "the future"),
    ],
)
def test_what_cannot_work_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RunConfig.from_dict(values)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_survives_json(kind: str) -> None:
    config = run_class(kind)(name="a", seed=3)
    values = json.loads(json.dumps(config.to_dict()))
    again = RunConfig.from_dict(values)
    assert values["kind"] == kind and type(again) is run_class(kind) and again == config


def test_batch_statistics_may_run_over_positions_that_are_all_seen() -> None:
    values = {"kind": "classifier", "model": {"vocab_size": 9, "norm": "batch"}}
    assert RunConfig.from_dict(values).model.norm == "batch"


def test_runs_of_two_kinds_differ() -> None:
    found = differences(RunConfig(), ImageRun())
    assert found["kind"] == ("language", "image") and found["model.classes"] == (None, 10)
    assert found["data.corpus"] == ("stdlib", None)


def test_differences_are_named_by_their_key(tiny: RunConfig) -> None:
    other = change(tiny, model={"depth": 2}, training={"betas": [0.5, 0.6]})
    assert differences(tiny, other) == {
        "model.depth": (1, 2),
        "training.betas": ([0.9, 0.98], [0.5, 0.6]),
    }


def test_options_that_only_one_run_has_are_differences(tiny: RunConfig) -> None:
    other = change(tiny, model={"operator": "rtf", "operator_options": {"order": 8}})
    assert differences(tiny, other) == {
        "model.operator": ("tno", "rtf"),
        "model.operator_options.order": (None, 8),
    }


def test_precision_follows_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert resolve_precision("auto", cpu) == "fp32"
    assert resolve_precision("bf16", cpu) == "bf16"
    with pytest.raises(ConfigError, match="'fp16' needs a GPU"):
        resolve_precision("fp16", cpu)

    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "an old GPU")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    assert resolve_precision("auto", cuda) == "bf16"
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    assert resolve_precision("auto", cuda) == "fp16"
    with pytest.raises(ConfigError, match="not supported by an old GPU"):
        resolve_precision("bf16", cuda)


def test_the_published_schedule() -> None:
    config = TrainingConfig(
        steps=50000, learning_rate=5e-4, schedule="inverse-square-root", warmup=4000
    )
    assert learning_rate(0, config) == 1e-7
    assert learning_rate(2000, config) == pytest.approx((1e-7 + 5e-4) / 2)
    assert learning_rate(4000, config) == 5e-4
    assert learning_rate(16000, config) == pytest.approx(2.5e-4)
    assert learning_rate(50000, config) == pytest.approx(5e-4 * math.sqrt(0.08))


def test_cosine_and_stable_decay_end_at_their_fraction() -> None:
    cosine = TrainingConfig(steps=100, warmup=20, learning_rate=1.0, final_fraction=0.2)
    assert [learning_rate(s, cosine) for s in (20, 60, 100)] == pytest.approx([1.0, 0.6, 0.2])
    stable = TrainingConfig(
        steps=100, warmup=20, learning_rate=1.0, final_fraction=0.2,
        schedule="warmup-stable-decay", cooldown=40,
    )  # fmt: skip
    rates = [learning_rate(s, stable) for s in (10, 20, 60, 80, 100)]
    assert rates == pytest.approx([0.5, 1.0, 1.0, 0.6, 0.2])
    assert learning_rate(0, TrainingConfig(warmup=0, learning_rate=1.0)) == 1.0
