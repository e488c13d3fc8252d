"""book/_ext/run_ahead.py: pages run beside each other, once, and failures are still reported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ext.conftest import ROOT

pytest.importorskip("myst_nb", reason="needs the book's packages")

HEADER = """---
jupytext:
  text_representation: {extension: .md, format_name: myst}
kernelspec: {display_name: Python 3, language: python, name: python3}
---
"""
# Each page says that it is there, and waits until the other has done so too.
MEET = """# Page {name}
```{{code-cell}} ipython3
import time
from pathlib import Path
with open("{name}.log", "a") as log:
    log.write("here\\n")
deadline = time.monotonic() + 60
while not Path("{other}.log").is_file():
    assert time.monotonic() < deadline, "alone"
    time.sleep(0.05)
print("page {name} is", "done")
```
"""
FAIL = """# Page c
```{code-cell} ipython3
with open("c.log", "a") as log:
    log.write("here\\n")
assert False, "page c is wrong"
```
"""
CONF = """
extensions = ["myst_nb", "run_ahead"]
nb_execution_mode = "cache"
nb_execution_show_tb = True
"""


def build(book: Path, out: Path) -> str:
    command = [sys.executable, "-m", "sphinx", "-b", "html", str(book), str(out / "html")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "book" / "_ext"), "NO_COLOR": "1"}
    done = subprocess.run(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture
def book(tmp_path: Path) -> Path:
    book = tmp_path / "book"
    book.mkdir()
    (book / "conf.py").write_text(CONF)
    (book / "index.md").write_text("# Start\n\n```{toctree}\na\nb\nc\n```\n")
    (book / "a.md").write_text(HEADER + MEET.format(name="a", other="b"))
    (book / "b.md").write_text(HEADER + MEET.format(name="b", other="a"))
    (book / "c.md").write_text(HEADER + FAIL)
    return book


def test_pages_run_beside_each_other_and_once(book: Path, tmp_path: Path) -> None:
    said = build(book, tmp_path)
    assert "running 3 pages" in said
    for name in "ab":
        assert f"page {name} is done" in (tmp_path / "html" / f"{name}.html").read_text()
        assert (book / f"{name}.log").read_text() == "here\n"
    # The reader runs a failed page again and says where it failed.
    assert (book / "c.log").read_text() == "here\nhere\n"
    assert "c.md" in said and "page c is wrong" in said


def test_what_is_in_the_cache_is_not_run(book: Path, tmp_path: Path) -> None:
    (book / "c.md").unlink()
    (book / "index.md").write_text("# Start\n\n```{toctree}\na\nb\n```\n")
    build(book, tmp_path)
    (tmp_path / "html" / ".doctrees").rename(tmp_path / "gone")  # all pages are read again
    assert "pages," not in build(book, tmp_path)
    for name in "ab":
        assert (book / f"{name}.log").read_text() == "here\n"
