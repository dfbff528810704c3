"""What napari's menus and its command palette show of the plugin."""

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QLabel, QLineEdit, QWidget

from emseg_napari.widgets.dock_widget import DockWidget

TITLE = "Segment boundaries"


@pytest.fixture
def viewer(make_napari_viewer):
    return make_napari_viewer(show=True)


@pytest.fixture
def palette(viewer, mock_app_model):
    """The command palette, opened as a user opens it."""
    (action,) = [one for one in viewer.window.view_menu.actions() if "Command Palette" in one.text()]
    action.trigger()
    window = viewer.window.view_menu.parentWidget().window()
    yield next(w for w in window.findChildren(QWidget) if type(w).__name__ == "QCommandPalette")
    # Or napari would tell a closed palette of each of its entries that goes: 20 seconds of errors.
    mock_app_model.menus.menus_changed.disconnect()


def rows(palette, text):
    """The rows that the palette shows for a text, by what they are called."""
    palette.findChild(QLineEdit).setText(text)
    QTest.qWait(50)  # the rows follow
    found = [label for label in palette.findChildren(QLabel) if type(label).__name__ == "QCommandLabel"]
    return {label.toolTip() or label.text(): label for label in found if label.isVisible()}


def test_the_plugin_menu_opens_the_dock_in_two_clicks(viewer):
    entries = [one for one in viewer.window.plugins_menu.actions() if TITLE in one.text()]
    assert [one.menu() for one in entries] == [None]  # no menu below the menu
    entries[0].trigger()
    assert any(isinstance(one, DockWidget) for one in viewer.window.dock_widgets.values())


def test_the_dock_has_one_title_whether_the_menu_or_its_name_opens_it_and_is_one(viewer):
    (entry,) = [one for one in viewer.window.plugins_menu.actions() if TITLE in one.text()]
    frame, _ = viewer.window.add_plugin_dock_widget("emseg-napari", TITLE)
    frame.close()
    entry.trigger()  # shows it again
    assert [name for name, one in viewer.window.dock_widgets.items() if isinstance(one, DockWidget)] == [
        "Segment boundaries (emseg-napari)"
    ]
    assert frame.isVisible()
    bar = frame.titleBarWidget()
    (title,) = [one for one in bar.findChildren(QLabel) if TITLE in one.text()]
    assert title.fontMetrics().horizontalAdvance(title.text()) <= title.width()


@pytest.mark.parametrize("name", ["Open a session", "Open a volume", "Save labels as an ISBI"])
def test_the_palette_offers_nothing_that_needs_a_file(palette, monkeypatch, name):
    assert not [row for row in rows(palette, "") if row.startswith(name)]
    said = []
    monkeypatch.setattr("emseg_napari.widgets.plugin.show_info", said.append)
    for row in [row for title, row in rows(palette, name).items() if title.startswith(name)]:
        assert not row.isEnabled()  # napari 0.9 shows it greyed, but calls it on a click; 0.10 hides it
        window = palette.window()
        place = row.mapTo(window, row.rect().center())
        QTest.mouseClick(window.windowHandle(), Qt.MouseButton.LeftButton, pos=place)
        assert said == ["This needs a file: use File > Open, or File > Save."]


def test_the_palette_opens_the_dock(viewer, palette, qtbot):
    rows(palette, TITLE)
    qtbot.keyClick(palette.findChild(QLineEdit), Qt.Key.Key_Return)
    assert any(isinstance(one, DockWidget) for one in viewer.window.dock_widgets.values())
