import json
from typing import Any

import pytest

pytest.importorskip("anywidget", reason="anywidget is not installed")

from tnnlab.widgets import Choice, Curve, Explorer, Panel, Slider
from tnnlab.widgets.frames import unpack


def line(slope: float, shape: str, **_: Any) -> Panel:
    """A line through 0, up or down."""
    end = slope if shape == "up" else -slope
    return Panel(f"{shape} {slope}", [Curve([0, 1], [0, end], "line")])


@pytest.fixture
def explorer() -> Explorer:
    return Explorer(
        line,
        title="Lines",
        slope=Slider("Slope", [1.0, 2.0, 4.0], start=2.0),
        shape=Choice("Shape", ["up", "down"]),
    )


def drawn_title(explorer: Explorer) -> str:
    return explorer.frame["panels"][0]["title"]


def test_it_starts_drawn_at_its_start(explorer: Explorer) -> None:
    assert explorer.values == {"slope": 2.0, "shape": "up"}
    assert explorer.frame["values"] == explorer.values
    assert drawn_title(explorer) == "up 2.0"


def test_every_position_is_drawn_for_the_page_without_a_kernel(explorer: Explorer) -> None:
    assert set(explorer.frames) == {f"{i},{j}" for i in range(3) for j in range(2)}
    assert explorer.frames["2,1"][0]["title"] == "down 4.0"
    assert list(unpack(explorer.frames["2,1"][0]["curves"][0]["y"])) == [0, -4]
    json.dumps(explorer.get_state(["controls", "values", "frame", "frames"]), allow_nan=False)


def test_python_moves_it_to_any_value_and_names_what_is_wrong(explorer: Explorer) -> None:
    explorer.values = {"slope": 3.3}
    assert explorer.values == {"slope": 3.3, "shape": "up"}
    assert drawn_title(explorer) == "up 3.3"
    for wrong, says in [
        ({"slope": 5.0}, r"slope must lie between 1\.0 and 4\.0, got 5\.0"),
        ({"shape": "flat"}, r"shape must be one of \('up', 'down'\), got 'flat'"),
        ({"tilt": 1}, "no control named tilt; this explorer has slope, shape"),
    ]:
        with pytest.raises(ValueError, match=says):
            explorer.values = wrong
    assert explorer.values == {"slope": 3.3, "shape": "up"}
    assert drawn_title(explorer) == "up 3.3"


def test_a_reader_moves_it_and_python_sees_where(explorer: Explorer) -> None:
    seen = []
    explorer.observe(lambda change: seen.append(change["new"]), names="values")
    explorer.set_state({"values": {"slope": 2.5, "shape": "down"}})  # as a message from the page
    assert explorer.values == {"slope": 2.5, "shape": "down"}
    assert seen == [explorer.values]
    assert explorer.frame["values"] == explorer.values
    assert drawn_title(explorer) == "down 2.5"


def test_its_picture_for_print_follows_it(explorer: Explorer) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    explorer.values = {"shape": "down"}
    figure = explorer.figure()
    assert figure.axes[0].get_title() == "down 2.0"
    assert list(figure.axes[0].lines[0].get_ydata()) == [0, -2]


def test_a_page_gets_the_widget_and_its_picture(explorer: Explorer) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    data, _metadata = explorer._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == explorer.model_id
    assert "<svg" in data["image/svg+xml"]
    assert data["text/plain"] == "Explorer('Lines', slope=2.0, shape='up')"


def test_only_traits_of_plain_json_are_shared(explorer: Explorer) -> None:
    assert {"title", "description", "controls", "values", "frame", "frames"} <= set(explorer.keys)
    assert explorer._esm.startswith("//") and ".tnn-explorer" in explorer._css


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({}, ValueError, "at least one Slider or Choice"),
        ({"slope": 3}, TypeError, "slope must be a Slider or a Choice, got 3"),
        ({"slope": Slider("s", range(1001))}, ValueError, "1001 drawings are too many"),
    ],
)
def test_wrong_controls_are_refused(arguments, error, says) -> None:
    with pytest.raises(error, match=says):
        Explorer(lambda slope: line(slope, "up"), title="t", **arguments)


def test_wrong_drawings_are_refused() -> None:
    with pytest.raises(TypeError, match="must return a Panel"):
        Explorer(lambda slope: [slope], title="t", slope=Slider("s", [0, 1]))


def test_without_precomputing_only_the_start_is_drawn() -> None:
    calls = []

    def function(slope: float) -> Panel:
        calls.append(slope)
        return line(slope, "up")

    explorer = Explorer(function, title="t", precompute=False, slope=Slider("s", range(2000)))
    assert calls == [0] and explorer.frames == {}
