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


def blocks(*values):
    """Each value in a square of its own."""
    return np.kron(np.array([values]), np.ones((8, 8), np.int64))


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
        ((-1, 0, 1, 2), "instances", r"\(-1\); it looks like an instance map"),
    ],
)
def test_values_of_no_convention_are_listed(values, looks_like, sentence):
    with pytest.raises(labels.UnknownLabels, match=sentence) as caught:
        labels.recognise(blocks(*values).astype(np.int32), "truth")
    assert caught.value.looks_like == looks_like


NOISE = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("strange", "sentence"),
    [
        (NOISE.integers(1, 5, (40, 50)), "classes of another program.*0 where .* 1 where .* 2 where"),
        (NOISE.integers(0, 7, (40, 50)), "classes of another program"),
        (NOISE.integers(20, 200, (40, 50)), "an image: choose the labels instead"),
        (
            np.where(NOISE.random((40, 50)) < 0.2, 0, 255)
            + np.where(NOISE.random((40, 50)) < 0.5, 0, NOISE.integers(-9, 9, (40, 50))),
            "blurred by JPEG.*threshold it at 128",
        ),
    ],
    ids=["classes", "seven", "image", "jpeg"],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
def test_the_hint_follows_what_the_values_look_like(strange, sentence, dtype):
    with pytest.raises(labels.UnknownLabels, match=f"it looks like .*{sentence}") as caught:
        labels.recognise(strange.clip(0, 255).astype(dtype), "truth")
    assert caught.value.looks_like is None
    assert "instance" not in str(caught.value)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
def test_what_can_be_no_instance_map_is_not_read_as_one(dtype):
    image = NOISE.integers(20, 200, (40, 50)).astype(dtype)
    mask = np.where(NOISE.random((40, 50)) < 0.2, NOISE.integers(0, 9, (40, 50)), 250).astype(dtype)
    for values, sentence in ((image, "an image: choose the labels"), (mask, "blurred by JPEG")):
        with pytest.raises(labels.UnknownLabels, match=f"does not hold an instance map; it .*{sentence}"):
            labels.normalise(values, "truth", "instances")


@pytest.mark.parametrize("convention", [None, "instances", "napari", "isbi"])
@pytest.mark.parametrize("value", [0.5, np.nan, 2.0**24 + 2])
def test_fractions_are_no_labels(value, convention):
    with pytest.raises(labels.UnknownLabels, match=r"truth holds float32 values such as .* are not labels"):
        labels.normalise(array(0, value, dtype=np.float32), "truth", convention)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_whole_numbers_are_labels_in_a_file_of_floats(dtype):
    assert labels.normalise(array(0, 128, 255, dtype=dtype), "truth").tolist() == [[1, 0, 2]]
    assert labels.normalise(array(-1, 0, 5, 5, dtype=dtype), "cells", "instances").tolist() == [[0, 1, 2, 2]]
    with pytest.raises(labels.AmbiguousLabels, match="truth holds only 0 and 1,"):
        labels.recognise(array(0, 1, dtype=dtype), "truth")


# -- two readings ---------------------------------------------------------------------


def lines(boundary, interior, width=1):
    """Lines between squares that are nine times or four times as wide."""
    every = 10 if width == 1 else 5 * width
    stack = np.full((2, 40, 60), interior, np.uint8)
    for first in range(width):
        stack[:, first::every], stack[:, :, first::every] = boundary, boundary
    return stack


def two_cells(gap=0):
    stack = np.zeros((2, 40, 60), np.uint8)
    stack[:, :, : 30 - gap], stack[:, :, 30:] = 1, 2
    return stack


def profiles():
    """Two round cells among others that are not there."""
    y, x = np.mgrid[:64, :64]
    one, two = ((y - c) ** 2 + (x - c) ** 2 < 150 for c in (20, 45))
    return np.where(one, 1, np.where(two, 2, 0))[np.newaxis]


def enclosed():
    """A cell inside of another."""
    stack = np.full((1, 64, 64), 2)
    stack[:, 20:40, 20:40] = 1
    return stack


def only_one():
    return np.where(profiles() == 2, 2, 0)


