import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from emseg_napari.core import labels
from emseg_napari.core.jobs import UserError

stacks_of_labels = arrays(
    np.uint8, array_shapes(min_dims=2, max_dims=3, max_side=5), elements=st.integers(0, 2)
)


def array(*values, dtype=np.uint8):
    return np.array([values], dtype)


@pytest.mark.parametrize(
    ("values", "convention"),
    [
        ((0, 255), "isbi"),
        ((0, 128, 255), "isbi"),
        ((128,), "isbi"),
        ((255,), "isbi"),
        ((0, 1, 2), "napari"),
        ((1, 2), "napari"),
        ((0, 2), "napari"),
        ((0,), "napari"),
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64])
def test_a_convention_is_recognised_from_the_values(values, convention, dtype):
    assert labels.recognise(array(*values, dtype=dtype), "truth") == convention


@pytest.mark.parametrize("values", [(0, 1), (1,)])
@pytest.mark.parametrize("dtype", [np.uint8, bool])
def test_zeros_and_ones_are_never_guessed(values, dtype):
    with pytest.raises(
        labels.AmbiguousLabels, match=r"^truth holds only .*'binary'.*'napari'.*say which one"
    ):
        labels.recognise(array(*values, dtype=dtype), "truth")


def test_the_values_that_files_and_layers_hold_stay_what_they_are():
    states = ("UNLABELLED", "BOUNDARY", "INTERIOR", "PROPOSED_BOUNDARY", "PROPOSED_INTERIOR")
    assert [getattr(labels, state) for state in states] == [0, 1, 2, 3, 4]
    assert labels.to_isbi(array(0, 1, 2)).tolist() == [[128, 0, 255]]


@pytest.mark.parametrize(
    ("values", "looks_like", "sentence"),
    [
        ((0, 1, 2, 3), "instances", r"^truth holds .*\(3\); it looks like an instance map"),
        (tuple(range(40)), "instances", r"\(3, 4, 5, 6, 7, \.\.\.\)"),
        ((0, 7), None, r"\(7\); allowed are 0 = unlabelled"),
        ((0, 1, 255), None, r"\(0, 1, 255\); allowed are"),
        ((-1, 0, 1, 2), None, r"\(-1\); allowed are"),
    ],
)
def test_values_of_no_convention_are_listed(values, looks_like, sentence):
    with pytest.raises(labels.UnknownLabels, match=sentence) as caught:
        labels.recognise(array(*values, dtype=np.int32), "truth")
    assert caught.value.looks_like == looks_like


def test_fractions_are_no_labels():
    with pytest.raises(labels.UnknownLabels, match="truth holds float32 values, which are not labels"):
        labels.recognise(array(0, 0.5, dtype=np.float32), "truth")


@pytest.mark.parametrize(
    ("values", "convention", "expected"),
    [
        ((0, 128, 255), None, (1, 0, 2)),
        ((0, 1, 2), None, (0, 1, 2)),
        ((0, 1), "binary", (1, 2)),
        ((0, 1), "napari", (0, 1)),
        ((0, 0), "isbi", (1, 1)),
        ((0, 5, 5), "instances", (1, 2, 2)),
    ],
)
def test_every_convention_becomes_the_projects_own(values, convention, expected):
    result = labels.normalise(array(*values), "truth", convention)
    assert result.dtype == np.uint8
    assert result.tolist() == [list(expected)]


def test_a_mask_is_converted_once_its_meaning_is_said():
    assert labels.normalise(array(True, False, dtype=bool), "mask", "binary").tolist() == [[2, 1]]


@pytest.mark.parametrize(("convention", "strange"), [("binary", 2), ("isbi", 1), ("napari", 255)])
def test_a_value_that_the_said_convention_lacks_is_named(convention, strange):
    with pytest.raises(
        labels.UnknownLabels, match=f"truth holds {strange}, which the convention '{convention}'"
    ):
        labels.normalise(array(0, strange), "truth", convention)


def test_normalising_leaves_the_given_array_alone():
    given_labels = array(0, 128, 255)
    labels.normalise(given_labels, "truth")
    assert given_labels.tolist() == [[0, 128, 255]]


def test_touching_cells_get_a_boundary_one_pixel_wide():
    cells = np.array([[3, 3, 7, 7], [3, 3, 7, 7], [9, 9, 9, 9]], np.uint16)
    assert labels.normalise(cells, "cells", "instances").tolist() == [
        [2, 1, 2, 2],
        [1, 1, 1, 1],
        [2, 2, 2, 2],
    ]


def test_a_boundary_that_is_drawn_already_is_not_thickened():
    cells = np.array([[[3, 0, 7, 7], [0, 0, 0, 0], [9, 9, 9, 9]]], np.uint16)
    expected = np.where(cells == 0, labels.BOUNDARY, labels.INTERIOR)
    assert np.array_equal(labels.normalise(cells, "cells", "instances"), expected)


def test_the_same_cell_in_the_next_slice_makes_no_boundary():
    cells = np.stack([np.full((3, 3), 1), np.full((3, 3), 2)])
    assert (labels.normalise(cells, "cells", "instances") == labels.INTERIOR).all()


@given(stacks_of_labels)
def test_isbi_values_and_back_change_nothing(own):
    isbi = labels.to_isbi(own)
    assert set(labels.distinct(isbi)) <= {0, 128, 255}
    assert np.array_equal(labels.normalise(isbi, "truth", "isbi"), own)


@given(arrays(st.sampled_from([np.uint8, np.int16]), array_shapes(max_dims=3), elements=st.integers(0, 127)))
def test_distinct_values_are_those_of_unique(values):
    assert labels.distinct(values) == np.unique(values).tolist()


def test_a_probability_at_the_threshold_is_boundary():
    probability = array(0.0, 0.49, 0.5, 1.0, dtype=np.float32)
    result = labels.from_probability(probability, 0.5)
    assert result.dtype == np.uint8
    assert result.tolist() == [[2, 2, 1, 1]]


def test_both_classes_are_needed_for_training():
    labels.check_trainable(array(0, 1, 2), "truth")
    with pytest.raises(UserError, match=r"^truth has no labels in the chosen slices"):
        labels.check_trainable(array(0, 0), "truth")
    with pytest.raises(UserError, match=r"^truth has no interior pixels .* label some interior"):
        labels.check_trainable(array(0, 1), "truth")
    with pytest.raises(UserError, match=r"^truth has no boundary pixels .* label some boundary"):
        labels.check_trainable(array(2, 2), "truth")


def test_isbi_labels_called_an_instance_map_are_refused():
    with pytest.raises(labels.UnknownLabels, match="does not hold an instance map but ISBI labels"):
        labels.normalise(np.array([[0, 255]], np.uint8), "labels.tif", "instances")
