"""A layer of the plugin's own over the user's: made once, hidden, and used again."""

import numpy as np
import pytest
from napari.components import ViewerModel

from emseg_napari.widgets.layers.aid_layer import AidLayer
from emseg_napari.widgets.layers.layer_info import info_of
from emseg_napari.widgets.layers.placement import slice_transform


@pytest.fixture
def viewer():
    viewer = ViewerModel()
    viewer.add_image(np.zeros((4, 8, 10)), name="cells", scale=(10, 2, 2))
    viewer.layers.selection.active = viewer.layers["cells"]
    return viewer


def test_it_comes_when_it_is_first_to_be_seen_and_is_used_again(viewer):
    cells, aid = viewer.layers["cells"], AidLayer(viewer, "image", name="aid", opacity=0.5)
    aid.hide()
    assert aid.layer is None
    layer = aid.show(np.zeros((1, 8, 10)), slice_transform(cells, 2))
    assert (layer.name, layer.opacity, info_of(layer).is_aid) == ("aid", 0.5, True)
    aid.hide()
    assert not layer.visible
    assert aid.put(np.ones((1, 8, 10)), slice_transform(cells, 3)) == layer
    assert (layer.visible, layer.data.max(), layer.translate.tolist()) == (False, 1, [30, 0, 0])
    assert aid.show(np.ones((1, 8, 10)), slice_transform(cells, 3)) == layer
    assert layer.visible
    assert viewer.layers.selection.active == cells


def test_one_that_the_user_removed_or_of_other_axes_is_replaced(viewer):
    aid, cells = AidLayer(viewer, "labels", name="aid"), viewer.layers["cells"]
    first = aid.show(np.zeros((1, 8, 10), np.uint8), slice_transform(cells, 2))
    viewer.layers.remove(first)
    aid.hide()
    second = aid.show(np.zeros((1, 8, 10), np.uint8), slice_transform(cells, 2))
    assert second in viewer.layers
    flat = aid.show(np.zeros((8, 10), np.uint8), {"scale": (2, 2)})
    assert (second.visible, flat.visible, flat.ndim) == (False, True, 2)


def names(viewer):
    return [layer.name for layer in viewer.layers]


@pytest.mark.parametrize("kind", ["image", "labels"])
def test_shown_again_it_lies_over_an_image_that_came_after_it_and_layer_and_tool_in_hand_stay(viewer, kind):
    aid, place = AidLayer(viewer, kind, name="aid"), slice_transform(viewer.layers["cells"], 2)
    data = np.zeros((1, 8, 10), np.uint8)
    aid.show(data, place)
    viewer.add_image(np.zeros((4, 8, 10)), name="second image")
    labels = viewer.add_labels(np.zeros((4, 8, 10), np.uint8), name="mine")
    labels.mode = "paint"
    assert names(viewer) == ["cells", "aid", "second image", "mine"]
    aid.show(data, place)
    assert names(viewer) == ["cells", "second image", "mine", "aid"]
    assert (viewer.layers.selection.active, labels.mode) == (labels, "paint")
    aid.hide()
    viewer.add_image(np.zeros((4, 8, 10)), name="third image")
    aid.show_again()
    assert names(viewer)[-2:] == ["third image", "aid"]


def test_a_picture_lies_over_the_users_layers_and_below_the_marks(viewer):
    place = slice_transform(viewer.layers["cells"], 2)
    picture, mark = AidLayer(viewer, "image", name="picture"), AidLayer(viewer, "labels", name="mark")
    data = np.zeros((1, 8, 10), np.uint8)
    picture.show(data, place)
    mark.show(data, place)
    picture.show(data, place)
    assert names(viewer) == ["cells", "picture", "mark"]
    viewer.add_image(np.zeros((4, 8, 10)), name="second image")
    mark.show(data, place)
    picture.show(data, place)
    assert names(viewer) == ["cells", "second image", "picture", "mark"]


def test_what_the_user_has_hidden_is_not_shown_again(viewer):
    aid, place = AidLayer(viewer, "labels", name="aid"), slice_transform(viewer.layers["cells"], 2)
    layer = aid.show(np.zeros((1, 8, 10), np.uint8), place)
    layer.visible = False
    aid.hide()
    aid.show_again()
    assert not layer.visible
    aid.reveal()
    aid.hide()
    aid.show_again()
    assert layer.visible


@pytest.mark.parametrize("kind", ["image", "labels"])
def test_a_layer_that_is_seen_already_is_neither_drawn_nor_moved_again(viewer, kind):
    aid, place = AidLayer(viewer, kind, name="aid"), slice_transform(viewer.layers["cells"], 2)
    layer, events = aid.show(np.zeros((1, 8, 10), np.uint8), place), []
    for event in (layer.events.visible, layer.events.set_data, viewer.layers.events.moved):
        event.connect(events.append)
    for _ in range(3):
        aid.reveal()
    assert events == []
    layer.visible = False
    aid.reveal()
    assert layer.visible
