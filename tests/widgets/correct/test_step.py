"""Step Correct without a window: what can be done when, keys and brushes, and what is shown of the slice."""

import numpy as np
import pytest
from napari.components import ViewerModel

from emseg_napari.models import run as run_module
from emseg_napari.widgets.base.keys import KEYS, NAPARI_KEYS, KeySheet
from emseg_napari.widgets.base.workspace import LayerChoice
from emseg_napari.widgets.correct.step import CorrectStep
from emseg_napari.widgets.layers.label_colours import label_colours
from emseg_napari.widgets.layers.labels_layer import add_labels, adopt, confirmed_in, history_of
from emseg_napari.widgets.layers.layer_info import LayerInfo, update_info
from helpers.window import striped, wait_for

IMAGE, LABELS = striped((6, 40, 48))
NO_LABELS, NO_IMAGE = "propose a slice, or press 'New' beside Labels", "open an image first"


@pytest.fixture
def empty(qtbot, tmp_path, monkeypatch):
    """The step and the strip as the user sees them, without any layer and without a starter network."""
    monkeypatch.setattr(run_module, "STARTER_FOLDER", tmp_path / "none")
    step = CorrectStep(ViewerModel())
    for widget in (step, step.strip):
        qtbot.addWidget(widget)
        widget.show()
    return step


@pytest.fixture
def step(empty):
    """The step over an image and its proposals, slice 2 in view."""
    image = empty.viewer.add_image(IMAGE, name="cells")
    add_labels(empty.viewer, LABELS + 2, "mine", image)
    empty.viewer.dims.set_point(0, 2)
    return empty


def press(step, key):
    {str(bound): action for bound, action in step.viewer.keymap.items()}[key](step.viewer)


def obstacle(button):
    return None if button.isEnabled() else button.toolTip().rpartition("Not yet: ")[2]


def obstacles(step):
    """What stands in the way of brushes, repairs, places and live learning."""
    own = {obstacle(button) for button in (*step.tools, step.confirm, step.drop)}
    repairs = {obstacle(button) for button in step.repairs.buttons}
    return own, repairs, {obstacle(step.places.search)}, {obstacle(step.live.switch)}


def test_each_button_says_what_is_missing_first(empty):
    assert obstacles(empty) == ({NO_LABELS}, {NO_LABELS}, {NO_LABELS}, {NO_IMAGE})
    layer = add_labels(empty.viewer, LABELS.copy(), "mine")
    assert obstacles(empty) == ({None}, {NO_IMAGE}, {NO_IMAGE}, {NO_IMAGE})
    empty.viewer.add_image(IMAGE, name="cells")
    assert obstacles(empty) == ({None}, {None}, {"train a network first"}, {None})
    empty.viewer.layers.remove(layer)
    assert obstacles(empty) == ({NO_LABELS}, {NO_LABELS}, {NO_LABELS}, {NO_LABELS})


def test_a_foreign_layer_can_be_corrected_and_nothing_is_said_of_its_slices(step, qtbot):
    wait_for(qtbot, lambda: bool(step.slices.state.text()))
    step.workspace.choose("labels", step.viewer.add_labels(LABELS.copy(), name="foreign"))
    assert obstacles(step) == ({None}, {None}, {NO_LABELS}, {None})
    wait_for(qtbot, lambda: not step.slices.state.text())
    assert not step.slices.totals.text()
    assert not any(step.strip.totals().values())


def test_a_foreign_layer_that_another_step_takes_over_is_counted_at_once(step, qtbot):
    foreign = step.viewer.add_labels(LABELS.copy(), name="foreign")
    step.workspace.choose("labels", foreign)
    assert not step.strip.found
    adopt(foreign)
    step.workspace.follow()
    wait_for(qtbot, lambda: step.slices.totals.text() == "6 slices: 6 touched")


