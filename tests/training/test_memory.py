"""Runs of Copying and Delay: what they measure, and that the past is what they learn."""

import json
import math
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from tests.training.helpers import change, interrupt_and_go_on, losses
from tnnlab.data.synthetic import IGNORED, Copying, Delay
from tnnlab.models import CausalLM, CausalRegressor
from tnnlab.pretrained import Pretrained
from tnnlab.results import load_records
from tnnlab.training import ConfigError, RunConfig, read_recipe, train
from tnnlab.training.memory import HELD_OUT, MemoryRun
from tnnlab.training.recall import CopyingRecall, DelayRecall, Recall, make_recall

RTF = {"operator": "rtf", "operator_options": {"order": 8, "length": 32, "init": "montel"}}
COPYING = {
    "model": {
        **RTF, "vocab_size": 6, "depth": 1, "width": 16, "expansion": 1, "glu_width": 0,
        "mixer": "s4", "norm": "layer", "dropout": 0.0,
    },
    "data": {"task": "copying", "options": {"symbols": 5, "blanks": 2, "vocab_size": 6}},
}  # fmt: skip
DELAY = {
    "model": {
        **RTF, "vocab_size": 1, "depth": 1, "width": 4, "expansion": 1, "glu_width": 0,
        "mixer": "linear", "norm": "none", "dropout": 0.0,
    },
    "data": {"task": "delay", "options": {"length": 24, "lag": 5}},
}  # fmt: skip
TASKS = {"copying": (COPYING, CausalLM, 12), "delay": (DELAY, CausalRegressor, 24)}


def make(tiny: RunConfig, parts: dict[str, Any], **changes: Any) -> MemoryRun:
    """A run with the updates of the tiny language model."""
    base = {
        "kind": "memory", "name": "tiny", "training": tiny.to_dict()["training"],
        "evaluation": {"every": 6, "samples": 20, "batch_size": 8},
    }  # fmt: skip
    run = change(RunConfig.from_dict({**base, **parts}), **changes)
    assert isinstance(run, MemoryRun)
    return run


@pytest.fixture(params=TASKS)
def each(request: pytest.FixtureRequest, tiny: RunConfig) -> tuple[MemoryRun, Any, int]:
    """A run of each task, its class of models, and the positions of a sample."""
    parts, model, length = TASKS[request.param]
    return make(tiny, parts), model, length


class Process:
    """One of several that share a run, as far as an objective asks."""

    device = torch.device("cpu")
    main_process_first = nullcontext

    def __init__(self, process_index: int = 0, num_processes: int = 1) -> None:
        self.process_index, self.num_processes = process_index, num_processes


def expected(config: MemoryRun, model: nn.Module, split: str) -> dict[str, float]:
    """The measures of a split, position by position."""
    samples = config.evaluation.samples
    inputs, targets = config.data.make(batch_size=samples, seed=HELD_OUT[split]).batch(0)
    with torch.no_grad():
        outputs = model(inputs).double()
    if config.data.task == "copying":
        nats, right, count = 0.0, 0, 0
        for scores, target in zip(outputs.flatten(0, 1), targets.flatten(), strict=True):
            if target != IGNORED:
                nats -= scores.log_softmax(0)[target].item()
                right += int(scores.argmax() == target)
                count += 1
        accuracy = right / count
        found = {"loss": nats / count, "accuracy": accuracy, "error": 1 - accuracy}
        return {**found, "symbols": count}
    square = ((outputs - targets) ** 2).mean().item()
    size = (targets.double() ** 2).mean().item()
    return {"loss": square, "rmse": square**0.5, "relative_rmse": (square / size) ** 0.5}


def test_a_run_leaves_a_model_and_a_record(each: tuple[Any, ...], tmp_path: Path) -> None:
    config, architecture, length = each
    out = tmp_path / "run"
    record = train(config, out, command="tnnlab train tiny")

    (written,) = load_records(out)
    assert json.loads(json.dumps(record)) == {k: v for k, v in written.items() if k != "file"}
    assert record["status"] == "complete" and RunConfig.from_dict(record["config"]) == config
    assert record["tokens_seen"] == 12 * config.training.batch_size * length
    assert [line["step"] for line in record["history"]["train"]] == list(range(1, 13))
    assert [line["step"] for line in record["history"]["validation"]] == [0, 6, 12]
    data = record["data"]
    assert (data["task"], data["length"]) == (config.data.task, length)
    assert config.data.options.items() <= data.items() and set(data["sha256"]) == {
        "train", "validation", "test",
    }  # fmt: skip

    model = architecture.from_pretrained(out / "model")
    assert model.num_parameters() == record["parameters"]
    for split in ("validation", "test"):
        found = record["metrics"][split]
        values = expected(config, model, split)
        assert {k: found[k] for k in values} == pytest.approx(values, rel=1e-4, abs=1e-6)
    assert record["metrics"]["test"]["loss"] != record["metrics"]["validation"]["loss"]


