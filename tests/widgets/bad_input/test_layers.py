"""Layers that people give to a step. Every mistake is a sentence, and nothing is lost."""

import dask.array as da
import numpy as np
import pytest
from napari.layers._layer_actions import _duplicate_layer
from napari.layers.labels._labels_key_bindings import new_label

from emseg_napari.widgets.layers.labels_layer import confirmed_in, is_managed
from helpers.mistakes import IMAGE, LABELS, altered, assert_complaint, assert_kept, noise, state
from helpers.window import entry, settle


@pytest.mark.slow
def test_training_refuses_images_and_labels_that_teach_nothing(dock, started):
    viewer = dock.workspace.viewer
    cases = {
        "colour": (noise(6, 40, 50, 3), LABELS, ("cells is a colour image", "convert it")),
        "four axes": (noise(2, 6, 40, 50), LABELS, ("cells has 4 axes", "split")),
        "constant": (np.full_like(IMAGE, 9), LABELS, ("cells", "same value (9)", "choose another")),
        "NaN": (altered(IMAGE, np.nan), LABELS, ("cells", "NaN", "the first in slice 3")),
        "infinite": (altered(IMAGE, np.inf), LABELS, ("cells", "infinity", "the first in slice 3")),
        "shapes": (IMAGE, LABELS[:, :30], ("mine (6 x 30 x 50)", "cells (6 x 40 x 50)", "choose labels")),
        "2D image": (IMAGE[0], LABELS, ("mine (6 x 40 x 50)", "cells (1 x 40 x 50)", "choose labels")),
        "2D labels": (IMAGE, LABELS[0], ("mine (1 x 40 x 50)", "cells (6 x 40 x 50)", "choose labels")),
        "interior only": (IMAGE, np.full_like(LABELS, 2), ("mine has no boundary", "label some boundary")),
        "no labels": (IMAGE, np.zeros_like(LABELS), ("mine has no labels", "label some")),
        "values": (IMAGE, altered(LABELS, 7), ("mine holds values", "(7)", "allowed are")),
    }
    for name, (image, labels, parts) in cases.items():
        viewer.layers.clear()
        viewer.add_image(image, name="cells", rgb=name == "colour")
        viewer.add_labels(labels, name="mine")
        before = state(viewer)
        dock.train.train.click()
        assert_complaint(dock.train, *parts)
        assert_kept(viewer, before)
    assert not started
    viewer.layers.clear()
    viewer.add_image(IMAGE, name="cells")
    viewer.add_labels(LABELS, name="mine")
    dock.train.train.click()
    assert len(started) == 1


def test_pixels_that_are_not_used_may_hold_anything_and_used_ones_are_named_rightly(loaded, started):
    image, labels = loaded.workspace.image, loaded.workspace.labels
    image.data = altered(IMAGE, np.nan)
    labels.data[:2] = 0
    loaded.train.train.click()
    assert_complaint(loaded.train, "cells", "the first in slice 3")
    loaded.train.form.widgets["slices"].value = "4:6"
    loaded.train.train.click()
    assert len(started) == 1


@pytest.mark.parametrize("shape", [(6, 40, 50), (1, 6, 40, 50)])
def test_labels_that_are_not_in_memory_are_corrected_in_a_copy(dock, started, shape):
    viewer = dock.workspace.viewer
    viewer.add_image(IMAGE, name="cells")
    lazy = viewer.add_labels(da.from_array(LABELS.reshape(shape)), name="lazy")
    dock.train.train.click()
    np.testing.assert_array_equal(started[0]["labels"], LABELS)
    dock.correct.tools[0].click()
    settle(dock.correct)
    copy = dock.workspace.labels
    assert isinstance(copy.data, np.ndarray)
    assert is_managed(copy)
    np.testing.assert_array_equal(copy.data, LABELS)
    copy.data[:] = 0
    assert not is_managed(lazy)
    np.testing.assert_array_equal(np.asarray(lazy.data).reshape(LABELS.shape), LABELS)


@pytest.mark.slow
def test_a_brush_has_no_label_that_means_nothing(loaded):
    """Key M of napari chooses the next free number; beside proposals that is 5."""
    layer = loaded.workspace.labels
    layer.data[3] += 2
    new_label(layer)
    assert layer.selected_label == 1


def test_a_label_of_another_number_spoils_no_file(loaded, started, choose, tmp_path):
    layer = loaded.workspace.labels
    layer.data[0, 5, 5] = 5
    confirmed_in(layer).add(0)
    before = state(loaded.workspace.viewer)
    choose(tmp_path / "out.emseg")
    for step, button in (
        (loaded.train, loaded.train.train),
        (loaded.export, loaded.export.export),
        (loaded.load, entry(loaded, "Save session...")),
    ):
        button.click()
        assert_complaint(step, "truth holds 5", "correct the values")
    assert not started
    assert not list(tmp_path.rglob("*out*"))
    assert_kept(loaded.workspace.viewer, before)


def test_a_duplicate_of_a_layer_has_confirmations_of_its_own(loaded):
    viewer, layer = loaded.workspace.viewer, loaded.workspace.labels
    viewer.layers.selection = {layer}
    _duplicate_layer(viewer.layers)
    confirmed_in(viewer.layers["truth copy"]).add(1)
    assert confirmed_in(layer) == set()
