import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from emseg_napari.gaps import close_gaps


def weak_membrane() -> np.ndarray:
    """A membrane three pixels thick between two cells, strong above and weak below."""
    probability = np.full((20, 21), 0.05, np.float32)
    probability[:10, 9:12] = 0.9
    probability[10:, 9:12] = 0.3
    return probability


def test_a_weak_stretch_of_membrane_is_closed_by_a_line_one_pixel_thin():
    closed = close_gaps(weak_membrane(), gap_threshold=0.2, threshold=0.5) >= 0.5
    assert ndimage.label(~closed)[1] == 2
    assert (closed[10:].sum(axis=1) == 1).all()
    assert (closed[:10].sum(axis=1) == 3).all()


@pytest.mark.parametrize("threshold", [0.4, 0.45, 0.5, 0.65, 0.7, 0.8])
def test_closed_gaps_part_cells_in_the_scores_too(threshold):
    """Scores compare one minus the probability with one minus the threshold, in double precision."""
    interior = 1 - close_gaps(weak_membrane(), 0.2, threshold)
    assert ndimage.label(interior.astype(np.float64) > 1 - threshold)[1] == 2


def test_what_is_weaker_than_the_gap_threshold_stays_open():
    probability = weak_membrane()
    np.testing.assert_array_equal(close_gaps(probability, gap_threshold=0.4, threshold=0.5), probability)


def test_no_line_grows_inside_a_cell():
    probability = np.full((20, 20), 0.05, np.float32)
    probability[8:12, 8:12] = 0.3  # a vesicle, all around it one cell
    np.testing.assert_array_equal(close_gaps(probability, 0.2, 0.5), probability)


@given(seed=st.integers(0, 1000), low=st.floats(0.05, 0.5), high=st.floats(0.5, 0.95))
def test_closing_only_raises_and_only_to_the_threshold(seed, low, high):
    probability = ndimage.gaussian_filter(np.random.default_rng(seed).random((24, 24)), 1).astype(np.float32)
    closed = close_gaps(probability, low, high)
    changed = closed != probability
    assert closed.dtype == np.float32
    assert np.allclose(closed[changed], high, atol=1e-6)
    assert (closed[changed] >= np.float32(high)).all()
    assert (probability[changed] < high).all()
