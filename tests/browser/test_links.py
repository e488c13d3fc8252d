"""Every link inside the rendered book leads somewhere."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import bs4


def test_internal_links_resolve(book: Path, pages: list[str]) -> None:
    trees = {
        name: bs4.BeautifulSoup((book / name).read_text(encoding="utf-8"), "html.parser")
        for name in pages
    }
    anchors = {name: {tag["id"] for tag in tree.find_all(id=True)} for name, tree in trees.items()}
    checked, broken = 0, []
    for name, tree in trees.items():
        for tag in tree.find_all(["a", "img", "script", "link"]):
            target = str(tag.get("href") or tag.get("src") or "")
            link = urlsplit(target)
            if not target or link.scheme or link.netloc:
                continue
            checked += 1
            if not _leads_somewhere(book, name, unquote(link.path), link.fragment, anchors):
                broken.append(f"{name}: {target}")
    assert not broken
    assert checked > len(pages)


def _leads_somewhere(
    book: Path, page: str, path: str, fragment: str, anchors: dict[str, set[str]]
) -> bool:
    file = ((book / page).parent / path).resolve() if path else (book / page).resolve()
    if not file.exists():
        return False
    name = file.relative_to(book.resolve()).as_posix()
    return not fragment or name not in anchors or unquote(fragment) in anchors[name]
