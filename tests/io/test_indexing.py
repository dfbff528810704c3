"""What keys of NumPy select of an axis and of three axes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emseg_napari.io.indexing import ALL, AxisSelection, complete

LENGTH = 7
keys = st.one_of(
    st.integers(-LENGTH, LENGTH - 1),
    st.slices(LENGTH),
    st.lists(st.integers(-LENGTH, LENGTH - 1), max_size=4),
    st.lists(st.booleans(), min_size=LENGTH, max_size=LENGTH),
)


@given(keys)
def test_reading_the_cover_and_choosing_inside_is_indexing(key):
    line = np.arange(LENGTH)
    wanted = line[np.array(key, int) if key == [] else key]
    selection = AxisSelection.of(key, LENGTH)
    np.testing.assert_array_equal(line[selection.cover][selection.inside], wanted)
    if selection.places is not None:
        assert list(selection.places) == wanted.tolist()


def test_no_more_is_read_than_a_range_spans():
    for key, cover in ((3, (3, 4)), (-1, (6, 7)), (slice(2, 5), (2, 5)), (slice(5, 1, -2), (3, 6))):
        selection = AxisSelection.of(key, LENGTH)
        assert (selection.start, selection.stop) == cover
    assert AxisSelection.of(slice(4, 4), LENGTH).cover == slice(0, 0)


def test_scattered_places_are_named_and_others_are_not():
    assert AxisSelection.of([5, 2], LENGTH).places == (5, 2)
    assert AxisSelection.of(slice(0, 5, 2), LENGTH).places == (0, 2, 4)
    assert AxisSelection.of(slice(1, 4), LENGTH).places is None
    assert AxisSelection.of(2, LENGTH).places is None


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (3, (3, ALL, ALL)),
        ((), (ALL, ALL, ALL)),
        (..., (ALL, ALL, ALL)),
        ((1, 2), (1, 2, ALL)),
        ((..., 2), (ALL, ALL, 2)),
        ((1, ...), (1, ALL, ALL)),
        ((1, ..., 2), (1, ALL, 2)),
        ((1, 2, 3, ...), (1, 2, 3)),
        ((1, 2, 3), (1, 2, 3)),
        (([4, 1], 2), ([4, 1], 2, ALL)),
    ],
)
def test_axes_without_a_key_are_taken_whole(key, expected):
    assert complete(key) == expected


@pytest.mark.parametrize("key", [(1, 2, 3, 4), (1, 2, 3, 4, ...), (0, [1, 2]), (0, 0, [1])])
def test_more_keys_than_axes_or_sequences_along_y_and_x_are_refused(key):
    with pytest.raises(IndexError, match=r"3 axes, but \d were|only the first axis"):
        complete(key)
