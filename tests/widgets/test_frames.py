import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tnnlab.widgets import Curve, Image, Panel
from tnnlab.widgets.frames import as_panels, encode, pack, unpack

FINITE = st.floats(-1e9, 1e9, allow_subnormal=False)


@given(arrays(np.float64, st.integers(1, 50), elements=FINITE))
def test_packing_loses_less_than_a_pixel(values: np.ndarray) -> None:
    spread = np.ptp(values)
    # Half a step of 4094, and the two ends to seven digits: at most 5e-7 of their size.
    allowed = spread / 8188 + 5e-7 * (np.abs(values).max() + spread) + 1e-300
    assert np.abs(unpack(pack(values)) - values).max() <= allowed * 1.001


def test_packing_takes_two_characters_a_value_and_keeps_gaps() -> None:
    values = np.array([0.0, np.nan, 1.0, np.inf, -np.inf])
    packed = pack(values)
    assert len(packed[2]) == 2 * len(values)
    np.testing.assert_allclose(unpack(packed), [0, np.nan, 1, np.nan, np.nan])
    assert np.isnan(unpack(pack(np.full(3, np.nan)))).all()


def test_packing_on_a_logarithmic_scale_is_relative() -> None:
    values = np.array([1e-9, 1e-3, 5.0, 1e6])
    np.testing.assert_allclose(unpack(pack(values, "log"), "log"), values, rtol=0.005)
    assert np.isnan(unpack(pack(np.array([1.0, 0.0, -1.0]), "log"), "log")[1:]).all()


def test_an_even_axis_is_two_numbers_and_defaults_are_left_out() -> None:
    panel = Panel("P", [Curve(range(3), [1, 2, 3]), Curve([0, 1, 5], [1, 2, 3], "c", "stems")])
    (data,) = encode([panel])
    assert set(data) == {"title", "curves"}
    assert data["curves"][0]["x"] == [0, 1]
    assert len(data["curves"][1]["x"]) == 3
    assert data["curves"][1]["label"] == "c" and data["curves"][1]["style"] == "stems"


def test_a_look_and_fixed_axes_travel() -> None:
    curve = Curve([1, 2], [3, 4], style="points", look=6)
    (data,) = encode([Panel("P", [curve, Curve([1], [1])], x_range=(0, 5), y_range=(1, 9))])
    assert data["curves"][0]["look"] == 6 and "look" not in data["curves"][1]
    assert data["x_range"] == [0, 5] and data["y_range"] == [1, 9]


def test_an_image_keeps_its_shape() -> None:
    (data,) = encode([Panel("M", image=Image([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], "sequential"))])
    rows, columns, colormap, *packed = data["image"]
    assert (rows, columns, colormap) == (2, 3, "sequential")
    np.testing.assert_allclose(unpack(packed), [1, 2, 3, 4, 5, 6], atol=1e-3)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: Curve([1, 2], [1]), ValueError, r"got shapes \(2,\) and \(1,\)"),
        (lambda: Curve([], []), ValueError, "length > 0"),
        (lambda: Curve([[1]], [[1]]), ValueError, "one-dimensional"),
        (lambda: Curve([np.nan], [1]), ValueError, "not finite"),
        (lambda: Curve(["a"], [1]), TypeError, "must be numbers"),
        (lambda: Curve([1], [1], style="bars"), ValueError, "style must be one of"),
        (lambda: Image([1, 2]), ValueError, r"matrix, got shape \(2,\)"),
        (lambda: Image([[1]], "jet"), ValueError, "got 'jet'"),
        (lambda: Panel("P"), ValueError, "curves or an image"),
        (lambda: Panel("P", [1]), TypeError, "curves must be Curve, got int"),
        (lambda: Panel("P", [Curve([0], [1])], x_scale="log"), ValueError, "must be positive"),
        (lambda: Panel("P", [Curve([1], [1])], y_scale="dB"), ValueError, "y_scale must be one of"),
        (
            lambda: Panel("P", [Curve([1], [1])], y_range=(1, 0)),
            ValueError,
            "y_range must increase",
        ),
        (
            lambda: Panel("P", [Curve([1], [1])], x_range=(1, 1)),
            ValueError,
            "x_range must increase",
        ),
        (lambda: Curve([1], [1], look=-1), ValueError, "look must be 0 or more, got -1"),
    ],
)
def test_wrong_drawings_are_refused(make, error, says) -> None:
    with pytest.raises(error, match=says):
        make()


@pytest.mark.parametrize("drawn", [None, [], 3, "panel", [1], {"title": "P"}])
def test_a_function_must_return_panels(drawn) -> None:
    with pytest.raises(TypeError, match="must return a Panel or a list of them"):
        as_panels(drawn)
