"""From a trained masked language model to a classifier of IMDB's reviews."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.training.helpers import change, interrupt_and_go_on, losses
from tnnlab.data.lra import text
from tnnlab.models import (
    ClassifierConfig,
    ImageClassifier,
    ImageConfig,
    MaskedLM,
    SequenceClassifier,
    TNNConfig,
)
from tnnlab.training import ConfigError, RunConfig, loop, train
from tnnlab.training.finetune import FineTuneRun
from tnnlab.training.finetuning import load_trunk
from tnnlab.training.setup import Run

SHAPE = {
    "vocab_size": 258, "depth": 1, "width": 16, "expansion": 1, "glu_width": 16, "rpe_width": 8,
    "rpe_depth": 1,
}  # fmt: skip
GOOD = [f"It was good, the {n}th time too." for n in range(30)]
BAD = [f"Bad from the first to the {n}th minute." for n in range(30)]


@pytest.fixture(autouse=True)
def imdb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sixty reviews to train on and twelve for the test, laid out as on the hub."""
    arrow = pytest.importorskip("pyarrow", reason="needs the extra 'train'")
    parquet = pytest.importorskip("pyarrow.parquet")
    folder = tmp_path / "data/imdb/plain_text"
    folder.mkdir(parents=True)
    for split, count in (("train", 30), ("test", 6)):
        table = {"text": BAD[:count] + GOOD[:count], "label": [0] * count + [1] * count}
        parquet.write_table(arrow.table(table), folder / f"{split}-00000-of-00001.parquet")
    monkeypatch.setenv("TNNLAB_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(text, "COUNTS", {"train": 60, "test": 12})
    return folder.parent


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    MaskedLM(TNNConfig(**SHAPE, dropout=0.3)).save_pretrained(tmp_path / "trained")
    return tmp_path / "trained"


@pytest.fixture
def finetune(tiny: RunConfig, trained: Path) -> FineTuneRun:
    run = RunConfig.from_dict({
        "kind": "finetune",
        "name": "tiny",
        "model": {**SHAPE, "classes": 2},
        "data": {"task": "text", "options": {"length": 24, "held_out": 10}, "length": 24},
        "training": tiny.to_dict()["training"] | {"steps": 30, "learning_rate": 1e-2},
        "evaluation": {"every": 15, "batch_size": 8},
        "init": str(trained),
    })  # fmt: skip
    assert isinstance(run, FineTuneRun)
    return run


def test_a_run_begins_with_the_trunk_and_ends_with_a_test_accuracy(
    finetune: FineTuneRun, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begins: list[dict[str, Any]] = []
    look = loop.look

    def seen(run: Run) -> float:
        if run.at.step == 0:
            begins.append({k: v.clone() for k, v in run.network.state_dict().items()})
        return look(run)

    monkeypatch.setattr(loop, "look", seen)
    record = train(finetune, tmp_path / "run")
    ours, theirs = begins[0], load_file(trained / "model.safetensors")
    assert set(ours) - set(theirs) == {"head.weight", "head.bias"}
    assert set(theirs) - set(ours) == {"dense.weight", "dense.bias", "bias"} | {
        name for name in theirs if name.startswith("dense_norm.")
    }
    assert all(torch.equal(ours[name], theirs[name]) for name in set(ours) & set(theirs))

    assert record["status"] == "complete" and RunConfig.from_dict(record["config"]) == finetune
    assert record["metrics"]["test"]["samples"] == 12
    first, last = record["history"]["validation"][0], record["metrics"]["validation"]
    assert last["loss"] < first["loss"] and last["samples"] == 10
    assert len(record["data"]["init_sha256"]) == 64
    assert str(tmp_path) not in json.dumps(record["data"])

    after = SequenceClassifier.from_pretrained(tmp_path / "run/model").state_dict()
    moved = [name for name in set(after) & set(theirs) if not torch.equal(after[name], ours[name])]
    assert "embedding.weight" in moved and any(name.startswith("blocks.") for name in moved)


def test_random_weights_are_the_comparison(finetune: FineTuneRun, tmp_path: Path) -> None:
    record = train(change(finetune, init=None), tmp_path / "run")
    assert "init_sha256" not in record["data"]
    with_init = train(finetune, tmp_path / "with")
    assert record["parameters"] == with_init["parameters"]
    assert record["data"]["fingerprint"] == with_init["data"]["fingerprint"]
    one, other = (r["history"]["validation"][0]["loss"] for r in (record, with_init))
    assert one != other


def test_a_run_goes_on_as_if_nothing_had_been(finetune: FineTuneRun, tmp_path: Path) -> None:
    config = change(finetune, training={"steps": 12}, evaluation={"every": 6})
    train(config, tmp_path / "whole")
    interrupt_and_go_on(config, tmp_path / "parts")
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    with pytest.raises(ConfigError, match=r"init was .*, is None"):
        train(change(config, init=None), tmp_path / "parts", resume=True)


def classifier(**changes: Any) -> SequenceClassifier:
    return SequenceClassifier(ClassifierConfig(**{**SHAPE, **changes}, classes=2))


@pytest.mark.parametrize("operator", ["tno", "fd", "ski", "rtf", "s4d", "attention"])
@pytest.mark.parametrize("norm", ["rms", "layer", "batch"])
def test_features_are_those_of_the_trained_model(operator: str, norm: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    shape = {**SHAPE, "operator": operator, "norm": norm, "dropout": 0.0}
    trained, model = MaskedLM(TNNConfig(**shape)), classifier(**shape)
    tokens = torch.randint(258, (3, 20))
    trained(tokens)  # moves the averages of a batch norm
    trained.eval().save_pretrained(tmp_path / "of")
    head = {k: v.clone() for k, v in model.state_dict().items() if k.startswith("head.")}
    before = model.eval().features(tokens)
    load_trunk(model, tmp_path / "of")
    assert torch.equal(model.features(tokens), trained.features(tokens))
    assert not torch.equal(model.features(tokens), before)
    assert head and all(torch.equal(model.state_dict()[k], v) for k, v in head.items())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depth": 2}, "model.depth is 2, and the model in .* has 1: set model.depth to 1"),
        ({"operator": "fd"}, "model.operator is 'fd', and .* set model.operator to 'tno'"),
        ({"decay": 0.9}, "model.decay is 0.9"),
        ({"vocab_size": 300}, "set model.vocab_size to 258"),
    ],
)
def test_another_network_is_refused(trained: Path, changes: dict[str, Any], message: str) -> None:
    model = classifier(**changes)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ConfigError, match=message):
        load_trunk(model, trained)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())


