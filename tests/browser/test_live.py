"""The explorers' front end beside a kernel, which a small model in the page stands in for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("anywidget", reason="anywidget is not installed")
from tnnlab.widgets import Choice, Curve, Explorer, Panel, Slider

PAGE = """<!doctype html><title>live</title><style>{css}</style><body><div id="place"></div>
<script type="module">
const state = {state}, heard = new Map();
window.sent = [];
window.model = {{
  get: (name) => state[name],
  set(name, value) {{
    state[name] = value;
    (heard.get("change:" + name) ?? []).forEach((f) => f());
  }},
  save_changes() {{ window.sent.push(structuredClone(state.values)); }},
  on(event, f) {{ heard.set(event, [...(heard.get(event) ?? []), f]); }},
  off(event, f) {{ heard.set(event, (heard.get(event) ?? []).filter((g) => g !== f)); }},
}};
window.heard = heard;
const source = new Blob([{source}], {{ type: "text/javascript" }});
const {{ default: widget }} = await import(URL.createObjectURL(source));
window.dispose = widget.render({{ model, el: document.getElementById("place") }});
window.ready = true;
</script>"""


def explorer() -> Explorer:
    def function(slope: float, size: int, name: str) -> list[Panel]:
        return [Panel(f"{name} {slope:g} {size}", [Curve([0, 1, 2], [0, slope, size], "line")])]

    return Explorer(
        function,
        title="Lines",
        slope=Slider("Slope", [1.0, 2.0]),
        size=Slider("Size", [2, 4]),
        name=Choice("Name", ["up", "down"]),
    )


def shown(widget: Explorer, tmp_path: Path, visit: Any) -> Any:
    """A page with the widget and a model in place of a kernel."""
    names = ["title", "description", "controls", "values", "frame", "frames"]
    page = PAGE.format(
        css=widget._css,
        state=json.dumps(widget.get_state(names)),
        source=json.dumps(widget._esm).replace("</", "<\\/"),
    )
    (tmp_path / "live.html").write_text(page, encoding="utf-8")
    seen = visit((tmp_path / "live.html").as_uri())
    seen.page.wait_for_function("window.ready")
    assert not seen.complaints
    return seen.page


@pytest.fixture
def live(tmp_path: Path, visit: Any) -> tuple[Any, Explorer]:
    widget = explorer()
    return shown(widget, tmp_path, visit), widget


def test_between_the_stops_it_asks_the_kernel_and_waits(live: tuple[Any, Explorer]) -> None:
    page, widget = live
    page.get_by_label("Slope").press("ArrowRight")
    sent = page.evaluate("window.sent.at(-1)")
    assert 1.0 < sent["slope"] < 2.0
    assert page.locator(".tnn-waiting").count() == 1
    widget.set_state({"values": sent})
    page.evaluate("frame => model.set('frame', frame)", widget.frame)
    assert page.locator(".tnn-waiting").count() == 0
    assert page.locator(".tnn-panel-title").inner_text() == f"up {sent['slope']:g} 2"


def test_an_answer_to_an_older_question_is_not_drawn(live: tuple[Any, Explorer]) -> None:
    page, widget = live
    slope = page.get_by_label("Slope")
    slope.press("ArrowRight")
    widget.set_state({"values": page.evaluate("window.sent.at(-1)")})
    slope.press("End")
    page.evaluate("frame => model.set('frame', frame)", widget.frame)
    assert page.locator(".tnn-panel-title").inner_text() == "up 2 2"


def test_whole_numbers_stay_whole(live: tuple[Any, Explorer]) -> None:
    page, _ = live
    size, seen = page.get_by_label("Size"), []
    for _ in range(3):
        seen.append(page.locator("output").nth(1).inner_text())
        size.press("ArrowRight")
    assert seen == ["2", "3", "4"]


def test_python_moves_the_controls(live: tuple[Any, Explorer]) -> None:
    page, widget = live
    widget.values = {"slope": 2.0, "name": "down"}
    page.evaluate("values => model.set('values', values)", widget.values)
    assert page.get_by_label("Name").input_value() == "down"
    assert page.locator("output").first.inner_text() == "2"
    assert page.locator(".tnn-panel-title").inner_text() == "down 2 2"


def test_disposing_lets_go_of_the_model(live: tuple[Any, Explorer]) -> None:
    page, _ = live
    page.evaluate("window.dispose()")
    assert page.evaluate("[...window.heard.values()].flat().length") == 0


def test_a_look_is_a_colour_and_a_mark(tmp_path: Path, visit: Any) -> None:
    def families(first: int) -> Panel:
        looks = [Curve([look], [look], f"f{look}", "points", look) for look in range(first, 7)]
        return Panel("Families", [*looks, Curve([9], [3], "auto", "points")], x_range=(0, 20))

    widget = Explorer(families, title="t", first=Slider("First", [0, 3]))
    page = shown(widget, tmp_path, visit)
    marks = """nodes => nodes.map((n) => n.getAttribute("class") + n.getAttribute("d")
      + (n.getAttribute("transform") ?? "").includes("rotate"))"""
    drawn = page.locator(".tnn-panel > svg .tnn-dot").evaluate_all(marks)
    assert len(set(drawn[:7])) == 7
    assert drawn[7] == drawn[0]  # what has no look is a disc of the first colour
    assert page.locator(".tnn-legend .tnn-dot").evaluate_all(marks) == drawn
    assert page.locator(".tnn-panel > svg .tnn-axes text").last.text_content() == "20"
    page.get_by_label("First").press("End")
    assert page.locator(".tnn-panel > svg .tnn-dot").evaluate_all(marks) == drawn[3:]


def test_the_pointer_meets_every_point(tmp_path: Path, visit: Any) -> None:
    def apart(x: int) -> Panel:
        return Panel("Apart", [Curve([0], [1], "one", "points"), Curve([x], [2], "two", "points")])

    page = shown(Explorer(apart, title="t", x=Slider("x", [4, 8])), tmp_path, visit)
    page.locator(".tnn-panel > svg .tnn-dot").last.hover()
    assert page.locator(".tnn-guide text").text_content() == "4"