def test_a_run_goes_on_as_if_nothing_had_been(each: tuple[Any, ...], tmp_path: Path) -> None:
    config = change(each[0], model={"dropout": 0.1})
    train(config, tmp_path / "whole")
    interrupt_and_go_on(config, tmp_path / "parts")
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    one, other = (load_file(tmp_path / n / "model/model.safetensors") for n in ("whole", "parts"))
    assert all(one[name].equal(other[name]) for name in one)


def test_resuming_another_task_is_refused(tiny: RunConfig, tmp_path: Path) -> None:
    config = make(tiny, DELAY, training={"steps": 4})
    train(config, tmp_path)
    with pytest.raises(ConfigError, match=r"data\.options\.lag was 5, is 6"):
        train(change(config, data={"options": {"lag": 6}}), tmp_path, resume=True)


def test_the_past_is_learned(tiny: RunConfig, tmp_path: Path) -> None:
    """An order of 8 holds 7 positions back exactly, and 5: far beyond a guess and beyond zero."""
    many = {"steps": 300, "batch_size": 32, "learning_rate": 1e-2, "kernel_learning_rate": 1e-2,
            "weight_decay": 0.0, "checkpoint_every": 300, "log_every": 100}  # fmt: skip
    for parts in (COPYING, DELAY):
        config = make(tiny, parts, training=many, evaluation={"every": 300})
        record = train(config, tmp_path / str(parts["data"]["task"]))
        found, guess = record["metrics"]["test"], record["baseline"]
        if parts is COPYING:
            assert guess["accuracy"] == 0.25 and guess["loss"] == pytest.approx(math.log(4))
            assert found["accuracy"] > 0.9
        else:
            assert guess["relative_rmse"] == 1 and guess["rmse"] > 0.3
            assert found["relative_rmse"] < 0.2
        assert record["best"]["step"] == 300 and found["loss"] < 0.5 * guess["loss"]


@pytest.mark.parametrize("parts", [COPYING, DELAY], ids=["copying", "delay"])
def test_the_loss_is_that_of_what_is_asked_for(tiny: RunConfig, parts: dict[str, Any]) -> None:
    """Value and gradient in the outputs, against sums over positions."""
    objective = make_recall(make(tiny, parts), Process())
    inputs, targets = objective.batch(0)
    classes = 6 if parts is COPYING else 1
    outputs = torch.randn(*inputs.shape[:2], classes, dtype=torch.float64).float()
    outputs.requires_grad_()
    loss = objective.loss(lambda _: outputs, (inputs, targets))  # type: ignore[arg-type]
    (gradient,) = torch.autograd.grad(loss, outputs)
    if parts is COPYING:
        asked = (targets != IGNORED).nonzero().tolist()
        terms = [-outputs[b, i].log_softmax(0)[targets[b, i]] for b, i in asked]
        assert len(asked) == 4 * 5
        assert gradient[targets == IGNORED].count_nonzero() == 0
    else:
        terms = list((outputs - targets).square().flatten())
    naive = torch.stack(terms).mean()
    torch.testing.assert_close(loss, naive)
    torch.testing.assert_close(gradient, torch.autograd.grad(naive, outputs)[0])


class Shift(nn.Module):
    """The exact answer by hand: what stood some positions before."""

    def __init__(self, lag: int, classes: int) -> None:
        super().__init__()
        self.lag, self.classes = lag, classes

    def forward(self, inputs: Tensor) -> Tensor:
        past = torch.zeros_like(inputs)
        past[:, self.lag :] = inputs[:, : -self.lag]
        return nn.functional.one_hot(past, self.classes) * 50.0 if self.classes else past


def test_a_shift_is_the_whole_answer(tiny: RunConfig) -> None:
    copying, delay = (make_recall(make(tiny, parts), Process()) for parts in (COPYING, DELAY))
    found = copying.measure(Shift(7, 6), "test")  # the symbols and the blanks between
    assert found["error"] == 0 and found["loss"] < 1e-6 and found["symbols"] == 20 * 5
    assert delay.measure(Shift(5, 0), "test") == {"loss": 0, "rmse": 0, "relative_rmse": 0}
    assert delay.measure(Shift(4, 0), "test")["relative_rmse"] > 0.3
    assert copying.measure(Shift(6, 6), "test")["accuracy"] < 0.5


@pytest.mark.parametrize("parts", [COPYING, DELAY], ids=["copying", "delay"])
def test_an_update_has_the_same_samples_however_it_is_shared(
    tiny: RunConfig, parts: dict[str, Any]
) -> None:
    (whole,) = batches_of(make(tiny, parts), update=3)
    assert whole[0].shape[0] == 4
    halves = batches_of(make(tiny, parts, training={"accumulate": 2}), update=3)
    assert len(halves) == 2
    for place, tensor in enumerate(whole):
        assert torch.cat([half[place] for half in halves]).equal(tensor)
    config = make(tiny, parts)
    ranks = [make_recall(config, Process(rank, 2)).batch(3) for rank in range(2)]
    for place, tensor in enumerate(whole):
        assert torch.cat([rank[place] for rank in ranks]).equal(tensor)


