"""The layers of a prediction that is being written: when they come, are read again, and go."""

from dataclasses import dataclass

import numpy as np
import pytest
from napari.components import ViewerModel

from emseg_napari.core.jobs import BlockDone, QuickLookReady
from emseg_napari.io.layout import Block, Layout
from emseg_napari.io.ome_zarr_writer import VolumeOutput
from emseg_napari.widgets.layers import streaming_layer
from emseg_napari.widgets.layers.layer_info import info_of
from emseg_napari.widgets.layers.quick_look_layer import QuickLookLayer
from emseg_napari.widgets.layers.streaming_layer import StreamingLayer
from helpers.window import wait_for

SHAPE = (4, 16, 16)


@dataclass
class Writing:
    viewer: ViewerModel
    image: object
    streaming: StreamingLayer
    output: VolumeOutput


@pytest.fixture
def writing(qapp, tmp_path):
    """A viewer with an image of which slice 1 is in view, and the output of its prediction."""
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros(SHAPE, np.uint8), name="cells", scale=(10, 2, 2))
    viewer.dims.set_point(0, 10)
    output = VolumeOutput.prepare(tmp_path / "out.zarr", Layout(SHAPE, "uint8", (1, 16, 16), None))
    return Writing(viewer, image, StreamingLayer(viewer, image, output.path, tmp_path / "run"), output)


def block(z, end=None):
    return BlockDone(Block((z, 0, 0), (slice(z, end or z + 1), slice(0, 16), slice(0, 16))))


def read_again(writing, monkeypatch):
    """How often the layer was read again."""
    times = []
    monkeypatch.setattr(writing.streaming.layer, "refresh", lambda: times.append(True))
    return times


def test_the_layer_comes_with_the_first_block_over_its_image(writing, tmp_path):
    assert writing.streaming.layer is None
    writing.streaming.show(block(3))
    layer = writing.viewer.layers["cells boundary probability"]
    assert (layer.data.shape, layer.scale.tolist(), layer.contrast_limits) == (SHAPE, [10, 2, 2], [0, 255])
    assert (layer.blending, layer.colormap.name) == ("translucent", "emseg proposal")
    info = info_of(layer)
    known = (info.proposal_of, info.run, info.output)
    assert known == (writing.image.unique_id, tmp_path / "run", writing.output.path)
    writing.streaming.show(block(2))
    assert len(writing.viewer.layers) == 2


def test_it_is_read_again_soon_and_once_where_blocks_of_the_slice_in_view_are_done(
    writing, monkeypatch, qtbot
):
    monkeypatch.setattr(streaming_layer, "_REFRESH_MS", 20)
    writing.streaming.show(block(3))
    times = read_again(writing, monkeypatch)
    for beside in (block(0), block(2), block(2, 4)):
        writing.streaming.show(beside)
    qtbot.wait(60)
    assert times == []
    for _ in range(3):
        writing.streaming.show(block(1))
    wait_for(qtbot, lambda: times == [True])
    writing.streaming.show(block(0, 2))
    wait_for(qtbot, lambda: times == [True] * 2)


def test_a_layer_that_was_removed_is_not_read(writing, monkeypatch, qtbot):
    monkeypatch.setattr(streaming_layer, "_REFRESH_MS", 20)
    writing.streaming.show(block(1))
    qtbot.wait(60)
    times = read_again(writing, monkeypatch)
    writing.streaming.show(block(1))
    writing.viewer.layers.remove(writing.streaming.layer)
    qtbot.wait(60)
    assert times == []


def test_very_large_slices_are_shown_when_all_is_done(writing, monkeypatch):
    monkeypatch.setattr(streaming_layer, "_MOST_PX", 16 * 16 - 1)
    writing.streaming.show(block(1))
    assert writing.streaming.layer is None
    layer = writing.streaming.complete()
    assert layer.visible
    assert [one.name for one in writing.viewer.layers] == ["cells", "cells boundary probability"]


def test_the_complete_layer_replaces_the_first_and_is_as_visible_as_it_was(writing):
    writing.streaming.show(block(1))
    first = writing.streaming.layer
    first.visible = False
    layer = writing.streaming.complete()
    assert first not in writing.viewer.layers
    assert not layer.visible
    assert len(writing.viewer.layers) == 2


def test_the_layer_of_an_interrupted_prediction_is_used_again(writing, tmp_path):
    writing.streaming.show(block(1))
    again = StreamingLayer(writing.viewer, writing.image, writing.output.path, tmp_path / "run")
    assert again.layer == writing.streaming.layer
    other = StreamingLayer(writing.viewer, writing.image, tmp_path / "other.zarr", tmp_path / "run")
    assert other.layer is None


def test_a_first_look_goes_block_by_block_of_its_slice(writing):
    look = QuickLookLayer(writing.viewer)
    look.place_over(writing.image)
    window = slice(0, 8), slice(0, 16)
    look.show(QuickLookReady(1, window, np.full((8, 16), 0.5, np.float32)))
    layer = writing.viewer.layers["first look"]
    assert (layer.data.shape, layer.translate.tolist()) == ((1, 16, 16), [10, 0, 0])
    assert (np.unique(layer.data[0, :8]).tolist(), layer.data[0, 8:].max()) == ([128], 0)
    assert info_of(layer).is_aid
    assert (layer.blending, layer.colormap.name) == ("translucent", "emseg proposal")
    for beside in (Block((0, 0, 0), (slice(0, 1), *window)), Block((2, 0, 0), (slice(2, 4), *window))):
        look.clear(beside)
        assert layer.data.any()
    look.clear(Block((0, 0, 0), (slice(0, 2), slice(0, 4), slice(0, 16))))
    assert not layer.data[0, :4].any()
    assert layer.data[0, 4:8].all()
    look.hide()
    assert not layer.visible
    look.show(QuickLookReady(2, window, np.full((8, 16), 0.25, np.float32)))
    assert writing.viewer.layers["first look"] == layer  # used again, and empty where nothing was drawn
    assert (layer.visible, layer.translate.tolist()) == (True, [20, 0, 0])
    assert (np.unique(layer.data[0, :8]).tolist(), layer.data[0, 8:].max()) == ([64], 0)
    look.hide()
