"""What napari's menus and its command palette show of the plugin."""

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QLineEdit, QWidget

from emseg_napari.widgets.dock import DockWidget

TITLE = "Segment boundaries"


@pytest.fixture
def viewer(make_napari_viewer):
    return make_napari_viewer(show=True)


@pytest.fixture
def palette(viewer, qtbot):
    """The command palette, opened as a user opens it."""
    (action,) = [one for one in viewer.window.view_menu.actions() if "Command Palette" in one.text()]
    action.trigger()
    window = viewer.window.view_menu.window()
    return next(w for w in window.findChildren(QWidget) if type(w).__name__ == "QCommandPalette")


def listed(palette, text):
    """The commands that the palette lists for a text and can execute."""
    palette.findChild(QLineEdit).setText(text)
    labels = [label for label in palette.findChildren(QLabel) if type(label).__name__ == "QCommandLabel"]
    return [label.toolTip() or label.text() for label in labels if label.isVisible() and label.isEnabled()]


def test_the_plugin_menu_opens_the_dock_in_two_clicks(viewer):
    entries = [one for one in viewer.window.plugins_menu.actions() if TITLE in one.text()]
    assert [one.menu() for one in entries] == [None]  # no menu below the menu
    entries[0].trigger()
    assert any(isinstance(one, DockWidget) for one in viewer.window.dock_widgets.values())


@pytest.mark.parametrize("text", ["emseg", "open a session", "open a volume", "isbi 2012 tiff"])
def test_the_palette_lists_nothing_that_needs_a_file_or_a_layer(palette, text):
    found = [one for one in listed(palette, text) if "emseg" in one]
    assert not [one for one in found if one.startswith(("Open a session", "Open a volume", "Save labels"))]


def test_the_palette_opens_the_dock(viewer, palette, qtbot):
    assert listed(palette, TITLE)
    qtbot.keyClick(palette.findChild(QLineEdit), Qt.Key.Key_Return)
    assert any(isinstance(one, DockWidget) for one in viewer.window.dock_widgets.values())
