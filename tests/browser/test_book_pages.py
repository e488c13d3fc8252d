"""Every page of the rendered book: nothing from another host, formulas set, no barrier found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

# What axe-core finds in the theme itself: a search button whose label differs from its text, and
# the skip link and footer outside of landmarks.
KNOWN = {"label-content-name-mismatch", "region"}


def test_pages_stay_on_this_machine_without_complaint(
    site: str, pages: list[str], visit: Any
) -> None:
    for name in pages:
        seen = visit(f"{site}/{name}", quiet=True)
        assert not seen.outside(), f"{name} asked another host"
        assert not seen.complaints, name
        seen.page.context.close()


def test_formulas_are_set(site: str, book: Path, pages: list[str], visit: Any) -> None:
    with_math = [n for n in pages if 'class="math' in (book / n).read_text(encoding="utf-8")]
    assert with_math, "no page of the book holds a formula"
    for name in with_math:
        page = visit(f"{site}/{name}").page
        page.wait_for_selector("mjx-container", state="attached", timeout=10_000)
        raw = page.evaluate(
            "[...document.querySelectorAll('.math')].filter(e => !e.querySelector('mjx-container'))"
            ".map(e => e.textContent)"
        )
        assert not raw, f"{name}: formulas left as source"
        assert page.locator("mjx-merror").count() == 0, f"{name}: a formula MathJax cannot read"
        page.context.close()


def test_axe_finds_nothing_new(site: str, book: Path, pages: list[str], visit: Any) -> None:
    axe = book.parent / "vendor" / "axe-core" / "axe.min.js"
    if not axe.is_file():
        pytest.skip(f"no axe-core: run `python book/_ext/vendor.py {axe.parents[1]} --dev`")
    for name in pages:
        page = visit(f"{site}/{name}").page
        page.add_script_tag(path=str(axe))
        page.add_style_tag(content="* { transition: none !important }")
        for theme in ("light", "dark"):
            page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
            found = page.evaluate("async () => (await axe.run()).violations")
            new = {v["id"]: _where(v) for v in found if v["id"] not in KNOWN}
            assert not new, f"{name}, {theme}"
        page.context.close()


def _where(violation: dict[str, Any]) -> list[str]:
    return [node["html"][:200] for node in violation["nodes"]]


def test_no_page_scrolls_sideways_on_a_phone(site: str, pages: list[str], visit: Any) -> None:
    for name in pages:
        page = visit(f"{site}/{name}", width=360).page
        over = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert over <= 0, f"{name} is {over} px wider than a screen of 360 px"
        page.context.close()


def test_no_page_is_over_3_megabytes(book: Path, pages: list[str]) -> None:
    sizes = {name: (book / name).stat().st_size for name in pages}
    assert all(size < 3_000_000 for size in sizes.values()), sizes
