"""Words for sizes and slices."""

import pytest

from emseg_napari.io.axes import slice_ranges, slices_text


@pytest.mark.parametrize(
    ("slices", "written"),
    [([3], "slice 3"), ([0, 1, 2], "slices 0-2"), ([4, 11, 18, 21, 22], "slices 4, 11, 18, 21-22")],
)
def test_slices_of_a_sentence_include_the_last(slices, written):
    assert slices_text(slices) == written


@pytest.mark.parametrize(
    ("slices", "written"), [([], ""), ([3], "3"), ([0, 1, 2], "0:3"), ([0, 2, 3, 9], "0, 2:4, 9")]
)
def test_slices_are_written_as_ranges(slices, written):
    assert slice_ranges(slices) == written
