"""What an explorer draws: panels of curves or an image, and their compact form for a page.

A number becomes twelve bits between the smallest and the largest of its array: two characters
of text. That is finer than a screen, and keeps hundreds of drawings within a page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

ALPHABET = np.frombuffer(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", dtype=np.uint8
)
STEPS = 4094  # codes 0 … 4094 are values
GAP = 4095  # not a number, infinite, or not positive on a logarithmic scale

Style = Literal["line", "dashed", "stems", "points"]
Scale = Literal["linear", "log"]


@dataclass(frozen=True)
class Curve:
    """Values `y` (n) over `x` (n). Values that are not finite leave a gap.

    `style` is "line", "dashed" (an aid such as a bound), "stems" or "points". A `look` is a colour
    (modulo 4) and a mark for points (modulo 7), the same in every drawing; without one a curve
    takes the next colour, and its points are discs.

    >>> curve = Curve([0, 1, 2], [1.0, 0.5, 0.25], "taps", style="stems")
    >>> curve.label, curve.style
    ('taps', 'stems')
    """

    x: ArrayLike
    y: ArrayLike
    label: str = ""
    style: Style = "line"
    look: int | None = None

    def __post_init__(self) -> None:
        x, y = _vector(self.x, "x"), _vector(self.y, "y")
        if x.shape != y.shape or x.size == 0:
            raise ValueError(
                f"curve {self.label!r}: x and y must be one-dimensional, of one length > 0, "
                f"got shapes {x.shape} and {y.shape}"
            )
        if not np.isfinite(x).all():
            raise ValueError(f"curve {self.label!r}: x holds values that are not finite")
        _one_of(self.style, Style, f"curve {self.label!r}: style")
        if self.look is not None and self.look < 0:
            raise ValueError(f"curve {self.label!r}: look must be 0 or more, got {self.look}")
        object.__setattr__(self, "x", x)
        object.__setattr__(self, "y", y)


@dataclass(frozen=True)
class Image:
    """A matrix `values` (rows, columns), row 0 on top.

    `colormap` is "diverging" (two colours around 0) or "sequential" (one colour from 0 up).

    >>> Image([[1.0, -1.0]], colormap="diverging").colormap
    'diverging'
    """

    values: ArrayLike
    colormap: Literal["diverging", "sequential"] = "diverging"

    def __post_init__(self) -> None:
        values = np.asarray(self.values, dtype=np.float64)
        if values.ndim != 2 or values.size == 0:
            raise ValueError(f"an image needs a matrix, got shape {values.shape}")
        if self.colormap not in ("diverging", "sequential"):
            raise ValueError(f"colormap must be 'diverging' or 'sequential', got {self.colormap!r}")
        object.__setattr__(self, "values", values)


@dataclass(frozen=True)
class Panel:
    """One drawing: axes with curves, or an image.

    Args:
        title: what is shown.
        curves: any number of `Curve` (at most four lines stay distinguishable).
        image: an `Image` instead of curves.
        x_label, y_label: axis labels with units.
        x_scale, y_scale: "linear" or "log".
        x_range, y_range: fixed (low, high) of an axis; otherwise it follows the curves.
        note: one sentence that states what this drawing shows; also read to screen readers.

    >>> Panel("Kernel", [Curve([0, 1, 2], [1.0, 0.5, 0.25])], x_label="lag").x_label
    'lag'
    """

    title: str
    curves: Sequence[Curve] = field(default=())
    image: Image | None = None
    x_label: str = ""
    y_label: str = ""
    x_scale: Scale = "linear"
    y_scale: Scale = "linear"
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    note: str = ""

    def __post_init__(self) -> None:
        name = f"panel {self.title!r}"
        curves = tuple(self.curves)
        object.__setattr__(self, "curves", curves)
        if bool(curves) == (self.image is not None):
            raise ValueError(f"{name}: give curves or an image, and not both")
        for curve in curves:
            if not isinstance(curve, Curve):
                raise TypeError(f"{name}: curves must be Curve, got {type(curve).__name__}")
        _one_of(self.x_scale, Scale, f"{name}: x_scale")
        _one_of(self.y_scale, Scale, f"{name}: y_scale")
        if self.x_scale == "log" and any(np.min(c.x) <= 0 for c in curves):
            raise ValueError(f"{name}: x must be positive on a logarithmic scale")
        for side in ("x", "y"):
            low, high = getattr(self, f"{side}_range") or (1, 2)
            if not low < high or (getattr(self, f"{side}_scale") == "log" and low <= 0):
                raise ValueError(
                    f"{name}: {side}_range must increase (and be > 0 on log), got {low, high}"
                )


def as_panels(drawn: Any) -> list[Panel]:
    """Check what an explorer's function returned: a `Panel` or several; raises TypeError."""
    panels = [drawn] if isinstance(drawn, Panel) else drawn
    if not isinstance(panels, list | tuple) or not panels:
        raise TypeError(
            f"an explorer's function must return a Panel or a list of them, got {drawn!r:.80}"
        )
    for panel in panels:
        if not isinstance(panel, Panel):
            raise TypeError(
                "an explorer's function must return a Panel or a list of them, "
                f"got a list with {type(panel).__name__}"
            )
    return list(panels)


