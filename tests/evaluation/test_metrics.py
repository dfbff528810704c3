import json
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from emseg_napari.core import compiled
from emseg_napari.core.labels import BOUNDARY, INTERIOR
from emseg_napari.evaluation import thinning
from emseg_napari.evaluation.metrics import (
    THRESHOLDS,
    best_threshold,
    comparisons,
    pixel_accuracy,
    pixel_error,
    v_info,
    v_rand,
)
from emseg_napari.evaluation.partitions import LAST_REGION, Agreement, SplitMergeScore, TrueCells
from emseg_napari.evaluation.pixels import PixelCounts, count_pixels, total
from emseg_napari.evaluation.thinning import thinned_regions
from helpers.paths import TEST_DATA

GOLDEN = TEST_DATA / "metrics"


def picture(*rows: str) -> np.ndarray:
    """Interior where a dot stands."""
    return np.array([[character == "." for character in row] for row in rows])


PICTURES = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=12))


def agreement(truth: np.ndarray, found: np.ndarray) -> Agreement:
    """Compare two pictures of interior as the scorer does."""
    return TrueCells(truth).agreement(thinned_regions(found))


@pytest.fixture(scope="module")
def golden():
    return json.loads((GOLDEN / "golden.json").read_text())


@pytest.fixture(scope="module")
def cases():
    return np.load(GOLDEN / "cases.npz")


def test_v_rand_agrees_with_the_official_scorer_at_every_threshold(golden, cases):
    for name, official in golden["cases"].items():
        ours = v_rand(cases[f"{name}/truth_interior"], cases[f"{name}/interior_probability"])
        assert ours.best == pytest.approx(official["v_rand"], abs=1e-6), name
        assert ours.thresholds == tuple(official["thresholds"]), name
        assert ours.values == pytest.approx(official["v_rand_th"], abs=1e-6), name


def test_v_info_agrees_with_the_official_scorer_at_every_threshold(golden, cases):
    for name, official in golden["cases"].items():
        ours = v_info(cases[f"{name}/truth_interior"], cases[f"{name}/interior_probability"])
        assert ours.best == pytest.approx(official["v_info"], abs=1e-6), name
        assert ours.values == pytest.approx(official["v_info_th"], abs=1e-6), name


def test_pixel_error_agrees_with_the_official_scorer(golden, cases):
    for name, official in golden["cases"].items():
        truth, probability = cases[f"{name}/truth_interior"], cases[f"{name}/interior_probability"]
        assert pixel_error(truth, probability) == pytest.approx(official["pixel_error"], abs=1e-6), name
        exact = probability.astype(np.float64)
        wrong = min(np.mean((exact > t) != truth) for t in THRESHOLDS)
        assert wrong == pytest.approx(official["pixel_error_min"], abs=1e-6), name


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


def test_only_what_is_between_regions_becomes_dam():
    # The pixel in the middle is reached over dams alone, and becomes one.
    regions = thinned_regions(picture("..#..", ".###.", "#####", ".###.", "..#.."))
    assert regions[2, 2] == 0
    assert len(set(regions[[0, 0, 4, 4], [0, 4, 0, 4]])) == 4


@given(PICTURES)
def test_every_pixel_is_dam_or_region_and_no_two_regions_touch(interior):
    regions = thinned_regions(interior)
    assert (regions[interior] > 0).all()
    for one, other in ((regions[1:], regions[:-1]), (regions[:, 1:], regions[:, :-1])):
        assert ((one == other) | (one == 0) | (other == 0)).all()
    parts = ndimage.label(regions > 0)[0]
    assert len(np.unique(np.stack([parts, regions]).reshape(2, -1), axis=1).T) == len(np.unique(regions))


@given(PICTURES)
def test_the_compiled_flood_is_the_python_one(interior):
    compiled = thinned_regions(interior)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(thinning, "_compiled_flood", lambda: thinning._flood)
        np.testing.assert_array_equal(thinned_regions(interior), compiled)


def test_the_flood_works_where_nothing_can_be_kept(monkeypatch):
    def njit(**options):
        if options.pop("cache", False):
            raise RuntimeError("cannot cache function '_flood': no locator available")
        return lambda function: function

    monkeypatch.setattr(compiled, "njit", njit)
    assert thinning._compiled_flood.__wrapped__() is thinning._flood