@pytest.mark.parametrize(
    ("tool", "mode", "label"),
    [(0, "paint", 1), (1, "paint", 2), (2, "erase", 7), (3, "fill", 2), (4, "polygon", 2)],
)
def test_a_brush_works_on_one_slice_with_its_label(step, tool, mode, label):
    layer = step.workspace.labels
    layer.events.selected_label.disconnect()
    layer.n_edit_dimensions, layer.contiguous, layer.selected_label = 3, False, 7
    step.viewer.layers.selection.active = None
    step.tools[tool].click()
    assert (layer.mode, layer.selected_label) == (mode, label)
    assert (layer.n_edit_dimensions, layer.contiguous) == (2, True)
    assert step.viewer.layers.selection.active == layer


def test_keys_show_and_hide_the_labels_and_their_outlines(step):
    layer = step.workspace.labels
    seen = []
    for key in ("T", "T", "O", "O"):
        press(step, key)
        seen.append((layer.visible, layer.contour))
    assert seen == [(False, 0), (True, 0), (True, 1), (True, 0)]


def test_keys_go_from_slice_to_slice_and_not_beyond_the_ends(step):
    def went(start, key):
        step.viewer.dims.set_point(0, start)
        press(step, key)
        return int(step.viewer.dims.point[0])

    assert [went(z, ",") for z in (0, 1, 5)] == [0, 0, 4]
    assert [went(z, ".") for z in (0, 4, 5)] == [1, 5, 5]


def test_pages_of_an_image_without_labels_are_turned_and_it_is_fitted(empty):
    press(empty, "H")
    assert empty.status.text().startswith("No image is open")
    image = empty.viewer.add_image(np.zeros((4, 20, 30), np.uint8))
    empty.viewer.add_image(np.zeros((4, 900, 900), np.uint8), visible=False, translate=(90, 0, 0))
    empty.workspace.choose("image", image)
    empty.viewer.dims.set_point(0, 1)
    press(empty, ".")
    assert empty.viewer.dims.point[0] == 2
    assert empty.places.whole.isEnabled()
    empty.viewer.dims.set_point(0, 91)
    press(empty, "H")
    assert empty.viewer.dims.point[0] == 3
    zoom = empty.viewer.scene.camera.zoom
    empty.viewer.reset_view(layers=[image])
    assert zoom == empty.viewer.scene.camera.zoom


@pytest.mark.parametrize("key", ["T", "O"])
def test_keys_without_labels_say_so(empty, key):
    press(empty, key)
    assert empty.status.text().startswith("No labels layer is chosen; press 'New' beside Labels")


def test_all_keys_are_on_one_page_that_is_made_once(step):
    press(step, "F1")
    press(step, "F1")
    (sheet,) = step.findChildren(KeySheet)
    assert sheet.isVisible()
    text = sheet.layout().itemAt(0).widget().text()
    for key, about in (KEYS | NAPARI_KEYS).items():
        assert f"<b>{key}</b>" in text
        assert about in text
    bound = {str(key) for key in step.viewer.keymap}
    assert bound == {key.replace("Shift-", "Shift+") for key in KEYS} | {"Ctrl+Z", "Ctrl+Shift+Z", *"134"}
    sheet.close()


def state_of(step):
    return step.slices.state.text().replace("\N{NO-BREAK SPACE}", " ")


def test_the_slice_in_view_and_all_slices_are_described(step, qtbot):
    step.workspace.labels.data[0] = 0
    step.workspace.labels.data[1] = 1
    step.strip.count(range(6))
    text = "6 slices: 1 raw, 4 proposed, 1 touched"
    wait_for(qtbot, lambda: step.slices.totals.text() == text)
    wait_for(qtbot, lambda: state_of(step) == step.strip.sentence(2))
    assert step.confirm.text() == "Confirm slice (C)"
    for z in (4, 2):
        step.viewer.dims.set_point(0, z)
        press(step, "C")
    wait_for(qtbot, lambda: step.confirm.text() == "Unconfirm (C)")
    assert state_of(step) == "Slice 2: unlabelled 0.0 %, proposed 0.0 %, yours 100.0 %; confirmed"
    text = "6 slices: 1 raw, 2 proposed, 1 touched, 2 confirmed (2, 4)"
    wait_for(qtbot, lambda: step.slices.totals.text() == text)
    step.viewer.dims.set_point(0, 1)
    wait_for(qtbot, lambda: step.confirm.text() == "Confirm slice (C)")


