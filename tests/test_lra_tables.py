"""Records of the Long Range Arena as tables: what belongs together, and what stands beside what."""

import re
from copy import deepcopy
from statistics import mean, stdev
from typing import Any

import pytest
from matplotlib.figure import Figure

from tnnlab.cli import main
from tnnlab.lra_tables import (
    PUBLISHED,
    commands,
    comparison,
    cost,
    data_of,
    lines_of,
    plot_validation,
)
from tnnlab.overlaps import beside
from tnnlab.results import load_records, records_folder
from tnnlab.training import read_recipe, recipe_names

RECORD: dict[str, Any] = {
    "name": "lra-text/tno",
    "preset": "short",
    "status": "complete",
    "steps": 4000,
    "parameters": 659_330,
    "tokens_seen": 500_000_000,
    "tokens_per_s": 1.5e6,
    "peak_memory_bytes": 2**30,
    "started": "2026-01-01T00:00:00+00:00",
    "wall_time_s": 60.0,
    "config": {"model": {"operator": "tno"}, "training": {"compile": True}},
    "data": {
        "task": "text",
        "description": "reviews",
        "samples_of_each_class": {"validation": [10, 30], "test": [40, 60]},
    },
    "metrics": {"test": {"accuracy": 0.8, "samples": 100}},
    "history": {
        "train": [{"tokens_per_s": 1.5e6}],
        "validation": [{"step": 0, "accuracy": 0.5}, {"step": 4000, "accuracy": 0.8}],
    },
    "provenance": {"hardware": {"device": "a GPU"}},
}


def record(name: str, accuracy: float = 0.8, task: str = "text", **changes: Any) -> dict[str, Any]:
    made = deepcopy(RECORD) | {"name": name, **changes}
    made["metrics"]["test"]["accuracy"] = accuracy
    made["data"]["task"] = task
    return made


def rows(table: str) -> dict[str, list[str]]:
    """A Markdown table by its first column."""
    lines = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    return {line[0].strip(): [cell.strip(" |") for cell in line[1:]] for line in lines}


def test_without_records_every_family_is_not_run_yet() -> None:
    for task, published in PUBLISHED.items():
        found = [line.family for line in lines_of([], task)]
        assert len(found) == len(set(found)) and set(published) <= set(found)
        if published:
            text = comparison([], task)
            assert text.count("not\u00a0run\u00a0yet") == len(found)
            assert all(f"{value:.2f}" in text for value in published.values())
        assert data_of([], task) == cost([], task) == "*No record of this task yet.*"
        plot_validation(axes := Figure().subplots(), [], task)
        assert [text.get_text() for text in axes.texts] == ["not run yet"] and not axes.lines


def test_runs_of_another_sweep_are_a_line_of_their_own() -> None:
    names = ("lra-text/tno-seed0", "lra-text-decay/tno-seed0", "lra-text/tno-seed1")
    found = lines_of([record(name) for name in names], "text")
    assert [len(line.runs) for line in found if line.family == "tno"] == [2, 1]


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown task 'images'.*did you mean 'image'"):
        lines_of([], "images")


def test_seeds_are_one_line_with_mean_and_spread() -> None:
    accuracies = {0: 0.80, 1: 0.84, 2: 0.85}
    records = [record(f"lra-text/tno-seed{seed}", a) for seed, a in accuracies.items()]
    percent = [100 * accuracy for accuracy in accuracies.values()]
    ours, difference, samples, seeds, run = rows(comparison(records, "text"))["tno"][1:]
    assert ours == f"{mean(percent):.2f}"
    assert difference == f"{mean(percent) - 86.39:+.2f}"
    assert samples == f"{(mean(percent) * (100 - mean(percent)) / 100) ** 0.5:.2f}"
    assert seeds == f"{stdev(percent):.2f} (3)" and run == "short, 4,000"


def test_runs_of_other_lengths_and_presets_are_lines_of_their_own() -> None:
    records = [
        record("lra-text/tno"),
        record("lra-text-long/tno", 0.9, preset="full", steps=25_000),
        record("lra-text", 0.7, preset="smoke", steps=10),  # a run named after its recipe
    ]
    found = [line for line in lines_of(records, "text") if line.family == "tno"]
    assert sorted(line.accuracies[0] for line in found) == [70, 80, 90]
    by_setting = {line.setting: line for line in found}
    assert by_setting["short, 4,000"].difference == pytest.approx(80 - 86.39)
    assert by_setting["smoke, 10"].published is None  # its samples are others


def test_new_families_come_after_those_that_are_expected() -> None:
    attention = RECORD["config"] | {"model": {"operator": "attention"}}
    records = [record("lra-text/attention-2d", config=attention), record("lra-text/fd")]
    families = [line.family for line in lines_of(records, "text")]
    assert families[-1] == "attention-2d" and families.index("fd") < families.index("attention-2d")
    assert rows(comparison(records, "text"))["attention-2d"][:3] == ["–", "80.00", "–"]


def test_a_variant_stands_beside_the_published_figure_of_its_operator() -> None:
    table = rows(comparison([record("lra-text-tries/tno-half-rate")], "text"))
    assert table["tno-half-rate"][:3] == ["86.39", "80.00", "-6.39"]
    assert table["tno"][1] == "not\u00a0run\u00a0yet"


def test_a_stand_in_says_so_and_has_no_published_figure() -> None:
    records = [record("lra-retrieval/tno", task="retrieval-stand-in")]
    published, ours, difference, *_, run = rows(comparison(records, "retrieval"))["tno"]
    assert (published, ours, difference) == ("–", "80.00", "–")
    assert run == "retrieval-stand-in, short, 4,000"


