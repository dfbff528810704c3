"""What the plugin knows of a layer: one object in its metadata, of which duplicates keep their own."""

from copy import deepcopy

import numpy as np
import pytest
from napari.layers import Labels, Layer

from emseg_napari.widgets.layers.labels_layer import adopt, confirmed_in, history_of, is_managed, watch
from emseg_napari.widgets.layers.layer_info import KEY, LayerInfo, info_of, update_info


@pytest.fixture
def layer(qapp):
    return Labels(np.zeros((3, 8, 8), np.uint8))


def duplicate(layer):
    """As napari does it: pixels are copied, the values of metadata are shared."""
    data, state, kind = layer.as_layer_data_tuple()
    return Layer.create(deepcopy(data), state, kind)


@pytest.mark.parametrize("value", [True, {"confirmed": [0]}, "emseg", None])
def test_what_another_version_or_reader_stored_is_nothing_known(layer, value):
    layer.metadata |= {KEY: value, "emseg confirmed": {0}}
    assert info_of(layer).confirmed is None
    assert not is_managed(layer)
    adopt(layer)
    assert confirmed_in(layer) == set()


def test_other_metadata_of_a_layer_stay(layer):
    layer.metadata["acquired"] = "2026"
    update_info(layer, source="a.tif")
    assert layer.metadata["acquired"] == "2026"
    assert info_of(layer).source == "a.tif"


def test_a_duplicate_starts_with_what_was_known_and_then_goes_its_own_way(layer):
    adopt(layer)
    confirmed_in(layer).add(1)
    update_info(layer, proposal_of="image")
    copy = duplicate(layer)
    watch(copy)
    assert confirmed_in(copy) == {1}
    assert info_of(copy).proposal_of == "image"
    assert history_of(copy).layer == copy
    assert history_of(layer).layer == layer
    confirmed_in(copy).add(2)
    update_info(copy, proposal_of="another")
    assert confirmed_in(layer) == {1}
    assert info_of(layer).proposal_of == "image"


def test_what_is_known_is_only_changed_as_a_whole():
    with pytest.raises(AttributeError):
        LayerInfo().source = "a.tif"
