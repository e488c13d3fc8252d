import json
import subprocess
from pathlib import Path

import pytest
import torch

import tnnlab
from tnnlab.results import load_records, provenance, table, write_record

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
    assert [record["name"] for record in records] == ["lm-stdlib", "b"]
    assert records[0] == {**RECORD, "file": str(tmp_path / "a.json")}
    assert '{"step": 1, "loss": 3.0},\n' in (tmp_path / "a.json").read_text()
    assert load_records(tmp_path / "absent") == []


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
        "time": "1 h 2 min",
        "memory": "1.00 GiB",
        "hardware": "a CPU",
        "date": "2024-05-06",
    }
    second = dict(zip(cells[0], cells[3], strict=True))
    assert (second["record"], second["nats/token"]) == ("lm-stdlib (test)", "1.500")
    assert table([]) == ""


def test_a_failed_run_stays_in_the_table() -> None:
    failed = {**RECORD, "status": "stopped: the loss of step 7 is nan", "metrics": {}}
    assert "stopped: the loss of step 7 is nan" in table([failed])


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
