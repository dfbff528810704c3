"""The state rules on a napari labels layer, in any order of what can be done to it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from napari.layers import Labels

from emseg_napari.annotation.label_state import is_proposal
from emseg_napari.widgets.layers.labels_layer import adopt, confirmed_in, history_of, stack_of
from emseg_napari.widgets.layers.layer_info import LayerInfo
from emseg_napari.widgets.layers.proposal_layers import fill
from emseg_napari.widgets.layers.undo_history import Confirmed, Filled, Replaced

SHAPE = (2, 4, 5)
planes = arrays(np.uint8, SHAPE[1:], elements=st.integers(0, 2))
masks = arrays(bool, SHAPE[1:])
slices = st.integers(0, SHAPE[0] - 1)
actions = st.lists(
    st.one_of(
        st.tuples(st.just("predict"), slices, planes),
        st.tuples(st.just("live"), slices, planes),
        st.tuples(st.just("paint"), slices, masks, st.integers(0, 2)),
        st.tuples(st.just("replace"), slices, planes),
        st.tuples(st.just("confirm"), slices),
        st.tuples(st.just("undo")),
        st.tuples(st.just("redo")),
    ),
    max_size=15,
)


class Desk:
    """A person at a labels layer."""

    def __init__(self):
        self.layer = Labels(np.zeros(SHAPE, np.uint8), metadata=LayerInfo(confirmed=set()).as_metadata())
        adopt(self.layer)

    @property
    def labels(self):
        return self.layer.data

    def predict(self, z, prediction):
        filled = Filled(lambda: stack_of(self.layer), confirmed_in(self.layer))
        filled.remember(z)
        fill(self.layer, z, prediction)
        history_of(self.layer).add(filled)

    def live(self, z, prediction):
        fill(self.layer, z, prediction)

    def paint(self, z, mask, value):
        y, x = np.nonzero(mask)
        self.layer.data_setitem((np.full(len(y), z), y, x), value)

    def replace(self, z, plane):
        before = self.labels[z].copy()
        self.labels[z] = plane
        history_of(self.layer).add(Replaced(lambda: stack_of(self.layer), z, before))

    def confirm(self, z):
        step = Confirmed(confirmed_in(self.layer), z)
        step.redo()
        history_of(self.layer).add(step)

    def undo(self):
        history_of(self.layer).undo()

    def redo(self):
        history_of(self.layer).redo()

    def own(self):
        """Return labels that are a person's; 0 elsewhere."""
        found = np.where(is_proposal(self.labels), 0, self.labels)
        for z in confirmed_in(self.layer):
            found[z] = self.labels[z]
        return found


@given(actions)
def test_no_touched_pixel_ever_changes_by_itself(script):
    desk = Desk()
    for name, *arguments in script:
        own, confirmed = desk.own(), set(confirmed_in(desk.layer))
        getattr(desk, name)(*arguments)
        if name in ("predict", "live"):
            np.testing.assert_array_equal(np.where(own != 0, desk.labels, 0), own)
            assert confirmed_in(desk.layer) == confirmed


@given(actions)
def test_undo_leads_back_through_every_state_of_a_persons_and_redo_forth(script):
    """But for live proposals, which are nobody's step."""
    desk, states = Desk(), []
    states.append((desk.labels.copy(), set()))
    for name, *arguments in script:
        if name not in ("undo", "redo", "live"):
            changes = name != "paint" or (desk.labels[arguments[0]][arguments[1]] != arguments[2]).any()
            getattr(desk, name)(*arguments)
            if changes:  # napari makes no entry of a stroke that changes nothing
                states.append((desk.labels.copy(), set(confirmed_in(desk.layer))))
    for labels, confirmed in states[-2::-1]:
        desk.undo()
        np.testing.assert_array_equal(desk.labels, labels)
        assert confirmed_in(desk.layer) == confirmed
    for labels, confirmed in states[1:]:
        desk.redo()
        np.testing.assert_array_equal(desk.labels, labels)
        assert confirmed_in(desk.layer) == confirmed


@given(actions)
def test_whatever_happens_a_pixel_is_unlabelled_proposed_or_a_persons(script):
    desk = Desk()
    for name, *arguments in script:
        getattr(desk, name)(*arguments)
        assert desk.labels.max() <= 4


def test_the_changed_slices_are_told_for_strokes_undo_and_redo():
    desk, told = Desk(), []
    history_of(desk.layer).changed.connect(told.append)
    desk.paint(1, np.eye(4, 5, dtype=bool), 1)
    desk.undo()
    desk.redo()
    desk.layer.paint((0, 1, 1), 2)
    assert told == [{1}, {1}, {1}, {0}]
    desk.layer.data_setitem((np.array([1, 0]), np.array([0, 0]), np.array([3, 4])), 1)
    assert told[4:] == [{0, 1}]


