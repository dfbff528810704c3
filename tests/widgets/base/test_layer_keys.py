"""Keys of labels layers: who has them, and until when."""

import gc
import weakref

import numpy as np
import pytest
from napari.layers import Labels
from napari.utils.key_bindings import coerce_keybinding
from qtpy.QtCore import QObject

from emseg_napari.widgets.base.layer_keys import LayerKeys


class Owner(QObject):
    def __init__(self, name, pressed):
        super().__init__()
        self.name, self.pressed = name, pressed

    def act(self, layer):
        self.pressed.append(self.name)


@pytest.fixture
def pressed():
    """Whose action was done."""
    return []


@pytest.fixture
def layer():
    return Labels(np.zeros((2, 8, 8), np.uint8))


def press(layer):
    action = layer.keymap.get(coerce_keybinding("Escape"))
    if action is not None:
        action(layer)


def destroy(owner, qtbot):
    with qtbot.waitSignal(owner.destroyed):
        owner.deleteLater()


def test_a_layer_has_its_keys_of_napari_again_once_it_is_not_followed(layer, pressed, qapp):
    owner = Owner("mine", pressed)
    keys = LayerKeys(owner, {"Escape": owner.act})
    keys.follow([layer])
    press(layer)
    keys.follow([])
    press(layer)
    assert pressed == ["mine"]
    assert layer.keymap == {}


def test_a_layer_has_its_keys_of_napari_again_once_the_owner_is_destroyed(layer, pressed, qtbot):
    owner = Owner("mine", pressed)
    LayerKeys(owner, {"Escape": owner.act}).follow([layer])
    destroy(owner, qtbot)
    press(layer)
    assert pressed == []
    assert layer.keymap == {}


def test_an_owner_that_goes_takes_no_key_of_another_along(layer, pressed, qtbot):
    owners = [Owner(name, pressed) for name in ("first", "second")]
    for owner in owners:
        LayerKeys(owner, {"Escape": owner.act}).follow([layer])
    destroy(owners[0], qtbot)
    press(layer)
    assert pressed == ["second"]


def test_a_key_keeps_no_owner_alive(layer, pressed, qapp):
    owner = Owner("mine", pressed)
    LayerKeys(owner, {"Escape": owner.act}).follow([layer])
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None
    press(layer)
    assert pressed == []
