"""Figures are legible, and show the numbers that they were given."""

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="matplotlib is not installed")
import matplotlib as mpl
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from tnnlab import diagrams, plots


@pytest.fixture
def axes():
    mpl.use("agg")
    import matplotlib.pyplot as plt

    yield plt.figure().add_subplot()
    plt.close("all")


def record(baseline: float | None = 2.5) -> dict:
    return {
        "history": {
            "train": [{"step": 10, "loss": 5.0}, {"step": 20, "loss": 3.0}],
            "validation": [{"step": 0, "loss_per_token": 6.0}, {"step": 20, "loss_per_token": 3.2}],
        },
        "baseline": None if baseline is None else {"loss_per_token": baseline},
    }


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


def test_plot_loss_draws_both_histories_and_the_baseline(axes) -> None:
    plots.plot_loss(axes, record())
    train, validation, bigram = axes.lines
    np.testing.assert_array_equal(train.get_xydata(), [[10, 5], [20, 3]])
    np.testing.assert_array_equal(validation.get_xydata(), [[0, 6], [20, 3.2]])
    assert set(bigram.get_ydata()) == {2.5}
    assert bigram.get_label() == "bigram, 2.50"
    axes.figure.canvas.draw()


def test_plot_loss_without_a_baseline_draws_none(axes) -> None:
    plots.plot_loss(axes, record(baseline=None))
    assert [line.get_label() for line in axes.lines] == ["training", "validation"]


def test_plot_histories_draws_each_run_in_its_own_look(axes) -> None:
    runs = {
        f"run {i}": {"history": {"length": [{"n": 1, "p": i}, {"n": 2, "p": 9}]}} for i in range(7)
    }
    looks = {}
    for left_out in ("", "run 2"):
        axes.clear()
        history = {} if left_out else runs["run 2"]["history"]
        shown = {**runs, "run 2": {"history": history}}
        plots.plot_histories(axes, shown, kind="length", x="n", y="p")
        assert [line.get_label() for line in axes.lines] == [n for n in runs if n != left_out]
        looks[left_out] = {
            line.get_label(): (line.get_color(), str(line.get_linestyle()), line.get_marker())
            for line in axes.lines
        }
    assert len(set(looks[""].values())) == 7
    assert len({look[:2] for look in looks[""].values()}) == 7  # without the marks too
    assert looks["run 2"].items() <= looks[""].items()
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), [[1, 0], [2, 9]])


def test_plot_kernels_sorts_and_scales_the_channels(axes) -> None:
    lags = np.arange(50)
    kernel = np.stack([3 * 0.99**lags, -2 * 0.5**lags, 0.9**lags])
    shown = plots.plot_kernels(axes, kernel).get_array().reshape(3, 50)
    expected = np.stack([0.5**lags, 0.9**lags, 0.99**lags])  # shortest memory first, peak at +1
    np.testing.assert_allclose(shown, expected)
    assert axes.get_xscale() == "log"
    axes.figure.canvas.draw()


def test_plot_kernels_keeps_a_channel_of_zeros(axes) -> None:
    shown = plots.plot_kernels(axes, np.zeros((2, 5))).get_array()
    np.testing.assert_array_equal(shown, np.zeros((2, 5)))


def test_plot_kernels_refuses_a_single_row_of_taps(axes) -> None:
    with pytest.raises(ValueError, match=r"kernel \(channels, n\); got shape \(5,\)"):
        plots.plot_kernels(axes, np.ones(5))


def test_the_architecture_names_its_parts(axes) -> None:
    drawn = diagrams.architecture(7).axes
    columns = {a.get_title(): [t.get_text() for t in a.texts] for a in drawn}
    assert set(columns) == {"model", "block", "GTU"}
    assert "block × 7" in columns["model"]
    assert columns["block"].count("norm") == columns["block"].count("+") == 2
    assert {"TNO", "⊙", "$W_u$", "$W_v$", "$W_o$"} <= set(columns["GTU"])