def test_pixels_of_a_column_change_only_their_slice():
    desk, told = Desk(), []
    history_of(desk.layer).changed.connect(told.append)
    desk.layer.data_setitem((np.array([1, 1]), np.array([0, 3]), np.array([2, 2])), 1)
    desk.layer.paint((1, 0, 0), 2)
    assert told == [{1}, {1}]


def test_a_new_step_forgets_what_was_undone():
    desk = Desk()
    desk.paint(0, np.ones(SHAPE[1:], bool), 1)
    desk.undo()
    desk.confirm(0)
    desk.redo()
    assert not desk.labels.any()
    assert confirmed_in(desk.layer) == {0}


def test_neither_undo_nor_redo_of_a_prediction_changes_a_confirmed_slice():
    desk = Desk()
    for z in range(SHAPE[0]):
        desk.predict(z, np.full(SHAPE[1:], 1, np.uint8))
    kept = desk.labels[1].copy()
    filled = history_of(desk.layer)._done[1]
    confirmed_in(desk.layer).add(1)
    for change in (filled.undo, filled.redo, desk.undo, desk.redo):
        change()
        np.testing.assert_array_equal(desk.labels[1], kept)
    confirmed_in(desk.layer).clear()
    desk.undo()
    assert not desk.labels[1].any()


def test_a_slice_that_was_confirmed_when_it_was_predicted_keeps_its_origin():
    desk, origins = Desk(), {0: "first run"}
    exchange = lambda z, origin: origins.pop(z, None) if origin is None else origins.__setitem__(z, origin)  # noqa: E731
    confirmed = confirmed_in(desk.layer)
    filled = Filled(lambda: stack_of(desk.layer), confirmed, exchange)
    confirmed.add(0)
    filled.remember(0, "second run")
    confirmed.clear()
    filled.undo()
    assert origins == {0: "first run"}


def test_what_was_undone_and_redone_is_named():
    desk, said = Desk(), []
    history = history_of(desk.layer)
    desk.predict(0, np.full(SHAPE[1:], 1, np.uint8))
    desk.paint(1, np.eye(4, 5, dtype=bool), 1)
    with history.named("close gap"):
        desk.paint(1, np.eye(4, 5, dtype=bool), 2)
    desk.paint(0, np.eye(4, 5, dtype=bool), 1)
    desk.replace(1, np.ones(SHAPE[1:], np.uint8))
    desk.confirm(1)
    assert history.sentence == ""
    for _ in range(7):  # one more than there is
        desk.undo()
        said.append(history.sentence)
    names = ["confirmation, slice 1", "new labels, slice 1", "stroke, slice 0", "close gap, slice 1"]
    names += ["stroke, slice 1", "proposals, slice 0"]
    assert said[:-1] == [f"Undone: {name}." for name in names]
    assert said[-1] == said[-2]
    desk.redo()
    assert history.sentence == "Redone: proposals, slice 0."


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        ("paint", "stroke"),
        ("erase", "erasing"),
        ("fill", "fill"),
        ("polygon", "polygon"),
        ("pan_zoom", "stroke"),
    ],
)
def test_what_a_tool_of_napari_did_is_named_after_the_tool(mode, name):
    desk = Desk()
    desk.layer.mode = mode
    desk.paint(1, np.eye(4, 5, dtype=bool), 1)
    desk.layer.mode = "pan_zoom"
    desk.undo()
    assert history_of(desk.layer).sentence == f"Undone: {name}, slice 1."


def test_a_repair_keeps_its_own_name_whatever_tool_is_in_hand():
    desk = Desk()
    desk.layer.mode = "fill"
    with history_of(desk.layer).named("accept place"):
        desk.paint(1, np.eye(4, 5, dtype=bool), 1)
    desk.undo()
    assert history_of(desk.layer).sentence == "Undone: accept place, slice 1."


def test_an_unconfirmation_is_named_as_such():
    desk = Desk()
    desk.confirm(1)
    desk.confirm(1)
    desk.undo()
    assert history_of(desk.layer).sentence == "Undone: unconfirmation, slice 1."
    desk.undo()
    assert history_of(desk.layer).sentence == "Undone: confirmation, slice 1."


def test_of_several_slices_it_is_said_how_many():
    desk = Desk()
    filled = Filled(lambda: stack_of(desk.layer), confirmed_in(desk.layer))
    for z in range(SHAPE[0]):
        filled.remember(z)
    history_of(desk.layer).add(filled)
    desk.undo()
    assert history_of(desk.layer).sentence == "Undone: proposals, 2 slices."
