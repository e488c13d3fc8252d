"""A benchmark that is cut off keeps what it has timed."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tnnlab.bench import products
from tnnlab.bench.rows import collect, make_record
from tnnlab.cli import main


def rows(number: int | None) -> Iterator[dict[str, Any]]:
    """Three rows; while the second is made, a signal comes."""
    for n in (1, 2, 3):
        if n == 2 and number is not None:
            os.kill(os.getpid(), number)
        yield {"n": n}


def test_all_rows_without_a_signal() -> None:
    seen: list[dict[str, Any]] = []
    assert collect(rows(None), seen.append) == ([{"n": 1}, {"n": 2}, {"n": 3}], False)
    assert seen == [{"n": 1}, {"n": 2}, {"n": 3}]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_after_a_signal_the_row_is_finished_and_no_other_begun(number: int) -> None:
    before = signal.getsignal(number)
    assert collect(rows(number), lambda row: None) == ([{"n": 1}, {"n": 2}], True)
    assert signal.getsignal(number) is before


def test_the_record_of_a_stopped_benchmark_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert threading.current_thread() is threading.main_thread()
    exact = products.exact.require_exact

    def interrupted(*arguments: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        exact(*arguments)

    monkeypatch.setattr(products.exact, "require_exact", interrupted)
    out = tmp_path / "record.json"
    options = ["--preset", "smoke", "--lengths", "16", "32"]
    assert main(["bench", "operators", *options, "--out", str(out)]) == 0
    record = json.loads(out.read_text())
    assert record["status"] == "stopped"
    assert len(record["rows"]) == 1 and record["rows"][0]["n"] == 16
    assert "stopped" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("stopped", "wrong", "status"),
    [
        (False, False, "complete"),
        (False, True, "wrong results"),
        (True, True, "stopped"),  # above all else: rows are missing
    ],
)
def test_a_record_says_whether_all_rows_are_there_and_right(
    stopped: bool, wrong: bool, status: str
) -> None:
    rows = [{"n": 1, "wrong": wrong}, {"n": 2}]
    known: Any = {"preset": "smoke", "command": "", "config": {}, "begun": 0.0}
    cpu = torch.device("cpu")
    record = make_record("bench", "", **known, device=cpu, rows=rows, stopped=stopped)
    assert (record["status"], record["rows"]) == (status, rows)
