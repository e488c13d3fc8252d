"""Interactive explorers: sliders beside a drawing, alive with and without a kernel.

Each name is loaded when it is first used; `Explorer` needs anywidget (the extra `book`).
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tnnlab.widgets.controls import Choice as Choice
    from tnnlab.widgets.controls import Slider as Slider
    from tnnlab.widgets.explorer import Explorer as Explorer
    from tnnlab.widgets.frames import Curve as Curve
    from tnnlab.widgets.frames import Image as Image
    from tnnlab.widgets.frames import Panel as Panel
    from tnnlab.widgets.kernels import kernel_explorer as kernel_explorer
    from tnnlab.widgets.kernels import toeplitz_explorer as toeplitz_explorer

_HOMES = {
    "controls": ("Choice", "Slider"),
    "explorer": ("Explorer",),
    "frames": ("Curve", "Image", "Panel"),
    "kernels": ("kernel_explorer", "toeplitz_explorer"),
}
_EXPORTS = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Choice",
    "Curve",
    "Explorer",
    "Image",
    "Panel",
    "Slider",
    "kernel_explorer",
    "toeplitz_explorer",
]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_EXPORTS[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
