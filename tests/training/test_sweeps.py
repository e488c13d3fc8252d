"""Many runs from one file. Few are processes of their own here: each of those imports torch."""

import json
import subprocess
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

import tnnlab
from tests.training.helpers import losses
from tnnlab.cli import main
from tnnlab.results import load_records, write_record
from tnnlab.training import ConfigError, RunConfig, loop, read_recipe, sweeps, train
from tnnlab.training.setup import Run
from tnnlab.training.sweeps import MOST_LINES, Member, read_sweep, run_sweep, thinned

RECIPE = """\
name: tiny
model: {vocab_size: 257, depth: 1, width: 16, expansion: 1, glu_width: 16, rpe_depth: 1}
data: {corpus: text, path: text.txt, length: 32}
training: {steps: 130, batch_size: 1, warmup: 2, log_every: 1, checkpoint_every: 50, threads: 1}
evaluation: {every: 50, limit: 100, samples: 0}
presets:
  short: {training: {steps: 4}}
"""
HEAD = "recipe: tiny.yaml\npreset: short\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current folder has a recipe, and text to read."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(tnnlab.__file__).parents[1]))
    Path("text.txt").write_text("\n\n".join(f"{i} times {i} is {i * i}." for i in range(300)))
    Path("tiny.yaml").write_text(RECIPE)


def write(text: str, head: str = HEAD) -> str:
    Path("mine.yaml").write_text(head + text)
    return "mine.yaml"


def write_complete(folder: Path, **more: Any) -> None:
    folder.mkdir(parents=True)
    record = {"name": "tiny", "provenance": {}, "status": "complete", "history": {}}
    write_record(folder / "result.json", {**record, **more})


def test_members_have_what_is_common_and_what_is_their_own() -> None:
    file = write(
        "overrides: {model.depth: 2, training.clip: null}\n"
        "members: {a: {}, b: {model.depth: 3, model.operator: fd}, c: }\n"
    )
    head = ("tiny.yaml", "--preset", "short")
    assert read_sweep(file) == [
        Member("a", (*head, "--model.depth=2", "--training.clip=null")),
        Member("b", (*head, "--model.depth=3", "--training.clip=null", "--model.operator=fd")),
        Member("c", (*head, "--model.depth=2", "--training.clip=null")),
    ]
    file = write("members: {a: {}}\n", head="recipe: tiny.yaml\n")
    assert read_sweep(file) == [Member("a", ("tiny.yaml",))]


def test_seeds_repeat_every_member_and_patterns_choose() -> None:
    file = write("seeds: [0, 7]\nmembers: {tno: {}, tno-wide: {model.width: 32}, fd: {seed: 3}}\n")

    def names(*only: str) -> list[str]:
        return [member.name for member in read_sweep(file, only=list(only) or None)]

    assert names() == [f"{m}-seed{s}" for m in ("tno", "tno-wide", "fd") for s in (0, 7)]
    assert names("*-seed7") == ["tno-seed7", "tno-wide-seed7", "fd-seed7"]
    assert names("fd-seed0", "tno-w*") == ["tno-wide-seed0", "tno-wide-seed7", "fd-seed0"]
    assert [m.arguments[3] for m in read_sweep(file, only=["fd*"])] == ["--seed=0", "--seed=7"]
    with pytest.raises(ConfigError, match=r"has no member tno, fd: tno, tno-wide, fd"):
        read_sweep(file, only=["tno", "fd"])


def test_variants_make_every_member_anew_and_members_may_be_those_of_another_sweep() -> None:
    write("seeds: [0, 1]\nmembers: {tno: {model.depth: 2}, fd: {model.operator: fd}}\n")
    Path("rates.yaml").write_text(
        "recipe: tiny.yaml\nmembers: mine.yaml\nseeds: [5]\n"
        "variants: {1e-3: {training.learning_rate: 0.001}, shallow: {model.depth: 1}, as-is: }\n"
    )
    found = {member.name: member.arguments[1:] for member in read_sweep("rates.yaml")}
    assert found == {
        "tno-1e-3-seed5": ("--model.depth=2", "--training.learning_rate=0.001", "--seed=5"),
        "tno-shallow-seed5": ("--model.depth=1", "--seed=5"),
        "tno-as-is-seed5": ("--model.depth=2", "--seed=5"),
        "fd-1e-3-seed5": ("--model.operator=fd", "--training.learning_rate=0.001", "--seed=5"),
        "fd-shallow-seed5": ("--model.operator=fd", "--model.depth=1", "--seed=5"),
        "fd-as-is-seed5": ("--model.operator=fd", "--seed=5"),
    }


