import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import pytest
import torch

import tnnlab
from tnnlab.results import (
    by_family,
    commit,
    duration,
    hardware,
    load_records,
    markdown_table,
    mean,
    outcome,
    provenance,
    table,
    write_record,
)

RECORD = {
    "name": "lm-stdlib",
    "preset": "smoke",
    "status": "complete",
    "parameters": 1_500_000,
    "tokens_seen": 2_000_000,
    "wall_time_s": 3725.0,
    "peak_memory_bytes": 2**30,
    "metrics": {"validation": {"loss_per_token": 1.25, "perplexity_per_word": None}},
    "baseline": {"loss_per_token": 2.5},
    "provenance": {"hardware": {"device": "a CPU"}, "date": "2024-05-06T07:08:09+00:00"},
    "history": {"train": [{"step": 1, "loss": 3.0}, {"step": 2, "loss": 2.0}], "validation": []},
}


def test_records_are_written_whole_and_read_back(tmp_path: Path) -> None:
    write_record(tmp_path / "a.json", RECORD)
    write_record(tmp_path / "runs/b/result.json", {**RECORD, "name": "b"})
    (tmp_path / "other.json").write_text("[1]")
    (tmp_path / "runs/b/config.json").write_text("{}")
    records = load_records(tmp_path)
    assert [record["name"] for record in records] == ["lm-stdlib", "runs/b"]
    assert records[0] == {**RECORD, "file": str(tmp_path / "a.json")}
    assert '{"step": 1, "loss": 3.0},\n' in (tmp_path / "a.json").read_text()
    assert load_records(tmp_path / "absent") == []


def test_records_in_folders_below_are_named_after_their_place(tmp_path: Path) -> None:
    write_record(tmp_path / "z.json", RECORD)
    write_record(tmp_path / "lm-small/tno-seed0.json", RECORD)
    write_record(tmp_path / "lm-small/fd-seed0.json", RECORD)
    write_record(tmp_path / "a/b/c.json", RECORD)
    names = [record["name"] for record in load_records(tmp_path)]
    assert names == ["lm-stdlib", "a/b/c", "lm-small/fd-seed0", "lm-small/tno-seed0"]
    names = [record["name"] for record in load_records(tmp_path / "a")]
    assert names == ["b/c"]
    assert [line.split()[0] for line in table(load_records(tmp_path)).splitlines()[4:]] == [
        "lm-small/fd-seed0",
        "lm-small/tno-seed0",
    ]


def test_a_run_has_one_record(tmp_path: Path) -> None:
    write_record(tmp_path / "sweep/tno/result.json", RECORD)
    write_record(tmp_path / "sweep/tno/checkpoints/step-1/state.json", RECORD)
    (tmp_path / "sweep/tno/config.json").write_text("{")  # not even read
    write_record(tmp_path / "sweep/records/tno.json", RECORD)  # the sweep's copy
    write_record(tmp_path / "sweep/records/elsewhere.json", RECORD)  # the run is gone
    names = [record["name"] for record in load_records(tmp_path)]
    assert names == ["sweep/records/elsewhere", "sweep/tno"]
    assert [record["name"] for record in load_records(tmp_path / "sweep/tno")] == ["lm-stdlib"]
    assert len(load_records(tmp_path / "sweep/records")) == 2


def test_a_faulty_record_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_record(path, RECORD)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_record(path, {**RECORD, "seed": float("nan")})
    with pytest.raises(ValueError, match="has provenance; this one has none"):
        write_record(path, {"name": "a"})
    assert json.loads(path.read_text()) == RECORD
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(ValueError, match=r"a\.json is no JSON"):
        load_records(tmp_path)


def test_the_table() -> None:
    tested = {**RECORD, "metrics": {"test": {"loss_per_token": 1.5, "bits_per_byte": 2.0}}}
    lines = table([RECORD, tested]).splitlines()
    cells = [[cell for cell in line.split("  ") if cell] for line in lines]
    cells = [[cell.strip() for cell in line] for line in cells]
    first = dict(zip(cells[0], cells[2], strict=True))
    assert first == {
        "record": "lm-stdlib",
        "preset": "smoke",
        "status": "complete",
        "M params": "1.50",
        "M tokens": "2.0",
        "nats/token": "1.250",
        "ppl/word": "-",
        "bits/byte": "-",
        "bigram": "2.500",
        "accuracy": "-",
        "RMSE": "-",
        "time": "1 h 2 min",
        "memory": "1.00 GiB",
        "hardware": "a CPU",
        "date": "2024-05-06",
    }
    second = dict(zip(cells[0], cells[3], strict=True))
    assert (second["record"], second["nats/token"]) == ("lm-stdlib (test)", "1.500")
    classified = {**RECORD, "metrics": {"test": {"accuracy": 0.47331, "loss": 1.5}}}
    assert "  47.33%  " in table([classified])
    assert table([]) == ""


