"""Every Markdown notebook has an .ipynb beside it: its exact conversion, without outputs."""

from pathlib import Path

import jupytext
import nbformat
import pytest

BOOK = Path(__file__).resolve().parents[2] / "book"


def is_notebook(page: Path) -> bool:
    return "format_name: myst" in page.read_text(encoding="utf-8")[:500]


NOTEBOOKS = [page for page in sorted(BOOK.rglob("*.md")) if is_notebook(page)]
MEND = "run  make pages  and commit both files"


def cells(notebook: nbformat.NotebookNode) -> list[tuple[str, str, dict]]:
    return [(cell.cell_type, cell.source, dict(cell.metadata)) for cell in notebook.cells]


@pytest.mark.parametrize("page", NOTEBOOKS, ids=lambda page: str(page.relative_to(BOOK)))
def test_the_ipynb_is_the_page(page: Path) -> None:
    pair = page.with_suffix(".ipynb")
    assert pair.exists(), f"{pair.name} is missing: {MEND}"
    notebook = nbformat.read(pair, as_version=4)
    assert cells(notebook) == cells(jupytext.read(page)), f"{pair.name} is stale: {MEND}"
    assert notebook.metadata.kernelspec.name == "python3"
    for cell in notebook.cells:
        assert not cell.get("outputs"), f"{pair.name} holds outputs: {MEND}"
        assert cell.get("execution_count") is None, f"{pair.name} was executed: {MEND}"


def test_no_ipynb_without_its_page() -> None:
    pages = {page.with_suffix(".ipynb") for page in NOTEBOOKS}
    found = {path for path in BOOK.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts}
    assert found <= pages
