"""book/_ext/pdf.py: pages become one document, whose links lead within it."""

from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from tests.ext.conftest import ROOT, load

pdf = load("pdf")
HEAD = """<html><head><title>First — The book</title>
<link rel="stylesheet" href="_static/book.css?v=1"/><script src="_static/other.js"></script>
<script>window.MathJax = {}</script><script src="_static/mathjax/tex.js"></script></head>"""
FIRST = (
    HEAD
    + """<body><article class="bd-article"><h1 id="a">First<a class="headerlink">#</a></h1>
<p><a href="part/second.html#b">there</a> <a href="#a">here</a> <a href="other.html">no</a>
<a href="https://example.org">out</a><img src="_images/x.png"/></p></article></body></html>"""
)
SECOND = """<html><body><article class="bd-article"><h1 id="b">Second</h1><h2 id="c">Section</h2>
<script>live()</script><noscript><img src="../_images/still.svg"/></noscript>
<details class="hide"><summary>code</summary>x = 1</details>
<svg><a href="../intro.html"><text>back</text></a></svg></article></body></html>"""


@pytest.fixture
def document(tmp_path: Path) -> BeautifulSoup:
    html = tmp_path / "html"
    (html / "part").mkdir(parents=True)
    (html / "intro.html").write_text(FIRST, encoding="utf-8")
    (html / "part" / "second.html").write_text(SECOND, encoding="utf-8")
    parts = [("", ["intro"]), ("A part", ["part/second"])]
    text = pdf.assemble(html, parts, tmp_path / "book.html")
    return BeautifulSoup(text, "html.parser")


def test_links_lead_within_the_document(document: BeautifulSoup) -> None:
    ids = [tag["id"] for tag in document.find_all(id=True)]
    assert len(ids) == len(set(ids))
    links = {a.get_text(): a.get("href") for a in document.select("article a")}
    assert links["out"] == "https://example.org" and links["no"] is None
    inside = [links["there"], links["here"], links["back"]]
    inside += [a["href"] for a in document.select(".book-contents a")]
    assert all(str(target)[1:] in ids for target in inside)


def test_headings_make_the_bookmarks(document: BeautifulSoup) -> None:
    headings = [(h.name, h.get_text()) for h in document.find_all(["h1", "h2", "h3"])]
    assert headings == [("h1", "First"), ("h1", "A part"), ("h2", "Second"), ("h3", "Section")]
    entries = [(a["data-part"], a.span.get_text()) for a in document.select(".book-contents a")]
    assert entries == [("", "First"), ("A part", "Second")]


def test_what_lives_is_replaced_by_what_stands(document: BeautifulSoup) -> None:
    pictures = [img["src"] for img in document.find_all("img")]
    assert pictures == ["html/_images/x.png", "html/_images/still.svg"]
    assert not document.find_all("details") and "live()" not in str(document)
    scripts = [tag.get("src") or tag.string for tag in document.find_all("script")]
    assert scripts == ["window.MathJax = {}", "html/_static/mathjax/tex.js"]
    assert document.link and document.link["href"] == "html/_static/book.css?v=1"
    assert document.title and document.title.string == "The book"


def test_contents_are_those_of_the_table() -> None:
    parts = pdf.contents()
    pages = [page for _, names in parts for page in names]
    assert pages[0] == "intro" and len(pages) == len(set(pages))
    assert all((ROOT / "book" / f"{page}.md").is_file() for page in pages)
    captions = dict(parts)
    assert captions["Foundations"][:2] == ["1_foundations/map", "1_foundations/toeplitz"]


def test_bookmarks_lead_to_their_places_by_part(tmp_path: Path) -> None:
    pypdf = pytest.importorskip("pypdf")
    writer, file = pypdf.PdfWriter(), tmp_path / "x.pdf"
    for number, name in enumerate(["intro--", "map--", "toeplitz--"]):
        writer.add_blank_page(100, 100)
        writer.add_named_destination(f"/{name}", number)
    writer.write(file)
    entries = [("", "First", "intro--"), ("A", "Map", "map--"), ("A", "Toeplitz", "toeplitz--")]
    pdf.add_bookmarks(file, entries)
    reader = pypdf.PdfReader(file)
    first, part, below = reader.outline
    found = [
        (item.title, reader.get_destination_page_number(item)) for item in [first, part, *below]
    ]
    assert found == [("First", 0), ("A", 1), ("Map", 1), ("Toeplitz", 2)]


def test_a_page_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.html"):
        pdf.assemble(tmp_path, [("", ["nowhere"])], tmp_path / "book.html")