def test_arguments_make_the_run_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(
        "overrides: {training.betas: [0.8, 0.9], evaluation.prompt: 'two words', seed: 2}\n"
        "members:\n"
        "  a:\n"
        "    model.operator: rtf\n"
        "    model.operator_options: {order: 4, length: 64, init: xavier, stable: true}\n"
        "    training.learning_rate: 1e-3\n"
        "    training.clip: null\n"
        "    evaluation.lengths: [16, 64]\n"
        "  b:\n"
        "    model: {depth: 2, pre_norm: false}\n"
        "    evaluation.lengths: []\n"
    )
    made: list[RunConfig] = []
    monkeypatch.setattr(loop, "train", lambda config, *_, **__: made.append(config))
    for member in read_sweep(file):
        assert main(["train", *member.arguments]) == 0
    common = {"training": {"betas": [0.8, 0.9]}, "evaluation": {"prompt": "two words"}, "seed": 2}
    a, b = made
    assert (a.seed, a.training.betas, a.evaluation.prompt) == (2, (0.8, 0.9), "two words")
    assert a.model.operator_options == {"order": 4, "length": 64, "init": "xavier", "stable": True}
    assert (a.training.learning_rate, a.training.clip, a.training.steps) == (1e-3, None, 4)
    assert a.evaluation.lengths == (16, 64)
    changes = {**common, "model": {"depth": 2, "pre_norm": False}}
    assert b == read_recipe("tiny.yaml", preset="short", overrides=changes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("members: {a: {model.dept: 1}}", r"member a: .*unknown key model\.dept: did you mean mod"),
        ("members: {a: {model.depth: x}}", r"member a: model\.depth: Expected int"),
        ("members: {a: {model.depth: 0}}", "member a: model.depth is at least 1; got 0"),
        ("members: {a: {model.depth.x: 1}}", r"member a: model\.depth: Expected int"),
        ("members: {a: {model: 3}}", "member a: overrides: model holds further keys, not 3"),
        ("members: {a: {3: 3}}", "member a: overrides: unknown key 3"),
        ("seeds: [a]\nmembers: {a: {}}", "member a-seeda: seed: Expected int"),
        ("seeds: 3\nmembers: {a: {}}", "seeds is a list"),
        ("members: [a, b]", "members and each of them are mappings"),
        ("members: {a: 3}", "members and each of them are mappings"),
        ("overrides: [a]\nmembers: {a: {}}", "overrides, variants, members and each of them are"),
        ("variants: [a]\nmembers: {a: {}}", "overrides, variants, members and each of them are"),
        ("variants: {a: 3}\nmembers: {a: {}}", "overrides, variants, members and each of them are"),
        ("members: other", "there is no sweep other"),
        ("members: {}", "has no member"),
        ("members:", "has no member"),
        ("members: {a/b: {}}", r"'a/b' names a folder: letters, digits, \. _ and -"),
        ("members: {..: {}}", r"'\.\.' names a folder"),
        ("members: {records: {}}", "'records' names a folder"),
        ("seed: [1]\nmembers: {a: {}}", "has the keys recipe and members, and may have"),
        ("overrides: {}", "has the keys recipe and members"),
        ("members: [", "no valid YAML"),
    ],
)
def test_a_faulty_sweep_is_refused_before_its_first_run(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_sweep(write(text + "\n"))


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("", "has the keys recipe and members"),
        ("recipe: 3\n", "there is no recipe 3"),
        ("recipe: lm-stdlb\n", "member a: there is no recipe lm-stdlb: did you mean lm-stdlib"),
        ("recipe: tiny.yaml\npreset: 3\n", "member a: tiny.yaml has no preset '3'"),
    ],
)
def test_a_sweep_names_a_recipe(head: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_sweep(write("members: {a: {}}\n", head=head))


def test_a_sweep_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="there is no sweep lm-smal: did you mean lm-small"):
        read_sweep("lm-smal")
    with pytest.raises(ConfigError, match=r"no sweep other\.yaml: .*a path ends in \.yaml"):
        read_sweep("other.yaml")


def test_a_sweep_runs_what_is_not_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(
        "members: {done: {}, whole: {}, stopped: {}, absent: {data.path: absent.txt}}\n",
        head="recipe: tiny.yaml\n",
    )
    members, out = read_sweep(file), Path("out")
    write_complete(out / "done", metrics={"found": 1})
    update = loop.update

    def interrupted(run: Run) -> None:
        if run.at.step == 60:
            raise KeyboardInterrupt
        update(run)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop, "update", interrupted)
        train(read_recipe("tiny.yaml"), out / "stopped")

    lines: list[str] = []
    assert run_sweep(members, out, jobs=2, report=lines.append) == ["absent"]
    assert sorted(lines) == [
        "absent: failed, see absent.log", "done: complete", "stopped: complete", "whole: complete",
    ]  # fmt: skip
    assert "absent.txt" in (out / "absent.log").read_text()
    assert not (out / "done.log").exists()
    assert "step 50 of 130" in (out / "stopped.log").read_text()
    assert losses(out / "stopped") == losses(out / "whole")

    records = {Path(record["file"]).stem: record for record in load_records(out / "records")}
    assert set(records) == {"done", "whole", "stopped"} and records["done"]["metrics"]["found"] == 1
    for name in ("whole", "stopped"):
        record = json.loads((out / name / "result.json").read_text())
        train_lines = record["history"]["train"]
        kept = records[name]["history"]["train"]
        assert len(train_lines) == 130 and len(kept) == 44 and kept == train_lines[::-3][::-1]
        assert records[name]["metrics"] == record["metrics"]
        assert record["command"] == "tnnlab train tiny.yaml"

    # Again: only what failed is started.
    started: list[list[str]] = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: started.append(command))
    assert run_sweep(members, out, jobs=1, report=lines.append) == ["absent"]
    ((*_, argument, word, folder, resume),) = started
    assert (argument, word, resume) == ("--data.path=absent.txt", "--out", "--resume")
    assert folder == str(out / "absent")


