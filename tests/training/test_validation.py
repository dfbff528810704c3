import numpy as np
import pytest

from emseg_napari.core.jobs import never
from emseg_napari.inference import Backend, SlicePredictor
from emseg_napari.inference.tiles import Halo
from emseg_napari.models.run import RunRecord
from emseg_napari.segmentation.close_gaps import close_gaps
from emseg_napari.settings import MERGE_THRESHOLD
from emseg_napari.training import validation
from emseg_napari.training.validation import CachedPredictor, Scorer, Validator, boundary_share


class Known:
    """A network whose opinion of a slice is the slice itself."""

    def part(self, slice_, window, should_stop):
        return slice_[window]


def weak_spot(membrane: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
    """Two cells and the membrane between them: fringes of 0.4 are none of it, a short gap of 0.3 is."""
    probability = np.full((1, 64, 64), 0.05, np.float32)
    probability[:, :, 28:36] = 0.4
    probability[:, :, 31:33] = membrane
    probability[:, 30:34] = np.minimum(probability[:, 30:34], 0.3)
    labels = np.full((1, 64, 64), 2, np.uint8)
    labels[:, :, 31:33] = 1
    return probability, labels


def record_of(image: np.ndarray, trained: int = 1, **fields) -> RunRecord:
    """Record of a run that trained on the first slices and held out the others."""
    slices = [*range(len(image))]
    return RunRecord(
        image_shape=image.shape,
        image_dtype="float32",
        trained_slices=slices[:trained],
        held_out_slices=slices[trained:],
        label_counts={},
        **fields,
    )


def judge(labels: np.ndarray, image: np.ndarray | None = None) -> Scorer:
    return Scorer(weak_spot()[0] if image is None else image, labels, 1.0, never)


def test_boundary_is_where_it_is_most_accurate_and_cells_part_as_usual():
    threshold, merge_threshold = judge(weak_spot()[1]).choose([0], Known())
    assert 0.4 < threshold <= 0.9
    assert merge_threshold == MERGE_THRESHOLD


def test_where_boundaries_are_weak_weaker_ones_part_cells():
    probability, labels = weak_spot(membrane=0.6)
    threshold, merge_threshold = judge(labels, probability).choose([0], Known())
    assert 0.4 < threshold <= 0.6
    assert merge_threshold < 0.6


@pytest.mark.parametrize("usual", [0.3, 0.5, 0.7])
def test_a_level_that_is_as_good_as_any_is_kept(usual):
    """Between sure cells every level parts them alike."""
    sure, labels = np.where(weak_spot()[1] == 1, 0.95, 0.05).astype(np.float32), weak_spot()[1]
    assert judge(labels, sure).choose([0], Known(), usual)[1] == usual


def test_closing_the_gap_parts_the_cells_and_costs_no_accuracy():
    labels = weak_spot()[1]
    open_, closed = (judge(labels).score([0], Known(), 0.65, level) for level in (None, 0.7))
    assert open_.v_rand < 0.7
    assert closed.v_rand == pytest.approx(1, abs=0.01)
    assert closed.accuracy >= open_.accuracy


def test_labels_with_gaps_cannot_say_where_cells_part():
    labels = weak_spot()[1]
    labels[:, ::2] = 0
    threshold, merge_threshold = judge(labels).choose([0], Known())
    assert 0.4 < threshold <= 0.9
    assert merge_threshold is None
    assert judge(labels).score([0], Known()).v_rand is None


def test_of_nothing_nothing_is_chosen():
    assert judge(weak_spot()[1]).choose([], Known()) == (0.5, None)


def test_closing_is_what_the_judge_scored():
    probability, labels = weak_spot()
    closed = close_gaps(probability[0], 0.65, 0.7)[np.newaxis]
    one = judge(labels).score([0], Known(), 0.65, 0.7)
    assert one == Scorer(closed, labels, 1.0, never).score([0], Known(), 0.65)


def test_a_part_is_judged_with_the_grey_levels_of_its_slice(monkeypatch):
    """Beside empty resin, what is labelled would have other levels of its own."""
    monkeypatch.setattr(validation, "_SIDE_PX", 64)
    random = np.random.default_rng(0)
    image = np.concatenate([random.integers(60, 200, (64, 64)), random.integers(215, 240, (64, 64))], 1)
    image = image[np.newaxis].astype(np.uint8)
    labels = np.zeros(image.shape, np.uint8)
    labels[0, :, :64] = np.where(image[0, :, :64] < 100, 1, 2)
    record = RunRecord(
        image_shape=image.shape, image_dtype="uint8", trained_slices=[0], held_out_slices=[], label_counts={}
    )
    predictor = SlicePredictor(record, Backend(lambda pixels: 1 / (1 + np.exp(3 * pixels + 3)), Halo(0, 0)))
    seen = Scorer(image, labels, 1.0, never)._predicted([0], predictor)[1][0]
    np.testing.assert_array_equal(seen, predictor.probability(image[0])[:, :64])
    cached = CachedPredictor(predictor)
    np.testing.assert_array_equal(cached.part(image[0], (slice(0, 64), slice(0, 64))), seen)
    np.testing.assert_array_equal(cached.probability(image[0])[:, :64], seen)


@pytest.mark.parametrize(("held_out", "asked"), [(0, 4), (1, 4), (2, 4), (4, 6), (6, 6)])
def test_thresholds_are_chosen_on_four_slices_or_more_of_which_two_train(held_out, asked):
    image = np.repeat(weak_spot()[0], 12, axis=0)
    labels = np.repeat(weak_spot()[1], 12, axis=0)
    record = record_of(image, 12 - held_out)
    image[:, 0, 0] = np.linspace(0, 0.1, 12)  # else they would be one slice
    seen = set()

    class Counting(Known):
        def part(self, slice_, window, should_stop):
            seen.add(float(slice_[0, 0]))
            return super().part(slice_, window, should_stop)

    validator = Validator(image, labels, record, 1.0, never)
    validator.choose_thresholds(Counting())
    assert len(seen) == asked
    scored = 3 + min(3, held_out)
    assert validator.pixels_at_end(8, 0) == (scored + asked * 8) * 64 * 64


@pytest.mark.parametrize("start", ["starter", None])
@pytest.mark.parametrize("labelled", [0.03, 0.5, 1.0])
def test_of_a_few_strokes_the_thresholds_of_the_start_stay(start, labelled):
    image, labels = weak_spot(membrane=0.6)
    labels[:, round(labelled * 64) :] = 0
    record = record_of(image, start=start, threshold=0.8, merge_threshold=0.45)
    found = Validator(image, labels, record, 1.0, never).choose_thresholds(Known())
    stay = start is not None and labelled < 0.1
    assert (found["threshold"] == 0.8) == stay
    assert not stay or found["merge_threshold"] == 0.45


@pytest.mark.parametrize(("of_start", "usual"), [(0.3, 0.5), (0.5, 0.6), (0.6, 0.6), (0.7, 0.7)])
def test_half_way_from_the_start_cells_part_where_no_other_level_is_clearly_better(of_start, usual):
    labels = weak_spot()[1]
    sure = np.where(labels == 1, 0.95, 0.05).astype(np.float32)
    record = record_of(sure, start="starter", merge_threshold=of_start)
    found = Validator(sure, labels, record, 1.0, never).choose_thresholds(Known())
    assert found["merge_threshold"] == usual


def test_the_thresholds_of_the_start_stay_where_nothing_is_kept_of_what_was_learned():
    image, labels = weak_spot(membrane=0.6)
    record = record_of(image, start="starter", threshold=0.8, merge_threshold=0.5)
    found = Validator(image, labels, record, 1.0, never).choose_thresholds(Known(), has_learned=False)
    assert (found["threshold"], found["merge_threshold"]) == (0.8, 0.5)


@pytest.mark.parametrize(
    ("held_out", "seen", "compared"), [(1, [], True), (1, [0], True), (1, [1], False), (0, [], False)]
)
def test_a_start_is_scored_with_its_own_thresholds_on_slices_that_it_had_not_seen(held_out, seen, compared):
    image = np.repeat(weak_spot(membrane=0.6)[0], 2, axis=0)
    labels = np.repeat(weak_spot()[1], 2, axis=0)
    image[1, 0, 0] = 0
    about = {"start": "starter", "start_slices": seen, "merge_threshold": 0.3}
    right, wrong = (
        Validator(image, labels, record_of(image, 2 - held_out, threshold=threshold, **about), 1.0, never)
        for threshold in (0.5, 0.7)
    )
    found = right.score_start(Known())
    assert bool(found) is compared
    if compared:
        assert found["start_accuracy"] > wrong.score_start(Known())["start_accuracy"]
        assert found["start_v_rand"] > 0.9


def test_time_is_kept_for_scoring_the_start_too():
    image, labels = np.repeat(weak_spot()[0], 6, axis=0), np.repeat(weak_spot()[1], 6, axis=0)
    started, other = (
        Validator(image, labels, record_of(image, 5, start=start), 1.0, never) for start in ("starter", None)
    )
    more = started.pixels_at_end(8, 0) - other.pixels_at_end(8, 0)
    assert more == (1 + 2) * 8 * 64 * 64  # the held-out slice, and one slice twice
    assert started.pixels_at_end(8, 4) - started.pixels_at_end(8, 0) == 4 * 64 * 64


def test_the_share_of_boundary_is_that_of_the_middle_of_a_slice(monkeypatch):
    plane = np.zeros((96, 64), np.float32)
    plane[:16], plane[16:24], plane[80:] = 1, 0.6, 1
    assert boundary_share(plane, Known(), 0.6) == pytest.approx(40 / 96)
    monkeypatch.setattr(validation, "_SIDE_PX", 64)
    assert boundary_share(plane, Known(), 0.6) == pytest.approx(8 / 64)
    assert boundary_share(plane, Known(), 0.7) == 0
