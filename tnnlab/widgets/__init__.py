"""Interactive explorers: sliders beside a drawing, alive with and without a kernel.

Each name is loaded when it is first used; `Explorer` needs anywidget (the extra ``book``).
"""

from typing import TYPE_CHECKING

from tnnlab._lazy import lazy_exports

if TYPE_CHECKING:
    from tnnlab.widgets.circulant import circulant_explorer as circulant_explorer
    from tnnlab.widgets.controls import Choice as Choice
    from tnnlab.widgets.controls import Slider as Slider
    from tnnlab.widgets.explorer import Explorer as Explorer
    from tnnlab.widgets.frames import Curve as Curve
    from tnnlab.widgets.frames import Image as Image
    from tnnlab.widgets.frames import Panel as Panel
    from tnnlab.widgets.kernels import kernel_explorer as kernel_explorer
    from tnnlab.widgets.kernels import toeplitz_explorer as toeplitz_explorer
    from tnnlab.widgets.rational import rational_explorer as rational_explorer
    from tnnlab.widgets.ski import ski_explorer as ski_explorer
    from tnnlab.widgets.spectrum import spectrum_explorer as spectrum_explorer
    from tnnlab.widgets.states import states_explorer as states_explorer
    from tnnlab.widgets.tradeoff import tradeoff_explorer as tradeoff_explorer
    from tnnlab.widgets.trained import trained_explorer as trained_explorer
    from tnnlab.widgets.views import views_explorer as views_explorer
    from tnnlab.widgets.writer import Writer as Writer

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "circulant": ["circulant_explorer"],
        "controls": ["Choice", "Slider"],
        "explorer": ["Explorer"],
        "frames": ["Curve", "Image", "Panel"],
        "kernels": ["kernel_explorer", "toeplitz_explorer"],
        "rational": ["rational_explorer"],
        "ski": ["ski_explorer"],
        "spectrum": ["spectrum_explorer"],
        "states": ["states_explorer"],
        "tradeoff": ["tradeoff_explorer"],
        "trained": ["trained_explorer"],
        "views": ["views_explorer"],
        "writer": ["Writer"],
    },
)
