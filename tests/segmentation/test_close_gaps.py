import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from emseg_napari.core.jobs import UserError
from emseg_napari.segmentation import watershed
from emseg_napari.segmentation.close_gaps import close_gaps, closings


def two_cells(gap: float = 0.3) -> np.ndarray:
    """A strong membrane three pixels thick between two wide cells, with a short gap."""
    probability = np.full((60, 61), 0.05, np.float32)
    probability[:, 29:32] = 0.95
    probability[27:33, 29:32] = gap
    return probability


def test_a_gap_in_a_strong_membrane_is_closed_by_a_line_one_pixel_thin():
    closed = close_gaps(two_cells(), 0.5, merge_threshold=0.7) >= 0.5
    assert ndimage.label(~closed)[1] == 2
    assert (closed[27:33].sum(axis=1) == 1).all()
    assert (closed[:27].sum(axis=1) == 3).all()


def test_a_gap_through_which_nothing_shows_is_closed_too():
    closed = close_gaps(two_cells(gap=0.05), 0.5, merge_threshold=0.7) >= 0.5
    assert ndimage.label(~closed)[1] == 2


@pytest.mark.parametrize("threshold", [0.4, 0.45, 0.5, 0.65, 0.7, 0.8])
def test_closed_gaps_part_cells_in_the_scores_too(threshold):
    """Scores compare one minus the probability with one minus the threshold, in double precision."""
    interior = 1 - close_gaps(two_cells(), threshold, 0.7)
    assert ndimage.label(interior.astype(np.float64) > 1 - threshold)[1] == 2


def test_a_membrane_that_is_weak_as_a_whole_is_not_drawn():
    probability = np.full((60, 61), 0.05, np.float32)
    probability[:, 29:32] = 0.4
    np.testing.assert_array_equal(close_gaps(probability, 0.5, merge_threshold=0.7), probability)
    assert (close_gaps(probability, 0.5, merge_threshold=0.3) >= 0.5).any()


def test_no_line_grows_inside_a_cell():
    probability = np.full((40, 40), 0.05, np.float32)
    probability[18:22, 18:22] = 0.9  # a vesicle, all around it one cell
    np.testing.assert_array_equal(close_gaps(probability, 0.5, 0.7), probability)


def test_a_slice_of_more_pixels_than_can_be_counted_is_refused(monkeypatch):
    monkeypatch.setattr(watershed, "_MOST_PX", 62 * 63)  # with the rim
    close_gaps(two_cells(), 0.5, 0.7)
    monkeypatch.setattr(watershed, "_MOST_PX", 62 * 63 - 1)
    with pytest.raises(UserError, match=r"^A slice of 60 x 61 pixels .*OME-Zarr, .*leave gaps open"):
        close_gaps(two_cells(), 0.5, 0.7)


def test_no_place_of_a_slice_passes_31_bits():
    vast = np.broadcast_to(np.float32(0), (2**15, 2**16))
    with pytest.raises(UserError, match="is too large to close its gaps"):
        close_gaps(vast, 0.5, 0.7)


noise = st.integers(0, 1000).map(
    lambda seed: ndimage.gaussian_filter(np.random.default_rng(seed).random((40, 40)), 2).astype(np.float32)
)


@given(probability=noise, threshold=st.floats(0.3, 0.95), level=st.floats(0.1, 0.9))
def test_closing_only_raises_and_only_to_the_threshold(probability, threshold, level):
    closed = close_gaps(probability, threshold, level)
    changed = closed != probability
    assert closed.dtype == np.float32
    assert np.allclose(closed[changed], threshold, atol=1e-6)
    assert (closed[changed] >= np.float32(threshold)).all()
    assert (probability[changed] < threshold).all()


@given(probability=noise, threshold=st.floats(0.3, 0.95))
def test_levels_in_turn_give_what_each_gives_alone(probability, threshold):
    levels = [0.3, 0.5, 0.7]
    for level, closed in zip(levels, closings(probability, threshold, levels), strict=True):
        np.testing.assert_array_equal(closed, close_gaps(probability, threshold, level))
