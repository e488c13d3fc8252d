"""What others write becomes HTML without the barriers known in it."""

from pathlib import Path

import bs4
import pydata_sphinx_theme
import sphinx

from tests.ext.conftest import load

load("vendor")  # which the extension imports
mend = load("tnnlab_book").mend
THEME = Path(pydata_sphinx_theme.__file__).parent / "theme" / "pydata_sphinx_theme"


def mended(html: str, wanted: str) -> bs4.Tag:
    found = bs4.BeautifulSoup(mend(html), "html.parser").select_one(wanted)
    assert found is not None
    return found


def test_the_search_button_is_called_what_is_written_on_it() -> None:
    text = (THEME / "components" / "search-button-field.html").read_text(encoding="utf-8")
    assert "aria-label" in text
    button = mended(text, "button")
    assert "aria-label" not in button.attrs and "Search" in button.text


def test_a_button_without_text_keeps_its_name() -> None:
    text = (THEME / "components" / "search-button.html").read_text(encoding="utf-8")
    assert "aria-label" in mended(text, "button").attrs


def test_the_theme_switch_has_one_name() -> None:
    text = (THEME / "components" / "theme-switcher.html").read_text(encoding="utf-8")
    assert text.count(" title=") == 3
    button = mended(text, "button")
    assert "aria-label" in button.attrs
    icons = button.select("i[data-mode]")
    assert len(icons) == 3 and not any("title" in icon.attrs for icon in icons)


def test_the_sidebar_is_a_landmark() -> None:
    assert '<div id="pst-primary-sidebar" ' in (THEME / "layout.html").read_text(encoding="utf-8")
    sidebar = mended('<div id="pst-primary-sidebar" class="a"></div>', "#pst-primary-sidebar")
    assert sidebar["role"] == "navigation" and sidebar["aria-label"] and sidebar["class"] == ["a"]


def test_an_index_in_columns_is_no_table_of_data() -> None:
    sphinx_theme = Path(sphinx.__file__).parent / "themes" / "basic" / "domainindex.html"
    text = sphinx_theme.read_text(encoding="utf-8")
    assert mended(text, "table")["role"] == "presentation"


def test_a_fold_is_called_what_is_written_on_it() -> None:
    html = '<details><summary aria-label="Toggle hidden content"><p>Show</p></summary></details>'
    assert mended(html, "summary").attrs == {}


def test_entries_of_the_bibliography_are_items_of_its_list() -> None:
    html = '<div role="list"><div role="doc-biblioentry">A</div></div>'
    assert mended(html, "div div")["role"] == "listitem"
