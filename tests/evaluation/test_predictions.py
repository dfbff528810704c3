import numpy as np
import pytest
import tifffile

from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import to_isbi
from emseg_napari.evaluation.predictions import boundary_threshold, interior_threshold, read_prediction
from emseg_napari.io.stacks import write_stack

INTERIOR = np.array([[[0.0, 0.25, 0.7, 1.0]], [[0.1, 0.2, 0.3, 0.4]]], np.float32)
LABELS = np.array([[[0, 255, 255, 0]]], np.uint8)


@pytest.fixture
def written(tmp_path):
    """Write an array as somebody else's program does, and give its path."""

    def write(array, name="p.tif"):
        tifffile.imwrite(tmp_path / name, array, photometric="minisblack")
        return tmp_path / name

    return write


@pytest.fixture
def predicted(tmp_path):
    """Write an array as `emseg predict` does, and give its path."""

    def write(array, **record):
        write_stack(tmp_path / "p.tif", array, {"software": "emseg-napari predict", **record})
        return tmp_path / "p.tif"

    return write


def everything(prediction):
    return prediction.interior(0, len(prediction.values))


def test_floats_are_the_probability_of_the_boundary(written):
    prediction = read_prediction(written(1 - INTERIOR))
    assert prediction.kind == "probability"
    np.testing.assert_array_equal(everything(prediction), 1 - (1 - INTERIOR))


def test_the_interior_comes_bit_for_bit(written):
    values = np.random.default_rng(0).random((2, 30, 30), np.float32)
    prediction = read_prediction(written(values), interior=True)
    assert prediction.kind == "interior"
    np.testing.assert_array_equal(everything(prediction), values)


def test_doubles_are_read_as_the_scorer_holds_them(written):
    prediction = read_prediction(written(INTERIOR.astype(np.float64)), interior=True)
    assert everything(prediction).dtype == np.float32


@pytest.mark.parametrize("of_boundary", [True, False])
def test_eight_bits_keep_their_ties(written, of_boundary):
    interior = np.array([[[0, 51, 102, 153, 204, 255]]], np.uint8)
    path = written(255 - interior if of_boundary else interior)
    found = everything(read_prediction(path, interior=not of_boundary))
    assert found.dtype == np.float32
    assert (found[0, 0].astype(np.float64) > [-1, 0.2, 0.4, 0.6, 0.8, 0.9]).all()
    np.testing.assert_allclose(found[0, 0], [0, 0.2, 0.4, 0.6, 0.8, 1], rtol=1e-6)


@pytest.mark.parametrize("values", [[0, 255], [0], [255]])
def test_eight_bits_of_only_0_and_255_are_labels(written, values):
    prediction = read_prediction(written(np.array([[values]], np.uint8)))
    assert prediction.kind == "labels"
    np.testing.assert_array_equal(everything(prediction), np.array([[values]]) / 255)


def test_eight_bits_of_only_0_and_255_are_a_probability_if_the_user_says_so(written):
    path = written(LABELS)
    np.testing.assert_array_equal(everything(read_prediction(path, "probability")), 1 - LABELS / 255)
    np.testing.assert_array_equal(everything(read_prediction(path, interior=True)), LABELS / 255)


def test_other_eight_bits_are_a_probability(written):
    assert read_prediction(written(np.array([[[0, 127, 255]]], np.uint8))).kind == "probability"


def test_labels_of_napari_are_labels(written):
    prediction = read_prediction(written(np.array([[[1, 2, 2]]], np.uint8)))
    np.testing.assert_array_equal(everything(prediction), [[[0, 1, 1]]])


def test_the_files_record_tells(predicted):
    path = predicted(INTERIOR, kind="interior", slices=[20, 22], threshold=0.55)
    prediction = read_prediction(path)
    assert (prediction.kind, prediction.slices, prediction.threshold) == ("interior", (20, 22), 0.45)
    np.testing.assert_array_equal(everything(prediction), INTERIOR)


def test_a_record_of_another_number_of_slices_is_not_believed(predicted):
    assert read_prediction(predicted(INTERIOR, kind="interior", slices=[20, 29])).slices is None


