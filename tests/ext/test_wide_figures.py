"""book/_ext/wide_figures.py: which figures scroll on a phone."""

from pathlib import Path

import pytest

from tests.ext.conftest import load

wide_figures = load("wide_figures")

SVG = '<?xml version="1.0"?>\n<svg xmlns:xlink="x" width="{}" height="154.5pt" viewBox="0 0 5 5">'


@pytest.mark.parametrize(
    ("name", "text", "width"),
    [
        ("a.svg", SVG.format("512.39pt"), 512.39),
        ("a.svg", SVG.format("100%"), 0.0),
        ("a.svg", "<svg><g width='512pt'/></svg>", 0.0),
        ("a.png", SVG.format("512.39pt"), 0.0),
    ],
)
def test_the_width_of_a_figure(tmp_path: Path, name: str, text: str, width: float) -> None:
    (tmp_path / name).write_text(text)
    assert wide_figures.width(tmp_path / name) == width


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert wide_figures.width(tmp_path / "none.svg") == 0.0
