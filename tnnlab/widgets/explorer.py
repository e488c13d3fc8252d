"""`Explorer`: a function of a few values, drawn again whenever a reader moves one of them.

With a kernel (Jupyter, Colab) each change runs the function. Without one (the rendered book) the
front end looks the drawing up among those computed beforehand for every position of the controls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import StringIO
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tnnlab._extras import require
from tnnlab.widgets.controls import Choice, Control, Slider
from tnnlab.widgets.frames import Panel, as_panels, encode

if TYPE_CHECKING:
    import anywidget
    import traitlets
    from matplotlib.figure import Figure
else:
    anywidget = require("anywidget", extra="book")
    traitlets = require("traitlets", extra="book")

HERE = Path(__file__).parent
LARGEST_GRID = 1000


class Explorer(anywidget.AnyWidget):
    """Controls beside the panels that a function draws from their values.

    Args:
        function: called with one keyword per control, returns a `Panel` or a list of them.
        title: what there is to explore.
        description: a sentence under the title: what to try.
        precompute: draw every combination of stops now, so that a page without a kernel is alive.
        **controls: a `Slider` or `Choice` per keyword of `function`.

    Set `explorer.values = {"decay": 0.97}` (any subset) to move controls from Python, read it to
    see where the reader left them, and `observe(..., names="values")` to follow.

    Raises:
        TypeError, ValueError: for a control, a value or a drawing of the wrong kind; the message
            names what was given and what is allowed.

    >>> from tnnlab.widgets import Curve
    >>> def wave(cycles):
    ...     x = [i / 10 for i in range(11)]
    ...     return Panel("Wave", [Curve(x, [cycles * value for value in x])])
    >>> explorer = Explorer(wave, title="A line", cycles=Slider("Slope", [1, 2, 3]))
    >>> explorer.values = {"cycles": 3}
    >>> explorer.values, len(explorer.frames)
    ({'cycles': 3}, 3)
    """

    _esm = HERE / "explorer.js"
    _css = HERE / "explorer.css"

    title = traitlets.Unicode().tag(sync=True)
    description = traitlets.Unicode().tag(sync=True)
    controls = traitlets.List().tag(sync=True)
    values = traitlets.Dict().tag(sync=True)
    frame = traitlets.Dict().tag(sync=True)
    frames = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        function: Callable[..., Panel | Sequence[Panel]],
        *,
        title: str,
        description: str = "",
        precompute: bool = True,
        **controls: Control,
    ) -> None:
        for name, control in controls.items():
            if not isinstance(control, Slider | Choice):
                raise TypeError(f"{name} must be a Slider or a Choice, got {control!r:.80}")
        if not controls:
            raise ValueError("an explorer needs at least one Slider or Choice, given by keyword")
        self._function = function
        self._controls = controls
        self._panels: list[Panel] = []
        start = {
            name: control.values[0] if control.start is None else control.start
            for name, control in controls.items()
        }
        super().__init__(
            title=title,
            description=description,
            controls=[control.encode(name) for name, control in controls.items()],
            frames=self._grid() if precompute else {},
            values=start,
        )

    def figure(self) -> Figure:
        """The current drawing as a matplotlib figure, for print."""
        from tnnlab.widgets.figure import draw

        return draw(self._panels, self.title)

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in self.values.items())
        return f"Explorer({self.title!r}, {values})"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """The widget, and its current drawing as a picture for readers that cannot run it."""
        shown = super()._repr_mimebundle_(**kwargs)
        if shown is None:
            return None
        data, metadata = shown if isinstance(shown, tuple) else (shown, {})
        return {**data, "image/svg+xml": self._svg()}, metadata

    def _svg(self) -> str:
        text = StringIO()
        self.figure().savefig(text, format="svg", transparent=True)
        return text.getvalue()

    def _grid(self) -> dict[str, Any]:
        """Every drawing, under the positions of its controls: {"0,2,1": panels}."""
        axes = [control.values for control in self._controls.values()]
        stops = list(product(*(range(len(axis)) for axis in axes)))
        if len(stops) > LARGEST_GRID:
            raise ValueError(
                f"{len(stops)} drawings are too many for a page (at most {LARGEST_GRID}): "
                "give fewer stops, or precompute=False to draw only where there is a kernel"
            )
        frames = {}
        for stop in stops:
            chosen = {n: a[i] for n, a, i in zip(self._controls, axes, stop, strict=True)}
            frames[",".join(map(str, stop))] = encode(as_panels(self._function(**chosen)))
        return frames

    @traitlets.validate("values")
    def _check_values(self, proposal: dict[str, Any]) -> dict[str, Any]:
        given = proposal["value"]
        unknown = set(given) - set(self._controls)
        if unknown:
            raise ValueError(
                f"no control named {', '.join(sorted(unknown))}; "
                f"this explorer has {', '.join(self._controls)}"
            )
        merged = {**self.values, **given}
        return {name: c.check(name, merged[name]) for name, c in self._controls.items()}

    @traitlets.observe("values")
    def _draw(self, _change: dict[str, Any]) -> None:
        self._panels = as_panels(self._function(**self.values))
        self.frame = {"values": self.values, "panels": encode(self._panels)}
