"""The command, its records, and what is read from them."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pytest

from tnnlab.bench import cli, operators
from tnnlab.bench.claims import CLAIMS, Claim, claims_table
from tnnlab.bench.plots import (
    STYLES,
    crossovers,
    plot_operators,
    plot_rows,
    select,
    shared_legend,
)
from tnnlab.cli import main
from tnnlab.results import load_records, table

ROOT = Path(__file__).resolve().parents[2]
TINY = ["--preset", "smoke", "--lengths", "8", "16", "--channels", "2", "4", "--tokens", "32"]


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("runs") / "bench.json"
    assert main(["bench", "operators", *TINY, "--out", str(out)]) == 0
    (record,) = load_records(out.parent)
    return record


def test_a_record_says_what_was_run_where(record: dict[str, Any]) -> None:
    assert (record["name"], record["preset"], record["status"]) == (
        "bench-operators",
        "smoke",
        "complete",
    )
    assert record["command"].startswith("tnnlab bench operators --preset smoke ")
    assert record["command"].endswith("--lengths 8 16 --channels 2 4 --tokens 32")
    assert record["config"]["threads"] == 1
    assert record["limits"]["copy_bytes_per_s"] > 0
    assert "bench-operators" in table([record])


def test_every_method_and_operator_has_its_rows(record: dict[str, Any]) -> None:
    timed = [row for row in record["rows"] if "time_s" in row]
    assert {row["name"] for row in timed if row["kind"] == "operator"} == {
        *("reference", "tno", "tno-3", "fd", "fd-3", "ski", "rtf", "s4d", "hyena")
    }
    causal = select(record, kind="product", name="fft", causal=True, by_pass="forward+backward")
    assert [(row["n"], row["batch"], row["channels"]) for row in causal] == [
        *((8, 4, 2), (16, 2, 2), (16, 2, 4))
    ]
    for row in timed:
        assert row["errors"] and row["low_s"] <= row["time_s"] <= row["high_s"]
        assert row["floor_fraction"] > 0
    skipped = {row["name"] for row in record["rows"] if "skipped" in row}
    assert "flashfftconv" in skipped
    for n in (8, 16):
        assert sum(row["auto"] for row in select(record, kind="product", n=n, channels=2,
                                                 causal=True, by_pass="forward")) == 1  # fmt: skip


def test_what_was_slow_is_not_timed_at_a_greater_length() -> None:
    sizes: dict[str, Any] = {"lengths": (8, 16), "channels": (2,), "operator_lengths": ()}
    bench = replace(operators.PRESETS["smoke"], **sizes, tokens=32, patience=0.0)
    printed: list[str] = []
    operators.bench_operators(bench, "smoke", "", lambda row: printed.append(cli.line(row)))
    assert any(text.startswith("product   fft") and "ms" in text for text in printed)
    (skipped,) = [text for text in printed if text.startswith("product   fft          n = 16")]
    assert "causal         took 0.00 s at n = 8" in skipped


def test_training_is_timed_without_the_optional_packages(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "for name in ('jsonargparse', 'accelerate', 'matplotlib', 'yaml', 'safetensors',\n"
        "             'mamba_ssm'):\n"
        "    sys.modules[name] = None\n"
        "from tnnlab.cli import main\n"
        "options = ['--preset', 'smoke', '--length', '16', '--batch', '1', '--out', sys.argv[1]]\n"
        "sys.exit(main(['bench', 'training', *options]))"
    )
    out = tmp_path / "record.json"
    command = [sys.executable, "-c", code, str(out)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    record = json.loads(out.read_text())
    assert record["status"] == "complete"
    timed = [row for row in record["rows"] if "skipped" not in row]
    names = [row["name"] for row in timed]
    assert names == ["reference", "tno", "tno-3", "fd", "fd-3", "hyena-rtf", "attention"]
    assert all(row["tokens_per_s"] > 0 and row["peak_bytes"] > 0 for row in timed)
    skipped = {row["name"]: row["skipped"] for row in record["rows"] if "skipped" in row}
    assert skipped.keys() == {"mamba", "mamba2"} and "mamba_ssm" in skipped["mamba"]
    assert len(run.stdout.splitlines()) == len(record["rows"]) + 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["operators", "--dtype", "int8"], "dtype is one of float32, tf32"),
        (["operators", "--lengths", "0"], "at least 1"),
        (["operators", "--tokens", "0"], "at least 1"),
        (["training", "--precision", "fp8"], "precision is one of fp32, tf32, bf16; got 'fp8'"),
        (["training", "--batch", "0"], "at least 1; got 0"),
        (["operators", "--device", "cuda"], "no CUDA device: take --device cpu"),
    ],
)
def test_what_cannot_be_is_refused(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main(["bench", *arguments]) == 2
    assert message in capsys.readouterr().err


def row(name: str, time: float, **more: Any) -> dict[str, Any]:
    common = {"kind": "operator", "name": name, "causal": False, "n": 512, "time_s": time}
    return {**common, "pass": "forward+backward", "peak_bytes": 100 * time, **more}


def test_a_claim_is_computed_from_rows() -> None:
    rows = [row("tno", 3.0), row("ski", 2.0), row("tno", 4.0, n=8), row("ski", 1.0, n=8)]
    rows += [row("ski", 9.0, causal=True), row("tno", 9.0, causal=True, **{"pass": "forward"})]
    claim = Claim("a", "b", 0.25, "operator", "ski", "tno", causal=False)
    assert claim.measured(rows) == pytest.approx((0.5 + 3.0) / 2)
    assert Claim(**{**vars(claim), "n": 512}).measured(rows) == pytest.approx(0.5)
    assert Claim(**{**vars(claim), "best": True}).measured(rows) == pytest.approx(3.0)
    memory = Claim(**{**vars(claim), "key": "peak_bytes", "n": 8})
    assert memory.measured(rows) == pytest.approx(-0.75)
    assert Claim(**{**vars(claim), "causal": True}).measured(rows) is None


def test_the_table_of_claims_shows_published_ours_and_difference() -> None:
    rows = [row("tno", 3.0), row("reference", 4.0), row("ski", 2.0)]
    lines = claims_table({"rows": rows}).splitlines()
    speed = "| SKI-TNO, bidirectional, n = 512: speed {cite}`moreno2023ski` "
    assert lines[2] == speed + "| +25% | +100% | +50% | +25 |"
    assert "memory {cite}`moreno2023ski` | −17% | −50% | −33% | −16 |" in lines[3]
    assert len(lines) == 4


def test_a_change_of_nothing_has_no_sign() -> None:
    rows = [row("ski", 1.0), row("tno", 1.001)]
    assert "| 0% | −25 |" in claims_table({"rows": rows})


def test_claims_cite_what_exists() -> None:
    bibliography = (ROOT / "book" / "references.bib").read_text()
    assert all(f"{{{claim.source}," in bibliography for claim in CLAIMS)


def test_pictures_have_a_line_for_each_method(record: dict[str, Any]) -> None:
    figure, axes = plt.subplots()
    plot_rows(axes, record, kinds=("product", "attention"))
    assert {line.get_label() for line in axes.lines} == {
        STYLES[name][0] for name in ("reference", "dense", "fft", "tiles", "attention")
    }
    for line in axes.lines:
        assert list(line.get_xdata()) == [8, 16]
    axes.clear()
    plot_rows(axes, record, kinds=("product",), against="channels", names=("fft",))
    (line,) = axes.lines
    assert list(line.get_xdata()) == [2, 4]
    plt.close(figure)


def test_a_line_is_broken_where_a_row_was_refused() -> None:
    row = {"kind": "product", "name": "fft", "causal": True, "channels": 4}
    timed = {**row, "pass": "forward", "time_s": 1.0, "low_s": 0.5, "high_s": 2.0}
    rows = [{**timed, "n": 16}, {**row, "n": 32, "skipped": "wrong result"}, {**timed, "n": 64}]
    figure, axes = plt.subplots()
    record = {"rows": rows, "config": {"channels": [4]}}
    plot_rows(axes, record, kinds=("product",), by_pass="forward")
    (line,) = axes.lines
    assert list(line.get_xdata()) == [16, 32, 64]
    assert [math.isnan(y) for y in line.get_ydata()] == [False, True, False]
    plot_rows(axes, {**record, "rows": rows[1:2]}, kinds=("product",), by_pass="forward")
    assert len(axes.lines) == 1  # nothing was timed: no line
    plt.close(figure)


def test_lines_against_channels_leave_other_lengths_out(record: dict[str, Any]) -> None:
    rows = [row for row in record["rows"] if not (row["name"] == "fft" and row["n"] == 16)]
    figure, axes = plt.subplots()
    names = ("fft", "tiles")
    plot_rows(axes, {**record, "rows": rows}, kinds=("product",), against="channels", names=names)
    assert [line.get_label() for line in axes.lines] == ["tiles"]
    plt.close(figure)


def test_operators_have_a_row_with_two_marks(record: dict[str, Any]) -> None:
    figure, axes = plt.subplots(1, 2, layout="constrained")
    plot_operators(axes[0], record, n=16)
    names = [label.get_text() for label in axes[0].get_yticklabels()]
    assert names[::-1][:2] == ["reference", "tno"]
    for line, causal in zip(axes[0].lines, (True, False), strict=True):
        rows = select(record, kind="operator", causal=causal, n=16, by_pass="forward+backward")
        found = dict(zip([names[y] for y in line.get_ydata()], line.get_xdata(), strict=True))
        assert found == {row["name"]: row["time_s"] * 1e3 for row in rows}
    plot_operators(axes[1], record, n=8, key="peak_bytes")
    shared_legend(figure)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["causal", "bidirectional"]
    plt.close(figure)


def test_crossovers_name_the_fastest_method() -> None:
    def product(name: str, time: float, auto: bool) -> dict[str, Any]:
        more = {"kind": "product", "causal": True, "auto": auto, "channels": 2}
        return row(name, time, **more)

    rows = [
        product("dense", 2.0, True),
        product("fft", 1.0, False),
        product("reference", 0.1, False),
    ]
    assert crossovers({"config": {"channels": [2, 4]}, "rows": rows}) == [(512, "fft", 2.0)]
