"""Carry the code cells of each .ipynb back into its Markdown page, after ruff has formatted them.

    python book/_ext/format_cells.py book/1_foundations/toeplitz.md ...

jupytext could write the whole page, but would also reflow the options of cells, captions included.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

# The fence, the options of the cell (":key: value" lines or a YAML block), then its code.
CELL = re.compile(
    r"(?P<head>^```\{code-cell\}[^\n]*\n(?:---\n.*?^---\n|(?::[^\n]*\n)*)\n*)(?P<code>.*?)(?P<end>^```$)",
    re.M | re.S,
)


def with_code(text: str, code: list[str]) -> str:
    """`text` of a page with the code of its cells replaced, in order.

    Raises:
        ValueError: the page has another number of code cells.
    """
    found = len(CELL.findall(text))
    if found != len(code):
        raise ValueError(f"{found} code cells in the page, {len(code)} in its .ipynb: make pages")
    sources: Iterator[str] = iter(code)
    return CELL.sub(lambda cell: f"{cell['head']}{next(sources)}\n{cell['end']}", text)


def main() -> None:
    for page in map(Path, sys.argv[1:]):
        cells = json.loads(page.with_suffix(".ipynb").read_text(encoding="utf-8"))["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        text = page.read_text(encoding="utf-8")
        formatted = with_code(text, code)
        if formatted != text:
            page.write_text(formatted, encoding="utf-8")
            print(f"formatted: {page}")


if __name__ == "__main__":
    main()
