import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tnnlab
from tnnlab.cli import main, repeat
from tnnlab.results import load_records

RECIPE = """\
name: tiny
title: A tiny run
model: {vocab_size: 257, depth: 1, width: 16, expansion: 1, glu_width: 16, rpe_depth: 1}
data: {corpus: text, path: "%s", length: 32}
training: {steps: 6, batch_size: 4, warmup: 2, log_every: 2, checkpoint_every: 3}
evaluation: {every: 3, samples: 1, sample_tokens: 4}
presets:
  short: {training: {steps: 3}}
"""

TASK = """\
kind: classifier
name: task
model: {vocab_size: 16, classes: 10, depth: 1, width: 16, expansion: 1, glu_width: 16, rpe_depth: 1}
data: {task: listops, options: {source: generated, samples: 100, lengths: [10, 60]}}
training: {steps: 6, batch_size: 4, warmup: 2, log_every: 2, checkpoint_every: 3}
evaluation: {every: 3}
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A recipe in a folder that is the current one, with text to read."""
    monkeypatch.setenv("TNNLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text("\n\n".join(f"{i} times {i} is {i * i}." for i in range(300)))
    Path("tiny.yaml").write_text(RECIPE % (tmp_path / "text.txt"))
    Path("task.yaml").write_text(TASK)
    Path("kind.yaml").write_text(TASK.replace("classifier", "clasifier"))
    return "tiny.yaml"


def test_a_classifier_is_trained_by_its_recipe(
    recipe: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "task.yaml", "--model.pooling", "last", "--training.steps=4"]) == 0
    printed = capsys.readouterr().out
    assert "accuracy" in printed and "tnnlab generate" not in printed
    (record,) = load_records("runs/task")
    assert (record["config"]["kind"], record["config"]["model"]["pooling"]) == (
        "classifier",
        "last",
    )
    assert record["command"] == "tnnlab train task.yaml --model.pooling last --training.steps=4"
    assert main(["results"]) == 0
    assert "task (test)" in capsys.readouterr().out
    assert main(["train", "task.yaml", "--resume", "--training.steps=4"]) == 2
    assert "model.pooling was 'last', is 'mean'" in capsys.readouterr().err


def test_the_recipe_may_stand_later_where_no_option_is_its_own(recipe: str) -> None:
    assert main(["train", "--preset", "short", recipe]) == 0
    assert main(["train", "--training.steps", "3", "task.yaml", "--out", "here"]) == 0
    (record,) = load_records("here")
    assert (record["config"]["kind"], record["steps"]) == ("classifier", 3)


