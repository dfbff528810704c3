"""Labels that napari's own File > Open shows as an image are offered as labels."""

import numpy as np
import pytest
import tifffile
from napari.layers import Labels

from emseg_napari.widgets.base.labels_offer import LabelsOffer
from emseg_napari.widgets.layers.labels_layer import is_managed
from emseg_napari.widgets.layers.layer_info import info_of
from helpers.window import answer_with, settle, striped, wait_for


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    return make_napari_viewer_proxy(show=True)


@pytest.fixture
def offer(viewer, qtbot):
    offer = LabelsOffer(viewer)
    viewer.window.add_dock_widget(offer)
    return offer


def opened(viewer, tmp_path, name, stack):
    """A stack in a file, opened as napari opens it."""
    tifffile.imwrite(tmp_path / f"{name}.tif", stack)
    (layer,) = viewer.open(tmp_path / f"{name}.tif", plugin="napari")
    return layer


def until_offered(qtbot, offer):
    wait_for(qtbot, lambda: offer.isVisible())


@pytest.mark.parametrize("labels_first", [False, True])
def test_labels_beside_their_image_become_a_labels_layer_with_a_click(
    viewer, offer, qtbot, tmp_path, labels_first
):
    image, labels = striped()
    stacks = {"train-volume": image, "train-labels": np.where(labels == 1, 0, 255).astype(np.uint8)}
    names = sorted(stacks, reverse=not labels_first)
    layers = {name: opened(viewer, tmp_path, name, stacks[name]) for name in names}
    layers["train-volume"].scale = (50, 4, 4)
    until_offered(qtbot, offer)
    assert offer.sentence.text() == "train-labels has two values: use it as labels?"
    offer.use.click()
    settle(offer)
    chosen = offer.workspace.labels
    assert isinstance(chosen, Labels)
    assert is_managed(chosen)
    np.testing.assert_array_equal(chosen.data, labels)
    assert chosen.scale.tolist() == [50, 4, 4]
    assert offer.workspace.image == layers["train-volume"]
    assert info_of(chosen).made_over == layers["train-volume"].unique_id  # a session names that image
    assert not layers["train-labels"].visible
    assert offer.status.text() == "train-labels is used as labels now."
    assert not offer.isVisible()


def test_what_two_conventions_fit_is_asked(viewer, offer, qtbot, tmp_path, monkeypatch):
    image, labels = striped()
    opened(viewer, tmp_path, "cells", image)
    opened(viewer, tmp_path, "mask", (labels == 2).astype(np.uint8))
    until_offered(qtbot, offer)
    answer_with(monkeypatch, None)
    offer.use.click()
    settle(offer)
    assert "say which one it is" in offer.status.text()
    assert offer.workspace.labels is None
    asked = answer_with(monkeypatch, "binary")
    offer.use.click()
    settle(offer)
    assert len(asked) == 1
    np.testing.assert_array_equal(offer.workspace.labels.data, labels)


def test_the_offer_goes_with_its_layer(viewer, offer, qtbot):
    image, labels = striped()
    viewer.add_image(image, name="cells")
    layer = viewer.add_image(labels, name="labels of the cells")
    until_offered(qtbot, offer)
    viewer.layers.remove(layer)
    assert not offer.isVisible()
    assert offer.layer is None


def test_other_images_are_not_offered(viewer, offer, qtbot):
    image, labels = striped()
    viewer.add_image(image, name="cells")
    viewer.add_image(image // 2, name="another image")
    viewer.add_image(labels[:3], name="labels of another size")
    viewer.add_image(np.stack([image] * 3, -1), name="a colour image", rgb=True)
    wait_for(qtbot, lambda: not offer._workers)
    assert not offer.isVisible()
