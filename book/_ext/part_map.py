"""Sphinx extension of the book: a directive that draws how the pages of a part build on each other.

    ```{part-map} How the pages build on each other
    toeplitz: Toeplitz matrices
    circulant: Circulant embedding < toeplitz
    /2_operators/tno: TNO < toeplitz | causality: Causality < circulant
    ```

A line is a row, `|` stands between its pages, and nothing between two of them leaves a gap. A page
is the place of its file, seen from this page or (with a slash in front) from the book's folder,
then its label, then the pages that it needs, by the last part of their place. Pages of other
folders have a dashed frame. The drawing is an SVG within the page: its boxes are links, and it
takes the colours of the theme.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from posixpath import dirname, join, normpath
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

WIDTH, ROW, HEIGHT = 360, 62, 30  # of the drawing, from row to row, of a box


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("part-map", PartMap)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


@dataclass(frozen=True)
class Box:
    """A page in the drawing: its document, what is written on it, what it needs, its middle."""

    page: str
    label: str
    needs: tuple[str, ...]
    x: float
    y: float

    @property
    def name(self) -> str:
        return self.page.rsplit("/", 1)[-1]

    @property
    def width(self) -> float:
        return 6.6 * len(self.label) + 14


class PartMap(SphinxDirective):
    has_content = True
    required_arguments = 1  # what the drawing shows, for those who cannot see it
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        try:
            boxes = read_rows(list(self.content), self.env.docname)
            missing = [box.page for box in boxes if box.page not in self.env.found_docs]
            if missing:
                raise ValueError(f"no such page: {', '.join(missing)}")
            svg = draw(boxes, self.env.docname, self.arguments[0])
        except ValueError as error:
            raise self.error(f"part-map: {error}") from error
        return [nodes.raw("", svg, format="html")]


def read_rows(lines: list[str], page: str) -> list[Box]:
    """The boxes of a drawing on `page`, row by row.

    Raises:
        ValueError: a line cannot be read, or a page needs one that is not in an earlier row.
    """
    boxes: list[Box] = []
    for number, line in enumerate(filter(str.strip, lines)):
        row, texts = [], line.split("|")
        for place, text in enumerate(texts):
            if not text.strip():
                continue
            target, colon, rest = text.strip().partition(": ")
            if not colon:
                raise ValueError(f"{text.strip()!r} is not of the form  page: label < needs")
            label, _, needs = rest.partition(" < ")
            names = tuple(name.strip() for name in needs.split(",") if name.strip())
            unknown = set(names) - {box.name for box in boxes}
            if unknown:
                raise ValueError(f"{target} needs {', '.join(unknown)}, not in a row above it")
            document = normpath(join("/", dirname(page), target)).lstrip("/")
            x, y = (place + 0.5) * WIDTH / len(texts), number * ROW + HEIGHT / 2 + 1
            row.append(Box(document, label.strip(), names, x, y))
        boxes += row
    return boxes


def draw(boxes: list[Box], page: str, title: str) -> str:
    """The SVG of `boxes` on `page`."""
    at = {box.name: box for box in boxes}
    arrows = [_arrow(at[name], box) for box in boxes for name in box.needs]
    frames = [_frame(box, page) for box in boxes]
    height = max(box.y for box in boxes) + HEIGHT / 2 + 1
    return (
        f'<svg class="part-map" viewBox="0 0 {WIDTH} {height:g}" role="group" '
        f'aria-label="{escape(title)}">\n' + "\n".join(arrows + frames) + "\n</svg>\n"
    )


def _arrow(source: Box, target: Box) -> str:
    top, bottom = source.y + HEIGHT / 2, target.y - HEIGHT / 2
    bend = (bottom - top) * 0.6
    return (
        f'<path class="part-map-arrow" d="M{source.x:g} {top:g} '
        f"C{source.x:g} {top + bend:g} {target.x:g} {bottom - bend:g} {target.x:g} {bottom - 4:g} "
        f'm-4 -3 l4 7 l4 -7"/>'
    )


def _frame(box: Box, page: str) -> str:
    here = dirname(box.page) == dirname(page)
    up = "../" * page.count("/")
    return (
        f'<a href="{escape(up + box.page)}.html">'
        f'<rect class="part-map-{"page" if here else "other"}" x="{box.x - box.width / 2:g}" '
        f'y="{box.y - HEIGHT / 2:g}" width="{box.width:g}" height="{HEIGHT}" rx="6"/>'
        f'<text x="{box.x:g}" y="{box.y + 4.5:g}">'
        f"{escape(box.label)}</text></a>"
    )
