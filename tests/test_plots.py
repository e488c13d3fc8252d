import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="matplotlib is not installed")
import matplotlib as mpl
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from tnnlab import plots


def contrast_with_white(colour: str) -> float:
    """The contrast ratio of WCAG 2."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return 1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05)


def test_lines_stand_out_and_differ_by_more_than_colour() -> None:
    assert all(contrast_with_white(colour) >= 4.5 for colour in plots.COLOURS)
    with mpl.rc_context():
        plots.use_style()
        cycle = list(mpl.rcParams["axes.prop_cycle"])
    assert len({str(style["linestyle"]) for style in cycle[:5]}) == 5
    assert len({style["color"] for style in cycle}) == len(cycle)


def test_figures_stay_within_the_text() -> None:
    assert plots.size()[0] < plots.size(2)[0] == plots.size(3)[0] == plots.WIDTH


def test_a_matrix_is_drawn_around_zero() -> None:
    axes = Figure().subplots()
    image = plots.show_matrix(axes, np.array([[1.0, -3.0], [0.0, 2.0]]), colourbar=True)
    assert image.get_clim() == (-3, 3)
    assert image.cmap(0.5)[:3] == pytest.approx((1, 1, 1), abs=0.02)
    with pytest.raises(ValueError, match=r"\(rows, columns\); got shape \(2,\)"):
        plots.show_matrix(axes, [1.0, 2.0])
