"""The first view of the first image."""

from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QObject

from emseg_napari.widgets.base.first_view import FirstView
from helpers.window import wait_for


@pytest.fixture
def view(qapp):
    parent, viewer = QObject(), ViewerModel()
    yield SimpleNamespace(viewer=viewer, first=FirstView(viewer, parent), camera=viewer.scene.camera)
    parent.deleteLater()


def open_image(view):
    with view.first.of_new_layers():
        view.viewer.add_image(np.zeros((4, 40, 40), np.uint8))


def settle(view, qtbot):
    wait_for(qtbot, lambda: not view.first.is_awaited)


def test_the_first_image_is_fitted_once_the_canvas_has_its_size(view, qtbot):
    open_image(view)
    for size in ((300, 200), (500, 400)):
        view.viewer.canvas.size = size
    view.camera.center, view.camera.zoom = (0, 0, 0), 0.1
    settle(view, qtbot)
    fitted = view.camera.zoom, view.camera.center
    view.viewer.reset_view()
    assert fitted == (view.camera.zoom, view.camera.center)
    assert view.camera.zoom == pytest.approx(0.95 * 400 / 40, rel=0.06)


def test_it_is_fitted_once_only(view, qtbot):
    open_image(view)
    settle(view, qtbot)
    view.camera.zoom = 7
    view.viewer.canvas.size = (300, 200)
    open_image(view)
    assert not view.first.is_awaited
    assert view.camera.zoom == 7


@pytest.mark.parametrize("by", ["mouse_drag_callbacks", "mouse_wheel_callbacks"])
def test_a_picture_that_the_user_has_moved_meanwhile_stays(view, qtbot, by):
    open_image(view)
    for callback in list(getattr(view.viewer, by)):
        callback(view.viewer, SimpleNamespace(modifiers=[]))
    view.camera.zoom = 7
    settle(view, qtbot)
    assert view.camera.zoom == 7


def test_it_listens_to_the_mouse_no_longer_than_it_must(view, qtbot):
    before = len(view.viewer.mouse_drag_callbacks), len(view.viewer.mouse_wheel_callbacks)
    open_image(view)
    settle(view, qtbot)
    assert before == (len(view.viewer.mouse_drag_callbacks), len(view.viewer.mouse_wheel_callbacks))
