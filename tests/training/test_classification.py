"""Runs of classifiers: sequences, pairs of them, images."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from tests.training.helpers import change, interrupt_and_go_on, losses
from tnnlab.data.lra import Ragged, Sequences, Task, passages
from tnnlab.models import ImageClassifier, PairClassifier, SequenceClassifier
from tnnlab.pretrained import Pretrained
from tnnlab.results import load_records
from tnnlab.training import ConfigError, RunConfig, classification, train
from tnnlab.training.classification import Classification, load_run_task
from tnnlab.training.tasks import ClassifierRun

NETWORK = {
    "depth": 1, "width": 16, "expansion": 1, "glu_width": 16, "rpe_width": 8, "rpe_depth": 1,
    "norm": "batch",
}  # fmt: skip
LISTOPS = {
    "model": {**NETWORK, "vocab_size": 16, "classes": 10},
    "data": {
        "task": "listops",
        "options": {"source": "generated", "samples": 1000, "lengths": [10, 60]},
    },
}
PAIRS = {
    "model": {**NETWORK, "vocab_size": 258, "classes": 2},
    "data": {"task": "retrieval-stand-in", "options": {"length": 30}, "length": 30},
}
PATHFINDER = {
    "model": {**NETWORK, "classes": 2, "patch": 8},
    "data": {"task": "pathfinder", "options": {"source": "generated", "samples": 100}},
}
# Of each run: its class of models, and the positions of a sample.
RUNS: dict[str, tuple[str, dict[str, Any], type[Pretrained], int]] = {
    "listops": ("classifier", {**LISTOPS, "data": {**LISTOPS["data"], "length": 64}},
                SequenceClassifier, 64),
    "pairs": ("classifier", PAIRS, PairClassifier, 2 * 30),
    "pathfinder": ("image", PATHFINDER, ImageClassifier, 32 * 32),
}  # fmt: skip


@pytest.fixture
def articles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A text from which a small task of pairs is made."""
    monkeypatch.setattr(passages, "SAMPLES", {"train": 40, "validation": 10, "test": 10})
    path = tmp_path / "articles.txt"
    path.write_text("".join(
        f" = Article {n} = \n \n " + " ".join(f"w{n}_{i}" for i in range(40)) + " \n \n"
        for n in range(300)
    ))  # fmt: skip
    return path


def make(tiny: RunConfig, kind: str, parts: dict[str, Any], **changes: Any) -> ClassifierRun:
    """A run with the updates of the tiny language model."""
    base = {
        "kind": kind, "name": "tiny", "training": tiny.to_dict()["training"],
        "evaluation": {"every": 6, "batch_size": 8},
    }  # fmt: skip
    run = change(RunConfig.from_dict({**base, **parts}), **changes)
    assert isinstance(run, ClassifierRun)
    return run


@pytest.fixture
def listops(tiny: RunConfig) -> ClassifierRun:
    return make(tiny, "classifier", LISTOPS)


@pytest.fixture(params=RUNS)
def each(request: pytest.FixtureRequest, tiny: RunConfig, articles: Path) -> tuple[Any, ...]:
    """A run of each kind, its class of models, and the positions of a sample."""
    kind, parts, model, positions = RUNS[request.param]
    run = make(tiny, kind, parts)
    if request.param == "pairs":
        run = change(run, data={"options": {"path": str(articles)}})
    return run, model, positions


class Process:
    """One of several that share a run, as far as an objective asks."""

    device = torch.device("cpu")
    main_process_first = nullcontext

    def __init__(self, process_index: int = 0, num_processes: int = 1) -> None:
        self.process_index, self.num_processes = process_index, num_processes


