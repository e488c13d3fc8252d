"""The README tells the truth: its example runs, its commands are CI's, its folders exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def test_the_example_runs() -> None:
    (code,) = blocks("python")
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["logits"].shape == (1, 512, 257)


def test_ci_runs_the_two_commands() -> None:
    commands = blocks("sh")[0].split("\n")[:-1]
    assert commands == ["make book", "make test"]
    assert (ROOT / ".ci/run").read_text().endswith("\n".join(["", *commands, ""]))


def table_paths() -> list[str]:
    rows = [row.split("|")[1] for row in README.splitlines() if row.startswith("| `")]
    return [path for row in rows for path in re.findall(r"`([^`]+)`", row)]


@pytest.mark.parametrize("path", table_paths())
def test_the_map_of_folders_is_right(path: str) -> None:
    assert (ROOT / path).exists() or (ROOT / "tnnlab" / path).exists()


@pytest.mark.parametrize("target", re.findall(r"\]\((?!https?:)([^)]+)\)", README))
def test_links_lead_somewhere(target: str) -> None:
    assert (ROOT / target).exists()
