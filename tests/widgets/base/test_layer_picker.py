"""A chooser of layers follows the layer list, keeps the user's choice, and says so when another is chosen."""

from types import SimpleNamespace

import pytest
from qtpy.QtCore import QObject, Signal

from emseg_napari.widgets.base.layer_picker import LayerPicker


class Signals(QObject):
    layers_changed = Signal()
    changed = Signal()


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