def test_a_run_leaves_a_model_and_a_record(each: tuple[Any, ...], tmp_path: Path) -> None:
    config, architecture, positions = each
    out = tmp_path / "run"
    record = train(config, out, command="tnnlab train tiny")

    (written,) = load_records(out)
    assert json.loads(json.dumps(record)) == {k: v for k, v in written.items() if k != "file"}
    assert record["status"] == "complete" and RunConfig.from_dict(record["config"]) == config
    assert record["tokens_seen"] == 12 * config.training.batch_size * positions
    assert [line["step"] for line in record["history"]["train"]] == list(range(1, 13))
    assert [line["step"] for line in record["history"]["validation"]] == [0, 6, 12]
    assert record["samples"] == [] and record["baseline"] is None

    task = load_run_task(config)
    assert record["data"] == {**task.provenance(), "sha256": {task.name: task.fingerprint}}
    assert not (out / "model/tokenizer.json").exists()

    model = architecture.from_pretrained(out / "model")
    assert model.num_parameters() == record["parameters"]
    for name in ("validation", "test"):
        split = task.split(name)
        batches = [split.collate([i], config.data.length) for i in range(len(split))]
        with torch.no_grad():
            scores = torch.cat([model(*batch.inputs) for batch in batches])
        labels = torch.tensor([batch.labels.item() for batch in batches])
        found = record["metrics"][name]
        assert found["samples"] == len(split)
        assert found["loss"] == pytest.approx(F.cross_entropy(scores, labels).item(), rel=1e-4)
        assert found["accuracy"] == pytest.approx((scores.argmax(-1) == labels).float().mean())
        assert found["error"] == pytest.approx(1 - found["accuracy"])


def test_a_run_goes_on_as_if_nothing_had_been(each: tuple[Any, ...], tmp_path: Path) -> None:
    config = change(each[0], model={"dropout": 0.1})
    train(config, tmp_path / "whole")
    interrupt_and_go_on(config, tmp_path / "parts")
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    one, other = (load_file(tmp_path / n / "model/model.safetensors") for n in ("whole", "parts"))
    assert all(one[name].equal(other[name]) for name in one)  # statistics of norms among them


