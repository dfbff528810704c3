"""The preview of a training and its movie, without a window."""

import imageio.v3 as imageio
import numpy as np
import pytest
from napari.components import ViewerModel

from emseg_napari.core.jobs import PreviewReady, UserError
from emseg_napari.core.labels import PROPOSED_BOUNDARY
from emseg_napari.widgets.layers.label_colours import label_colours
from emseg_napari.widgets.layers.layer_info import info_of
from emseg_napari.widgets.train.training_preview import TrainingPreview

PREVIEW, MOVIE = "training preview (boundary probability)", "training movie (epochs)"


@pytest.fixture
def viewer():
    viewer = ViewerModel()
    viewer.add_image(np.zeros((4, 8, 10)), name="cells", scale=(10, 2, 2), units=("nm",) * 3)
    return viewer


def show(viewer, preview, epoch, value, z=1, keep=True):
    event = PreviewReady(epoch, z, np.full((8, 10), value, np.float32))
    preview.show(event, viewer.layers["cells"], keep)


def test_a_proposal_is_an_aid_over_its_slice_and_what_was_selected_stays_so(viewer):
    viewer.layers.selection.active = viewer.layers["cells"]
    preview = TrainingPreview(viewer)
    show(viewer, preview, 1, 0.25, z=2, keep=False)
    layer = viewer.layers[PREVIEW]
    assert layer.data.shape == (1, 8, 10)
    assert layer.translate.tolist() == [20, 0, 0]
    assert info_of(layer).is_aid
    assert layer.contrast_limits == [0, 1]
    assert (layer.blending, layer.colormap.name) == ("translucent", "emseg proposal")
    clear, boundary = layer.colormap.map([0.0, 1.0])
    assert clear[3] == 0
    assert boundary.tolist() == pytest.approx(label_colours().color_dict[PROPOSED_BOUNDARY])
    assert viewer.layers.selection.active == viewer.layers["cells"]
    show(viewer, preview, 1, 0.5, z=3, keep=False)
    assert viewer.layers[PREVIEW] == layer
    assert layer.translate.tolist() == [30, 0, 0]
    assert preview.frames == []


def test_a_movie_begins_with_the_second_epoch_hidden_and_grows(viewer):
    preview = TrainingPreview(viewer)
    show(viewer, preview, 1, 0.25)
    assert MOVIE not in viewer.layers
    show(viewer, preview, 2, 0.5)
    movie = viewer.layers[MOVIE]
    assert not movie.visible
    assert viewer.layers[PREVIEW].visible
    assert movie.translate.tolist() == [0, 10, 0, 0]
    assert [str(unit) for unit in movie.units] == ["pixel", "nanometer", "nanometer", "nanometer"]
    for value in (0.7, 0.8):  # an epoch may have several previews: the last one is its frame
        show(viewer, preview, 3, value)
    assert viewer.layers[MOVIE] == movie
    np.testing.assert_allclose(movie.data[:, 0, 0, 0], [0.25, 0.5, 0.8])
    assert movie.data.shape == (3, 1, 8, 10)
    assert tuple(viewer.dims.range[0]) == (0, 2, 1)


def test_the_next_training_has_a_movie_of_its_own(viewer):
    preview = TrainingPreview(viewer)
    for epoch in (1, 2):
        show(viewer, preview, epoch, 0.25)
    preview.reset()
    assert preview.frames == []
    for epoch in (2, 3):
        show(viewer, preview, epoch, 0.5)
    movies = [layer for layer in viewer.layers if layer.name.startswith(MOVIE)]
    assert [float(movie.data.max()) for movie in movies] == [0.25, 0.5]
    viewer.layers.remove(movies[1])
    show(viewer, preview, 4, 0.75)
    assert MOVIE in {layer.name.partition(" [")[0] for layer in viewer.layers}


def test_the_layer_is_hidden_and_used_again_unless_it_was_removed(viewer):
    preview = TrainingPreview(viewer)
    preview.hide()  # nothing was shown
    show(viewer, preview, 1, 0.25)
    layer = viewer.layers[PREVIEW]
    preview.hide()
    assert not layer.visible
    show(viewer, preview, 1, 0.5)
    assert viewer.layers[PREVIEW] == layer
    assert layer.visible
    layer.visible = False  # by the user, who does not want to see it
    show(viewer, preview, 1, 0.75)
    assert not layer.visible
    viewer.layers.remove(layer)
    preview.hide()
    show(viewer, preview, 1, 0.25)
    assert viewer.layers[PREVIEW].visible


