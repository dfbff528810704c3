import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from emseg_napari.corrections import Corrections, SliceSummary, stroke_pixels

SHAPE = (2, 3, 4)
planes = arrays(np.uint8, SHAPE[1:], elements=st.integers(0, 2))
masks = arrays(bool, SHAPE[1:])
slices = st.integers(0, SHAPE[0] - 1)


def plane(value):
    return np.full(SHAPE[1:], value, np.uint8)


class Desk:
    """A person at a labels layer with undo, who knows which labels are hers."""

    def __init__(self, shape=SHAPE):
        self.labels = np.zeros(shape, np.uint8)
        self.hers = np.zeros(shape, bool)
        self.erased = np.zeros(shape, bool)
        self.past = []
        self.corrections = Corrections(shape)

    def remember(self):
        self.past.append((self.labels.copy(), self.hers.copy()))

    def predict(self, z, proposed):
        indices, values = self.corrections.fill(self.labels, z, proposed)
        self.remember()
        self.labels[indices] = values
        self.hers[indices] = False

    def paint(self, z, mask, value):
        self.remember()
        self.labels[z][mask] = value
        self.hers[z][mask] = value != 0
        self.erased[z] |= mask & (value == 0)
        self.corrections.touch(z, mask, erased=value == 0)

    def undo(self):
        if self.past:
            now, hers = self.labels, self.hers
            self.labels, then = self.past.pop()
            self.hers = np.where(now == self.labels, hers, then)  # undo does not unpaint an agreeing stroke

    def confirm(self, z):
        self.corrections.confirm(z)

    def unconfirm(self, z):
        self.corrections.unconfirm(z)


actions = st.lists(
    st.one_of(
        st.tuples(st.just("predict"), slices, planes),
        st.tuples(st.just("paint"), slices, masks, st.integers(0, 2)),
        st.tuples(st.just("undo")),
        st.tuples(st.just("confirm"), slices),
        st.tuples(st.just("unconfirm"), slices),
    ),
    max_size=12,
)


@given(actions, st.tuples(slices, planes))
def test_no_prediction_changes_a_label_that_a_person_has_made_or_confirmed(before, prediction):
    desk = Desk()
    for name, *arguments in [*before, ("predict", *prediction)]:
        labels, touched = desk.labels.copy(), desk.corrections.touched & (desk.labels != 0)
        confirmed = list(desk.corrections.confirmed)
        hers = desk.hers & ~desk.erased
        getattr(desk, name)(*arguments)
        if name == "predict":
            changed = desk.labels != labels
            assert not (changed & touched).any()
            assert not (changed & hers).any()
            assert not changed[confirmed].any()


@given(actions)
def test_every_pixel_is_unlabelled_or_proposed_or_trusted(before):
    desk = Desk()
    for name, *arguments in before:
        getattr(desk, name)(*arguments)
    proposed = desk.corrections.is_proposal(desk.labels)
    trusted = desk.corrections.trusted(desk.labels)
    assert np.array_equal(trusted != 0, (desk.labels != 0) & ~proposed)
    assert np.array_equal(desk.corrections.trusted(desk.labels, include_proposals=True), desk.labels)
    for z in range(SHAPE[0]):
        summary = desk.corrections.summary(desk.labels, z)
        assert np.array_equal(desk.corrections.is_proposal(desk.labels, z), proposed[z])
        assert summary.unlabelled == (desk.labels[z] == 0).sum()
        assert summary.proposed == proposed[z].sum()


def test_a_prediction_fills_what_is_unlabelled_and_nothing_else():
    desk = Desk()
    desk.labels[0, 0] = 1  # such as labels from a file
    desk.predict(0, plane(2))
    assert desk.labels[0].tolist() == [[1] * 4, [2] * 4, [2] * 4]
    assert desk.corrections.is_proposal(desk.labels, 0).tolist() == [[False] * 4, [True] * 4, [True] * 4]
    assert not desk.labels[1].any()


def test_a_prediction_that_agrees_with_a_persons_label_does_not_make_it_a_proposal():
    desk = Desk()
    desk.labels[0, 0] = 2
    desk.predict(0, plane(2))
    assert desk.corrections.trusted(desk.labels)[0].tolist() == [[2] * 4, [0] * 4, [0] * 4]