@pytest.mark.parametrize(
    "cells", [two_cells(), two_cells(3), two_cells()[0], profiles(), enclosed(), only_one()]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
def test_cells_numbered_1_and_2_may_be_an_instance_map(cells, dtype):
    with pytest.raises(labels.AmbiguousLabels, match=r"'napari' \(.*'instances' \(.*say which") as caught:
        labels.recognise(cells.astype(dtype), "truth")
    assert caught.value.readings == ("napari", "instances")


def partly():
    """Membranes of four pixels, drawn in half of one slice."""
    stack = lines(1, 2, width=4)
    stack[0], stack[1, :, 30:] = 0, 0
    return stack


@pytest.mark.parametrize(
    "own",
    [
        lines(1, 2),
        lines(1, 2, width=4),
        lines(1, 2)[0],
        partly(),
        NOISE.choice([1, 2], (3, 40, 50), p=[0.4, 0.6]),
        NOISE.choice([0, 1, 2], (3, 40, 50)),
    ],
)
def test_lines_of_1_are_boundary(own):
    assert labels.recognise(own, "truth") == "napari"


@pytest.mark.parametrize("width", [1, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_mask_that_may_be_inverted_is_asked_about(width, dtype):
    assert labels.recognise(lines(0, 255, width).astype(dtype), "truth") == "isbi"
    inverted = lines(255, 0, width).astype(dtype)
    match = r"^truth may be inverted \(.*% boundary.*'isbi' .*'inverted' .*say which"
    with pytest.raises(labels.AmbiguousLabels, match=match) as caught:
        labels.recognise(inverted, "truth")
    assert caught.value.readings == ("isbi", "inverted")
    converted = labels.normalise(inverted, "truth", "inverted")
    assert np.array_equal(converted, labels.normalise(lines(0, 255, width), "truth"))


def test_boundary_that_is_most_of_a_noisy_mask_is_not_asked_about():
    assert labels.recognise(NOISE.choice([0, 255], (3, 40, 50), p=[0.6, 0.4]), "truth") == "isbi"


@pytest.mark.parametrize(("own", "is_doubtful"), [(lines(2, 1), True), (lines(1, 2), False)])
def test_labels_that_look_exchanged_are_said_to_be(own, is_doubtful):
    sentence = labels.doubt(own, "truth")
    if is_doubtful:
        assert sentence.startswith("truth may be inverted (81% boundary")
        assert "convention 'inverted'" in sentence
    else:
        assert sentence is None


def test_strokes_are_not_said_to_be_exchanged():
    strokes = np.zeros((1, 64, 64), np.uint8)
    strokes[0, 10:14, 5:60], strokes[0, 30:50, 5], strokes[0, 40, 10:20] = 1, 1, 2
    assert labels.doubt(strokes, "truth") is None


def test_cells_of_which_only_some_are_drawn_are_doubted():
    own = np.full((2, 60, 60), 1, np.uint8)
    own[:, 10:50, 10:50] = 2
    assert "truth is boundary in 56% of its pixels; if only some cells are" in labels.doubt(own, "truth")
    own[own == 1] = 0
    own[:, 9:51, 9] = 1
    assert labels.doubt(own, "truth") is None


# -- instance maps --------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64])
def test_negative_numbers_of_an_instance_map_are_unlabelled(dtype):
    cells = array(-1, 3, 3, 7, -2, 0, dtype=dtype)
    assert labels.normalise(cells, "cells", "instances").tolist() == [[0, 2, 1, 2, 0, 1]]
    assert labels.normalise(cells.T, "cells", "instances").T.tolist() == [[0, 2, 1, 2, 0, 1]]


@pytest.mark.parametrize("dtype", [np.uint32, np.uint64])
@pytest.mark.parametrize("below", [0, 1, 2])
def test_numbers_that_stand_for_no_cell_are_unlabelled(dtype, below):
    cells = np.array([[3, 3, 7, np.iinfo(dtype).max - below, 7]], dtype)
    assert labels.normalise(cells, "cells", "instances").tolist() == [[2, 1, 2, 0, 2]]


@pytest.mark.parametrize(
    ("dtype", "number"),
    [(np.uint8, 255), (np.uint16, 65535), (np.uint64, 2**32 - 1), (np.int64, 2**32 - 1)],
)
def test_a_number_that_is_a_cell_or_minus_one_is_refused(dtype, number):
    cells = np.array([[3, 3, 7, number]], dtype)
    with pytest.raises(labels.UnknownLabels, match=f"cells holds {number}, which is either .* -1"):
        labels.normalise(cells, "cells", "instances")
    counted = np.array([[3, 3, number - 1, number]], dtype)
    assert labels.normalise(counted, "cells", "instances").tolist() == [[2, 1, 1, 2]]


# -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "convention", "expected"),
    [
        ((0, 128, 255), None, (1, 0, 2)),
        ((0, 1, 2), None, (0, 1, 2)),
        ((0, 1), "binary", (1, 2)),
        ((0, 1), "napari", (0, 1)),
        ((0, 1), "inverted", (2, 1)),
        ((0, 128, 255), "inverted", (2, 0, 1)),
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


def test_a_mask_of_both_1_and_255_is_not_read_as_inverted():
    with pytest.raises(labels.UnknownLabels, match="truth holds 1, which the convention 'inverted'"):
        labels.normalise(array(0, 1, 255), "truth", "inverted")


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


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64])
def test_values_from_the_least_to_the_greatest_are_found(dtype):
    ends = [np.iinfo(dtype).min, np.iinfo(dtype).max]
    assert labels.distinct(np.array([ends], dtype)) == ends


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