def test_members_run_side_by_side_and_are_dealt_out_among_gpus(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    both, gpus = threading.Barrier(2, timeout=60), {}

    def run(command: list[str], *, env: dict[str, str], **_: Any) -> None:
        both.wait()  # for ever, if there were one at a time
        folder = Path(command[-2])
        gpus[folder.name] = env.get("CUDA_VISIBLE_DEVICES")
        write_complete(folder)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    members = [Member(name, ("tiny.yaml",)) for name in "abcd"]
    assert run_sweep(members, Path("out"), jobs=2, report=lambda text: None) == []
    assert {gpus["a"], gpus["b"]} == {gpus["c"], gpus["d"]} == {"0", "1"} and len(gpus) == 4


@pytest.mark.parametrize(("visible", "known"), [(None, {"0", "1"}), ("5,7", {"5", "7"})])
def test_a_member_runs_where_one_has_ended(
    visible: str | None, known: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    last, gpus = threading.Event(), {}

    def run(command: list[str], *, env: dict[str, str], **_: Any) -> None:
        folder = Path(command[-2])
        gpus[folder.name] = env["CUDA_VISIBLE_DEVICES"]
        if folder.name == "long":  # as long as all others together
            assert last.wait(timeout=60)
        write_complete(folder)
        if folder.name == "d":
            last.set()

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    members = [Member(name, ("tiny.yaml",)) for name in ("long", *"abcd")]
    assert run_sweep(members, Path("out"), jobs=2, report=lambda text: None) == []
    assert set(gpus.values()) == known
    assert [gpus[name] == gpus["long"] for name in "abcd"] == [False] * 4


def test_a_run_that_stopped_by_itself_is_not_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        subprocess,
        "run",
        lambda command, **_: write_complete(Path(command[-2]), status="stopped: the loss is nan"),
    )
    members = [Member("a", ("tiny.yaml",))]
    assert run_sweep(members, Path("out"), jobs=1, report=lambda text: None) == ["a"]
    assert not list(Path("out/records").iterdir())


@pytest.mark.parametrize("count", [0, 1, MOST_LINES, MOST_LINES + 1, 130, 1000])
def test_a_thinned_history_is_even_and_keeps_its_last_line(count: int) -> None:
    lines = [{"step": step} for step in range(1, count + 1)]
    record = {"name": "a", "history": {"train": lines, "validation": lines}}
    kept = thinned(record)["history"]
    assert kept["validation"] == lines == record["history"]["train"]
    steps = [line["step"] for line in kept["train"]]
    assert len(steps) <= MOST_LINES and steps[-1:] == [line["step"] for line in lines[-1:]]
    assert len({b - a for a, b in pairwise(steps)}) <= 1
    assert count > MOST_LINES or kept["train"] == lines
    assert count <= MOST_LINES or len(steps) > MOST_LINES // 2


def test_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def run(command: list[str], **_: Any) -> None:
        if Path(command[-2]).name != "bad":
            write_complete(Path(command[-2]))

    monkeypatch.setattr(sweeps.subprocess, "run", run)
    file = write("members: {good: {}, bad: {}, other: {}}\n")
    assert main(["sweep", file, "--jobs", "2"]) == 1
    printed = capsys.readouterr()
    assert "good: complete" in printed.out and "bad: failed, see bad.log" in printed.out
    assert "records: runs/sweeps/mine/records" in printed.out
    assert printed.err == "tnnlab: 1 of 3 failed: bad\n"
    assert main(["sweep", file, "--only", "good", "oth*", "--out", "here"]) == 0
    assert sorted(path.name for path in Path("here/records").iterdir()) == [
        "good.json", "other.json",
    ]  # fmt: skip
    for arguments, message in (
        ([file, "--only", "nothing"], "mine.yaml has no member nothing: good, bad, other"),
        ([file, "--jobs", "0"], "jobs is at least 1; got 0"),
        (["lm-smal"], "did you mean lm-small?"),
    ):
        assert main(["sweep", *arguments, "--out", "there"]) == 2
        assert message in capsys.readouterr().err
    assert not Path("there").exists()