def encode(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    """The panels as JSON data; what equals its default is left out."""
    return [_encode_panel(panel) for panel in panels]


def _encode_panel(panel: Panel) -> dict[str, Any]:
    data: dict[str, Any] = {"title": panel.title}
    for name, default in _TEXT_DEFAULTS.items():
        if getattr(panel, name) != default:
            data[name] = getattr(panel, name)
    for name in ("x_range", "y_range"):
        if getattr(panel, name) is not None:
            data[name] = [float(v) for v in getattr(panel, name)]
    if panel.image is not None:
        values = np.asarray(panel.image.values)
        data["image"] = [*values.shape, panel.image.colormap, *pack(values.ravel())]
    else:
        data["curves"] = [_encode_curve(c, panel) for c in panel.curves]
    return data


def _encode_curve(curve: Curve, panel: Panel) -> dict[str, Any]:
    x, y = np.asarray(curve.x), np.asarray(curve.y)
    data: dict[str, Any] = {"x": _pack_x(x, panel.x_scale), "y": pack(y, panel.y_scale)}
    if curve.label:
        data["label"] = curve.label
    if curve.style != "line":
        data["style"] = curve.style
    if curve.look is not None:
        data["look"] = curve.look
    return data


_TEXT_DEFAULTS = {
    "x_label": "",
    "y_label": "",
    "x_scale": "linear",
    "y_scale": "linear",
    "note": "",
}


def _pack_x(x: NDArray[np.float64], scale: Scale) -> list[Any]:
    """[start, step] of an evenly spaced axis, else like `pack`."""
    step = (x[-1] - x[0]) / max(len(x) - 1, 1)
    even = x[0] + step * np.arange(len(x))
    if np.allclose(x, even, rtol=0, atol=1e-9 * max(abs(x[-1] - x[0]), 1e-300)):
        return [_short(x[0]), _short(step)]
    return pack(x, scale)


def pack(values: NDArray[np.float64], scale: Scale = "linear") -> list[Any]:
    """[low, high, text]: twelve bits a value, evenly between low and high (in log10 if `log`)."""
    with np.errstate(all="ignore"):
        shown = np.log10(values) if scale == "log" else values
    good = np.isfinite(shown)
    low, high = (shown[good].min(), shown[good].max()) if good.any() else (0.0, 0.0)
    spread = (high - low) or 1.0
    with np.errstate(all="ignore"):
        codes = np.rint((np.where(good, shown, low) - low) / spread * STEPS).astype(np.int64)
    codes = np.where(good, codes, GAP)
    text = ALPHABET[np.stack([codes >> 6, codes & 63], axis=-1)].tobytes().decode("ascii")
    return [_short(low), _short(high), text]


def unpack(packed: Sequence[Any], scale: Scale = "linear") -> NDArray[np.float64]:
    """Undo `pack`: values within (high - low) / 8188 of the original, gaps as NaN."""
    low, high, text = packed
    index = np.zeros(128, dtype=np.int64)
    index[ALPHABET] = np.arange(64)
    pairs = index[np.frombuffer(text.encode("ascii"), dtype=np.uint8)].reshape(-1, 2)
    codes = pairs[:, 0] * 64 + pairs[:, 1]
    values = np.where(codes == GAP, np.nan, low + (high - low) * codes / STEPS)
    return 10.0**values if scale == "log" else values


def _short(value: float) -> float | int:
    rounded = float(f"{value:.7g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e9 else rounded


def _vector(values: ArrayLike, name: str) -> NDArray[np.float64]:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be numbers, got {type(values).__name__}: {error}") from error
    if array.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, got shape {array.shape}")
    return array


def _one_of(value: str, allowed: Any, name: str) -> None:
    options = allowed.__args__
    if value not in options:
        raise ValueError(f"{name} must be one of {options}, got {value!r}")
