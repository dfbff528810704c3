"""Ctrl+Z and Ctrl+Shift+Z through the real keyboard, whatever layer is selected."""

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from emseg_napari.widgets.base.keys import NAPARI_KEYS
from emseg_napari.widgets.layers.labels_layer import add_labels
from helpers.window import canvas_of, striped

UNDO, REDO = (
    Qt.KeyboardModifier.ControlModifier,
    Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier,
)
PIXEL = (2, 20, 20)


@pytest.fixture
def desk(dock):
    """The dock with an image and two labels layers; the first, in which a stroke was drawn, is chosen."""
    viewer, (image, labels) = dock.workspace.viewer, striped()
    dock.image = viewer.add_image(image, name="cells")
    dock.first = add_labels(viewer, labels + 2, "first", dock.image)
    dock.second = add_labels(viewer, labels + 2, "second", dock.image)
    dock.foreign = viewer.add_labels(labels, name="foreign")
    dock.workspace.choose("labels", dock.first)
    viewer.dims.set_point(0, PIXEL[0])
    for layer in (dock.first, dock.second, dock.foreign):
        layer.brush_size = 1
        layer.paint(PIXEL, 1)
    return dock


def press(dock, modifiers):
    """Press Ctrl+Z, or with Shift, over the canvas."""
    QTest.keyClick(canvas_of(dock), Qt.Key.Key_Z, modifiers)


def painted(dock):
    """The layers that hold the stroke."""
    return [layer.name for layer in (dock.first, dock.second, dock.foreign) if layer.data[PIXEL] == 1]


@pytest.mark.parametrize("selected", ["image", "first", "second", "foreign", None])
def test_the_chosen_labels_are_undone_whatever_layer_is_selected(desk, selected):
    desk.workspace.viewer.layers.selection.active = selected and getattr(desk, selected)
    press(desk, UNDO)
    assert painted(desk) == ["second", "foreign"]
    assert desk.correct.status.text() == "Undone: stroke, slice 2."
    press(desk, REDO)
    assert painted(desk) == ["first", "second", "foreign"]
    assert desk.correct.status.text() == "Redone: stroke, slice 2."


@pytest.mark.parametrize(
    ("selected", "left"), [("second", ["first", "foreign"]), ("foreign", ["first", "second"])]
)
def test_labels_that_the_user_paints_in_are_undone_instead_and_named(desk, selected, left):
    layer = getattr(desk, selected)
    layer.visible = True
    desk.workspace.viewer.layers.selection.active = layer
    layer.mode = "paint"
    press(desk, UNDO)
    assert painted(desk) == left
    what = {"second": "stroke, slice 2, in", "foreign": "the last change in"}[selected]
    assert desk.correct.status.text() == f"Undone: {what} '{selected}'."
    press(desk, REDO)
    assert len(painted(desk)) == 3
    assert desk.correct.status.text() == f"Redone: {what} '{selected}'."


def test_nothing_is_said_where_there_is_nothing_to_undo(desk):
    desk.foreign.visible = True
    desk.workspace.viewer.layers.selection.active = desk.foreign
    desk.foreign.mode = "paint"
    for _ in range(2):
        desk.correct.say("")
        press(desk, UNDO)
    assert desk.correct.status.text() == ""


def test_the_list_of_keys_says_of_which_labels_a_change_is_undone():
    assert "while you paint in them" in NAPARI_KEYS["Ctrl+Z"]


def test_a_layer_that_is_chosen_at_the_top_is_selected_and_undone_and_the_last_sentence_goes(desk):
    desk.workspace.viewer.layers.selection.active = desk.first
    desk.correct.say("about the first layer")
    chooser = desk.header.labels
    chooser.activated.emit(chooser.findText("second"))
    assert desk.workspace.viewer.layers.selection.active == desk.second
    assert desk.status.text() == ""
    press(desk, UNDO)
    assert painted(desk) == ["first", "foreign"]


def test_labels_that_are_undone_are_seen(desk):
    desk.first.visible = False
    press(desk, UNDO)
    assert painted(desk) == ["second", "foreign"]
    assert desk.first.visible


@pytest.mark.parametrize("modifiers", [UNDO, REDO])
def test_where_there_is_nothing_to_undo_hidden_foreign_labels_stay_hidden_and_those_in_view_in_view(
    desk, modifiers
):
    viewer = desk.workspace.viewer
    unpainted = viewer.add_labels(desk.foreign.data.copy(), name="unpainted")
    desk.workspace.choose("labels", unpainted)
    unpainted.visible, desk.foreign.visible = False, True
    press(desk, modifiers)
    assert (unpainted.visible, desk.foreign.visible) == (False, True)
    assert desk.correct.status.text() == ""


def test_foreign_labels_that_are_undone_are_seen_alone(desk):
    desk.workspace.choose("labels", desk.foreign)
    desk.foreign.visible, desk.second.visible = False, True
    press(desk, UNDO)
    assert painted(desk) == ["first", "second"]
    assert (desk.foreign.visible, desk.second.visible) == (True, False)


def test_the_selected_layer_is_undone_while_the_dock_is_not_seen(desk):
    desk.workspace.viewer.layers.selection.active = desk.second
    canvas = canvas_of(desk)
    desk.hide()
    QTest.keyClick(canvas, Qt.Key.Key_Z, UNDO)
    assert painted(desk) == ["first", "foreign"]


def test_escape_is_free_again_in_labels_that_are_no_longer_chosen(desk):
    desk.workspace.choose("labels", desk.second)
    viewer = desk.workspace.viewer
    viewer.layers.selection.active = desk.first
    desk.correct.repairs.tools["Drop piece"].click()
    viewer.layers.selection.active = desk.first
    QTest.keyClick(canvas_of(desk), Qt.Key.Key_Escape)
    assert desk.correct.repairs.repair.tool is not None
