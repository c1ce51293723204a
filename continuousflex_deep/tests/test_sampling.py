"""When pixel sizes and widths count as the same."""

import pytest

from continuousflex_deep.sampling import same_pixel_size, same_width


@pytest.mark.parametrize(
    ("first_A", "second_A", "same"),
    [
        (1.25, 1.25, True),
        (0.83, 0.8346, True),  # written with two decimals
        (1.0, 1.0099, True),
        (1.0, 1.0101, False),
        (1.06, 2.12, False),
        (0.0, 1.25, False),  # a header that does not say
        (0.0, 0.0, False),
    ],
)
def test_pixel_sizes_are_the_same_to_one_percent_in_either_order(first_A: float, second_A: float, same: bool) -> None:
    assert same_pixel_size(first_A, second_A) is same
    assert same_pixel_size(second_A, first_A) is same


def test_width_is_box_times_pixel_size() -> None:
    assert same_width(100, 1.0, 50, 2.0)
    assert same_width(128, 1.3, 100, 1.66)  # 166.4 and 166 Å
    assert not same_width(100, 1.0, 50, 1.5)
