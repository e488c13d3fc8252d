"""Runs of masked language models: what is hidden, what is measured, and that they go on."""

import json
import math
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.training.helpers import change, interrupt_and_go_on, losses
from tnnlab.data import load_tokenizer, load_tokenizer_from
from tnnlab.models import MaskedLM
from tnnlab.training import ConfigError, RunConfig, train
from tnnlab.training.evaluation import HeldOut
from tnnlab.training.gaps import MaskedLanguageModelling, with_guesses
from tnnlab.training.masked import MaskedRun

END, MASK = 256, 257


class Process:
    """One of several that share a run, as far as an objective asks."""

    device = torch.device("cpu")
    main_process_first = nullcontext

    def __init__(self, process_index: int = 0, num_processes: int = 1) -> None:
        self.process_index, self.num_processes = process_index, num_processes


@pytest.fixture
def masked(tiny: RunConfig) -> MaskedRun:
    values = tiny.to_dict() | {"kind": "masked", "evaluation": {"every": 6, "batch_size": 4}}
    run = change(RunConfig.from_dict(values), model={"vocab_size": 258})
    assert isinstance(run, MaskedRun)
    return run


def objective(config: RunConfig, *process: int) -> MaskedLanguageModelling:
    assert isinstance(config, MaskedRun)
    return MaskedLanguageModelling(config, Process(*process))


