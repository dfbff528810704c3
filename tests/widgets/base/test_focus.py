"""Keys while something beside the canvas has the focus."""

import pytest
from qtpy.QtWidgets import QAbstractItemView, QTableWidget, QTableWidgetItem

from helpers.window import canvas_of, striped


@pytest.fixture
def desk(dock):
    """The dock with an image and labels that are chosen."""
    viewer = dock.workspace.viewer
    viewer.add_image(striped()[0], name="total")
    dock.load.new_labels_button.click()
    return dock


def test_a_key_in_the_list_of_layers_is_no_search_for_a_layer(desk, qtbot):
    viewer, labels = desk.workspace.viewer, desk.workspace.labels
    canvas = canvas_of(desk)
    lists = canvas.window().findChildren(QAbstractItemView)
    layers = next(one for one in lists if type(one).__name__ == "QtLayerList")
    viewer.layers.selection.active = labels
    canvas.window().activateWindow()
    layers.setFocus()
    qtbot.waitUntil(layers.hasFocus)
    qtbot.keyClick(layers, "t")
    assert not labels.visible
    assert viewer.layers.selection.active == labels


def test_a_key_in_a_table_of_another_plugin_is_for_the_table(desk, qtbot):
    table = QTableWidget(1, 1)
    desk.workspace.viewer.window.add_dock_widget(table, name="table")
    table.setItem(0, 0, QTableWidgetItem("a"))
    table.window().activateWindow()
    table.setFocus()
    qtbot.waitUntil(table.hasFocus)
    table.setCurrentCell(0, 0)
    qtbot.keyClick(table, "c")
    assert table.state() == QAbstractItemView.State.EditingState


@pytest.mark.parametrize(("key", "mode"), [("1", "erase"), ("4", "fill"), ("3", "polygon")])
def test_keys_of_brushes_take_them_up_while_an_image_is_selected(desk, qtbot, key, mode):
    desk.workspace.viewer.layers.selection.active = desk.workspace.image
    canvas = canvas_of(desk)
    canvas.setFocus()
    qtbot.keyClick(canvas, key)
    assert desk.workspace.labels.mode == mode
    assert desk.workspace.viewer.layers.selection.active == desk.workspace.labels
