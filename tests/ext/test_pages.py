"""book/_ext/pages.py: the set-up cell of each page follows `_config.yml`."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.ext.conftest import ROOT, load

URL = "https://example.org/someone/tnnlab"
PAGE = "# Title\n\nText.\n\n```{code-cell} ipython3\nx = 1\n```\n\nMore.\n"


pages = load("pages")


def test_the_cell_is_put_before_the_first_one_and_replaced_there() -> None:
    once = pages.with_setup_cell(PAGE, URL)
    assert once.index(URL) < once.index("x = 1")
    assert once.replace(pages.setup_cell(URL) + "\n", "") == PAGE
    assert pages.with_setup_cell(once, URL) == once
    moved = pages.with_setup_cell(once, "https://elsewhere.org/x/y")
    assert URL not in moved and moved == pages.with_setup_cell(PAGE, "https://elsewhere.org/x/y")


def test_a_page_without_code_is_left_alone() -> None:
    assert pages.with_setup_cell("# Title\n\n```python\nx\n```\n", URL) == (
        "# Title\n\n```python\nx\n```\n"
    )


def test_a_cell_that_is_not_first_is_refused() -> None:
    late = PAGE + pages.setup_cell(URL)
    with pytest.raises(ValueError, match="must be the first code cell"):
        pages.with_setup_cell(late, URL)


def test_the_cell_is_short_valid_and_hidden_in_the_rendered_page() -> None:
    fence, tags, *code, close = pages.setup_cell(URL).strip().split("\n")
    assert fence.startswith("```{code-cell}") and close == "```" and "remove-cell" in tags
    statements = [line for line in code if line and not line.startswith("#")]
    assert len(statements) <= 8
    ast.parse("\n".join(line.replace("%pip", "pass  #") for line in code))
    assert f"git+{URL}" in "\n".join(code)


def make_book(folder: Path) -> Path:
    (folder / "_config.yml").write_text(yaml.safe_dump({"repository": {"url": URL}}))
    book = folder / "book"
    (book / "_ext").mkdir(parents=True)
    (book / "page.md").write_text(PAGE)
    (book / "text.md").write_text("# Only text\n")
    return book


def test_stale_pages_are_found(tmp_path: Path) -> None:
    book = make_book(tmp_path)
    stale = pages.stale_pages(book, tmp_path / "_config.yml")
    assert list(stale) == [book / "page.md"]
    (book / "page.md").write_text(stale[book / "page.md"])
    assert not pages.stale_pages(book, tmp_path / "_config.yml")


def test_the_pages_of_this_book_are_up_to_date() -> None:
    script = ROOT / "book" / "_ext" / "pages.py"
    run = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, f"run `make pages`:\n{run.stdout}{run.stderr}"
