"""Several processes, as under torchrun, and batch norm, of which each has running averages."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from accelerate import PartialState

from tests.training.helpers import PROCESSES, together
from tnnlab.models import ImageClassifier
from tnnlab.norms import BatchNorm
from tnnlab.results import load_records
from tnnlab.training import RunConfig, read_recipe, train
from tnnlab.training.classification import load_run_task
from tnnlab.training.devices import share_buffers

pytestmark = pytest.mark.timeout(120)  # processes that wait for each other wait for ever


def whole_run(config: RunConfig, out: Path) -> None:
    train(config, out, progress_bar=False)


def test_a_run_reports_what_its_saved_model_does(tmp_path: Path) -> None:
    samples = 60
    changes: dict[str, Any] = {
        "data": {"options": {"source": "generated", "samples": samples}},
        "training": {"steps": 6, "batch_size": 4, "warmup": 2, "log_every": 2},
        # One batch holds all that is held out: the second process has none to evaluate.
        "evaluation": {"every": 3, "batch_size": samples},
    }
    config = read_recipe("lra-pathfinder", preset="smoke", overrides=changes)
    task = load_run_task(config)  # drawn once, for both processes
    together(whole_run, config, tmp_path / "run")

    (record,) = load_records(tmp_path / "run")
    assert record["status"] == "complete"
    assert record["provenance"]["hardware"]["processes"] == PROCESSES
    model = ImageClassifier.from_pretrained(tmp_path / "run/model")
    for name in ("validation", "test"):
        split = task.split(name)
        batch = split.collate([*range(len(split))], config.data.length)
        with torch.no_grad():
            loss = F.cross_entropy(model(*batch.inputs), batch.labels)
        assert record["metrics"][name]["samples"] == len(split)
        assert record["metrics"][name]["loss"] == pytest.approx(loss.item(), rel=1e-4)


def buffers_before_and_after() -> None:
    processes = PartialState(cpu=True)
    norm = BatchNorm(3)
    norm.running_mean += processes.process_index
    share_buffers(norm, processes)
    assert norm.running_mean.tolist() == [0, 0, 0] and norm.running_var.tolist() == [1, 1, 1]


def test_buffers_become_those_of_the_first_process() -> None:
    together(buffers_before_and_after)
