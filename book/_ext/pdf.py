"""Print the rendered book as one PDF, with page numbers, bookmarks and links between its pages.

    python book/_ext/pdf.py _build/html _build/tnnlab.pdf

The pages become one HTML document, in the order of `book/_toc.yml`, which a headless Chromium
prints: $CHROMIUM, or the one on the PATH. Explorers are replaced by their static figures, solutions
are open, and cells that a page folds away are left out. The contents learn their page numbers from
a first print.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any

import yaml
from bs4 import BeautifulSoup, Tag

ROOT = Path(__file__).resolve().parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
STYLE = """
html { scroll-padding: 0; }
body { background: white; margin: 0; }
.bd-article { padding: 0; }
.cover { text-align: center; padding-top: 30vh; font-size: 2.4rem; font-weight: 700; }
.book-contents { font-size: 0.9rem; line-height: 1.35; }
.book-contents p { font-weight: 700; margin: 0.5rem 0 0; }
.book-contents ul { list-style: none; padding-left: 1rem; margin: 0; }
.book-contents a { display: flex; justify-content: space-between; text-decoration: none; }
h1 { font-size: 2.2rem; margin-top: 0; }
h1.part { font-size: 3rem; margin-bottom: 1rem; }
.in-part h2, :not(.in-part) > section > section > h2 { font-size: 1.6rem; }
.in-part > section > h2 { font-size: 2.2rem; margin-top: 0; }
.in-part h3 { font-size: 1.6rem; }
.in-part h4 { font-size: 1.25rem; }
figcaption * { color: #333 !important; font-weight: 400 !important; }
.cover, .book-contents, article { break-after: page; }
h1, h2, h3, h4 { break-after: avoid; }
figure, .cell_output, .admonition-title, tr, .math-wrapper, img { break-inside: avoid; }
p, li { orphans: 3; widows: 3; }
pre { font-size: 0.8rem; white-space: pre-wrap !important; overflow-wrap: anywhere; }
.bd-article div.math, .bd-article .math-wrapper, table.docutils { overflow: visible !important; }
.headerlink, noscript { display: none; }
"""
FOOTER = """<div style="width: 100%; text-align: center; font: 11px sans-serif; color: #333">
<span class="pageNumber"></span></div>"""
PAPER: dict[str, Any] = {
    "format": "A4",
    "margin": {"top": "16mm", "bottom": "18mm", "left": "18mm", "right": "18mm"},
    "scale": 0.8,
    "print_background": True,
    "display_header_footer": True,
    "header_template": "<span></span>",
    "footer_template": FOOTER,
    "tagged": True,
}
# A formula's source is read out in place of its signs. Returns how many formulas are not set.
NAME_FORMULAS = """() => {
  for (const formula of MathJax.startup.document.math) {
    const root = formula.typesetRoot;
    root.setAttribute("role", "img");
    root.setAttribute("aria-label", formula.math);
    for (const child of root.children) child.setAttribute("aria-hidden", "true");
  }
  return [...document.querySelectorAll(".math")].filter(e => !e.querySelector("mjx-container"))
    .length + document.querySelectorAll("mjx-merror").length;
}"""
FILL_NUMBERS = """numbers => {
  for (const link of document.querySelectorAll(".book-contents a"))
    link.querySelector(".number").textContent = numbers[link.hash.slice(1)];
}"""
ENTRIES = """() => [...document.querySelectorAll(".book-contents a")].map(
  a => [a.dataset.part, a.firstElementChild.textContent, a.hash.slice(1)])"""


def contents(toc: Path = ROOT / "book" / "_toc.yml") -> list[tuple[str, list[str]]]:
    """The pages of the book, part by part: (caption, pages). The first part has no caption."""
    tree = yaml.safe_load(toc.read_text(encoding="utf-8"))
    parts: list[tuple[str, list[str]]] = [("", [tree["root"]])]
    for part in tree["parts"]:
        if "caption" in part:
            parts.append((part["caption"], []))
        parts[-1][1].extend(_files(part["chapters"]))
    return parts


def _files(entries: list[dict]) -> Iterator[str]:
    for entry in entries:
        yield entry["file"]
        yield from _files(entry.get("sections", []))


def assemble(html: Path, parts: list[tuple[str, list[str]]], place: Path) -> str:
    """One HTML document of all pages, to be saved as `place`.

    Args:
        html: folder of the rendered book.
        parts: what to print, from `contents`.
        place: where the document will lie; pictures and styles are named from there.

    Raises:
        FileNotFoundError: a page of `parts` has not been rendered.
    """
    pages = [page for _, names in parts for page in names]
    root = os.path.relpath(html, place.parent)
    first = BeautifulSoup((html / f"{pages[0]}.html").read_text(encoding="utf-8"), "html.parser")
    out = BeautifulSoup("<!DOCTYPE html><html data-theme='light' lang='en'></html>", "html.parser")
    head, body, name = out.new_tag("head"), out.new_tag("body"), _site_title(first)
    head.append(out.new_tag("meta", charset="utf-8"))
    head.append(_text(out, "title", name))
    for tag in first.select("head link[rel=stylesheet], script"):
        if tag.name == "link" or "mathjax" in f"{tag.get('src')} {tag.string}".lower():
            _from_root(tag, "", root)
            head.append(tag)
    head.append(_text(out, "style", STYLE))
    chapters, listing = [], out.new_tag("nav", attrs={"class": "book-contents"})
    for caption, names in parts:
        group = out.new_tag("ul")
        for page in names:
            article = chapter(html, page, set(pages), root)
            if caption:
                _demote(article)
                if page == names[0]:
                    article.insert(0, _text(out, "h1", caption, "part"))
            chapters.append(article)
            group.append(_entry(out, article, page, caption))
        if caption:
            listing.append(_text(out, "p", caption))
        listing.append(group)
    body.extend([_text(out, "div", name, "cover"), listing, *chapters])
    if out.html is not None:
        out.html.extend([head, body])
    return str(out)


def chapter(html: Path, page: str, pages: set[str], root: str) -> Tag:
    """The text of a page, as it stands in the whole book."""
    source = (html / f"{page}.html").read_text(encoding="utf-8")
    article = BeautifulSoup(source, "html.parser").select_one("article.bd-article")
    if article is None:
        raise ValueError(f"{page}.html has no article: it is no page of this book")
    for figure in article.find_all("noscript"):  # an explorer's static figure
        figure.unwrap()
    for tag in article.select("script, .headerlink, details.hide, form"):
        tag.decompose()
    for tag in article.find_all(id=True):
        tag["id"] = anchor(page, str(tag["id"]))
    for tag in article.find_all(["a", "img"]):
        _link(tag, page, pages, root)
    article["id"] = anchor(page, "")
    return article


def anchor(page: str, name: str) -> str:
    """The id in the whole book of what a page calls `name`."""
    return f"{page.replace('/', '-')}--{name}"


def _link(tag: Tag, page: str, pages: set[str], root: str) -> None:
    key = "src" if tag.name == "img" else "href"
    target = str(tag.get(key) or "")
    if not target or re.match(r"[a-z]+:", target):
        return
    path, _, name = target.partition("#")
    path = normpath(join(dirname(page), path)).removesuffix(".html") if path else page
    if tag.name == "a" and path in pages:
        tag[key] = "#" + anchor(path, name)
    elif tag.name == "a":
        del tag[key]  # a page that is not printed
    else:
        _from_root(tag, dirname(page), root)


def _from_root(tag: Tag, folder: str, root: str) -> None:
    for key in ("href", "src"):
        if tag.get(key):
            tag[key] = join(root, normpath(join(folder, str(tag[key]))))


def _demote(article: Tag) -> None:
    """Headings one level down: the first level belongs to the parts."""
    article["class"] = "bd-article in-part"
    for tag in article.find_all(re.compile("^h[1-5]$")):
        tag.name = f"h{int(tag.name[1]) + 1}"


def _entry(out: BeautifulSoup, article: Tag, page: str, part: str) -> Tag:
    heading = article.select_one("h1:not(.part), h2")
    title = re.sub(r"\s+", " ", heading.get_text()).strip() if heading else page
    item, link = out.new_tag("li"), out.new_tag("a", href="#" + anchor(page, ""))
    link["data-part"] = part
    link.extend([_text(out, "span", title), _text(out, "span", "000", "number")])
    item.append(link)
    return item


def _text(out: BeautifulSoup, name: str, text: str, kind: str = "") -> Tag:
    tag = out.new_tag(name, attrs={"class": kind} if kind else {})
    tag.string = text
    return tag


def _site_title(soup: BeautifulSoup) -> str:
    text = soup.title.get_text() if soup.title else ""
    return re.split(r"\s[—-]\s", text)[-1].strip()


def write(document: Path, pdf: Path) -> None:
    """Print an HTML document by Chromium once its formulas are set.

    Raises:
        RuntimeError: a formula could not be set.
    """
    from playwright.sync_api import sync_playwright

    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        page = browser.new_page(color_scheme="light")
        page.set_default_timeout(1_200_000)
        page.goto(document.resolve().as_uri())
        page.evaluate("MathJax.startup.promise")
        left = page.evaluate(NAME_FORMULAS)
        if left:
            raise RuntimeError(f"{left} formulas were not set")
        page.pdf(path=pdf, **PAPER)
        page.evaluate(FILL_NUMBERS, {name: str(at + 1) for name, at in places(pdf).items()})
        page.pdf(path=pdf, **PAPER)
        add_bookmarks(pdf, page.evaluate(ENTRIES))
        browser.close()


def places(pdf: Path) -> dict[str, int]:
    """What links lead to in a PDF, and the page where it is, the first one being 0."""
    from pypdf import PdfReader

    reader = PdfReader(pdf)
    found = reader.named_destinations.items()
    numbers = ((name, reader.get_destination_page_number(place)) for name, place in found)
    return {name.lstrip("/"): number for name, number in numbers if number is not None}


def add_bookmarks(pdf: Path, entries: list[tuple[str, str, str]]) -> None:
    """One bookmark for each (part, title, name of a place), below that of its part."""
    from pypdf import PdfWriter

    at, writer = places(pdf), PdfWriter(pdf, incremental=True)  # what is there stays as it is
    parts: dict[str, Any] = {"": None}
    for part, title, name in entries:
        if part not in parts:
            parts[part] = writer.add_outline_item(title=part, page_number=at[name])
        writer.add_outline_item(title=title, page_number=at[name], parent=parts[part])
    writer.write(pdf)


def main() -> None:
    parser = argparse.ArgumentParser(description="Print the rendered book as one PDF.")
    parser.add_argument("html", type=Path, help="folder of the rendered book: _build/html")
    parser.add_argument("pdf", type=Path, help="the file to write")
    given = parser.parse_args()
    document = given.pdf.with_suffix(".html")
    given.pdf.parent.mkdir(parents=True, exist_ok=True)
    document.write_text(assemble(given.html, contents(), document), encoding="utf-8")
    write(document, given.pdf)
    document.unlink()


if __name__ == "__main__":
    main()
