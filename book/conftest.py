"""Let `pytest --nbval-lax book` run the Markdown notebooks, which are the sources, themselves."""

import os
from pathlib import Path
from unittest import mock

import jupytext
import pytest
from nbval import plugin

# The .ipynb are conversions of the .md; the extensions are not notebooks.
collect_ignore_glob = ["*.ipynb", "_ext/*"]

# Kernels import the package from this checkout.
_root = str(Path(__file__).resolve().parents[1])
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [_root, os.environ.get("PYTHONPATH")]))


class MarkdownNotebook(plugin.IPyNbFile):
    """nbval's notebook, read by jupytext where nbval would read JSON."""

    def collect(self):
        def read(path, **_):
            return jupytext.read(path)

        with mock.patch.object(plugin.nbformat, "read", read):
            yield from super().collect()


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    options = parent.config.option
    if not (options.nbval or options.nbval_lax) or file_path.suffix != ".md":
        return None
    if "format_name: myst" not in file_path.read_text(encoding="utf-8")[:500]:
        return None  # a page of text only
    return MarkdownNotebook.from_parent(parent, path=file_path)
