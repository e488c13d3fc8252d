import pytest

from tnnlab.ops import fast_size


def largest_prime_factor(number: int) -> int:
    factor, largest = 2, 1
    while number > 1:
        while number % factor == 0:
            number, largest = number // factor, factor
        factor += 1
    return largest


@pytest.mark.parametrize("minimum", [*range(1, 600), 1023, 1999, 8191, 16383, 131071])
def test_it_is_the_smallest_even_7_smooth_size(minimum: int) -> None:
    expected = minimum + minimum % 2
    while largest_prime_factor(expected) > 7:
        expected += 2
    assert fast_size(minimum) == expected


def test_no_points_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one point, got a minimum of 0"):
        fast_size(0)
