"""Limits are found from times, and ``tnnlab bench crossovers`` keeps them."""

import json
import math
from pathlib import Path

import pytest
import torch

from tnnlab.bench.crossovers import find_crossovers
from tnnlab.cli import main
from tnnlab.ops import choose_method, crossovers

LENGTHS = (16, 32, 64, 128, 256)


def times(**methods: list[float | None]) -> dict[str, dict[int, float]]:
    return {
        name: {n: t for n, t in zip(LENGTHS, column, strict=False) if t is not None}
        for name, column in methods.items()
    }


def test_a_limit_lies_between_two_lengths() -> None:
    found = find_crossovers(
        times(fft=[3, 3, 3, 3, 3], dense=[1, 2, 5, 9, 20], tiles=[2, 2.5, 2.5, 2.8, 4])
    )
    assert found == {"dense": math.isqrt(32 * 64), "tiles": math.isqrt(128 * 256)}


def test_what_is_never_the_fastest_has_no_limit() -> None:
    assert find_crossovers(times(fft=[1] * 5, dense=[2] * 5, tiles=[3] * 5)) == {}
    assert find_crossovers(times(fft=[3] * 5, dense=[4] * 5, triton=[2] * 5)) == {"triton": 256}
    assert find_crossovers(times(fft=[3] * 5, dense=[1] * 5)) == {"dense": 256}


def test_a_slip_of_the_clock_moves_no_limit() -> None:
    dense = [1, 1, 1, 4, 9]
    assert find_crossovers(times(fft=[3, 0.98, 3, 3, 3], dense=dense)) == {"dense": 90}
    assert find_crossovers(times(fft=[3, 3, 3, 4.1, 3], dense=dense)) == {"dense": 181}


def test_what_was_not_timed_is_not_chosen() -> None:
    assert find_crossovers(times(fft=[3] * 5, dense=[1, 1, None, None, None])) == {"dense": 45}
    assert find_crossovers(times(fft=[3] * 5)) == {}


def test_the_command_keeps_what_it_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TNNLAB_CACHE", str(tmp_path / "cache"))
    crossovers.forget()
    out = tmp_path / "record.json"
    options = ["--preset", "cpu", "--lengths", "4", "8", "--channels", "2", "--tokens", "32"]
    assert main(["bench", "crossovers", *options, "--out", str(out)]) == 0
    record = json.loads(out.read_text())
    assert record["command"] == "tnnlab bench crossovers " + " ".join(options)
    assert record["config"]["threads"] == torch.get_num_threads()
    assert {row["name"] for row in record["rows"]} <= {"fft", "dense", "tiles"}
    assert {row["name"] for row in record["rows"] if row["n"] == 4} == {"fft", "dense", "tiles"}
    kept = tmp_path / "cache" / "crossovers.json"
    assert str(kept) in capsys.readouterr().out
    assert json.loads(kept.read_text()) == {record["machine"]: record["crossovers"]}
    reason = choose_method(4, 2, device="cpu", dtype=torch.float32).reason
    assert "measured on this machine" in reason
    crossovers.forget()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--preset", "smoke"], "no preset 'smoke': take ['cpu', 'gpu']"),
        (["--preset", "cpu", "--tokens", "0"], "at least 1; got"),
        (["--preset", "cpu", "--lengths", "0"], "at least 1; got (0,)"),
    ],
)
def test_what_cannot_be_is_refused(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "crossovers", *options]) == 2
    assert message in capsys.readouterr().err
