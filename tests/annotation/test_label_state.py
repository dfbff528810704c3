import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from emseg_napari.annotation.label_state import (
    SliceSummary,
    fill,
    is_proposal,
    plain,
    proposed,
    summary,
    trusted,
)

SHAPE = (2, 3, 4)
planes = arrays(np.uint8, SHAPE[1:], elements=st.integers(0, 2))
stacks = arrays(np.uint8, SHAPE, elements=st.integers(0, 4))
confirmations = st.sets(st.integers(0, SHAPE[0] - 1))


@given(arrays(np.uint8, SHAPE[1:], elements=st.integers(0, 4)), planes)
def test_a_prediction_changes_only_unlabelled_pixels_and_proposals(labels, prediction):
    before = labels.copy()
    fill(labels, prediction)
    own = (before == 1) | (before == 2)
    np.testing.assert_array_equal(labels[own], before[own])
    said = ~own & (prediction != 0)
    np.testing.assert_array_equal(labels[said], prediction[said] + 2)
    silent = prediction == 0
    np.testing.assert_array_equal(labels[silent], before[silent])


@given(stacks, confirmations)
def test_every_label_is_a_proposal_or_trusted(labels, confirmed):
    waiting = is_proposal(labels)
    waiting[sorted(confirmed)] = False
    result = trusted(labels, confirmed)
    np.testing.assert_array_equal(result != 0, (labels != 0) & ~waiting)
    np.testing.assert_array_equal(result[result != 0], plain(labels)[result != 0])
    np.testing.assert_array_equal(trusted(labels, confirmed, include_proposals=True), plain(labels))


@given(stacks, st.booleans())
def test_a_summary_counts_every_pixel_once(labels, confirmed):
    found = summary(labels[0], confirmed)
    assert found.unlabelled + found.proposed + found.own == labels[0].size
    assert found.unlabelled == (labels[0] == 0).sum()
    assert found.proposed == (0 if confirmed else is_proposal(labels[0]).sum())


def test_states_are_told_by_their_values():
    labels = np.array([[0, 1, 2, 3, 4]], np.uint8)
    assert plain(labels).tolist() == [[0, 1, 2, 1, 2]]
    assert plain(labels.astype(np.int64)).tolist() == [[0, 1, 2, 1, 2]]
    assert is_proposal(labels).tolist() == [[False, False, False, True, True]]
    assert proposed(np.array([0, 1, 2], np.uint8)).tolist() == [0, 3, 4]
    assert summary(labels, False) == SliceSummary(unlabelled=1, proposed=2, own=2, confirmed=False)
    assert summary(labels, True) == SliceSummary(unlabelled=1, proposed=0, own=4, confirmed=True)


def test_a_value_that_means_nothing_is_not_hidden():
    assert plain(np.array([7], np.uint8)).tolist() == [7]


def test_a_prediction_of_another_size_is_refused():
    with pytest.raises(ValueError, match="shape"):
        fill(np.zeros((3, 4), np.uint8), np.zeros((4, 3), np.uint8))