def test_a_prediction_without_an_opinion_leaves_the_older_proposal():
    desk = Desk()
    desk.predict(0, plane(2))
    desk.predict(0, plane(0))
    assert (desk.labels[0] == 2).all()
    assert desk.corrections.is_proposal(desk.labels, 0).all()


def test_fill_changes_nothing_itself_and_gives_only_the_changes():
    corrections, labels = Corrections(SHAPE), np.zeros(SHAPE, np.uint8)
    proposed = plane(2)
    proposed[0, 1:] = 0
    (z, y, x), values = corrections.fill(labels, 1, proposed)
    assert not labels.any()
    assert len(z) == 9
    assert set(z) == {1}
    assert values.dtype == np.uint8
    labels[z, y, x] = values
    assert np.array_equal(labels[1], proposed)
    indices, values = corrections.fill(labels, 1, proposed)
    assert [len(i) for i in (*indices, values)] == [0, 0, 0, 0]


def test_a_stroke_that_agrees_keeps_its_pixels_from_the_next_prediction():
    desk = Desk()
    desk.predict(0, plane(2))
    agreed = np.zeros(SHAPE[1:], bool)
    agreed[1] = True
    desk.paint(0, agreed, 2)
    desk.predict(0, plane(1))
    assert desk.labels[0].tolist() == [[1] * 4, [2] * 4, [1] * 4]
    assert desk.corrections.summary(desk.labels, 0) == SliceSummary(0, 8, 4, False)


def test_a_label_that_disagrees_is_a_persons_even_if_its_stroke_was_not_noted():
    desk = Desk()
    desk.predict(0, plane(2))
    desk.labels[0, 0, 0] = 1
    desk.predict(0, plane(2))
    assert desk.labels[0, 0, 0] == 1
    assert desk.corrections.trusted(desk.labels).sum() == 1


def test_an_erased_pixel_is_free_for_the_next_prediction():
    desk = Desk()
    everything = np.ones(SHAPE[1:], bool)
    desk.paint(0, everything, 1)
    desk.paint(0, everything, 0)
    assert desk.corrections.summary(desk.labels, 0) == SliceSummary(12, 0, 0, False)
    desk.predict(0, plane(1))
    assert desk.corrections.summary(desk.labels, 0) == SliceSummary(0, 12, 0, False)


def test_undoing_an_erasure_brings_back_a_persons_label_as_hers_and_a_proposal_as_a_proposal():
    desk = Desk()
    desk.predict(0, plane(1))
    half = np.zeros(SHAPE[1:], bool)
    half[0] = True
    desk.paint(0, half, 1)
    desk.paint(0, np.ones(SHAPE[1:], bool), 0)
    desk.undo()
    assert np.array_equal(desk.corrections.is_proposal(desk.labels, 0), ~half)


def test_a_stroke_that_was_undone_to_nothing_does_not_keep_predictions_out():
    desk = Desk()
    desk.paint(0, np.ones(SHAPE[1:], bool), 1)
    desk.undo()
    desk.predict(0, plane(2))
    assert desk.corrections.summary(desk.labels, 0) == SliceSummary(0, 12, 0, False)


def test_confirming_makes_a_slice_a_persons_until_it_is_taken_back():
    desk = Desk()
    desk.predict(0, plane(2))
    desk.predict(1, plane(2))
    desk.confirm(0)
    assert desk.corrections.summary(desk.labels, 0) == SliceSummary(0, 0, 0, True)
    assert desk.corrections.trusted(desk.labels).any(axis=(1, 2)).tolist() == [True, False]
    desk.predict(0, plane(1))
    assert (desk.labels[0] == 2).all()
    desk.unconfirm(0)
    desk.predict(0, plane(1))
    assert (desk.labels[0] == 1).all()


def test_trusted_labels_are_a_copy():
    corrections, labels = Corrections(SHAPE), np.ones(SHAPE, np.uint8)
    for proposals in (True, False):
        assert not np.shares_memory(corrections.trusted(labels, proposals), labels)


def test_pixels_can_be_touched_by_mask_or_by_index():
    by_mask, by_index = Corrections(SHAPE), Corrections(SHAPE)
    mask = np.eye(*SHAPE[1:], dtype=bool)
    by_mask.touch(1, mask)
    by_index.touch(1, np.nonzero(mask))
    assert np.array_equal(by_mask.touched, by_index.touched)
    assert by_mask.touched.sum() == 3