def test_how_many_slices_are_in_which_state_is_shown_once_they_are_counted(step, qtbot):
    wait_for(qtbot, lambda: step.slices.totals.text() == "6 slices: 6 proposed")
    step.workspace.labels.data[0] = 0
    with qtbot.waitSignal(step.strip.counted):
        step.strip.count([0])
    assert step.slices.totals.text() == "6 slices: 1 raw, 5 proposed"


def test_confirming_is_undone_in_one_step(step):
    layer = step.workspace.labels
    press(step, "C")
    assert confirmed_in(layer) == {2}
    history_of(layer).undo()
    assert confirmed_in(layer) == set()


def test_dropped_proposals_are_counted_and_those_of_a_confirmed_slice_stay(step):
    layer = step.workspace.labels
    layer.data[2, :10] = 1
    step.drop.click()
    assert (
        step.status.text() == f"{30 * 48} proposed pixels of slice 2 are unlabelled again (Ctrl+Z undoes it)."
    )
    assert (layer.data[2, 10:] == 0).all()
    assert (layer.data[2, :10] == 1).all()
    assert layer.data[3].all()
    step.viewer.dims.set_point(0, 3)
    press(step, "C")
    step.drop.click()
    assert "Slice 3 is confirmed" in step.status.text()
    assert layer.data[3].all()


@pytest.mark.parametrize("action", ["confirm", "drop"])
def test_what_was_done_to_a_slice_is_said_while_that_is_in_view(step, qtbot, action):
    getattr(step, action).click()
    assert "lice 2 " in step.status.text()
    step.slices.show_slice()
    assert "lice 2 " in step.status.text()
    step.viewer.dims.set_point(0, 3)
    wait_for(qtbot, lambda: step.status.text() == "")
    step.say("another sentence")
    step.viewer.dims.set_point(0, 4)
    step.slices.show_slice()
    assert step.status.text() == "another sentence"


def test_what_was_undone_comes_into_view_of_the_chosen_layer_only(step):
    layer = step.workspace.labels
    other = add_labels(step.viewer, LABELS.copy(), "other")
    for replayed, slices, seen in (
        (other, {5}, 2),
        (layer, {1, 2}, 2),
        (layer, {4, 3, 5}, 3),
        (layer, set(), 3),
    ):
        step.workspace.replayed.emit(replayed, slices)
        assert step.viewer.dims.point[0] == seen


def test_the_strip_counts_edits_and_proposals_of_its_layer_and_shows_errors(step, monkeypatch, qtbot):
    wait_for(qtbot, lambda: len(step.strip.found) == 6)
    counted = []
    monkeypatch.setattr(step.strip, "count", lambda slices: counted.append(set(slices)))
    other = add_labels(step.viewer, LABELS.copy(), "other")
    step.workspace.edited.emit(step.workspace.labels, {1, 3})
    step.workspace.edited.emit(other, {4})
    for layer, z in ((step.workspace.labels, 5), (other, 0)):
        step.live.proposed.emit(layer, z)
    assert counted == [{1, 3}, {5}]
    step.places.errors_estimated.emit({2: 0.25})
    assert step.strip.sentence(2).endswith("estimated error 0.250")
    step.strip.clicked.emit(4)
    assert step.viewer.dims.point[0] == 4


def test_tools_are_pressed_while_they_are_in_hand_and_explain_themselves(step):
    repairs = step.repairs
    for name, button in repairs.tools.items():
        button.click()
        assert [one.isChecked() for one in repairs.buttons] == [one is button for one in repairs.buttons]
        assert step.status.text() == repairs.repair.tool.about
        assert repairs.repair.tool.name == name
    press(step, "I")
    assert not any(button.isChecked() for button in repairs.buttons)
    step.say("")
    press(step, "G")
    assert repairs.tools["Close gap"].isChecked()


