"""Decoders are compared with float64 before a token of theirs is timed."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.generation.lms import lm, random_tokens
from tnnlab.bench import generation
from tnnlab.bench.generation import NAMES, PRESETS
from tnnlab.bench.positions import jump
from tnnlab.cli import main
from tnnlab.generation import Sampler, StreamingLM, make_decoder
from tnnlab.generation.window import Window
from tnnlab.results import load_records, table

BENCH = dataclasses.replace(PRESETS["smoke"], positions=(1, 40), batches=(1, 3))


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("runs") / "bench.json"
    sizes = ["--positions", "1", "70", "--batches", "2"]
    assert main(["bench", "generation", "--preset", "smoke", *sizes, "--out", str(out)]) == 0
    (record,) = load_records(out.parent)
    return record


def test_a_record_has_every_decoder_at_every_position(record: dict[str, Any]) -> None:
    assert (record["name"], record["status"]) == ("bench-generation", "complete")
    assert record["command"].endswith("--preset smoke --batches 2 --positions 1 70")
    assert record["config"]["config"]["width"] == 32 and record["provenance"]["torch"]
    assert [(row["name"], row["n"]) for row in record["rows"]] == [
        (name, n) for name in NAMES for n in (1, 70)
    ]
    for row in record["rows"]:
        assert row["batch"] == 2 and row["low_s"] <= row["high_s"] and row["weight_bytes"] > 0
        assert 0 < row["errors"]["scores"] < 1e-3
        assert row["tokens_per_s"] == pytest.approx(2 / row["time_s"])
    assert "bench-generation" in table([record])


def test_states_are_counted(record: dict[str, Any]) -> None:
    rows = {(row["name"], row["n"]): row for row in record["rows"]}
    layers, batch, channels, length, number = 2, 2, 32, 32, 4
    for n in (1, 70):
        assert rows["window", n]["state_bytes"] == layers * batch * channels * length * number
        # Two of the complex states are real.
        assert rows["etsc", n]["state_bytes"] == layers * batch * channels * (length + 2) * number
    assert rows["online", 1]["state_bytes"] < rows["online", 70]["state_bytes"]
    assert rows["attention", 1]["state_bytes"] < rows["attention", 70]["state_bytes"]
    # Taps of a window stand twice; an ETSC has poles, residues as read and as given, and the rest.
    assert rows["window", 1]["constant_bytes"] == layers * channels * 2 * length * number


def test_the_squares_of_the_online_decoder_are_shared_out(record: dict[str, Any]) -> None:
    (first, later) = (row for row in record["rows"] if row["name"] == "online")
    assert first["squares_s"] == {} and first["time_s"] == first["step_s"]
    assert list(later["squares_s"]) == ["32", "64"]
    shares = later["squares_s"]["32"] / 64 + later["squares_s"]["64"] / 128
    assert later["time_s"] == pytest.approx(later["step_s"] + shares)


@pytest.mark.parametrize("name", ["window", "etsc", "online", "attention"])
def test_a_jump_leads_where_reading_leads(name: str) -> None:
    model = lm("attention" if name == "attention" else "tno")
    decoder = make_decoder(model, "window" if name == "attention" else name, length=90)
    assert isinstance(decoder, StreamingLM)
    decoder.start(2)
    decoder(random_tokens(2, 70))
    shapes = [getattr(m, state).shape for m in decoder.memories for state in m.states]
    jump(decoder, 70, 2)
    assert decoder.seen == 70
    assert shapes == [getattr(m, state).shape for m in decoder.memories for state in m.states]
    assert decoder(random_tokens(2, 1)).isfinite().all()


def test_a_wrong_decoder_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    step = Window.step
    monkeypatch.setattr(Window, "step", lambda self, x: 1.5 * step(self, x))
    monkeypatch.setattr(generation, "measure", lambda *_: pytest.fail("this must not be timed"))
    rows = list(generation._rows("window", BENCH, torch.device("cpu")))
    assert len(rows) == 4
    for row in rows:
        assert row["wrong"] and "relative error" in row["skipped"] and "time_s" not in row


def test_what_is_slow_or_large_is_left_out() -> None:
    impatient = dataclasses.replace(BENCH, patience=0.0)
    rows = list(generation._rows("full", impatient, torch.device("cpu")))
    assert [("time_s" in row) for row in rows] == [True, False] * 2
    assert rows[1]["skipped"].endswith("s at position 1") and not rows[1]["wrong"]
    small = dataclasses.replace(BENCH, room=100_000)
    rows = list(generation._rows("online", small, torch.device("cpu")))
    assert [("time_s" in row) for row in rows] == [True, True, True, False]
    assert rows[-1]["skipped"].startswith("states of 0 MiB, more than 0 MiB")
    assert not rows[-1]["wrong"]


def count_steps(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Of each step that is prepared, how."""
    one_token, made = generation.one_token, []

    def watched(decoder: StreamingLM, sampler: Sampler, batch: int, **how: Any) -> Any:
        made.append({"batch": batch, **how})
        return one_token(decoder, sampler, batch, **how)

    monkeypatch.setattr(generation, "one_token", watched)
    return made


@pytest.mark.parametrize(
    ("name", "batches"),
    [("window", [1, 3]), ("online", [1, 3]), ("attention", [1, 1, 3, 3])],
)
def test_a_step_is_prepared_once_where_its_states_are_the_same(
    name: str, batches: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = count_steps(monkeypatch)
    bench = dataclasses.replace(BENCH, fused=False)
    rows = list(generation._rows(name, bench, torch.device("cpu")))
    assert all("time_s" in row for row in rows)
    assert made == [{"batch": b, "fused": False, "compile": False} for b in batches]


@pytest.mark.parametrize("name", ["window", "etsc", "reduced", "attention"])
def test_what_has_no_room_is_not_even_prepared(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = count_steps(monkeypatch)
    rows = list(generation._rows(name, dataclasses.replace(BENCH, room=99), torch.device("cpu")))
    assert not made and all(row["skipped"].startswith("states of") for row in rows)
    # Exactly enough for one sequence at the last position.
    (_, row, *_) = generation._rows(name, BENCH, torch.device("cpu"))
    bench = dataclasses.replace(BENCH, room=row["state_bytes"])
    rows = list(generation._rows(name, bench, torch.device("cpu")))
    assert [("time_s" in row) for row in rows] == [True, True, name == "attention", False]


def test_decoders_are_chosen_by_name(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    options = ["--names", "attention", "window", "--no-fused", "--batches", "1", "--positions", "9"]
    assert main(["bench", "generation", "--preset", "smoke", *options, "--out", str(out)]) == 0
    (record,) = load_records(tmp_path)
    assert [row["name"] for row in record["rows"]] == ["attention", "window"]
    assert record["config"]["names"] == ["attention", "window"]
    assert record["config"]["fused"] is False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dtype", "float16"], "dtype is one of float32, bfloat16; got 'float16'"),
        (["--names", "windw"], "there is no decoder 'windw' to time: did you mean window?"),
        (["--batches", "0"], "at least 1"),
        (["--positions", "0"], "at least 1"),
    ],
)
def test_what_cannot_be_is_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "generation", "--preset", "smoke", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_record_is_json_without_nan(record: dict[str, Any]) -> None:
    path = Path(record["file"])
    assert json.loads(path.read_text())["rows"] == record["rows"]
