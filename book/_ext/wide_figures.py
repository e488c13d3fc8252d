"""Wide figures scroll sideways on a narrow screen: shrunk, their letters would be too small."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

WIDE = 480  # points: more than one panel
HEAD = 2000  # characters of an SVG file that say how wide it is


class WideFigures(SphinxPostTransform):
    """Put each wide figure into a box of its own, which `book.css` lets scroll."""

    default_priority = 900  # after MyST-NB chose a form of each output
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        for image in list(self.document.findall(nodes.image)):
            if width(Path(self.app.srcdir, image["uri"])) > WIDE:
                before = nodes.raw("", '<div class="wide-figure">', format="html")
                after = nodes.raw("", "</div>", format="html")
                image.replace_self([before, image.deepcopy(), after])


def width(file: Path) -> float:
    """Of an SVG file, in points; 0 where it is no such file or does not say."""
    if file.suffix != ".svg" or not file.is_file():
        return 0.0
    with file.open(encoding="utf-8") as opened:  # explorers' figures are long
        found = re.search(r'<svg[^>]*\bwidth="([\d.]+)pt"', opened.read(HEAD))
    return float(found[1]) if found else 0.0


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_post_transform(WideFigures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