def test_the_record_of_an_export_is_no_predictions(predicted):
    prediction = read_prediction(predicted(LABELS, convention="isbi", slices=[0, 1, 2], threshold=0.2))
    assert (prediction.slices, prediction.threshold) == (None, None)


def test_labels_of_one_class_are_told_by_their_record(predicted):
    path = predicted(np.zeros((1, 2, 2), np.uint8), kind="labels", convention="isbi")
    np.testing.assert_array_equal(everything(read_prediction(path)), np.zeros((1, 2, 2)))


def test_a_file_of_other_origin_has_no_slices_and_no_threshold(written):
    prediction = read_prediction(written(INTERIOR))
    assert (prediction.slices, prediction.threshold) == (None, None)


@pytest.mark.parametrize(
    ("kind", "options", "shown"),
    [
        ("labels", {"kind": "probability"}, "holds labels, not boundary probability"),
        ("probability", {"interior": True}, "holds boundary probability, not interior probability"),
        ("interior", {"kind": "probability"}, "holds interior probability, not boundary probability"),
        ("probability", {"kind": "labels"}, "holds boundary probability, not labels"),
    ],
)
def test_a_record_that_says_otherwise_is_a_sentence(predicted, kind, options, shown):
    with pytest.raises(UserError, match=f"p.tif states in its record that it {shown}"):
        read_prediction(predicted(LABELS, kind=kind, convention="isbi"), **options)


def test_labels_of_our_own_may_be_read_as_interior(predicted):
    path = predicted(LABELS, kind="labels", convention="isbi")
    np.testing.assert_array_equal(everything(read_prediction(path, interior=True)), LABELS / 255)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1.01, -0.01, 200])
def test_what_is_no_probability_is_a_sentence_where_it_is_used(written, value):
    values = np.full((3, 4, 4), 0.5, np.float32)
    values[2, 1, 1] = value
    prediction = read_prediction(written(values))
    with pytest.raises(UserError, match=rf"p.tif: {value:g} in slice 2 is not a probability"):
        prediction.interior(1, 3)
    assert prediction.interior(0, 2).shape == (2, 4, 4)


def test_rounding_of_other_programs_is_forgiven(written):
    values = np.array([[[-1e-7, 1 + 1e-7]]], np.float32)
    assert everything(read_prediction(written(values))).shape == (1, 1, 2)


def test_doubles_too_large_for_floats_are_a_sentence(written):
    prediction = read_prediction(written(np.full((1, 2, 2), 1e300)))
    with pytest.raises(UserError, match="inf in slice 0 is not a probability"):
        everything(prediction)


@pytest.mark.parametrize("kind", [None, "labels"])
def test_unlabelled_pixels_are_a_sentence(written, kind):
    labels = to_isbi(np.array([[[1, 2]], [[1, 0]]], np.uint8))  # 0, 128 and 255, which is no probability
    prediction = read_prediction(written(labels), kind)
    assert prediction.interior(0, 1).shape == (1, 1, 2)
    with pytest.raises(UserError, match="in slice 1 is neither boundary nor interior"):
        everything(prediction)


@pytest.mark.parametrize(
    "values",
    [np.arange(9, dtype=np.uint16), np.array([0, 1], np.uint8), np.array([-1, 1], np.int16)],
    ids=["cells", "ambiguous", "negative"],
)
def test_what_is_neither_is_a_sentence(written, values):
    with pytest.raises(UserError, match=r"p\.tif holds neither labels .* nor a probability"):
        read_prediction(written(values[None, None]))


def test_whole_numbers_of_16_bits_are_no_probability(written):
    with pytest.raises(UserError, match=r"p\.tif holds uint16 values; a probability"):
        read_prediction(written(LABELS.astype(np.uint16)), "probability")


def test_labels_have_no_interior_probability(written):
    with pytest.raises(UserError, match="one or the other"):
        read_prediction(written(LABELS), "labels", interior=True)


@pytest.mark.parametrize(("boundary", "interior"), [(0.55, 0.45), (0.65, 0.35), (0.5, 0.5), (0.0, 1.0)])
def test_thresholds_of_the_interior_are_round(boundary, interior):
    assert interior_threshold(boundary) == interior
    assert boundary_threshold(interior) == boundary
