import pytest

from tnnlab.widgets import Choice, Slider


def test_a_slider_allows_what_lies_between_its_ends() -> None:
    decay = Slider("Decay", [0.9, 0.99, 1.0])
    assert decay.check("decay", 0.95) == 0.95
    assert decay.check("decay", 1) == 1.0
    with pytest.raises(ValueError, match=r"decay must lie between 0\.9 and 1\.0, got 1\.1"):
        decay.check("decay", 1.1)
    with pytest.raises(TypeError, match="must be a number"):
        decay.check("decay", "0.95")
    with pytest.raises(TypeError, match="must be a number"):
        decay.check("decay", float("nan"))


def test_a_slider_over_whole_numbers_keeps_them_whole() -> None:
    depth = Slider("Depth", [0, 3, 6])
    five = depth.check("depth", 5.0)
    assert five == 5 and isinstance(five, int)
    with pytest.raises(ValueError, match=r"whole number, got 2\.5"):
        depth.check("depth", 2.5)


def test_a_slider_that_is_not_continuous_has_its_stops_only() -> None:
    length = Slider("Length", [64, 128], continuous=False)
    assert length.check("length", 128) == 128
    with pytest.raises(ValueError, match=r"one of \(64, 128\), got 100"):
        length.check("length", 100)


@pytest.mark.parametrize(
    ("values", "start", "error", "says"),
    [
        ([1], None, ValueError, "must increase"),
        ([2, 1], None, ValueError, "must increase"),
        ([1, 1], None, ValueError, "must increase"),
        ([1, float("inf")], None, TypeError, "finite numbers"),
        ([False, True], None, TypeError, "finite numbers"),
        ([1, 2], 3, ValueError, r"start must be one of \(1, 2\), got 3"),
    ],
)
def test_a_slider_refuses(values, start, error, says) -> None:
    with pytest.raises(error, match=says):
        Slider("s", values, start=start)


def test_a_choice_names_its_options() -> None:
    choice = Choice("Activation", ["relu", "silu"])
    assert choice.check("activation", "silu") == "silu"
    with pytest.raises(ValueError, match=r"activation must be one of \('relu', 'silu'\), got 'x'"):
        choice.check("activation", "x")


@pytest.mark.parametrize(
    ("options", "start", "error", "says"),
    [
        (["one"], None, ValueError, "two different"),
        (["a", "a"], None, ValueError, "two different"),
        (["a", 1], None, TypeError, "must be strings"),
        ("ab", None, ValueError, "two different"),
        (["a", "b"], "c", ValueError, "start must be one of"),
    ],
)
def test_a_choice_refuses(options, start, error, says) -> None:
    with pytest.raises(error, match=says):
        Choice("c", options, start=start)
