"""Labels that napari's own File > Open shows as an image are offered as labels."""

import numpy as np
import pytest
import tifffile
from napari.layers import Labels

from emseg_napari.widgets.base import labels_offer
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


@pytest.fixture
def offered(viewer, offer, qtbot):
    """The offer to use an image layer as labels of another one."""
    image, labels = striped()
    viewer.add_image(image, name="cells")
    viewer.add_image(labels, name="labels of the cells")
    until_offered(qtbot, offer)
    return offer


def test_the_offer_of_a_layer_can_be_refused_for_good(viewer, offered, qtbot):
    refused = viewer.layers["labels of the cells"]
    offered.refuse.click()
    assert not offered.isVisible()
    assert refused.visible
    assert offered.workspace.labels is None
    other = viewer.add_image(refused.data, name="other labels")
    until_offered(qtbot, offered)
    assert offered.layer == other


def test_labels_are_offered_again_once_the_layer_that_was_made_of_them_is_removed(viewer, offered, qtbot):
    offered.use.click()
    settle(offered)
    assert not offered.isVisible()
    viewer.layers.remove(offered.workspace.labels)
    assert offered.isVisible()
    assert offered.layer.name == "labels of the cells"


def test_labels_whose_image_is_removed_while_they_are_read_are_not_used(viewer, offered, qtbot):
    offered.use.click()
    viewer.layers.remove("cells")
    settle(offered)
    assert offered.is_wrong
    assert "The image to which labels of the cells belongs was removed" in offered.status.text()
    assert [layer.name for layer in viewer.layers] == ["labels of the cells"]
    assert viewer.layers[0].visible


def test_a_layer_that_cannot_be_read_is_not_offered_and_nothing_is_said(viewer, offer, qtbot, monkeypatch):
    def broken(layer):
        raise OSError("the disk was unplugged")

    monkeypatch.setattr(labels_offer, "volume_of_layer", broken)
    image, labels = striped()
    viewer.add_image(image, name="cells")
    viewer.add_image(labels, name="labels of the cells")
    wait_for(qtbot, lambda: not offer._workers)
    assert not offer.isVisible()
    assert offer.status.text() == ""


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
