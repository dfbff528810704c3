import json
import math
from pathlib import Path

import numpy as np
import pytest

from emseg_napari.metrics import best_threshold, pixel_accuracy, v_rand
from emseg_napari.thinning import thinned_regions

GOLDEN = Path(__file__).parents[1] / ".." / "shared" / "metrics"
needs_golden = pytest.mark.skipif(
    not (GOLDEN / "golden.json").exists(),
    reason="the official scorer's golden numbers (../shared/metrics) are not here",
)


def picture(*rows: str) -> np.ndarray:
    """Interior where a dot stands."""
    return np.array([[character == "." for character in row] for row in rows])


@pytest.fixture(scope="module")
def golden():
    return json.loads((GOLDEN / "golden.json").read_text())


@pytest.fixture(scope="module")
def cases():
    return np.load(GOLDEN / "cases.npz")


@needs_golden
def test_v_rand_agrees_with_the_official_scorer_at_every_threshold(golden, cases):
    for name, official in golden["cases"].items():
        ours = v_rand(cases[f"{name}/truth_interior"], cases[f"{name}/interior_probability"])
        assert ours.best == pytest.approx(official["v_rand"], abs=1e-6), name
        assert ours.thresholds == tuple(official["thresholds"]), name
        assert ours.values == pytest.approx(official["v_rand_th"], abs=1e-6), name


@needs_golden
def test_thinning_leaves_the_official_dams(golden):
    example = golden["thinning_example"]
    regions = thinned_regions(picture(*example["input"]))
    np.testing.assert_array_equal(regions > 0, picture(*example["dams"]))


def test_thick_membrane_thins_to_one_pixel():
    regions = thinned_regions(picture("..###..", "..###.."))
    np.testing.assert_array_equal(regions > 0, picture("...#...", "...#..."))
    assert regions[0, 0] != regions[0, 6]


def test_membrane_inside_one_region_disappears():
    assert (thinned_regions(picture(".....", ".###.", ".....")) == 1).all()


def test_slice_without_interior_is_one_region():
    assert (thinned_regions(picture("###", "###")) == 1).all()


def test_corners_do_not_join_regions():
    regions = thinned_regions(picture(".#", "#."))
    assert regions[0, 0] != regions[1, 1]


def test_v_rand_of_the_truth_is_one():
    truth = picture("..#..", "..#..")
    assert v_rand(truth, truth.astype(np.float32)).best == 1


def test_two_merged_cells_can_be_counted_by_hand():
    # Cells of 2 and 2 pixels found as one of 4: 2 (4 + 4) / (16 + 4 + 4).
    truth = picture("..#..")
    assert v_rand(truth, np.ones(truth.shape, np.float32)).best == pytest.approx(16 / 24)


def test_split_cell_counts_the_dam_as_a_region_of_its_own():
    # A cell of 5 pixels found as 2 + dam + 2: overlaps and regions 4 + 4 + 1, truth 25.
    truth, found = picture("....."), picture("..#..")
    assert v_rand(truth, found.astype(np.float32)).best == pytest.approx(2 * 9 / (9 + 25))


def test_truth_slice_without_interior_scores_zero_and_pulls_the_mean_down():
    truth = np.stack([picture("..#.."), picture("#####")])
    assert v_rand(truth, truth.astype(np.float32)).best == pytest.approx(0.5)


def test_best_threshold_of_v_rand_is_the_first_that_reaches_the_best_value():
    truth = picture("..#..")
    probability = np.where(truth, 0.95, 0.35).astype(np.float32)
    score = v_rand(truth, probability)
    assert score.threshold == pytest.approx(0.4)
    assert score.values[3] < score.best == score.values[4] == 1


def test_certain_interior_passes_even_the_last_threshold():
    truth = picture("..#..")
    assert v_rand(truth, truth.astype(np.float32)).values[-1] == 1


def test_eight_bit_probability_is_compared_in_double_precision():
    # float32(51/255) is a little more than the double 0.2, so it is interior at 0.2.
    truth = picture("..#..")
    probability = np.where(truth, np.float32(51 / 255), np.float32(0))
    assert v_rand(truth, probability).values[2] == 1


def test_v_rand_of_a_single_slice_needs_no_z_axis():
    truth = picture("..#..", "#####", ".....")
    flat = v_rand(truth, np.ones(truth.shape, np.float32))
    assert flat == v_rand(truth[np.newaxis], np.ones((1, *truth.shape), np.float32))


def test_v_rand_refuses_arrays_of_different_shape():
    with pytest.raises(ValueError, match="shapes differ"):
        v_rand(np.ones((2, 3, 3), bool), np.ones((3, 3), np.float32))


def test_pixel_accuracy_counts_labelled_pixels_only():
    truth = np.array([[0, 0, 1, 2, 2]], np.uint8)
    predicted = np.array([[1, 2, 1, 2, 1]], np.uint8)
    assert pixel_accuracy(truth, predicted) == pytest.approx(2 / 3)


def test_pixel_accuracy_of_nothing_is_not_a_number():
    assert math.isnan(pixel_accuracy(np.zeros((2, 2), np.uint8), np.ones((2, 2), np.uint8)))


def test_best_threshold_separates_boundary_from_interior():
    labels = np.array([[1, 1, 2, 2]], np.uint8)
    probability = np.array([[0.34, 0.9, 0.26, 0.1]], np.float32)
    assert best_threshold(labels, probability) == pytest.approx(0.3)


def test_best_threshold_ignores_unlabelled_pixels():
    labels = np.array([[1, 2, 0, 0]], np.uint8)
    probability = np.array([[0.14, 0.06, 0.9, 0.01]], np.float32)
    assert best_threshold(labels, probability) == pytest.approx(0.1)


def test_best_threshold_takes_the_middle_of_equally_good_ones():
    labels = np.array([[1, 2]], np.uint8)
    assert best_threshold(labels, np.array([[1.0, 0.0]], np.float32)) == pytest.approx(0.5)


def test_best_threshold_falls_as_a_boundary_pixel_counts_more():
    labels = np.array([[1, 2, 2]], np.uint8)
    probability = np.array([[0.32, 0.41, 0.42]], np.float32)
    assert best_threshold(labels, probability, 1.0) > 0.42
    assert best_threshold(labels, probability, 3.0) <= 0.32


def test_best_threshold_without_boundary_labels_is_one_half():
    assert best_threshold(np.array([[2, 0]], np.uint8), np.array([[0.1, 0.9]], np.float32)) == 0.5