def batches_of(config: MemoryRun, update: int) -> list[tuple[Tensor, ...]]:
    objective, count = make_recall(config, Process()), config.training.accumulate
    return [objective.batch(update * count + micro) for micro in range(count)]


def test_evaluation_is_on_other_samples_that_are_the_same_in_all_runs(tiny: RunConfig) -> None:
    one = make_recall(make(tiny, COPYING), Process())
    other = make_recall(make(tiny, COPYING, seed=7), Process())
    assert one.checksums["train"] != other.checksums["train"]
    assert one.checksums["test"] == other.checksums["test"] != one.checksums["validation"]
    assert not one.held_out["validation"][0][:4].equal(one.batch(0)[0])
    # Nor does the size of a batch matter.
    model = one.make_model()
    single = make_recall(make(tiny, COPYING, evaluation={"batch_size": 1}), Process())
    whole, split = (o.measure(model, "test") for o in (one, single))
    assert whole == pytest.approx(split, rel=1e-5)


def test_processes_share_the_samples(tiny: RunConfig) -> None:
    whole = make_recall(make(tiny, COPYING), Process())
    parts = [make_recall(make(tiny, COPYING), Process(rank, 2)) for rank in range(2)]
    model = whole.make_model().train()
    all_of_it = whole.measure(model, "validation")
    shares = [part.measure(model, "validation") for part in parts]  # gathers its own share alone
    assert model.training and [share["symbols"] for share in shares] == [60, 40]
    mean = sum(share["accuracy"] * share["symbols"] for share in shares) / 100
    assert all_of_it["accuracy"] == pytest.approx(mean)


def test_each_task_has_its_objective(tiny: RunConfig) -> None:
    made: dict[str, tuple[type[Recall], type[Pretrained], type]] = {
        "copying": (CopyingRecall, CausalLM, Copying),
        "delay": (DelayRecall, CausalRegressor, Delay),
    }
    for name, (objective, model, task) in made.items():
        found = make_recall(make(tiny, TASKS[name][0]), Process())
        assert type(found) is objective and type(found.task) is task
        assert type(found.make_model()) is model


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"task": "copy"}}, "data.task cannot be 'copy': did you mean copying"),
        ({"data": {"options": {"symbol": 3}}}, "data.options: .*unexpected keyword.*'symbol'"),
        ({"data": {"options": {"symbols": 0}}}, "data.options: .*symbols"),
        ({"data": {"options": {"symbols": "many"}}}, "data.options: "),
        ({"data": {"options": {"seed": 1}}}, "data.options: .*'seed'"),
        ({"model": {"vocab_size": 9}}, "model.vocab_size is 9, and the task 'copying' has 6: set"),
        ({"model": {"norm": "batch"}}, "model.norm is 'batch'.*take 'rms', 'layer' or 'none'"),
        ({"seed": 2**31}, "seed is 2147483648; it is below 2147483648"),
        ({"evaluation": {"samples": 0}}, "evaluation.samples is 0; it is at least 1"),
        ({"evaluation": {"limit": 3}}, "unknown key evaluation.limit"),
    ],
)
def test_what_cannot_work_is_refused(
    tiny: RunConfig, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        make(tiny, COPYING, **changes)


def test_a_signal_has_no_vocabulary(tiny: RunConfig) -> None:
    with pytest.raises(ConfigError, match=r"model\.vocab_size is 6, and the task 'delay' has 1"):
        make(tiny, DELAY, model={"vocab_size": 6})


def test_the_published_settings() -> None:
    copying, delay = (read_recipe(name) for name in ("memory-copying", "memory-delay"))
    assert isinstance(copying, MemoryRun) and isinstance(delay, MemoryRun)
    task = copying.data.make(batch_size=1, seed=0)
    assert isinstance(task, Copying) and (task.symbols, task.blanks) == (1024, 0)
    assert (copying.model.depth, copying.model.width, copying.training.batch_size) == (4, 64, 8)
    options = copying.model.operator_options
    assert (options["order"], options["init"], options["length"]) == (64, "montel", 2048)
    assert copying.training.steps * copying.training.batch_size == 50 * 10_000
    task = delay.data.make(batch_size=1, seed=0)
    assert isinstance(task, Delay) and (task.length, task.lag) == (4000, 1000)
    assert (delay.model.mixer, delay.model.norm, delay.model.glu_width) == ("linear", "none", 0)
    assert delay.training.steps * delay.training.batch_size == 20 * 16_384