def test_a_label_is_that_of_its_sample(
    tiny: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that takes a few steps: which of two tokens is the more frequent?"""
    rng = np.random.default_rng(0)

    def split(count: int) -> Sequences:
        rows = rng.integers(2, size=(count, 9))
        lengths = np.full(count, 9)
        return Sequences(Ragged.of_lengths(rows.ravel(), lengths), rows.sum(1) // 5, 3, 2)

    task = Task("listops", "", "", "", 2, split(200), split(50), split(50))
    monkeypatch.setattr(classification, "load_task", lambda name: task)
    config = make(
        tiny, "classifier", {"model": {**NETWORK, "vocab_size": 3, "classes": 2}},
        training={"steps": 60, "batch_size": 32, "learning_rate": 1e-2},
    )  # fmt: skip
    record = train(config, tmp_path)
    first, last = record["history"]["validation"][0], record["metrics"]["test"]
    assert first["accuracy"] < 0.8 and last["accuracy"] > 0.9 and last["loss"] < 0.4


def test_the_best_checkpoint_has_the_least_error(
    listops: ClassifierRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = iter([0.8, 0.5, 0.2, 0.2, 0.4])  # the loss says otherwise: it always falls
    measure = Classification.measure

    def marked(self: Classification, *arguments: Any) -> dict[str, float]:
        error = next(errors)
        return {**measure(self, *arguments), "loss": 10 + error, "error": error}

    monkeypatch.setattr(Classification, "measure", marked)
    config = change(
        listops,
        training={"steps": 8, "checkpoint_every": 2, "keep": 1},
        evaluation={"every": 2, "test": False},
    )
    record = train(config, tmp_path)
    assert record["best"] == {"step": 4, "error": 0.2} and "test" not in record["metrics"]
    best = json.loads((tmp_path / "checkpoints/best.json").read_text())
    assert best == {"step": 4, "error": 0.2, "folder": "step-00000004"}
    kept = sorted(path.name for path in (tmp_path / "checkpoints").glob("step-*"))
    assert kept == ["step-00000004", "step-00000008"]


def test_a_limit_counts_samples_up_to_a_whole_batch(listops: ClassifierRun, tmp_path: Path) -> None:
    config = change(listops, training={"steps": 3}, evaluation={"limit": 10, "batch_size": 4})
    record = train(config, tmp_path)
    assert [record["metrics"][name]["samples"] for name in ("validation", "test")] == [12, 12]


def test_processes_share_the_samples(listops: ClassifierRun) -> None:
    whole = Classification(listops, Process())
    parts = [Classification(listops, Process(rank, 2)) for rank in range(2)]
    # An update has the same samples, however many processes it has.
    labels = torch.cat([part.batch(3)[-1] for part in parts])
    assert labels.equal(whole.batch(3)[-1]) and len(parts[0].batch(3)[-1]) == 2
    assert whole.positions == parts[0].positions

    model = whole.make_model().train()
    all_of_it = whole.measure(model, "validation")
    shares = [part.measure(model, "validation") for part in parts]  # gathers its own share alone
    assert model.training
    assert [share["samples"] for share in shares] == [12, 8] and all_of_it["samples"] == 20
    for key in ("loss", "accuracy", "error"):
        mean = sum(share[key] * share["samples"] for share in shares) / 20
        assert mean == pytest.approx(all_of_it[key], rel=1e-5, abs=1e-7)


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("classifier", {"model": {"vocab_size": 20}},
         "model.vocab_size is 20, and the task 'listops' has 16: set model.vocab_size to 16"),
        ("classifier", {"model": {"classes": 2}},
         "model.classes is 2, and the task 'listops' has 10: set model.classes to 10"),
        ("classifier", {"data": {"options": {"smples": 3}}},
         "data: .* unexpected keyword argument 'smples'"),
        ("classifier", {"data": {"options": {"samples": 10}}}, "data: at least 50 samples.*10"),
        ("classifier", {"data": {"length": 20}},
         "data.length is 20, and the longest sequence of the task 'listops' has 60 tokens: set"),
        ("classifier", PATHFINDER, "'pathfinder' has images: the run's kind is 'image', not 'cla"),
        ("image", LISTOPS, "'listops' has tokens: its kind is 'classifier', not 'image'"),
        ("image", {"model": {"classes": 3}}, "'pathfinder' has 2: set model.classes to 2"),
        ("image", {"data": {"length": 5}}, "data.length is null for images; got 5"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_task_is_refused(
    tiny: RunConfig, tmp_path: Path, kind: str, changes: dict[str, Any], message: str
) -> None:
    config = make(tiny, kind, LISTOPS if kind == "classifier" else PATHFINDER)
    model = {key: value for key, value in changes.get("model", {}).items() if key != "patch"}
    data = changes.get("data", {})
    if data.get("task"):  # with its own options
        config.data = type(config.data)(**data)
        data = {}
    with pytest.raises(ConfigError, match=message):
        train(change(config, model=model, data=data), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_data_that_are_not_there(
    tiny: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TNNLAB_DATA", raising=False)
    config = make(tiny, "classifier", {**PAIRS, "data": {"task": "retrieval"}})
    with pytest.raises(FileNotFoundError, match="TNNLAB_DATA/aan"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_resuming_with_other_data_is_refused(
    tiny: RunConfig, articles: Path, tmp_path: Path
) -> None:
    config = change(make(tiny, "classifier", PAIRS), data={"options": {"path": str(articles)}})
    out = tmp_path / "run"
    train(config, out)
    articles.write_text(articles.read_text().replace("w", "v"))
    with pytest.raises(ConfigError, match="trained with other data: those of retrieval-stand-in"):
        train(config, out, resume=True)
    with pytest.raises(ConfigError, match=r"data\.options\.seed was None, is 1"):
        train(change(config, data={"options": {"seed": 1}}), out, resume=True)