def test_another_folder_is_refused(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"init: .*absent holds no config\.json"):
        load_trunk(classifier(), tmp_path / "absent")
    classifier().save_pretrained(tmp_path / "other")
    with pytest.raises(ConfigError, match=r"holds a SequenceClassifier, not a MaskedLM"):
        load_trunk(classifier(), tmp_path / "other")
    with pytest.raises(ConfigError, match=r"model\.vocab_size is 1"):
        load_trunk(ImageClassifier(ImageConfig(classes=2)), trained)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"causal": True}}, "model.causal is true with an init"),
        ({"model": {"sinusoids": True}}, "model.sinusoids is true with an init"),
        ({"model": {"depth": 2}}, "set model.depth to 1"),
        ({"init": "absent"}, "init: absent holds no config.json"),
        ({"data": {"length": 20}}, "set data.length to 24 or more"),
        ({"data": {"options": {"tokenizer": "byte"}}}, "data: .*'byte'"),
    ],
)
def test_nothing_is_written_before_all_is_checked(
    finetune: FineTuneRun, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        train(change(finetune, **changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_without_imdb_it_is_said_where_to_get_it(
    finetune: FineTuneRun, imdb: Path, tmp_path: Path
) -> None:
    for file in (imdb / "plain_text").iterdir():
        file.unlink()
    with pytest.raises(FileNotFoundError, match=r"copy the parquet files of .*stanfordnlp/imdb"):
        train(finetune, tmp_path / "run")
    assert not (tmp_path / "run").exists()