def test_what_is_no_result_of_the_task_is_left_out() -> None:
    searched = record("lra-text/fd")
    searched["metrics"] = {"validation": {"accuracy": 0.9}}
    others = [
        record("lra-text/tno", status="stopped"),
        record("imdb-finetune/tno"),  # the same reviews in other tokens
        record("lra-listops/tno", task="listops"),
        searched,
        {"name": "bench-training", "provenance": {}, "status": "complete", "rows": []},
    ]
    assert not any(line.runs for line in lines_of(others, "text"))


def test_path_x_is_found_in_the_folder_of_pathfinder() -> None:
    records = [
        record("lra-pathfinder/tno", 0.7, "path-x"),
        record("lra-pathfinder/fd", 0.6, "pathfinder"),
    ]
    (line,) = lines_of(records, "path-x")
    assert (line.family, line.accuracies, line.published) == ("tno", [70], None)
    assert [x.family for x in lines_of(records, "pathfinder") if x.runs] == ["fd"]


def test_the_constant_answer_is_that_of_the_test_split() -> None:
    assert data_of([record("lra-text/tno")], "text") == (
        "- reviews; a constant answer reaches 60.00 %."
    )


def test_a_star_for_a_device_that_was_shared() -> None:
    first, second = record("lra-text/tno"), record("lra-text/fd")
    elsewhere = record("lra-text/rtf", provenance={"hardware": {"device": "another GPU"}})
    later = record("lra-text/s4d", started="2026-01-01T00:01:00+00:00")
    records = [first, second, elsewhere, later]
    shared = {run["name"].split("/")[1]: bool(beside(run, records)) for run in records}
    assert shared == {"tno": True, "fd": True, "rtf": False, "s4d": False}
    found = rows(cost(records, "text"))
    assert found["tno"] == ["0.66", "12.00*", "1.50*", "1.00", "1 min 0 s", "a GPU"]
    assert found["s4d"][1:3] == ["12.00", "1.50"]


def test_times_are_of_the_seeds_that_had_the_device_to_themselves() -> None:
    faster = RECORD["history"] | {"train": [{"tokens_per_s": 3e6}]}
    later = {"started": "2026-01-01T00:01:00+00:00", "wall_time_s": 30.0, "history": faster}
    records = [
        record("lra-text/tno-seed0"),
        record("lra-text/fd"),
        record("lra-text/tno-seed1", peak_memory_bytes=2**31, **later),
    ]
    found = rows(cost(records, "text"))
    assert found["tno"] == ["0.66", "24.00", "3.00", "2.00", "30 s", "a GPU"]
    assert found["fd"][1] == "12.00*"


def test_times_with_cuda_graphs_are_not_mixed_with_others() -> None:
    graphs = RECORD["config"] | {"training": {"compile": "reduce-overhead"}}
    faster = RECORD["history"] | {"train": [{"tokens_per_s": 3e6}]}
    begun = [f"2026-01-01T0{hour}:00:00+00:00" for hour in range(3)]
    records = [
        record("lra-text/tno-seed0", started=begun[0]),
        record("lra-text/tno-seed1", started=begun[1], config=graphs, history=faster),
        record("lra-text/fd", started=begun[2]),
    ]
    found = rows(cost(records, "text"))
    assert [found[family][1] for family in ("tno", "fd")] == ["24.00", "12.00"]


def test_a_record_of_a_cpu_has_no_memory() -> None:
    assert rows(cost([record("lra-text/tno", peak_memory_bytes=None)], "text"))["tno"][3] == "–"


def test_curves_have_a_name_each_and_the_constant_answer() -> None:
    records = [
        record("lra-text/tno"),
        record("lra-text-long/tno", steps=9000),
        record("lra-text/fd"),
    ]
    plot_validation(axes := Figure().subplots(), records, "text")
    names = [line.get_label() for line in axes.lines]
    assert names == ["tno, short, 4,000", "tno, short, 9,000", "fd", "a constant answer"]
    assert axes.lines[-1].get_ydata()[0] == 0.75


@pytest.mark.parametrize("task", PUBLISHED)
def test_the_commands_are_runs_that_can_work(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Any] = []
    monkeypatch.setattr(
        "tnnlab.training.loop.train", lambda config, *a, **k: ran.append(config) or {}
    )
    for words in commands(task):
        assert words[:2] == ["tnnlab", "train"]
        main([*words[1:], "--out", "nowhere"])
    assert len(ran) == len(commands(task)) >= 1
    assert {config.data.task.removesuffix("-stand-in") for config in ran} == {task}


@pytest.mark.parametrize("task", [task for task in PUBLISHED if task != "path-x"])
def test_the_recipes_expect_the_published_figures(task: str) -> None:
    from tnnlab.training.recipes import FOLDER

    assert f"lra-{task}" in recipe_names() and read_recipe(f"lra-{task}").data.task == task
    text = (FOLDER / f"lra-{task}.yaml").read_text()
    (expected,) = re.findall(r"TNN ([\d.]+), SKI-TNN ([\d.]+), FD-TNN ([\d.]+) %", text)
    assert dict(zip(("tno", "ski", "fd"), map(float, expected), strict=True)) == PUBLISHED[task]


def test_the_records_of_the_book_are_all_shown() -> None:
    records = load_records(records_folder())
    names = {r["name"] for r in records if r["name"].startswith("lra-")}
    names -= {name for name in names if name.startswith("lra-graphs/")}  # of speed, not of accuracy
    shown = {run["name"] for task in PUBLISHED for x in lines_of(records, task) for run in x.runs}
    assert shown == names
