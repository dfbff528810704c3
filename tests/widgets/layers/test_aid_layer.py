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
