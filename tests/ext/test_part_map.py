"""book/_ext/part_map.py: the drawing of how pages build on each other."""

from xml.etree import ElementTree

import pytest
import yaml

from tests.ext.conftest import ROOT, load

part_map = load("part_map")
PARTS = ["1_foundations", "2_operators", "3_state_space", "4_experiments"]
LINES = ["/1_foundations/toeplitz: Toeplitz | |", "", "tno: TNO < toeplitz | | fd: FD & co"]


def test_rows_become_boxes_with_their_documents() -> None:
    boxes = part_map.read_rows(LINES, "2_operators/map")
    assert [box.page for box in boxes] == [
        "1_foundations/toeplitz",
        "2_operators/tno",
        "2_operators/fd",
    ]
    assert [box.needs for box in boxes] == [(), ("toeplitz",), ()]
    toeplitz, tno, fd = boxes
    assert toeplitz.x == tno.x < fd.x and toeplitz.y < tno.y == fd.y


def test_boxes_are_links_and_needs_are_arrows() -> None:
    svg = part_map.draw(part_map.read_rows(LINES, "2_operators/map"), "2_operators/map", "A < map")
    tree = ElementTree.fromstring(svg)
    assert tree.get("aria-label") == "A < map"
    links = {a.get("href"): a for a in tree.iter("a")}
    assert list(links) == [
        "../1_foundations/toeplitz.html",
        "../2_operators/tno.html",
        "../2_operators/fd.html",
    ]
    assert links["../2_operators/fd.html"].findtext("text") == "FD & co"
    frames = [link.find("rect").get("class") for link in links.values()]
    assert frames == ["part-map-other", "part-map-page", "part-map-page"]
    assert len(tree.findall("path")) == 1


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["toeplitz"], "is not of the form"),
        (["fd: FD < tno", "tno: TNO"], "fd needs tno, not in a row above"),
    ],
)
def test_what_cannot_be_drawn_is_refused(lines: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        part_map.read_rows(lines, "map")


def read_map(part: str) -> tuple[list, str]:
    """The boxes of a part's map, and the text below them."""
    text = (ROOT / "book" / part / "map.md").read_text(encoding="utf-8")
    drawing, below = text.split("```{part-map}")[1].split("```", 1)
    return part_map.read_rows(drawing.splitlines()[1:], f"{part}/map"), below


@pytest.mark.parametrize("part", PARTS)
def test_the_boxes_of_a_map_stand_apart_and_inside(part: str) -> None:
    boxes, _ = read_map(part)
    for box in boxes:
        assert box.width / 2 <= box.x <= part_map.WIDTH - box.width / 2, box.label
        for other in boxes:
            if box is not other and box.y == other.y:
                assert abs(box.x - other.x) >= (box.width + other.width) / 2, box.label


@pytest.mark.parametrize("part", PARTS)
def test_each_page_of_a_part_is_on_its_map(part: str) -> None:
    toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text(encoding="utf-8"))
    files = [entry["file"] for group in toc["parts"] for entry in group["chapters"]]
    pages = {file.split("/")[1] for file in files if file.startswith(part + "/")} - {"map"}
    boxes, below = read_map(part)
    assert {box.name for box in boxes if box.page.startswith(part + "/")} == pages
    assert all(f"]({page}.md)\n: " in below for page in pages)