@given(actions, st.tuples(slices, planes))
def test_saved_corrections_go_on_as_the_originals(before, prediction):
    desk = Desk()
    for name, *arguments in before:
        getattr(desk, name)(*arguments)
    copy = Corrections.from_arrays(desk.corrections.to_arrays())
    assert copy.confirmed == desk.corrections.confirmed
    assert np.array_equal(copy.is_proposal(desk.labels), desk.corrections.is_proposal(desk.labels))
    indices, values = copy.fill(desk.labels, *prediction)
    same_indices, same_values = desk.corrections.fill(desk.labels, *prediction)
    assert np.array_equal(indices, same_indices)
    assert np.array_equal(values, same_values)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("touched", np.zeros((2, 3, 5), bool)),
        ("proposal", np.zeros(SHAPE, np.int64)),
        ("confirmed", np.array([2])),
        ("confirmed", np.array([-1])),
    ],
)
def test_arrays_that_do_not_fit_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name}|slice"):
        Corrections.from_arrays(Corrections(SHAPE).to_arrays() | {name: value})


def test_arrays_of_another_shape_are_refused():
    corrections = Corrections(SHAPE)
    with pytest.raises(ValueError, match=r"labels of shape \(2, 3\)"):
        corrections.is_proposal(np.zeros((2, 3), np.uint8))
    with pytest.raises(ValueError, match=r"a proposal of shape \(4, 3\)"):
        corrections.fill(np.zeros(SHAPE, np.uint8), 0, np.zeros((4, 3), np.uint8))
    with pytest.raises(ValueError, match="no slice 2 in a stack of 2"):
        corrections.confirm(2)


def painted(points, radius, shape=(5, 7)):
    mask = np.zeros(shape, int)
    mask[stroke_pixels(np.array(points), radius, shape)] = 1
    return ["".join(map(str, row)) for row in mask]


def test_a_dab_paints_a_disc():
    assert painted([(2, 3)], 0.5) == ["0000000", "0000000", "0001000", "0000000", "0000000"]
    assert painted([(2, 3)], 1.5) == ["0000000", "0011100", "0011100", "0011100", "0000000"]
    assert painted([(2, 3)], 2) == ["0001000", "0011100", "0111110", "0011100", "0001000"]


def test_a_stroke_paints_what_lies_between_its_points():
    assert painted([(1, 1), (1, 5), (4, 5)], 0.5) == ["0000000", "0111110", "0000010", "0000010", "0000010"]
    assert painted([(0, 0), (4, 4)], 0.5) == ["1000000", "0100000", "0010000", "0001000", "0000100"]


def test_a_stroke_that_leaves_the_slice_paints_only_inside():
    assert painted([(-9, -9)], 3) == ["0000000"] * 5
    assert painted([(2, 5), (2, 90)], 0.5) == ["0000000", "0000000", "0000011", "0000000", "0000000"]
    assert painted(np.zeros((0, 2)), 3) == ["0000000"] * 5


@given(
    st.lists(st.tuples(st.floats(-3, 12), st.floats(-3, 12)), min_size=1, max_size=4),
    st.floats(0.5, 5),
)
def test_a_stroke_covers_the_disc_around_each_of_its_points_once_per_pixel(points, radius):
    y, x = stroke_pixels(np.array(points), radius, (9, 9))
    pixels = set(zip(y.tolist(), x.tolist(), strict=True))
    assert len(pixels) == len(y)
    for py, px in points:
        inside = {(i, j) for i in range(9) for j in range(9) if np.hypot(i - py, j - px) < radius - 1e-9}
        assert inside <= pixels


def test_the_whole_of_a_stack_is_filled_while_nobody_notices():
    import time

    shape = (24, 512, 512)
    labels, corrections = np.zeros(shape, np.uint8), Corrections(shape)
    proposed = np.where(np.random.default_rng(0).random(shape[1:]) < 0.2, 1, 2).astype(np.uint8)
    start = time.process_time()
    for z in range(shape[0]):
        corrections.fill(labels, z, proposed)
    assert time.process_time() - start < 0.3
