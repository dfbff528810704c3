"""A chooser of layers follows the layer list, keeps the user's choice, and says so when another is chosen."""

from types import SimpleNamespace

import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QObject, Signal

from emseg_napari.widgets.base.layer_picker import LayerPicker, PredictionPicker, TruthPicker
from emseg_napari.widgets.base.workspace import Workspace
from emseg_napari.widgets.layers.labels_layer import add_labels
from emseg_napari.widgets.layers.layer_info import LayerInfo, update_info
from helpers.window import striped

IMAGE, LABELS = striped((2, 16, 16))


class Signals(QObject):
    layers_changed = Signal()
    changed = Signal()
    image = None


@pytest.fixture
def picker(qtbot):
    """A picker of which layers named "likely" are the best; `layers` is the list, `told` what was picked."""
    workspace, layers, told = Signals(), [], []
    picker = LayerPicker(workspace, lambda: layers, lambda layer: layer.name == "likely", "choose one")
    qtbot.addWidget(picker)
    picker.picked.connect(lambda: told.append(picker.layer))
    picker.workspace, picker.layers, picker.told = workspace, layers, told
    return picker


def shown(picker):
    return [picker.itemText(n) for n in range(picker.count())], picker.currentText()


def test_a_likely_layer_is_chosen_unasked_and_told_once(picker):
    other, likely = SimpleNamespace(name="other"), SimpleNamespace(name="likely")
    picker.layers.append(other)
    picker.workspace.layers_changed.emit()
    assert (picker.layer, picker.told) == (None, [])
    assert shown(picker) == (["choose one", "other"], "choose one")
    picker.layers.append(likely)
    picker.workspace.layers_changed.emit()
    picker.workspace.changed.emit()
    assert picker.told == [likely]
    assert shown(picker) == (["other", "likely"], "likely")


def test_the_users_choice_stays_while_its_layer_does(picker):
    other, likely = SimpleNamespace(name="other"), SimpleNamespace(name="likely")
    picker.layers += [other, likely]
    picker.workspace.changed.emit()
    picker.activated.emit(0)  # the user clicks the entry
    picker.choose(other)
    picker.workspace.changed.emit()
    assert (picker.layer, picker.told) == (other, [likely, other])
    picker.layers.remove(other)
    picker.workspace.layers_changed.emit()
    assert (picker.layer, picker.told) == (likely, [likely, other, likely])
    picker.layers.append(other)
    picker.workspace.layers_changed.emit()
    picker.choose(other)
    picker.workspace.image = "another stack"
    picker.workspace.changed.emit()
    assert picker.layer == likely
    picker.layers.clear()
    picker.workspace.layers_changed.emit()
    assert (picker.layer, picker.told[-1]) == (None, None)
    assert shown(picker) == (["choose one"], "choose one")


def test_names_are_the_present_ones_when_the_list_opens(picker):
    layer = SimpleNamespace(name="likely")
    picker.layers.append(layer)
    picker.workspace.changed.emit()
    layer.name = "renamed"
    picker.showPopup()
    picker.hidePopup()
    assert picker.itemText(picker.count() - 1) == "renamed"


# -- predictions and true labels ----------------------------------------------------------------


@pytest.fixture
def workspace(qapp):
    return Workspace(ViewerModel())


def offered(picker):
    return [picker.itemText(n) for n in range(picker.count())]


def test_predictions_of_the_chosen_image_come_first(workspace, qtbot):
    viewer = workspace.viewer
    image, other = (viewer.add_image(IMAGE, name=name) for name in ("cells", "other"))
    for name, of in (("of other", other), ("probability", image)):
        viewer.add_image(IMAGE / 255, name=name, metadata=LayerInfo(proposal_of=of.unique_id).as_metadata())
    truth, second = (add_labels(viewer, LABELS.copy(), name) for name in ("truth", "second"))
    update_info(add_labels(viewer, LABELS.copy(), "proposal", image), proposal_of=image.unique_id)
    picker = PredictionPicker(workspace)
    qtbot.addWidget(picker)
    assert workspace.labels == truth
    assert offered(picker) == ["probability", "proposal", "of other", "second", "truth", "other", "cells"]
    assert picker.layer.name == "probability"
    workspace.choose("image", other)
    assert offered(picker)[:3] == ["of other", "probability", "proposal"]
    assert second in viewer.layers


def test_labels_of_a_person_are_true_rather_than_proposals_and_never_the_prediction(workspace, qtbot):
    viewer = workspace.viewer
    image = viewer.add_image(IMAGE, name="cells")
    update_info(add_labels(viewer, LABELS.copy(), "proposal", image), proposal_of=image.unique_id)
    add_labels(viewer, LABELS.copy(), "second")
    add_labels(viewer, LABELS.copy(), "truth")
    workspace.choose("labels", viewer.layers["truth"])
    prediction = PredictionPicker(workspace)
    truth = TruthPicker(workspace, prediction)
    for picker in (prediction, truth):
        qtbot.addWidget(picker)
    assert offered(truth) == ["truth", "second", "proposal"]
    assert (prediction.layer.name, truth.layer.name) == ("proposal", "truth")
    prediction.choose(viewer.layers["truth"])
    assert truth.layer.name == "second"


def test_cells_that_were_found_are_no_truth_unasked(workspace, qtbot):
    viewer = workspace.viewer
    image = viewer.add_image(IMAGE, name="image")
    update_info(add_labels(viewer, LABELS.copy(), "proposal", image), proposal_of=image.unique_id)
    cells = viewer.add_labels(LABELS.copy(), name="found", metadata=LayerInfo(is_cells=True).as_metadata())
    truth = TruthPicker(workspace, PredictionPicker(workspace))
    qtbot.addWidget(truth)
    assert truth.layer is None
    truth.choose(cells)
    assert truth.layer == cells
