"""``tnnlab generate`` and ``tnnlab convert``."""

import json
import sys
from pathlib import Path

import pytest
import torch

from tnnlab import CausalLM, TNNConfig
from tnnlab.cli import main
from tnnlab.convert.model import load_language_model
from tnnlab.data import load_tokenizer_from
from tnnlab.data.tokenizers import ByteTokenizer
from tnnlab.generation import generate
from tnnlab.generation.command import trained_length

PROMPT = "for x in naïve: "


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model of bytes that writes something else than its last byte again and again."""
    torch.manual_seed(3)
    model = CausalLM(TNNConfig(vocab_size=257, depth=2, width=16, glu_width=16, rpe_depth=1))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if ".operator." not in name and name != "embedding.weight":
                torch.nn.init.normal_(weight, std=0.6)
    folder = tmp_path_factory.mktemp("model")
    model.save_pretrained(folder)
    ByteTokenizer().save(folder)
    return folder


def tokens_of(folder: Path, text: str, count: int, **options: object) -> list[int]:
    model, tokenizer = load_language_model(folder), load_tokenizer_from(folder)
    prompt = tokenizer.encode(text).tolist()
    return generate(model, [prompt], max_new_tokens=count, **options)[0]


def shown(tokens: list[int]) -> str:
    tokens = tokens[: tokens.index(256)] if 256 in tokens else tokens
    return ByteTokenizer().decode(tokens)


@pytest.mark.parametrize("decoder", [None, "full", "window", "etsc", "online"])
def test_the_text_is_that_of_the_library(
    folder: Path, decoder: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["generate", str(folder), "--prompt", PROMPT, "--max-new-tokens", "40"]
    arguments += ["--temperature", "0.7", "--top-k", "50", "--top-p", "0.9", "--seed", "4"]
    assert main(arguments + (["--decoder", decoder] if decoder else [])) == 0
    tokens = tokens_of(folder, PROMPT, 40, temperature=0.7, top_k=50, top_p=0.9, seed=4)
    assert capsys.readouterr().out == PROMPT + shown(tokens) + "\n"


def test_a_stop_text_ends_the_output(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(tokens_of(folder, PROMPT, 60, seed=1))
    middle = len(text) // 2
    stop = text[middle : middle + 2]
    arguments = ["generate", str(folder), "--prompt", PROMPT, "--max-new-tokens", "60"]
    arguments += ["--temperature", "1", "--seed", "1"]
    assert main([*arguments, "--stop", "\0 never \0", "--stop", stop]) == 0
    assert capsys.readouterr().out == PROMPT + text.split(stop)[0] + "\n"


def test_a_bar_is_shown_where_the_text_is_not(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["generate", str(folder), "--max-new-tokens", "9", "--temperature", "0"]
    for terminals, bar in ((("stderr",), True), (("stdout", "stderr"), False), ((), False)):
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            monkeypatch.setattr(stream, "isatty", lambda n=name, t=terminals: n in t, raising=False)
        assert main(arguments) == 0
        assert ("token" in capsys.readouterr().err) == bar


def test_convert_then_generate(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--prompt", PROMPT, "--max-new-tokens", "30", "--temperature", "0"]
    for method, options in (("etsc", []), ("reduced", ["--order", "9"])):
        out = tmp_path / method
        command = ["convert", str(folder), "--method", method, *options, "--length", "64"]
        assert main([*command, "--out", str(out)]) == 0
        printed = capsys.readouterr().out.splitlines()
        assert len(printed) == 3 and printed[-1] == f"model: {out}"
        assert printed[0].startswith("layer  0:") and "taps within" in printed[0]
        assert {path.name for path in out.iterdir()} == {
            *("config.json", "conversion.json", "model.safetensors", "tokenizer.json")
        }
        assert main(["generate", str(out), *arguments]) == 0
        text = capsys.readouterr().out
        assert main(["generate", str(folder), *arguments, "--decoder", method, *options,
                     "--length", "64"]) == 0  # fmt: skip
        assert capsys.readouterr().out == text


def test_the_length_of_a_run_is_known(folder: Path, tmp_path: Path) -> None:
    assert trained_length(folder) is None
    (tmp_path / "result.json").write_text(json.dumps({"config": {"data": {"length": 32}}}))
    assert trained_length(tmp_path) == 32
    (tmp_path / "model").symlink_to(folder)
    out = tmp_path / "out"
    assert main(["convert", str(tmp_path), "--method", "etsc", "--out", str(out)]) == 0
    assert load_language_model(out).config.length == 32  # type: ignore[attr-defined]
    checkpoint = tmp_path / "step"
    checkpoint.mkdir()
    (checkpoint / "config.json").write_text(json.dumps({"data": {"length": 16}}))
    assert trained_length(checkpoint) == 16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["generate", "--decoder", "cache"], "no decoder 'cache'"),
        (["generate", "--top-p", "2"], "top_p lies in"),
        (["generate", "--stop", ""], "a stop text has at least one character"),
        (["generate", "--decoder", "reduced"], "give order or tolerance"),
        (["generate", "--length", "0"], "length is at least 1"),
        (["convert", "--method", "etsc", "--out", "new"], "give --length"),
        (["convert", "--method", "etsc", "--length", "0", "--out", "new"], "n ≥ 1; got 0"),
        (["convert", "--method", "reduced", "--length", "8", "--out", "new"], "give order or"),
        (
            ["convert", "--method", "etsc", "--order", "3", "--length", "8", "--out", "new"],
            "etsc is exact",
        ),
        (["convert", "--method", "etsc", "--length", "8", "--out", "."], "exists: choose another"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_is_refused(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([arguments[0], str(folder), *arguments[1:]]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("tnnlab: ") and message in captured.err
    assert captured.out == "" and list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    command = ["convert", str(folder), "--method", "etsc", "--length", "8"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 1
    assert list(tmp_path.iterdir()) == []
