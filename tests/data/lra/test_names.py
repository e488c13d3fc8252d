"""Tasks by name, and nothing heavy before they are loaded."""

import subprocess
import sys

import pytest

from tnnlab.data.lra import TASK_NAMES, load_task


def test_unknown_names_are_explained() -> None:
    with pytest.raises(ValueError, match=r"unknown task 'list-ops': .*did you mean 'listops'"):
        load_task("list-ops")
    with pytest.raises(TypeError, match="unexpected keyword argument 'size'"):
        load_task("listops", size=3)
    assert "path-x" in TASK_NAMES and "retrieval-stand-in" in TASK_NAMES


def test_files_are_read_by_packages_imported_then() -> None:
    code = (
        "import sys, torch, numpy; before = set(sys.modules)\n"
        "import tnnlab.data.lra, tnnlab.data.synthetic\n"
        "print(sorted({'datasets', 'pyarrow', 'PIL', 'pandas'} & (set(sys.modules) - before)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.stdout.strip() == "[]", run.stderr