def same(one: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_run_learns_and_leaves_a_model_and_a_record(masked: MaskedRun, tmp_path: Path) -> None:
    out = tmp_path / "run"
    config = change(
        masked, model={"dropout": 0.0}, training={"steps": 30}, evaluation={"test": True}
    )
    record = train(config, out, command="tnnlab train tiny")
    assert record["status"] == "complete" and RunConfig.from_dict(record["config"]) == config
    assert record["tokens_seen"] == 30 * 4 * 32 and record["tokens_per_s"] > 0
    assert record["peak_memory_bytes"] > 0
    json.dumps(record, allow_nan=False)

    model = MaskedLM.from_pretrained(out / "model")
    assert model.num_parameters() == record["parameters"]
    assert load_tokenizer_from(out / "model").vocab_size == MASK
    first, last = record["history"]["validation"][0], record["metrics"]["validation"]
    assert last["loss_per_masked_token"] < first["loss_per_masked_token"] - 0.5
    assert record["best"]["loss_per_masked_token"] == pytest.approx(
        min(line["loss_per_masked_token"] for line in record["history"]["validation"])
    )

    # The measures, from scores at all positions.
    gaps = objective(config).gaps
    for split in ("validation", "test"):
        inputs, targets = gaps[split]
        with torch.no_grad():
            scores = model(inputs).double()
        hidden = targets != -100
        nats = -scores.log_softmax(-1)[hidden].gather(1, targets[hidden][:, None])
        found = record["metrics"][split]
        assert found["masked_tokens"] == hidden.sum()
        assert found["loss_per_masked_token"] == pytest.approx(nats.mean().item(), rel=1e-5)
        assert found["perplexity_per_masked_token"] == pytest.approx(math.exp(nats.mean()))
        right = (scores.argmax(-1) == targets)[hidden].double().mean().item()
        assert found["accuracy"] == pytest.approx(right)

    assert [line["step"] for line in record["samples"]] == [0, 6, 12, 18, 24, 30]
    with torch.no_grad():
        row = (part[0] for part in (*gaps["validation"], model(gaps["validation"][0]).argmax(-1)))
    assert record["samples"][-1]["text"] == with_guesses(
        *row, decode=load_tokenizer("bytes").decode
    )


def test_what_is_hidden_depends_on_the_seed_and_the_number_of_the_batch(masked: MaskedRun) -> None:
    run = objective(masked)
    fifth = run.batch(5)
    run.batch(6)
    assert same(run.batch(5), fifth) and same(objective(masked).batch(5), fifth)
    assert not torch.equal(objective(change(masked, seed=1)).batch(5)[0], fifth[0])

    # Other gaps in the same text, when it comes again.
    tokens = run.batches.batch(0)[0]
    keys = [(0, 5, 1), (0, 6, 1), (0, 5, 2), (1, 5, 1)]
    drawn = [run.hide(tokens, key)[1] for key in keys]
    assert not any(torch.equal(a, b) for i, a in enumerate(drawn) for b in drawn[:i])


def test_a_batch_has_the_corpus_outside_its_gaps(masked: MaskedRun) -> None:
    run = objective(change(masked, training={"batch_size": 64}))
    tokens, _ = run.batches.batch(0)
    inputs, places, targets = run.batch(0)
    real = targets != -100
    assert torch.equal(tokens.flatten()[places[real]], targets[real])
    changed = (inputs != tokens).flatten().nonzero().squeeze(1)
    assert set(changed.tolist()) <= set(places[real].tolist())
    assert real.sum().item() / tokens.numel() == pytest.approx(0.15, abs=0.04)
    assert len(places) % (tokens.numel() // 16) == 0
    assert (inputs == MASK).any()
    ends = torch.full((20, 50), END)
    assert torch.equal(run.hide(ends, (0, 1, 1))[0], ends)


def test_the_loss_and_its_gradients_are_those_of_all_scores(masked: MaskedRun) -> None:
    run = objective(change(masked, model={"dropout": 0.0}))
    model = run.make_model().double()
    inputs, places, targets = batch = run.batch(0)
    scores = model(inputs).flatten(0, 1).log_softmax(-1)
    naive = [
        -scores[p, t] for p, t in zip(places.tolist(), targets.tolist(), strict=True) if t >= 0
    ]
    wanted, found = torch.stack(naive).mean(), run.loss(model, batch)
    torch.testing.assert_close(found, wanted)
    parameters = list(model.parameters())
    torch.testing.assert_close(
        torch.autograd.grad(found, parameters), torch.autograd.grad(wanted, parameters)
    )


def test_all_models_are_asked_for_the_same_tokens(masked: MaskedRun) -> None:
    gaps = objective(masked).gaps["validation"]
    others = [
        change(masked, seed=3),
        change(masked, model={"operator": "fd", "width": 8}),
        change(masked, evaluation={"batch_size": 3}),
    ]
    for other in others:
        assert same(objective(other).gaps["validation"], gaps)
    assert same(objective(masked, 1, 2).gaps["validation"], gaps)
    assert not torch.equal(
        objective(change(masked, data={"hidden": 0.4})).gaps["validation"][1], gaps[1]
    )


def test_processes_share_an_evaluation(masked: MaskedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = objective(masked)
    torch.manual_seed(0)
    model = whole.make_model()
    shares: list[Any] = []
    utils = pytest.importorskip("accelerate.utils")
    monkeypatch.setattr(utils, "gather_object", lambda sums: [shares.append(sums), sums][1])
    wanted = whole.measure(model, "validation")
    for rank in range(2):
        objective(masked, rank, 2).measure(model, "validation")
    _, one, other = shares
    assert len(one) > 1 and model.training
    nats, _, count = (sum(column) for column in zip(*one, *other, strict=True))
    assert nats / count == pytest.approx(wanted["loss_per_masked_token"])


def test_tokens_that_are_not_scored_are_never_hidden(masked: MaskedRun) -> None:
    run = objective(change(masked, data={"hidden": 0.9}))
    tokens = run.held_out["validation"].tokens
    scored = (torch.arange(len(tokens)) % 3 > 0).numpy()
    inputs, targets = run.with_gaps(HeldOut(tokens, words=1, bytes=1, scored=scored))
    places = torch.arange(inputs.numel()).view_as(inputs)
    unscored = places % 3 == 0
    assert (targets[unscored] == -100).all() and (targets[~unscored] >= 0).float().mean() > 0.8
    assert inputs[unscored].tolist() == tokens[: inputs.numel()][::3].tolist()


def test_a_run_goes_on_as_if_nothing_had_been(masked: MaskedRun, tmp_path: Path) -> None:
    config = change(masked, training={"accumulate": 2})
    train(config, tmp_path / "whole")
    interrupt_and_go_on(config, tmp_path / "parts")
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    one, other = (load_file(tmp_path / n / "model/model.safetensors") for n in ("whole", "parts"))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"vocab_size": 257}}, "and the model a token for what is hidden: .* to 258"),
        ({"data": {"length": 300}, "evaluation": {"limit": 100}}, "data.length is 300, and a held"),
        ({"data": {"length": 100_000}}, "data.length: one window of length 100000"),
    ],
)
def test_nothing_is_written_before_all_is_checked(
    masked: MaskedRun, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        train(change(masked, **changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"hidden": 0.0}}, "data.hidden is 0.0; it lies above 0 and below 1"),
        ({"data": {"hidden": 1}}, "data.hidden is 1; it lies"),
        ({"data": {"tokenizer": "byte"}}, "data.tokenizer cannot be 'byte'"),
        ({"evaluation": {"samples": -1}}, "evaluation.samples is -1; it is at least 0"),
        ({"evaluation": {"limit": 0}}, "evaluation.limit is 0"),
        ({"evaluation": {"lengths": [3]}}, "unknown key evaluation.lengths"),
    ],
)
def test_what_cannot_work_is_refused(
    masked: MaskedRun, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        change(masked, **changes)


def test_batch_norm_may_see_both_sides(masked: MaskedRun) -> None:
    assert change(masked, model={"norm": "batch"}).model.norm == "batch"


def test_guesses_stand_in_the_text() -> None:
    decode = load_tokenizer("bytes").decode
    inputs = torch.tensor([*b"a", MASK, *b"cd", MASK, MASK])
    targets = torch.tensor([-100, *b"b", -100, -100, *b"ef"])
    guesses = torch.tensor([0, *b"b", 0, 0, *b"xf"])
    assert with_guesses(inputs, targets, guesses, decode=decode) == "a[b]cd[x|e][f]"


def test_no_samples_are_wanted(masked: MaskedRun) -> None:
    run = objective(change(masked, evaluation={"samples": 0}))
    assert run.samples(run.make_model()) == []
