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


def choose(view, name, size, **place):
    image = view.viewer.add_image(np.zeros((size // 2, size, size), np.uint8), name=name, **place)
    view.first.follow(image)
    return image


def is_fitted(view, image):
    found = view.camera.zoom, view.camera.center
    view.viewer.reset_view(layers=[image])
    return found == (view.camera.zoom, view.camera.center)


def test_an_image_of_another_stack_is_fitted_with_its_nearest_slice(view):
    large = choose(view, "large", 40, scale=(50, 4, 4))
    view.viewer.dims.set_point(0, 900)
    view.camera.zoom, view.camera.center = 9, (0, 80, 80)
    small = choose(view, "small", 20)
    assert round(small.world_to_data(view.viewer.dims.point)[0]) == 9
    assert is_fitted(view, small)
    view.first.follow(large)
    assert is_fitted(view, large)


def test_another_channel_or_resolution_of_the_same_stack_moves_nothing(view):
    choose(view, "one", 100)
    view.camera.zoom = 9
    choose(view, "two", 100)
    choose(view, "coarse", 50, scale=(2, 2, 2), translate=(0.5, 0.5, 0.5))
    assert view.camera.zoom == 9


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
