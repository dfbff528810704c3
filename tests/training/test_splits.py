import numpy as np
import pytest

from emseg_napari.core.jobs import UserError
from emseg_napari.settings import TrainingSettings
from emseg_napari.training.splits import but_tile, hold_out_tile, most_labelled, only_tile, split


def settings(**changes) -> TrainingSettings:
    return TrainingSettings.recipe(**changes)


def labelled(*slices: int, depth: int = 20) -> np.ndarray:
    labels = np.zeros((depth, 4, 4), np.uint8)
    labels[list(slices)] = 1
    labels[list(slices), :2] = 2
    return labels


@pytest.mark.parametrize(
    ("slices", "held_out"),
    [
        (range(4), [3]),
        (range(15), [14]),
        (range(16), [14, 15]),
        (range(20), [18, 19]),
        ([2, 5, 7, 11], [11]),
        ([2, 5, 7], []),
        ([6], []),
    ],
)
def test_last_eighth_of_the_labelled_slices_is_held_out(slices, held_out):
    trained, chosen = split(labelled(*slices), settings())
    assert chosen == held_out
    assert trained == [z for z in slices if z not in held_out]


def test_an_eighth_of_all_labelled_slices_is_held_out_of_those_with_both_classes():
    labels = labelled(*range(16))
    labels[:7] = 1
    assert split(labels, settings())[1] == [14, 15]


def test_partly_labelled_slices_count_as_labelled():
    labels = labelled(3, 4, 5)
    labels[9, 2, 2:] = 2, 1
    assert split(labels, settings()) == ([3, 4, 5], [9])


def test_training_range_bounds_both():
    assert split(labelled(*range(20)), settings(slices=(2, 10))) == (list(range(2, 9)), [9])


@pytest.mark.parametrize(
    ("validate", "trained"), [((15, 18), range(10)), ((8, 12), range(8)), ((0, 3), range(3, 10))]
)
def test_given_range_is_held_out_and_leaves_the_training(validate, trained):
    chosen = settings(slices=(0, 10), validate_slices=validate)
    assert split(labelled(*range(20)), chosen) == (list(trained), list(range(*validate)))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"slices": (5, 21)}, "^Slices: 5:21 does not lie inside the stack"),
        ({"validate_slices": (20, 25)}, "^Held-out slices: 20:25 does not lie inside the stack"),
        ({"validate_slices": (12, 15)}, "^Held-out slices: 12:15 has no labels, .* the labelled slices 0:10"),
        ({"slices": (0, 4), "validate_slices": (0, 10)}, "All labelled slices are held out"),
        ({"slices": (12, 14)}, "no labels in the chosen slices"),
    ],
)
def test_impossible_split_gets_a_sentence(changes, sentence):
    with pytest.raises(UserError, match=sentence):
        split(labelled(*range(10)), settings(**changes))


def test_what_is_held_out_never_teaches_and_keeps_its_distance():
    labels = np.full((2, 128, 128), 2, np.uint8)
    labels[:, :, np.arange(128) // 8 % 2 == 0] = 1
    tile = hold_out_tile(labels, [0, 1])
    held_out, trained = only_tile(labels, tile), but_tile(labels, tile)
    rows, columns = np.nonzero(held_out.any(axis=0))
    assert (np.bincount(held_out.ravel())[1:] > 0).all()
    assert (np.bincount(trained.ravel())[1:] > 0).all()
    near = np.s_[
        :, max(0, rows.min() - 16) : rows.max() + 17, max(0, columns.min() - 16) : columns.max() + 17
    ]
    assert not trained[near].any()
    np.testing.assert_array_equal(held_out[held_out > 0], labels[held_out > 0])
    assert np.count_nonzero(held_out) == pytest.approx(labels.size / 8, rel=0.05)


def test_no_corner_is_held_out_that_would_take_a_class_away():
    labels = np.zeros((1, 128, 128), np.uint8)
    labels[0, :, :] = 2
    labels[0, 60:64, 60:64] = 1  # the only boundary, far from every corner
    assert hold_out_tile(labels, [0]) is None
    assert hold_out_tile(labels[:, 56:80, 56:80], [0]) is None  # tiny


def test_most_labelled_window_is_found():
    labels = np.zeros((2, 30, 25), np.uint8)
    labels[1, 21:25, 3] = 1
    labels[0, 4, 12:15] = 2
    assert most_labelled(labels, 10) == (slice(20, 30), slice(0, 10))
    assert most_labelled(labels, 100) == (slice(0, 30), slice(0, 25))  # no more than there is
