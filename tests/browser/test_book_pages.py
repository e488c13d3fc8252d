"""Every page of the rendered book: nothing from another host, formulas set, no barrier found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


def test_a_page(site: str, book: Path, name: str, visit: Any) -> None:
    """One visit answers all questions: setting the formulas of a page takes seconds."""
    seen = visit(f"{site}/{name}", quiet=True)
    assert not seen.outside(), "it asked another host"
    assert not seen.complaints
    check_formulas(seen.page)
    check_a_phone(seen.page)
    check_axe(seen.page, book.parent / "vendor" / "axe-core" / "axe.min.js")


def check_formulas(page: Any) -> None:
    raw = page.evaluate(
        "[...document.querySelectorAll('.math')].filter(e => !e.querySelector('mjx-container'))"
        ".map(e => e.textContent)"
    )
    assert not raw, "formulas left as source"
    assert page.locator("mjx-merror").count() == 0, "a formula MathJax cannot read"


def check_a_phone(page: Any) -> None:
    wide = page.viewport_size
    page.set_viewport_size({"width": 360, "height": 740})
    over = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert over <= 0, f"{over} px wider than a screen of 360 px"
    figures = page.locator(".wide-figure img")
    shrunk = [box for box in (figures.nth(i).bounding_box() for i in range(figures.count())) if box]
    assert all(box["width"] > 500 for box in shrunk), "letters of a wide figure are too small"
    page.set_viewport_size(wide)


def check_axe(page: Any, axe: Path) -> None:
    if not axe.is_file():
        pytest.skip(f"no axe-core: run `python book/_ext/vendor.py {axe.parents[1]} --dev`")
    page.add_script_tag(path=str(axe))
    page.add_style_tag(content="* { transition: none !important }")
    # The dark theme changes colours alone.
    for theme, options in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):
        page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
        found = page.evaluate("async options => (await axe.run(options)).violations", options)
        assert not {v["id"]: _where(v) for v in found}, theme


def test_some_page_holds_formulas(book: Path, pages: list[str]) -> None:
    assert any('class="math' in (book / name).read_text(encoding="utf-8") for name in pages)


def _where(violation: dict[str, Any]) -> list[str]:
    return [node["html"][:200] for node in violation["nodes"]]


def test_no_page_is_over_3_megabytes(book: Path, pages: list[str]) -> None:
    sizes = {name: (book / name).stat().st_size for name in pages}
    assert all(size < 3_000_000 for size in sizes.values()), sizes
