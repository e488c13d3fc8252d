"""Lighthouse on every page of the book: accessibility 1.00, best practices at least 0.95."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import serve

Audit = Callable[[str], dict[str, Any]]
SCRIPTS = (
    "puppeteer/package/lib/es5-iife/puppeteer-core-browser.js",
    "lighthouse/lighthouse-dt-bundle.js",
)


@pytest.fixture(scope="session")
def audit(book: Path, launch: Any) -> Iterator[Audit]:
    """`audit(address)` finds scores and failures, in a Chromium that it has for itself."""
    folder = book.parent / "vendor" / "chrome-devtools-frontend"
    if not folder.is_dir():
        pytest.skip(f"no Lighthouse: run `python book/_ext/vendor.py {folder.parent} --dev`")
    browser = launch()
    page = browser.new_page()
    target = page.context.new_cdp_session(page).send("Target.getTargetInfo")["targetInfo"]
    channel = {"targetId": target["targetId"], "bindingName": "cdp"}
    browser.new_browser_cdp_session().send("Target.exposeDevToolsProtocol", channel)
    page.goto("about:blank")  # the channel is there from the next document on
    for script in (*(folder / name for name in SCRIPTS), Path(__file__).with_name("lighthouse.js")):
        page.add_script_tag(path=script)
    yield lambda address: page.evaluate("address => audit(address)", address)
    browser.close()


def test_a_page(site: str, name: str, audit: Audit) -> None:
    found = audit(f"{site}/{name}")
    assert not found["warnings"]
    accessibility, practices = found["accessibility"], found["best-practices"]
    assert accessibility["score"] == 1 and not accessibility["failed"], accessibility["failed"]
    assert practices["score"] >= 0.95, practices["failed"]


def test_barriers_and_bad_practices_are_found(tmp_path: Path, audit: Audit) -> None:
    page = "<title>x</title><img src='data:,'><script>console.error('trouble')</script>"
    (tmp_path / "bad.html").write_text(page)
    with serve(tmp_path) as address:
        found = audit(f"{address}/bad.html")
    accessibility, practices = found["accessibility"], found["best-practices"]
    assert accessibility["score"] < 1 and practices["score"] < 0.95
    failed = "\n".join(accessibility["failed"] + practices["failed"])
    assert "image-alt: " in failed and "<img" in failed and "errors-in-console: " in failed
