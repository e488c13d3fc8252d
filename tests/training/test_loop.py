import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.helpers import change, losses
from tnnlab.data import TokenArray, load_corpus, load_tokenizer, load_tokenizer_from, tokenize
from tnnlab.models import CausalLM
from tnnlab.results import load_records
from tnnlab.training import (
    ConfigError,
    Interrupted,
    NonFiniteLoss,
    RunConfig,
    learning_rate,
    loop,
    read_metrics,
    train,
)
from tnnlab.training.evaluation import HeldOut, evaluate
from tnnlab.training.setup import Run


class Alone:
    """The one process of a run, as far as an evaluation asks."""

    num_processes, process_index, device = 1, 0, torch.device("cpu")


def kinds(out: Path, kind: str) -> list[dict[str, Any]]:
    return [line for line in read_metrics(out) if line["kind"] == kind]


def test_a_run_learns_and_leaves_a_model_and_a_record(tiny: RunConfig, tmp_path: Path) -> None:
    out = tmp_path / "run"
    config = change(tiny, evaluation={"test": True, "baseline": True}, training={"steps": 30})
    record = train(config, out, command="tnnlab train tiny")

    (written,) = load_records(out)
    assert json.loads(json.dumps(record)) == {k: v for k, v in written.items() if k != "file"}
    assert (record["status"], record["precision"]) == ("complete", "fp32")
    assert RunConfig.from_dict(record["config"]) == config
    assert record["tokens_seen"] == 30 * 4 * 32 == 30 * tiny.training.batch_size * 32
    assert record["peak_memory_bytes"] > 0 and record["tokens_per_s"] > 0
    assert record["wall_time_s"] > record["training_time_s"] > 0
    assert set(record["data"]["sha256"]) == {"train", "validation", "test"}
    history = record["history"]
    assert [line["step"] for line in history["train"]] == list(range(1, 31))
    assert [line["step"] for line in history["validation"]] == [0, 6, 12, 18, 24, 30]
    for line in history["train"]:
        assert line["learning_rate"] == learning_rate(line["step"] - 1, config.training)
        assert line["tokens"] == line["step"] * 128
    first, last = history["validation"][0], record["metrics"]["validation"]
    assert last["loss_per_token"] < first["loss_per_token"] - 0.5
    assert last == history["validation"][-1]
    assert 0 < record["baseline"]["loss_per_token"] < np.log(257)
    assert len(record["samples"]) == 6
    assert all(line["text"].startswith("Line") for line in record["samples"])
    assert any((out / "tensorboard").iterdir())

    model = CausalLM.from_pretrained(out / "model")
    assert load_tokenizer_from(out / "model").vocab_size == model.config.vocab_size
    assert model.num_parameters() == record["parameters"]


