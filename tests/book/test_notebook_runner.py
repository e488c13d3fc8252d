"""The collector in book/conftest.py: a Markdown notebook passes or fails by its own assertions."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PAGE = """\
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# A page

```{{code-cell}} ipython3
import tnnlab
x = 2
```

```{{code-cell}} ipython3
assert x == {expected}
assert tnnlab.__file__.startswith({root!r})
```
"""


def run_notebooks(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [
        "-m",
        "pytest",
        "-p",
        "book.conftest",
        "-c",
        "pyproject.toml",
        "-p",
        "no:cacheprovider",
    ]
    options = ["--nbval-lax", "--nbval-current-env", "--color=no", "-v"]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, *command, *options, str(folder)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )


def test_a_notebook_passes_or_fails_with_its_assertions(tmp_path: Path) -> None:
    (tmp_path / "right.md").write_text(PAGE.format(expected=2, root=str(ROOT)))
    (tmp_path / "wrong.md").write_text(PAGE.format(expected=3, root=str(ROOT)))
    (tmp_path / "text.md").write_text("# A page of text\n\n```python\nassert False\n```\n")

    run = run_notebooks(tmp_path)

    assert run.returncode == 1, run.stdout + run.stderr
    assert "1 failed, 3 passed" in run.stdout, run.stdout
    assert "right.md::Cell 1 PASSED" in run.stdout
    assert "wrong.md::Cell 1 FAILED" in run.stdout
    assert "assert x == 3" in run.stdout