def test_keys_of_tools_that_cannot_be_used_do_nothing(empty):
    for key in "GDJKIQWU":
        press(empty, key)
    assert empty.status.text() == ""
    assert empty.repairs.repair.tool is None


def test_a_tool_is_put_away_with_its_layer_and_stays_with_another_channel(step):
    step.repairs.tools["Close gap"].click()
    update_info(step.workspace.image, source="one.tif")
    again = step.viewer.add_image(IMAGE.copy(), metadata=LayerInfo(source="one.tif").as_metadata())
    step.workspace.choose("image", again)  # a channel of that file
    assert step.repairs.repair.tool is not None
    step.workspace.choose("labels", add_labels(step.viewer, LABELS.copy(), "other"))
    assert step.repairs.repair.tool is None


def test_every_button_stands_in_the_step(step):
    for button in (*step.tools, step.confirm, step.drop, *step.repairs.buttons, *step.places.buttons):
        assert step.isAncestorOf(button)
    assert step.isAncestorOf(step.live.switch)
    assert step.strip.toolTip().startswith("Empty: raw (no labels); hatched: proposed")


def test_what_the_dock_shows_on_every_page_is_not_in_the_page(step):
    for part in (step.strip, step.status, *step.job_lines):
        assert part.parent() is not step or part.isHidden()
    assert not step.findChildren(LayerChoice)


def test_tools_that_copy_from_neighbours_are_folded_away_and_their_keys_work(step):
    folded = [*step.repairs.copies, step.repairs.interpolate]
    seen = [not button.visibleRegion().isEmpty() for button in (*step.repairs.tools.values(), *folded)]
    assert seen == [True] * 5 + [False] * 3
    press(step, "U")
    assert step.status.text() == "Drawing slice 2..."


def test_c_acts_only_while_its_button_is_seen_and_keys_of_the_view_on_every_page(step):
    step.hide()
    for key in ("C", "G", "N", "T", "."):
        press(step, key)
    assert not confirmed_in(step.workspace.labels)
    assert step.repairs.repair.tool is None
    assert step.status.text() == ""
    assert not step.workspace.labels.visible
    assert step.viewer.dims.point[0] == 3


# -- which tool is in hand ----------------------------------------------------------------------


def test_the_brush_in_hand_is_shown_and_goes_with_a_repair_tool(step):
    layer = step.workspace.labels

    def in_hand():
        return [button.text() for button in step.tools if button.isChecked()]

    seen = [in_hand()]
    for button in (step.tools[0], step.tools[1], step.tools[1], step.tools[2]):
        button.click()
        seen.append(in_hand())
    layer.mode = "paint"
    layer.selected_label = 1
    seen.append(in_hand())
    step.repairs.tools["Close gap"].click()
    seen.append(in_hand())
    boundary, interior, erase = ["Boundary"], ["Interior"], ["Erase (1)"]
    assert seen == [[], boundary, interior, interior, erase, boundary, []]


@pytest.mark.parametrize("view", ["3-D", "rolled"])
def test_no_tool_starts_where_no_slice_is_seen_and_none_is_left_in_hand(step, view):
    layer = step.workspace.labels
    whole = [*step.repairs.copies, step.repairs.interpolate]
    for button in (*step.tools, *step.repairs.tools.values(), *whole):
        other = "Close gap" if button is step.repairs.tools["Drop piece"] else "Drop piece"
        step.repairs.tools[other].click()
        if view == "3-D":
            step.viewer.dims.ndisplay = 3
        else:
            step.viewer.dims.order = (1, 0, 2)
        button.click()
        assert "slice view" in step.status.text()
        assert (step.repairs.repair.tool, layer.mode, button.isChecked()) == (None, "pan_zoom", False)
        step.viewer.dims.ndisplay, step.viewer.dims.order = 2, (0, 1, 2)


def test_a_tool_that_is_refused_leaves_no_brush_in_hand(step):
    press(step, "C")
    step.tools[0].click()
    step.repairs.interpolate.click()
    assert "Slice 2 is confirmed" in step.status.text()
    assert step.workspace.labels.mode == "pan_zoom"


def in_the_brush(step):
    step.tools[0].click()
    return "paint", None