def test_a_failed_run_stays_in_the_table() -> None:
    failed = {**RECORD, "status": "stopped: the loss of step 7 is nan", "metrics": {}}
    assert "stopped: the loss of step 7 is nan" in table([failed])


@pytest.mark.parametrize(
    ("properties", "which"),
    [
        (SimpleNamespace(uuid=UUID("0a1b2c3d-0000-4000-8000-000000000000")), "0a1b2c3d"),
        (SimpleNamespace(), None),
    ],
    ids=["known", "an older PyTorch"],
)
def test_provenance_tells_cards_of_one_name_apart(
    properties: SimpleNamespace, which: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    hardware = provenance(torch.device("cuda"))["hardware"]
    assert hardware["device"] == "a GPU" and hardware.get("card") == which


def test_provenance_says_where_a_number_comes_from() -> None:
    found = json.loads(json.dumps(provenance(torch.device("cpu"))))
    assert found["torch"] == torch.__version__.split("+")[0] or found["torch"] == torch.__version__
    assert found["tnnlab"] == tnnlab.__version__
    assert found["hardware"]["type"] == "cpu" and found["hardware"]["cpu_count"] >= 1
    git = subprocess.run(
        ["git", "ls-files", "--error-unmatch", "tnnlab/__init__.py"],
        cwd=Path(__file__).parents[1],
        capture_output=True,
    )
    if git.returncode == 0:
        assert len(found["commit"]) == 40 and found["dirty"] in (True, False)
    else:
        assert found["commit"] is None and found["dirty"] is None


def test_the_outcome_is_of_the_test_split_where_there_is_one() -> None:
    validation, test = {"loss_per_token": 1.25}, {"loss_per_token": 1.5}
    assert outcome({"metrics": {"validation": validation}}) == "validation 1.250 nats per token"
    both = {"validation": validation, "test": test}
    assert outcome({"metrics": both}) == "test 1.500 nats per token"
    assert outcome({"metrics": {"validation": {"accuracy": 0.5}}}) == "validation accuracy 50.00%"
    assert outcome({"metrics": {"test": {"rmse": 0.5}}}) == "test RMSE 0.5000"
    assert outcome({"status": "wrong results", "rows": [1, 2]}) == "2 rows (wrong results)"
    assert outcome({"status": "stopped", "metrics": {}}) == "- (stopped)"


def test_commits_and_durations_are_short() -> None:
    assert commit({"provenance": {"commit": "0123456789", "dirty": False}}) == "0123456"
    assert commit({"provenance": {"commit": None, "dirty": None}}) == "unknown"
    assert [duration(s) for s in (None, 7, 59.6, 3600)] == [
        "-",
        "7 s",
        "1 min 0 s",
        "1 h 0 min",
    ]


def test_a_table_in_markdown_has_cells_of_its_header() -> None:
    with pytest.raises(ValueError, match=r"2 cells; got a row of 1: \['a'\]"):
        markdown_table(["x", "y"], [["a"]])
    assert (
        markdown_table(["x", "y", "z"], [], text=["z"]).splitlines()[1] == "| :--- | ---: | :--- |"
    )


def test_families_gather_the_complete_records_of_their_seeds() -> None:
    names = ("s/tno-seed0", "s/tno-seed1", "s/fd-seed0", "other/fd-seed1", "s/gone")
    records = [{"name": name, "status": "complete"} for name in names]
    records[2]["status"] = "stopped"
    members = ("fd-seed0", "fd-seed1", "tno-seed0", "tno-seed1", "alibi")
    found = by_family(records, "s", members)
    assert list(found) == ["fd", "tno", "alibi"]
    assert found == {"fd": [], "tno": records[:2], "alibi": []}


def test_a_mean_says_of_how_many_runs() -> None:
    assert (mean([]), mean([1.0]), mean([1.0, 2.0, 3.0], 1)) == ("-", "1.00", "2.0 ± 1.0 (3)")


@pytest.mark.parametrize(
    ("type_", "processes", "text"),
    [("cuda", 1, "a GPU"), ("cuda", 4, "4 × a GPU"), ("cpu", 4, "a GPU")],
)
def test_cards_that_worked_together_are_counted(type_: str, processes: int, text: str) -> None:
    where = {"device": "a GPU", "type": type_, "processes": processes}
    record = {**RECORD, "provenance": {"hardware": where, "date": "2024-05-06T07:08:09+00:00"}}
    assert hardware(record) == text
    assert table([record]).splitlines()[2].count(text) == 1
