"""Write the set-up cell of every notebook page from `_config.yml`.

    python book/_ext/pages.py           # rewrite what is stale
    python book/_ext/pages.py --check   # exit 1 and name what is stale

The cell is the first code cell of a page. In Colab (or any Jupyter) it installs the package where
it is missing and names the device; the rendered page leaves it out.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
TAG = "tnnlab-setup"
CELL = """\
```{{code-cell}} ipython3
:tags: [{tag}, remove-cell]

# Set-up: install tnnlab where it is missing (Colab), and name the device.
import importlib.util

if importlib.util.find_spec("tnnlab") is None:
    %pip install --quiet "tnnlab[book,train] @ git+{url}"
import torch

gpu = torch.cuda.is_available()
device = torch.cuda.get_device_name() if gpu else f"{{torch.get_num_threads()}} threads"
print("GPU:" if gpu else "CPU:", device)
```
"""
GENERATED = re.compile(
    r"^```\{code-cell\}[^\n]*\n:tags: \[[^\]]*\b" + TAG + r"\b.*?^```\n", re.M | re.S
)
FIRST_CELL = re.compile(r"^```\{code-cell\}", re.M)


def repository_url(config: Path = ROOT / "_config.yml") -> str:
    """The public address of the project, from its one place."""
    return yaml.safe_load(config.read_text(encoding="utf-8"))["repository"]["url"]


def setup_cell(url: str) -> str:
    """The set-up cell as MyST Markdown."""
    return CELL.format(tag=TAG, url=url)


def with_setup_cell(text: str, url: str) -> str:
    """`text` of a page with its set-up cell up to date; unchanged if it has no code cells.

    Raises:
        ValueError: the set-up cell is there and is not the first code cell.
    """
    first = FIRST_CELL.search(text)
    if first is None:
        return text
    found = GENERATED.search(text)
    if found is None:
        return f"{text[: first.start()]}{setup_cell(url)}\n{text[first.start() :]}"
    if found.start() != first.start():
        raise ValueError(f"the cell tagged {TAG} must be the first code cell")
    return text[: found.start()] + setup_cell(url) + text[found.end() :]


def notebook_pages(book: Path = ROOT / "book") -> list[Path]:
    """The pages with code cells, sorted."""
    pages = (p for p in book.rglob("*.md") if not any(q.startswith((".", "_")) for q in p.parts))
    return sorted(p for p in pages if FIRST_CELL.search(p.read_text(encoding="utf-8")))


def stale_pages(book: Path = ROOT / "book", config: Path = ROOT / "_config.yml") -> dict[Path, str]:
    """The pages whose set-up cell is missing or old, each with the text it should have."""
    url, stale = repository_url(config), {}
    for page in notebook_pages(book):
        text = page.read_text(encoding="utf-8")
        try:
            wanted = with_setup_cell(text, url)
        except ValueError as error:
            raise ValueError(f"{page}: {error}") from error
        if wanted != text:
            stale[page] = wanted
    return stale


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the set-up cell of every notebook page.")
    parser.add_argument("--check", action="store_true", help="change nothing, exit 1 if stale")
    check = parser.parse_args().check
    stale = stale_pages()
    for page, text in stale.items():
        print(f"{'stale' if check else 'written'}: {page.relative_to(ROOT)}")
        if not check:
            page.write_text(text, encoding="utf-8")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