def in_naparis_brush(step):
    step.workspace.labels.mode = "paint"
    return "paint", None


def in_another_repair(step):
    step.repairs.tools["Close gap"].click()
    return "pan_zoom", "Close gap"


def in_another_slice(step):
    step.viewer.dims.set_point(0, 4)
    return "pan_zoom", None


def on_another_page(step):
    step.hide()
    return "pan_zoom", None


@pytest.fixture
def drawing(step, monkeypatch):
    """The step, and what is done once the background has drawn a slice; its neighbours are confirmed."""
    step.drawn = []
    confirmed_in(step.workspace.labels).update({1, 3})

    def in_background(sentence, work, done):
        step.say(sentence)
        step.drawn.append(lambda: done(work()))

    monkeypatch.setattr(step, "in_background", in_background)
    return step


def in_hand(step):
    tool = step.repairs.repair.tool
    return step.workspace.labels.mode, None if tool is None else tool.name


@pytest.mark.parametrize(
    "meanwhile", [in_the_brush, in_naparis_brush, in_another_repair, in_another_slice, on_another_page]
)
def test_a_slice_that_was_drawn_takes_no_tool_out_of_the_hand_and_puts_none_in_elsewhere(drawing, meanwhile):
    press(drawing, "Q")
    assert drawing.status.text() == "Drawing slice 2..."
    expected = meanwhile(drawing)
    (take,) = drawing.drawn
    take()
    assert in_hand(drawing) == expected
    assert drawing.status.text() != "Drawing slice 2..."


def test_of_two_tools_that_draw_the_one_that_was_pressed_last_is_in_hand(drawing):
    press(drawing, "Q")
    press(drawing, "U")
    for take in reversed(drawing.drawn):  # the slice before took longer
        take()
    assert in_hand(drawing) == ("pan_zoom", "Interpolate")


@pytest.mark.parametrize("act", ["brush", "repair", "confirm", "drop"])
def test_labels_that_are_changed_are_seen_and_what_covers_them_is_not(step, act):
    layer = step.workspace.labels
    other = add_labels(step.viewer, LABELS.copy(), "other")
    assert (layer.visible, other.visible) == (False, True)
    buttons = {"brush": step.tools[0], "repair": step.repairs.tools["Close gap"]}
    buttons.get(act, getattr(step, act, None)).click()
    assert (layer.visible, other.visible) == (True, False)
    assert layer.mode == ("paint" if act == "brush" else "pan_zoom")
    assert (step.repairs.repair.tool is not None) == (act == "repair")


def test_a_tool_in_hand_stays_when_labels_are_hidden_for_a_look(step):
    layer = step.workspace.labels
    layer.mode = "paint"
    step.repairs.tools["Drop piece"].click()
    press(step, "T")
    press(step, "T")
    assert in_hand(step) == ("pan_zoom", "Drop piece")
    assert not layer.mouse_pan


# -- sentences ----------------------------------------------------------------------------------


def test_after_undo_and_redo_it_is_said_of_what(step):
    layer, history = step.workspace.labels, history_of(step.workspace.labels)
    step.drop.click()
    layer.paint((2, 5, 5), 1)
    press(step, "C")
    said = []
    for replay in (*[history.undo] * 3, *[history.redo] * 3):
        replay()
        said.append(step.status.text())
    names = ["confirmation", "stroke", "drop proposals"]
    undone, redone = ([f"{done}: {name}, slice 2." for name in names] for done in ("Undone", "Redone"))
    assert said == undone + redone[::-1]


@pytest.mark.parametrize("by", ["slice", "tool", "success"])
def test_a_complaint_goes_when_it_is_no_longer_true(step, by):
    press(step, "C")
    step.drop.click()
    assert "Slice 2 is confirmed" in step.status.text()
    if by == "slice":
        step.viewer.dims.set_point(0, 3)
    elif by == "tool":
        step.workspace.labels.mode = "paint"
    else:
        press(step, "T")
    assert step.status.text() == ""


