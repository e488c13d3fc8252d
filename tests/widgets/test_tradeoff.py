"""The explorer of results draws what the records hold, and no time that does not compare."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("anywidget", reason="anywidget is not installed")

from tnnlab.overlaps import beside
from tnnlab.results import load_records, records_folder
from tnnlab.training.sweeps import sweep_names
from tnnlab.widgets.comparison import AXES, EXPERIMENTS, OPERATORS, STEPS, family
from tnnlab.widgets.frames import Curve, Panel
from tnnlab.widgets.tradeoff import FAMILIES, members, tradeoff, tradeoff_explorer

CARD, OTHER = "NVIDIA H100 80GB HBM3", "NVIDIA H200"


def run(name: str, hour: int, minutes: int = 30, card: str = CARD, **changes: Any) -> dict:
    """A complete run that began at this hour."""
    lines = [{"tokens_per_s": value * 1e3} for value in (1, 2, 100 + hour, 300 + hour, 200 + hour)]
    record = {
        "name": name,
        "status": "complete",
        "started": f"2026-01-01T{hour:02}:00:00.5+00:00",
        "provenance": {
            "date": f"2026-01-01T{hour:02}:{minutes:02}:00+00:00",
            "hardware": {"device": card, "type": "cuda"},
        },
        "wall_time_s": 60.0 * minutes,
        "parameters": 2_000_000 + 1000 * hour,
        "peak_memory_bytes": (1 + hour) * 2**30,
        "metrics": {"test": {"accuracy": 0.25 + hour / 100, "samples": 1200}},
        "history": {"train": lines},
        "config": {"model": {"rpe_depth": 3}, "training": {"compile": True}},
    }
    return {**record, **changes}


def draw(records: list[dict], against: str, sweep: str = "lra-listops", split: str = "test") -> Any:
    return tradeoff(sweep, members(sweep, records), records, against=against, split=split)


def places(panel: Panel) -> dict[str, list[tuple[float, float]]]:
    """The points of each family by its name in the legend."""
    return {
        curve.label: list(zip(np.round(curve.x, 6), np.round(curve.y, 6), strict=True))
        for curve in panel.curves
        if curve.style == "points"
    }


def test_the_books_language_models_are_where_their_files_say() -> None:
    records = load_records(records_folder())
    panel = draw(records, "parameters", "lm-small", "validation")
    for file in (records_folder() / "lm-small").glob("*.json"):
        stored = json.loads(file.read_text(encoding="utf-8"))
        words = FAMILIES[file.stem.split("-seed")[0]][0]
        loss = stored["metrics"]["validation"]["loss_per_token"]
        expected = stored["parameters"] / 1e6, np.exp(loss)
        assert any(np.allclose(expected, place) for place in places(panel)[words]), file


def test_a_point_for_each_seed_and_one_look_for_each_family() -> None:
    records = [
        run("lm-small/tno-seed0", 1),
        run("lm-small/tno-seed1", 3),
        run("lm-small/fd-seed0", 5),
    ]
    panel = draw(records, "peak memory", "lm-small")
    assert places(panel) == {"TNO": [(2, 26), (4, 28)], "FD-TNO": [(6, 30)]}
    assert panel.note.startswith("Highest first, with its spread over seeds and their number: FD")
    assert "FD-TNO 30.00; TNO 27.00 ± 1.41 (2)." in panel.note


def test_an_error_bar_is_the_standard_error_of_a_share() -> None:
    (bar,) = [
        c for c in draw([run("lra-listops/tno", 5)], "parameters").curves if c.style == "dashed"
    ]
    assert np.ptp(np.asarray(bar.y)) / 2 == pytest.approx(100 * (0.3 * 0.7 / 1200) ** 0.5)
    assert np.mean(np.asarray(bar.y)) == pytest.approx(30)
    assert list(np.asarray(bar.x)) == [2.005, 2.005]


def test_orders_of_one_family_share_its_look() -> None:
    records = [run("memory-copying/rtf-4", 1), run("memory-copying/rtf-64", 3)]
    panel = draw(records, "parameters", "memory-copying")
    assert [len(points) for points in places(panel).values()] == [2]
    assert "RTF, order 64 28.00; RTF, order 4 26.00" in panel.note


def test_speeds_of_runs_that_were_alone_on_one_card() -> None:
    records = [
        run("lra-listops/tno", 1),
        run("lra-listops/fd", 2),
        run("lra-listops/ski", 3, card=OTHER),  # another card
        run("lra-listops/rtf", 4),
        run("lm-small/tno-seed0", 4),  # at the same time as the one above
    ]
    panel = draw(records, "training speed")
    found = places(panel)
    assert found["TNO"][0][0] == 201 and found["FD-TNO"][0][0] == 202
    assert np.isnan(found["SKI-TNO: no figure"][0][1]) and np.isnan(found["RTF: no figure"][0][1])
    assert f"alone on one {CARD}, with training.compile: true." in panel.note
    assert "for want of a figure: RTF; SKI-TNO." in panel.note
    assert beside(records[3], records) == ["lm-small/tno-seed0"]


def test_a_speed_is_of_the_seeds_that_were_alone_and_compiled_as_the_others() -> None:
    graphs = {"config": {"model": {}, "training": {"compile": "reduce-overhead"}}}
    records = [
        run("lra-text/tno-seed0", 1),
        run("lra-text/fd-seed0", 1),  # at the same time as the one above
        run("lra-text/tno-seed1", 2, **graphs),
        run("lra-text/tno-seed2", 4, **graphs),
        run("lra-text/fd-seed1", 5, **graphs),
        run("lra-text/ski-seed0", 6),
    ]
    panel = draw(records, "training speed", "lra-text")
    found = places(panel)
    assert [x for x, _ in found["TNO"]] == [203] * 3 and found["FD-TNO"][0][0] == 205
    assert "SKI-TNO: no figure" in found and "training.compile: reduce-overhead" in panel.note


def test_runs_that_shared_a_card_have_no_speed() -> None:
    panel = draw([run("lra-text/tno", 1), run("lra-text/fd", 1)], "training speed", "lra-text")
    assert all(np.isnan(y) for of in places(panel).values() for _, y in of)
    assert panel.note.startswith("No speed is shown. Runs that went side by side")
    assert panel.x_label.endswith(": no figure")
    other = draw([run("lra-text/tno", 1), run("lra-text/fd", 1)], "parameters", "lra-text")
    assert panel.y_range == other.y_range  # a point keeps its height


def test_a_model_that_was_timed_by_a_run_of_its_own() -> None:
    records = [run("mlm-small/tno", 1), run("mlm-small/fd", 1), run("mlm-speed/tno-512", 7)]
    for record in records:
        record["metrics"] = {"test": {"perplexity_per_masked_token": 20.0, "accuracy": 0.4}}
    panel = draw(records, "training speed", "mlm-small")
    assert places(panel)["TNO"] == [(207, 20)]
    assert "FD-TNO: no figure" in places(panel)


def test_the_benchmark_speaks_for_language_models_that_shared_a_card() -> None:
    rows = [{"name": "tno-3", "tokens_per_s": 5e5, "parameters": 4e7}, {"name": "mamba"}]
    bench = run("bench-training", 9, card=OTHER, rows=rows)
    records = [run("lm-small/tno-seed0", 1), run("lm-small/s4d-seed0", 1), bench]
    panel = draw(records, "training speed", "lm-small")
    assert places(panel)["TNO"] == [(500, 26)] and "S4D: no figure" in places(panel)
    assert panel.x_label.endswith("(benchmark)")
    assert f"40 to 40 million parameters, one at a time on one {OTHER}" in panel.note


def test_one_model_that_was_alone_does_not_displace_the_benchmark_of_several() -> None:
    rows = [{"name": f"{n}-3", "tokens_per_s": 5e5, "parameters": 4e7} for n in ("tno", "fd")]
    records = [
        run("lm-full/tno", 1),
        run("lm-full/fd", 1),
        run("lm-full/attention-alibi", 3),
        run("bench-training", 9, rows=rows),
    ]
    panel = draw(records, "training speed", "lm-full")
    assert panel.x_label.endswith("(benchmark)") and places(panel)["TNO"][0][0] == 500


def test_the_speed_of_an_operator_is_that_of_its_row() -> None:
    records = load_records(records_folder())
    panel = draw(records, "speed of the operator", "lra-text")
    stored = json.loads((records_folder() / "bench-operators-h100.json").read_text("utf-8"))
    for name, row in (("TNO", "tno-3"), ("FD-TNO", "fd-3"), ("RTF", "rtf")):
        (fits,) = (
            r["tokens_per_s"]
            for r in stored["rows"]
            if r["kind"] == "operator" and r["name"] == row and r.get("pass") == "forward+backward"
            if r["n"] == 2048 and not r["causal"]
        )
        assert places(panel)[name][0][0] == pytest.approx(fits / 1e6)
    assert "2,048 positions and 1,536 channels" in panel.note and "H100" in panel.note
    assert places(draw([run("lra-image/tno", 1)], "speed of the operator", "lra-image")) == {
        "TNO: no figure": [(0, pytest.approx(np.nan, nan_ok=True))]
    }


def test_what_was_not_run_and_what_was_not_finished_is_named() -> None:
    stopped = run("lra-listops/s4d", 2, status="interrupted")
    note = draw([run("lra-listops/tno", 1), stopped], "parameters").note
    assert "Not run: FD-TNO; attention; RTF; SKI-TNO." in note
    assert "Not complete (interrupted): s4d." in note


def test_a_split_that_nothing_was_measured_on() -> None:
    panel = draw([run("lra-listops/tno", 1)], "parameters", split="validation")
    assert panel.note == "No run was measured on the validation split."


def test_a_member_that_is_not_in_the_sweep_is_drawn_all_the_same() -> None:
    panel = draw([run("lra-listops/mine", 1)], "parameters")
    assert places(panel)["mine"] == [(2.001, 26)]


def test_its_pictures_are_small_and_plain_json() -> None:
    explorer = tradeoff_explorer()
    experiments = explorer.controls[0]["values"]
    assert len(explorer.frames) == len(experiments) * len(AXES) * 2
    assert len(json.dumps(explorer.frames, allow_nan=False)) < 250_000


def test_no_picture_of_the_book_has_two_families_alike() -> None:
    for panels in tradeoff_explorer().frames.values():
        looks = [curve["look"] for curve in panels[0]["curves"] if curve.get("style") == "points"]
        assert len(set(looks)) == len(looks)


def test_it_knows_real_sweeps_rows_and_families() -> None:
    assert set(EXPERIMENTS) <= set(sweep_names())
    assert {*OPERATORS, *STEPS} <= set(FAMILIES)
    records = load_records(records_folder())
    for name, known in (("bench-training", STEPS), ("bench-operators", OPERATORS)):
        rows = {row["name"] for r in records if r["name"] == name for row in r["rows"]}
        assert {*known.values(), "tno-3", "fd-3"} <= rows
    for sweep in EXPERIMENTS:
        assert {family(member) for member in members(sweep, [])} <= set(FAMILIES)


def test_records_of_one_experiment_need_no_choice(tmp_path: Path) -> None:
    explorer = tradeoff_explorer([run("lra-listops/tno", 1)])
    assert sorted(explorer.values) == ["against", "split"]
    explorer.values = {"against": "peak memory"}
    assert explorer.frame["panels"][0]["x_label"].startswith("peak memory")
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    figure = tradeoff_explorer([run("lra-listops/fd", 1)]).figure()
    figure.savefig(tmp_path / "figure.svg")
    assert figure.axes[0].lines[0].get_marker() == "s"  # the mark of FD-TNO
    assert figure.axes[0].get_xlim() == pytest.approx((0, 1.08 * 201))


@pytest.mark.parametrize(
    "records", [[], [run("lm-stdlib", 1)], [run("lra-listops/tno", 1, status="interrupted")]]
)
def test_records_without_a_result_are_refused(records: list[dict]) -> None:
    with pytest.raises(ValueError, match=r"no run of lm-small, .* is complete: give load_records"):
        tradeoff_explorer(records)


def test_records_without_a_figure_in_common_are_refused() -> None:
    other = run("lra-listops/fd", 2, metrics={"test": {"rmse": 1.0}})
    with pytest.raises(ValueError, match="no figure among perplexity_per_masked_token"):
        draw([run("lra-listops/tno", 1), other], "parameters")


def test_the_book_shows_no_time_of_runs_that_shared_a_card() -> None:
    """Every point on an axis of time is of a benchmark, or of a run beside which nothing ran."""
    records = load_records(records_folder())
    for sweep in EXPERIMENTS:
        runs = {m: of for m, of in members(sweep, records).items() if of}
        if not runs or not all(run["metrics"].get("test") for of in runs.values() for run in of):
            continue
        panel = draw(records, "training speed", sweep)
        shown = [
            c for c in panel.curves if isinstance(c, Curve) and np.isfinite(np.asarray(c.y)).any()
        ]
        if all(beside(run, records) for of in runs.values() for run in of):
            assert not shown or "benchmark" in panel.x_label or EXPERIMENTS[sweep].timed