def test_numba_is_imported_only_to_score():
    code = (
        "import sys, emseg_napari.cli, emseg_napari.evaluation.evaluation, emseg_napari.training.validation;"
        "assert 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


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


def test_merged_cells_lower_the_merge_part_only():
    truth = picture("..#..")
    found = agreement(truth, np.ones(truth.shape, bool))
    assert found.rand == SplitMergeScore(pytest.approx(16 / 24), 1, pytest.approx(8 / 16))
    assert found.information == SplitMergeScore(0, 1, 0)


def test_a_cut_cell_lowers_the_split_part_only():
    # Of the two cells (5 and 5 pixels) the first is found as 2 + dam + 2.
    truth, found = picture(".....", "#####", "....."), picture("..#..", "#####", ".....")
    parts = agreement(truth, found)
    assert parts.rand == SplitMergeScore(pytest.approx(2 * 34 / (34 + 50)), pytest.approx(34 / 50), 1)
    of_found = -(0.4 * math.log(0.2) + 0.1 * math.log(0.1) + 0.5 * math.log(0.5))
    split = math.log(2) / of_found
    assert parts.information == SplitMergeScore(
        pytest.approx(2 * split / (split + 1)), pytest.approx(split), 1
    )


@given(st.data())
def test_removing_or_adding_one_membrane_shows_in_one_part(data):
    heights = data.draw(st.lists(st.integers(3, 9), min_size=2, max_size=5))
    thickness = data.draw(st.integers(1, 3))
    cell = [np.ones((height, 7), bool) for height in heights]
    membrane = np.zeros((thickness, 7), bool)
    truth = np.concatenate([part for one in cell for part in (one, membrane)][:-1])
    wall = data.draw(st.integers(1, len(heights) - 1))
    top = sum(heights[:wall]) + thickness * (wall - 1)
    joined, cut = truth.copy(), truth.copy()
    joined[top : top + thickness] = True
    cut[:, 3] = False
    perfect, merged, split = (agreement(truth, found) for found in (truth, joined, cut))
    assert perfect == Agreement(SplitMergeScore(1, 1, 1), SplitMergeScore(1, 1, 1))
    for name in ("rand", "information"):
        assert getattr(merged, name).split == 1 > getattr(merged, name).merge
        assert getattr(split, name).merge == 1 > getattr(split, name).split


@given(PICTURES)
def test_every_picture_is_a_perfect_segmentation_of_itself(interior):
    cells = ndimage.label(interior)[1]
    found = agreement(interior, interior)
    assert found.rand.score == (cells > 0)
    assert found.information.score == (cells > 1)


@given(PICTURES, st.data())
def test_renumbering_the_found_regions_changes_nothing(truth, data):
    regions = thinned_regions(data.draw(arrays(bool, truth.shape)))
    numbers = data.draw(st.permutations(range(1, int(regions.max()) + 1)))
    renumbered = np.array([0, *numbers], np.int32)[regions]
    assert TrueCells(truth).agreement(renumbered) == TrueCells(truth).agreement(regions)


@given(PICTURES, st.data())
def test_scores_lie_between_zero_and_one_and_are_the_harmonic_means_of_their_parts(truth, data):
    found = agreement(truth, data.draw(arrays(bool, truth.shape)))
    assume(truth.any())
    for parts in (found.rand, found.information):
        assert 0 <= parts.score <= 1
        assert 0 <= parts.split <= 1
        assert 0 <= parts.merge <= 1
    split, merge = found.rand.split, found.rand.merge
    assert found.rand.score == pytest.approx(2 * split * merge / (split + merge))


def test_equal_single_regions_have_no_information():
    assert agreement(picture("..."), picture("...")) == Agreement(
        SplitMergeScore(1, 1, 1), SplitMergeScore(0, 1, 1)
    )
    assert agreement(picture("."), picture(".")) == Agreement(
        SplitMergeScore(1, 1, 1), SplitMergeScore(0, 1, 1)
    )


@pytest.mark.parametrize("found", ["#####", "....."])
def test_a_prediction_of_one_class_is_one_region(found):
    truth = picture("..#..")
    assert agreement(truth, picture(found)) == agreement(truth, np.ones(truth.shape, bool))


def test_truth_without_cells_scores_zero_in_all():
    nothing = Agreement(SplitMergeScore(0, 0, 0), SplitMergeScore(0, 0, 0))
    assert agreement(picture("###"), picture("..#")) == nothing
    assert agreement(picture("#"), picture("#")) == nothing


def test_regions_beyond_16_bits_are_one_as_in_the_scorer():
    board = np.indices((512, 512)).sum(0) % 2 == 0
    found = TrueCells(np.ones(board.shape, bool)).agreement(thinned_regions(board))
    single, shared = LAST_REGION - 1, board.sum() - (LAST_REGION - 1)
    together = single + shared**2 + (~board).sum()  # every other pixel sees several regions
    assert found.rand.split == pytest.approx(together / board.size**2)
    assert TrueCells(board).agreement(thinned_regions(board)).rand.split == 1  # cells are not counted so


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


def test_v_info_can_be_counted_by_hand():
    # Cells of 2, 1 and 1 pixels, of which the first two are found as one.
    truth, found = picture("..#.", "####", "...."), picture("....", "####", "....")
    of_true, of_found = _entropy(2, 1, 4), _entropy(3, 4)
    assert v_info(truth, found.astype(np.float32)).best == pytest.approx(2 * of_found / (of_true + of_found))


def _entropy(*sizes):
    return -sum(size / sum(sizes) * math.log(size / sum(sizes)) for size in sizes)


def test_each_measure_takes_its_own_best_threshold():
    truth = picture(*["........#........"] * 8)
    probability = np.where(truth, 0.95, 0.05).astype(np.float32)
    probability[0, :8] = 0.55
    probability[3:, 4] = 0.25
    rand, information = v_rand(truth, probability), v_info(truth, probability)
    assert rand.best == max(rand.values)
    assert information.best == max(information.values)
    assert (rand.threshold, information.threshold) == (THRESHOLDS[1], THRESHOLDS[1])


def test_pixel_error_counts_all_slices_at_once():
    # 3 right, 1 missed: F = 6 / 7, where the mean over the slices would be (1 + 2 / 3) / 2.
    truth = np.stack([picture("..#"), picture("..#")])
    found = np.stack([picture("..#"), picture(".##")])
    assert pixel_error(truth, found.astype(np.float32)) == pytest.approx(1 / 7)


def test_pixel_error_without_any_interior():
    nothing = picture("###")
    assert pixel_error(nothing, np.zeros(nothing.shape, np.float32)) == 0
    assert pixel_error(nothing, np.ones(nothing.shape, np.float32)) == 1


def test_pixels_can_be_counted_by_hand():
    truth = np.array([[0, 0, 1, 1, 1, 2, 2]], np.uint8)
    interior = np.array([[0, 1, 0, 0, 1, 0, 1]], bool)
    counts = count_pixels(truth, interior)
    assert counts == PixelCounts(boundary=2, interior=1, missed=1, invented=1)
    assert counts.accuracy == 3 / 5
    assert counts.boundary_f1 == 4 / 6
    assert counts.boundary_iou == 2 / 4
    assert counts.interior_f1 == 2 / 4
    assert total([counts, counts]) == PixelCounts(4, 2, 2, 2)


def test_a_boundary_that_neither_has_is_found_perfectly():
    counts = count_pixels(np.full((2, 2), INTERIOR, np.uint8), np.ones((2, 2), bool))
    assert (counts.boundary_f1, counts.boundary_iou) == (1, 1)
    missed = count_pixels(np.full((2, 2), BOUNDARY, np.uint8), np.ones((2, 2), bool))
    assert (missed.boundary_f1, missed.boundary_iou, missed.accuracy) == (0, 0, 0)


def test_unlabelled_pixels_are_in_no_true_cell():
    truth = np.array([[2, 2, 0, 2, 2]], np.uint8)
    joined = next(comparisons(truth, np.ones(truth.shape, np.float32), [0.5]))
    assert joined.agreement.rand.score == pytest.approx(16 / 24)
    assert joined.pixels.accuracy == 1


def test_comparisons_come_for_thresholds_in_any_order():
    truth = np.array([[2, 2, 1, 2, 2]], np.uint8)
    probability = np.array([[0.9, 0.9, 0.4, 0.6, 0.6]], np.float32)
    accuracies = [one.pixels.accuracy for one in comparisons(truth, probability, [0.7, 0.1, 0.5, 1.0])]
    assert accuracies == [3 / 5, 4 / 5, 1, 1 / 5]


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


def test_best_threshold_is_one_of_those_from_five_to_ninety_five_percent():
    labels = np.array([[1, 2]], np.uint8)
    for probability, best in (([1.0, 0.94], 0.95), ([0.06, 0.04], 0.05), ([0.02, 0.01], 0.5)):
        assert best_threshold(labels, np.array([probability], np.float32), 3.0) == best
