"""A browser over the rendered book on the loopback address; skipped where either is missing."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
VIEW = "application/vnd.jupyter.widget-view+json"


BOOK = Path(os.environ.get("TNNLAB_BOOK", ROOT / "_build" / "html"))


def _pages() -> list[str]:
    found = (path.relative_to(BOOK).as_posix() for path in BOOK.rglob("*.html"))
    aside = ("_static/", "_sources/", "index.html")
    return sorted(name for name in found if not name.startswith(aside))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with the argument `name` runs once for each page of the book."""
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", _pages() or ["no page"])


@pytest.fixture(scope="session")
def book() -> Path:
    """The rendered book: $TNNLAB_BOOK, or _build/html."""
    if not (BOOK / "intro.html").is_file():
        pytest.skip(f"no rendered book at {BOOK}: run `make book` first")
    return BOOK


@pytest.fixture(scope="session")
def pages(book: Path) -> list[str]:
    """Every page of the book below its folder; not `index.html`, which leads to the first."""
    return _pages()


@pytest.fixture(scope="session")
def explorer_pages(book: Path, pages: list[str]) -> list[str]:
    """The pages that hold an explorer."""
    marks = VIEW, ".tnn-explorer"  # a page may hold nothing but the writer, another widget
    texts = {name: (book / name).read_text(encoding="utf-8") for name in pages}
    found = [name for name, text in texts.items() if all(mark in text for mark in marks)]
    assert found, "no page of the book holds an explorer"
    return found


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """The address of `folder` on this machine."""
    handler = functools.partial(_Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def site(book: Path) -> Iterator[str]:
    """The book's address while the tests run."""
    with serve(book) as address:
        yield address


@pytest.fixture(scope="session")
def launch() -> Iterator[Any]:
    """`launch()` starts a Chromium: $CHROMIUM, or one on the PATH."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip("no Chromium found: install one, or set CHROMIUM to its path")
    with api.sync_playwright() as playwright:
        yield functools.partial(playwright.chromium.launch, executable_path=found, args=FLAGS)


@pytest.fixture(scope="session")
def chromium(launch: Any) -> Iterator[Any]:
    """A running Chromium."""
    browser = launch()
    yield browser
    browser.close()


@dataclass
class Visit:
    """An open page, with what it asked for and complained about."""

    page: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def outside(self) -> list[str]:
        """Requests to anything but this machine."""
        local = ("http://127.0.0.1:", "blob:", "data:", "about:", "file:")
        return [url for url in self.requests if not url.startswith(local)]


@pytest.fixture
def visit(chromium: Any) -> Iterator[Any]:
    """`visit(address, width=…, dark=…)` opens a page, its formulas set and its explorers alive.

    With `quiet=True` it also waits until no request has gone out for half a second.
    """
    contexts = []

    def go(address: str, *, width: int = 1200, dark: bool = False, quiet: bool = False) -> Visit:
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
        )
        contexts.append(context)
        page = context.new_page()
        seen = Visit(page)
        page.on("request", lambda request: seen.requests.append(request.url))
        page.on("requestfailed", lambda request: seen.complaints.append(f"failed: {request.url}"))
        page.on("pageerror", lambda error: seen.complaints.append(f"error: {error}"))
        page.on(
            "console",
            lambda m: seen.complaints.append(f"console: {m.text}") if m.type == "error" else None,
        )
        page.goto(address, wait_until="networkidle" if quiet else "load")
        page.evaluate("window.MathJax?.startup?.promise")
        views, alive = f"script[type='{VIEW}']", "[data-explorer]"
        page.wait_for_function(
            "([views, alive]) => document.querySelectorAll(views).length"
            " <= document.querySelectorAll(alive).length",
            arg=[views, alive],
        )
        return seen

    yield go
    for context in contexts:
        context.close()