def test_a_folder_in_use_is_left_alone(tiny: RunConfig, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("!")
    with pytest.raises(ConfigError, match="add --resume to go on with the run in it, or name"):
        train(tiny, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"vocab_size": 300}}, "set model.vocab_size to 257"),
        ({"data": {"length": 100_000}}, "data.length: one window of length 100000"),
        ({"training": {"precision": "fp16"}}, "needs a GPU"),
    ],
)
def test_nothing_is_written_before_all_is_checked(
    tiny: RunConfig, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU, which can do all of this")
    with pytest.raises(ConfigError, match=message):
        train(change(tiny, **changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_micro_batches_make_the_same_update(tiny: RunConfig, tmp_path: Path) -> None:
    whole = change(tiny, model={"dropout": 0.0})
    parts = change(whole, training={"accumulate": 4})
    train(whole, tmp_path / "whole")
    train(parts, tmp_path / "parts")
    for one, other in zip(
        kinds(tmp_path / "whole", "train"), kinds(tmp_path / "parts", "train"), strict=True
    ):
        assert one["loss"] == pytest.approx(other["loss"], abs=1e-4)
        assert one["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-3)


def test_two_runs_in_one_process_may_differ_in_precision(tiny: RunConfig, tmp_path: Path) -> None:
    train(change(tiny, training={"steps": 3}), tmp_path / "a")
    record = train(change(tiny, training={"steps": 3, "precision": "bf16"}), tmp_path / "b")
    assert record["precision"] == "bf16"
    one, other = (kinds(tmp_path / name, "train")[-1]["loss"] for name in "ab")
    assert one != other and one == pytest.approx(other, abs=0.1)


def test_looking_more_often_changes_nothing(tiny: RunConfig, tmp_path: Path) -> None:
    train(tiny, tmp_path / "a")
    train(change(tiny, evaluation={"every": 1, "samples": 3}), tmp_path / "b")
    assert [line["loss"] for line in kinds(tmp_path / "a", "train")] == [
        line["loss"] for line in kinds(tmp_path / "b", "train")
    ]


def test_reports_are_means_over_their_steps(tiny: RunConfig, tmp_path: Path) -> None:
    train(tiny, tmp_path / "a")
    train(change(tiny, training={"log_every": 5}), tmp_path / "b")
    each = [line["loss"] for line in kinds(tmp_path / "a", "train")]
    means = [(line["step"], line["loss"]) for line in kinds(tmp_path / "b", "train")]
    assert [step for step, _ in means] == [5, 10, 12]
    assert means[0][1] == pytest.approx(np.mean(each[:5]))
    assert means[2][1] == pytest.approx(np.mean(each[10:]))


def test_evaluation_is_the_mean_over_all_targets(tiny: RunConfig, tmp_path: Path) -> None:
    corpus, tokenizer = load_corpus("text", tiny.data.path), load_tokenizer("bytes")
    split: TokenArray = tokenize(corpus, tokenizer, "validation")
    model = CausalLM(tiny.model).train()
    held_out = HeldOut.of(split, corpus, tokenizer, 40)
    text = tokenizer.decode(split.tokens[:40])
    assert (held_out.words, held_out.bytes) == (len(text.split()), 40)
    found = evaluate(model, held_out, length=64, batch_size=2, accelerator=Alone())
    assert model.training and found["tokens"] == 39
    tokens = torch.from_numpy(split.tokens[:40].astype(np.int64))[None]
    with torch.no_grad():
        chances = model.eval()(tokens)[0, :-1].log_softmax(-1)
    nats = -chances[torch.arange(39), tokens[0, 1:]].sum().item()
    assert found["loss_per_token"] == pytest.approx(nats / 39, rel=1e-5)
    assert found["bits_per_byte"] == pytest.approx(nats / np.log(2) / 40, rel=1e-5)


def test_a_non_finite_loss_stops_the_run(
    tiny: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = loop.update

    def spoiled(run: Run) -> None:
        if run.at.step == 6:
            with torch.no_grad():
                run.network.embedding.weight.fill_(float("nan"))
        update(run)

    monkeypatch.setattr(loop, "update", spoiled)
    rate = learning_rate(6, tiny.training)
    # Reports every 5 steps: the bad step is found late, and named all the same.
    config = change(tiny, training={"log_every": 5})
    with pytest.raises(
        NonFiniteLoss, match=rf"step 7 is nan \(learning rate {rate:.3g}, gradient norm nan\)"
    ) as stopped:
        train(config, tmp_path / "run")
    assert "step-00000004" in str(stopped.value)
    checkpoints = [path.name for path in (tmp_path / "run/checkpoints").glob("step-*")]
    assert checkpoints == ["step-00000004"]
    kept = CausalLM.from_pretrained(tmp_path / "run/checkpoints/step-00000004/model")
    assert all(parameter.isfinite().all() for parameter in kept.parameters())
    (record,) = load_records(tmp_path / "run")
    assert record["status"].startswith("stopped: the loss of step 7 is nan")
    assert not (tmp_path / "run/model").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_the_run_goes_on_as_if_nothing_had_been(
    tiny: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    config = change(tiny, training={"log_every": 4})
    train(config, tmp_path / "whole")
    update = loop.update

    def interrupted(run: Run) -> None:
        if run.at.step == 5:
            os.kill(os.getpid(), number)
        update(run)

    handler = signal.getsignal(number)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "update", interrupted)
        with pytest.raises(Interrupted, match=r"after step 6 of 12, which is saved.*\n.*--resume"):
            train(config, tmp_path / "parts", command="tnnlab train tiny")
    assert signal.getsignal(number) == handler
    train(config, tmp_path / "parts", resume=True)
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")


def test_resuming_a_finished_run_changes_nothing(tiny: RunConfig, tmp_path: Path) -> None:
    first = train(tiny, tmp_path)
    before = losses(tmp_path)
    again = train(tiny, tmp_path, resume=True)
    assert losses(tmp_path) == before
    assert again["metrics"] == first["metrics"] and again["started"] == first["started"]


def test_resuming_with_other_settings_is_refused(tiny: RunConfig, tmp_path: Path) -> None:
    train(tiny, tmp_path)
    other = change(tiny, model={"depth": 2}, seed=1, title="new", evaluation={"every": 3})
    with pytest.raises(ConfigError) as refused:
        train(other, tmp_path, resume=True)
    assert "seed was 0, is 1; model.depth was 1, is 2)" in str(refused.value)
    assert "title" not in str(refused.value) and "every" not in str(refused.value)


def test_a_run_can_be_prolonged_where_its_schedule_allows(tiny: RunConfig, tmp_path: Path) -> None:
    short = change(tiny, training={"schedule": "inverse-square-root"})
    train(change(short, training={"steps": 16}), tmp_path / "whole")
    train(short, tmp_path / "parts")
    train(change(short, training={"steps": 16}), tmp_path / "parts", resume=True)
    whole, parts = (kinds(tmp_path / name, "train") for name in ("whole", "parts"))
    assert [line["loss"] for line in whole] == [line["loss"] for line in parts]


def test_resuming_with_other_text_is_refused(tiny: RunConfig, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text(Path(str(tiny.data.path)).read_text())
    config = change(tiny, data={"path": str(text)})
    train(config, tmp_path / "run")
    text.write_text(text.read_text() + " And more of it.")
    with pytest.raises(ConfigError, match="trained with other data: those of train"):
        train(config, tmp_path / "run", resume=True)


RTF = {"operator": "rtf", "operator_options": {"order": 4, "length": 32, "init": "montel"}}


@pytest.mark.parametrize(
    ("rate", "kernel_rate", "scale"), [(3e-3, 3e-4, 0.1), (3e-3, None, 1 / 3), (5e-4, None, 1.0)]
)
def test_state_spaces_have_a_learning_rate_of_their_own(
    tiny: RunConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rate: float,
    kernel_rate: float | None,
    scale: float,
) -> None:
    config = change(
        tiny, model=RTF, training={"learning_rate": rate, "kernel_learning_rate": kernel_rate}
    )
    update = loop.update
    found: list[int] = []

    def watched(run: Run) -> None:
        step = run.at.step
        if step == 6 and len(found) == 6:
            raise KeyboardInterrupt  # once: the checkpoint of step 4 is the newest
        update(run)
        peak = learning_rate(step, config.training)
        kernels = {id(p) for block in run.network.blocks for p in block.gtu.operator.parameters()}
        for group in run.optimizer.param_groups:
            is_kernel = {id(p) for p in group["params"]} == kernels
            assert group["lr"] == pytest.approx(peak * (scale if is_kernel else 1.0), rel=1e-12)
            assert group["weight_decay"] == 0.0 or not is_kernel
            if is_kernel:
                found.append(step)

    monkeypatch.setattr(loop, "update", watched)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path)
    train(config, tmp_path, resume=True)
    assert found == [*range(6), *range(4, 12)]


def test_the_kernels_rate_moves_the_kernels_alone(tiny: RunConfig, tmp_path: Path) -> None:
    config = change(tiny, model=RTF, training={"steps": 3, "kernel_learning_rate": 1e-12})
    train(config, tmp_path)
    torch.manual_seed(config.seed)
    first = dict(CausalLM(config.model).named_parameters())
    last = dict(CausalLM.from_pretrained(tmp_path / "model").named_parameters())
    moved = {name for name in first if not torch.allclose(first[name], last[name], atol=1e-9)}
    assert moved == {name for name in first if ".gtu.operator." not in name}


def test_other_lengths_are_measured_at_the_end(tiny: RunConfig, tmp_path: Path) -> None:
    config = change(tiny, training={"steps": 4}, evaluation={"lengths": [32, 16, 100]})
    record = train(config, tmp_path)
    rows = record["history"]["length"]
    assert [(row["step"], row["length"]) for row in rows] == [(4, 32), (4, 16), (4, 100)]
    assert "length" not in record["metrics"]
    corpus, tokenizer = load_corpus("text", tiny.data.path), load_tokenizer("bytes")
    held_out = HeldOut.of(tokenize(corpus, tokenizer, "validation"), corpus, tokenizer, 500)
    model = CausalLM.from_pretrained(tmp_path / "model")
    for row in rows:
        options: Any = {"length": row["length"], "batch_size": 3, "accelerator": Alone()}
        expected = evaluate(model, held_out, **options)
        assert row["loss_per_token"] == pytest.approx(expected["loss_per_token"], rel=1e-5)
        assert row["tokens"] == 499
    assert rows[0]["loss_per_token"] == record["metrics"]["validation"]["loss_per_token"]
    assert (
        "length" not in train(change(config, evaluation={"lengths": []}), tmp_path / "b")["history"]
    )


@pytest.mark.parametrize(
    ("given", "modes"), [(False, []), (True, [None]), ("reduce-overhead", ["reduce-overhead"])]
)
def test_a_model_is_compiled_as_asked(
    given: bool | str,
    modes: list[str | None],
    tiny: RunConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str | None] = []
    monkeypatch.setattr(CausalLM, "compile", lambda self, *, mode: asked.append(mode))
    train(change(tiny, training={"compile": given}), tmp_path)
    assert asked == modes


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore")  # deprecations inside torch's compiler
@pytest.mark.parametrize("how", [True, "reduce-overhead"])
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_on_a_gpu(
    tiny: RunConfig, tmp_path: Path, precision: str, how: bool | str
) -> None:
    config = change(tiny, training={"precision": precision, "compile": how})
    record = train(config, tmp_path)
    assert record["provenance"]["hardware"]["type"] == "cuda"
    assert record["precision"] == precision and record["peak_memory_bytes"] > 0
    train(config, tmp_path, resume=True)