def test_what_the_user_has_hidden_stays_hidden_until_the_next_training(viewer):
    preview = TrainingPreview(viewer)
    show(viewer, preview, 1, 0.25)
    layer = viewer.layers[PREVIEW]
    layer.visible = False
    preview.hide()  # the dock is put away
    show(viewer, preview, 1, 0.5)
    assert not layer.visible
    preview.reset()
    show(viewer, preview, 1, 0.75)
    assert layer.visible


def test_while_nothing_is_to_be_seen_only_the_movie_grows(viewer):
    preview = TrainingPreview(viewer)
    for epoch in (1, 2):
        event = PreviewReady(epoch, 1, np.zeros((8, 10), np.float32))
        preview.show(event, viewer.layers["cells"], keep=True, is_seen=False)
    assert PREVIEW not in viewer.layers
    assert len(preview.frames) == 2


@pytest.fixture
def labels(viewer):
    return viewer.add_labels(np.zeros((4, 8, 10), np.uint8), name="mine")


@pytest.mark.parametrize("tool", ["paint", "erase", "fill", "polygon"])
def test_while_a_tool_is_in_hand_nothing_covers_what_is_painted_and_then_the_latest_is_seen(
    viewer, labels, tool
):
    preview = TrainingPreview(viewer)
    show(viewer, preview, 1, 0.25)
    layer = viewer.layers[PREVIEW]
    labels.mode, labels.brush_size = tool, 7
    assert not layer.visible
    show(viewer, preview, 2, 0.5)
    assert (layer.visible, layer.data.max()) == (False, 0.25)
    assert (viewer.layers.selection.active, labels.mode, labels.brush_size) == (labels, tool, 7)
    labels.mode = "pan_zoom"
    assert (layer.visible, layer.data.max()) == (True, 0.5)
    assert len(preview.frames) == 2


def test_a_repair_tool_counts_as_in_hand_and_a_brush_of_a_layer_that_is_not_selected_does_not(viewer, labels):
    preview = TrainingPreview(viewer)
    labels.mouse_pan = False  # as the repairs take the mouse
    show(viewer, preview, 1, 0.25)
    assert PREVIEW not in viewer.layers
    labels.mouse_pan = True
    assert viewer.layers[PREVIEW].visible
    labels.mode = "paint"
    assert not viewer.layers[PREVIEW].visible
    viewer.layers.selection.active = viewer.layers["cells"]
    assert viewer.layers[PREVIEW].visible
    viewer.layers.selection.active = labels
    assert not viewer.layers[PREVIEW].visible


def test_after_the_training_no_tool_that_is_put_away_brings_the_preview_back(viewer, labels):
    preview = TrainingPreview(viewer)
    show(viewer, preview, 1, 0.25)
    labels.mode = "paint"
    preview.hide()
    labels.mode = "pan_zoom"
    assert not viewer.layers[PREVIEW].visible


def test_what_the_user_has_hidden_no_tool_brings_back(viewer, labels):
    preview = TrainingPreview(viewer)
    show(viewer, preview, 1, 0.25)
    viewer.layers[PREVIEW].visible = False
    for mode in ("paint", "pan_zoom"):
        labels.mode = mode
    assert not viewer.layers[PREVIEW].visible


def test_the_layer_that_is_selected_stays_so(viewer, labels):
    preview = TrainingPreview(viewer)
    for value in (0.25, 0.5):
        show(viewer, preview, 1, value)
        assert viewer.layers.selection.active == labels


def test_a_movie_is_written_in_grey_levels_that_repeats(viewer, tmp_path):
    preview = TrainingPreview(viewer)
    with pytest.raises(
        UserError, match="There is no movie yet; tick 'Keep a movie of the epochs' under More and train first"
    ):
        preview.export_gif(tmp_path / "movie.gif")
    for epoch, value in ((1, -0.5), (2, 0.6), (3, 1.5)):
        show(viewer, preview, epoch, value)
    preview.export_gif(tmp_path / "movie.gif")
    frames = imageio.imread(tmp_path / "movie.gif", index=None)
    assert [int(frame.reshape(80, -1)[0, 0]) for frame in frames] == [0, 153, 255]
    about = imageio.immeta(tmp_path / "movie.gif", index=0)
    assert (about["duration"], about["loop"]) == (250, 0)
