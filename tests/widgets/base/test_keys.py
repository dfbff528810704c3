"""Keys of the window: whose action they do."""

import gc
import weakref

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QLabel, QTabWidget, QWidget

from emseg_napari.widgets.base.keys import KEYS, NAPARI_KEYS, KeySheet, bind, with_key
from helpers.window import canvas_of


@pytest.fixture
def pressed():
    """Whose action was done."""
    return []


def press(viewer):
    ((_, action),) = viewer.keymap.items()
    action(viewer)


def test_a_key_is_of_the_page_in_view(qtbot, pressed):
    viewer, pages = ViewerModel(), QTabWidget()
    qtbot.addWidget(pages)
    for name in ("correct", "check", "results"):
        page = QWidget()
        pages.addTab(page, name)
        if name != "results":
            bind(viewer, page, {"N": lambda name=name: pressed.append(name)})
    press(viewer)
    assert pressed == []  # nobody sees a page
    pages.show()
    for index in (0, 1, 2, 0):
        pages.setCurrentIndex(index)
        press(viewer)
    assert pressed == ["correct", "check", "correct"]


def test_what_a_key_did_before_it_does_while_no_page_has_it_and_after_the_last_is_gone(qtbot, pressed):
    viewer, owner = ViewerModel(), QWidget()
    user = lambda _: pressed.append("user")  # noqa: E731
    viewer.bind_key("C", user)
    bind(viewer, owner, {"C": lambda: pressed.append("plugin")})
    press(viewer)
    owner.show()
    press(viewer)
    with qtbot.waitSignal(owner.destroyed):
        owner.deleteLater()
    press(viewer)
    assert pressed == ["user", "plugin", "user"]
    assert user in viewer.keymap.values()


def test_a_selected_image_does_not_take_a_key_from_the_page_in_view(make_napari_viewer, qtbot, pressed):
    viewer, page = make_napari_viewer(show=True), QWidget()
    canvas = canvas_of(viewer.window.add_dock_widget(page))
    for layer in ("before", "after"):
        image = viewer.add_image(np.arange(12).reshape(3, 4), name=layer, contrast_limits=(0, 1))
        if layer == "before":
            bind(viewer, page, {"C": lambda: pressed.append("plugin")})
        page.show()
        qtbot.keyClick(canvas, "c")
        assert image.contrast_limits == [0, 1]
        page.hide()
        qtbot.keyClick(canvas, "c")
        assert image.contrast_limits == [0, 11]  # what the key does in napari
    assert pressed == ["plugin", "plugin"]
    with qtbot.waitSignal(page.destroyed):
        page.deleteLater()
    assert image.keymap == {}


def test_a_key_is_of_the_page_that_is_left(qtbot, pressed):
    viewer = ViewerModel()
    first, second = QWidget(), QWidget()
    qtbot.addWidget(first)
    for owner, name in ((first, "first"), (second, "second")):
        bind(viewer, owner, {"C": lambda name=name: pressed.append(name)})
        owner.show()
    press(viewer)
    with qtbot.waitSignal(second.destroyed):
        second.deleteLater()
    press(viewer)
    assert pressed == ["second", "first"]


def test_a_key_that_somebody_else_has_taken_meanwhile_stays_theirs(qtbot, pressed):
    viewer, owner = ViewerModel(), QWidget()
    bind(viewer, owner, {"C": lambda: pressed.append("plugin")})
    viewer.bind_key("C", lambda _: pressed.append("user"), overwrite=True)
    with qtbot.waitSignal(owner.destroyed):
        owner.deleteLater()
    press(viewer)
    assert pressed == ["user"]


def test_keys_are_written_in_one_way(qtbot):
    assert all("-" not in key for key in (*KEYS, *NAPARI_KEYS))
    assert "Shift+N" in KEYS
    assert with_key("Back", "Shift+N") == "Back (Shift+N)"
    owner = QWidget()
    qtbot.addWidget(owner)
    sheet = " ".join(label.text() for label in KeySheet(owner).findChildren(QLabel))
    assert "<b>Shift+N</b>" in sheet


def test_keys_keep_no_viewer_alive(qtbot):
    viewer, owner = ViewerModel(), QWidget()
    qtbot.addWidget(owner)
    bind(viewer, owner, {key: lambda: None for key in KEYS})
    gone = weakref.ref(viewer)
    del viewer
    gc.collect()
    assert gone() is None