def test_train_results_generate(recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", recipe, "--preset", "short", "--model.depth=2", "--seed", "3"]) == 0
    printed = capsys.readouterr().out
    assert "tnnlab generate runs/tiny-short --prompt" in printed

    assert main(["results"]) == 0
    row = capsys.readouterr().out.splitlines()[2]
    assert row.startswith("tiny") and "short" in row and "complete" in row
    (record,) = load_records("runs")
    assert record["command"] == "tnnlab train tiny.yaml --preset short --model.depth=2 --seed 3"
    assert (record["config"]["model"]["depth"], record["seed"], record["steps"]) == (2, 3, 3)

    options = ["--prompt", "12 times", "--max-new-tokens", "5", "--seed", "1", "--top-k", "9"]
    texts = []
    for folder in ("runs/tiny-short", "runs/tiny-short/checkpoints/step-00000003"):
        assert main(["generate", folder, *options]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] and texts[0].startswith("12 times")


def test_the_command_of_a_run_has_as_many_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["lm-stdlib", "--out", "here", "--preset", "smoke", "--resume"]
    assert repeat(words) == "tnnlab train lm-stdlib --preset smoke"
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    expected = "torchrun --nproc_per_node 2 -m tnnlab train lm-stdlib --preset smoke"
    assert repeat(words) == expected


def test_a_used_folder_is_refused_until_resume(
    recipe: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", recipe, "--out", "here"]) == 0
    assert main(["train", recipe, "--out", "here"]) == 2
    assert "here exists and is not an empty folder: add --resume" in capsys.readouterr().err
    assert main(["train", recipe, "--out", "here", "--resume", "--model.depth", "2"]) == 2
    assert "model.depth was 1, is 2" in capsys.readouterr().err
    assert main(["train", recipe, "--out", "here", "--resume"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tiny.yaml", "--modl.depth", "4"], "unknown option --modl.depth: did you mean --model.d"),
        (["tiny.yaml", "--model.dept", "4"], "did you mean --model.depth?"),
        (["tiny.yaml", "--resum"], "did you mean --resume?"),
        (["tiny.yaml", "--model.depth", "four"], "model.depth: Expected int. Got value: four"),
        (["tiny.yaml", "--model.depth", "0"], "model.depth is at least 1; got 0"),
        (["tiny.yaml", "--training.warmup", "9"], "warmup is 9, longer than training.steps 6"),
        (["tiny.yaml", "--training.schedule", "linear"], "inverse-square-root"),
        (["tiny.yaml", "--model.vocab_size", "9"], "set model.vocab_size to 257"),
        (["tiny.yaml", "--preset", "shrt"], "no preset 'shrt': did you mean short?"),
        (["lm-stdlb"], "did you mean lm-stdlib?"),
        (["missing.yaml"], "there is no recipe missing.yaml"),
        (["tiny.yaml", "more"], "unrecognized arguments: more"),
        ([], "required: recipe (the recipe comes first: tnnlab train RECIPE"),
        (["--modl.depth", "4", "tiny.yaml"], "did you mean --model.depth? (the recipe comes first"),
        (["--model.classes", "3", "task.yaml"], "unknown option --model.classes"),
        (["task.yaml", "--evaluation.prompt", "a"], "unknown option --evaluation.prompt: did you"),
        (["task.yaml", "--model.classes", "3"], "set model.classes to 10"),
        (["task.yaml", "--data.options", "{sampls: 3}"], "argument 'sampls'"),
        (["task.yaml", "--data.length", "9"], "data.length is 9, and the longest sequence"),
        (["kind.yaml"], "kind cannot be 'clasifier': did you mean classifier?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_is_refused_with_advice(
    recipe: str, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["train", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("tnnlab: ") and message in error and "Traceback" not in error
    assert not Path("runs").exists()


def test_text_that_is_not_there(recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", recipe, "--data.path", "absent.txt"]) == 1
    assert "absent.txt" in capsys.readouterr().err
    assert not Path("runs").exists()


def test_a_folder_without_a_model(recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "."]) == 2
    assert "holds no model: give the folder of a run" in capsys.readouterr().err
    Path("checkpoints/step-00000005").mkdir(parents=True)
    assert main(["generate", "."]) == 2
    assert "newest checkpoint can be used: checkpoints/step-00000005" in capsys.readouterr().err


def test_recipes_are_listed_with_their_presets(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes"]) == 0
    printed = capsys.readouterr().out
    assert "lm-stdlib\n  Byte-level language model" in printed and "presets: full, smoke" in printed


def test_no_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["results"]) == 0
    assert "no result records in data/results, runs" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["train", "--help"], ["--help"], ["generate", "-h"]])
def test_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 0
    assert "usage: tnnlab" in capsys.readouterr().out


def test_an_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["trian"])
    assert left.value.code == 2
    assert "trian" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")
def test_ctrl_c_in_a_real_process(recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(tnnlab.__file__).parents[1]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    command = [sys.executable, "-m", "tnnlab", "train", recipe, "--training.steps", "100000"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not list(Path("runs").glob("tiny/checkpoints/step-*")):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=100)
    assert process.returncode == 130, error
    assert "tnnlab train tiny.yaml --training.steps 100000 --out runs/tiny --resume" in error
    assert "Traceback" not in error