def test_a_complaint_is_taken_back_without_a_word_so_that_another_step_is_still_heard(step):
    said, unsaid = [], []
    press(step, "C")
    step.drop.click()
    complaint = step.status.text()
    step.said.connect(lambda *sentence: said.append(sentence))
    step.unsaid.connect(unsaid.append)
    step.viewer.dims.set_point(0, 3)
    assert (said, unsaid) == ([], [complaint])


def test_a_sentence_that_is_not_a_complaint_stays_in_the_next_slice(step):
    step.drop.click()
    said = step.status.text()
    step.viewer.dims.set_point(0, 3)
    assert said
    assert step.status.text() == said


# -- colours ------------------------------------------------------------------------------------


def colour_of_proposals(layer):
    return tuple(layer.colormap.color_dict[3])


def test_proposals_of_a_confirmed_slice_look_as_the_users_own_at_once(step, qtbot):
    layer, other = step.workspace.labels, add_labels(step.viewer, LABELS + 2, "other", confirmed={2})
    own, proposed = (tuple(layer.colormap.color_dict[label]) for label in (1, 3))
    wait_for(qtbot, lambda: colour_of_proposals(other) == own)
    seen = []

    def look():
        seen.append((colour_of_proposals(layer) == own, colour_of_proposals(other) == own))

    for change in (
        lambda: None,
        lambda: press(step, "C"),
        lambda: step.viewer.dims.set_point(0, 3),
        lambda: step.viewer.dims.set_point(0, 2),
        history_of(layer).undo,
        history_of(layer).redo,
        lambda: step.workspace.choose("labels", other),
        lambda: press(step, "C"),
    ):
        change()
        look()
    assert own != proposed
    assert seen == [
        (False, True),
        (True, True),
        (False, False),
        (True, True),
        (False, True),
        (True, True),
        (True, True),
        (True, False),
    ]


def test_colours_are_exchanged_only_when_they_change_and_never_pixels_or_the_users_own_colours(step):
    layer, exchanged = step.workspace.labels, []
    layer.events.colormap.connect(lambda: exchanged.append(True))
    for z in (3, 4, 2):
        step.viewer.dims.set_point(0, z)
    layer.paint((2, 5, 5), 3)
    assert exchanged == []
    before = layer.data.copy()
    press(step, "C")
    assert exchanged == [True]
    np.testing.assert_array_equal(layer.data, before)
    mine = label_colours()
    mine.color_dict[3] = np.array([0, 1, 1, 1], np.float32)
    layer.colormap = mine
    step.viewer.dims.set_point(0, 3)
    step.viewer.dims.set_point(0, 2)
    assert colour_of_proposals(layer) == (0, 1, 1, 1)


def test_a_slice_of_the_image_is_that_slice(step):
    np.testing.assert_array_equal(step.image_plane(3), IMAGE[3])
    np.testing.assert_array_equal(step.image()[:], IMAGE)


def put_away(step):
    step.repairs.tools["Close gap"].click()
    step.repairs.tools["Close gap"].click()
    return "Close gap is put away."


def undone(step):
    step.workspace.labels.paint((2, 5, 5), 1)
    history_of(step.workspace.labels).undo()
    return "Undone: stroke, slice 2."


@pytest.mark.parametrize("done", [put_away, undone])
@pytest.mark.parametrize("by", ["key", "slice", "tool", "stroke"])
def test_what_is_over_is_said_until_the_user_does_the_next_thing(step, done, by):
    assert done(step) == step.status.text()
    if by == "key":
        press(step, "T")
    elif by == "slice":
        step.viewer.dims.set_point(0, 3)
    elif by == "tool":
        step.workspace.labels.mode = "paint"
    else:
        step.workspace.labels.paint((2, 9, 9), 1)
    assert step.status.text() == ""


def test_an_undo_in_another_slice_is_said_although_it_brings_that_into_view(step):
    step.workspace.labels.paint((2, 5, 5), 1)
    step.viewer.dims.set_point(0, 3)
    history_of(step.workspace.labels).undo()
    assert step.viewer.dims.point[0] == 2
    assert step.status.text() == "Undone: stroke, slice 2."
