"""What is done once a Qt object is destroyed, by whoever destroys it."""

import gc
from weakref import ref

import pytest
from napari.utils.events import EventEmitter
from qtpy.QtWidgets import QWidget

from emseg_napari.widgets.layers.destruction import connect_while, when_destroyed


class Owner(QWidget):
    def __init__(self, parent=None):
        super().__init__(parent)
        self.heard = []

    def follow(self, event):
        self.heard.append(event)


class Proxy:
    """A passing proxy of an event, as napari gives it to plugins."""

    def __init__(self, event):
        self.__wrapped__ = event

    def connect(self, callback):
        self.__wrapped__.connect(callback)


def leave_to_collector(owner):
    """Leave a widget to Python's collector, as a child of a younger widget: as the steps in the dock."""
    parent = QWidget()
    parent.itself = parent
    owner.setParent(parent)


def test_it_is_done_though_the_owner_is_left_to_pythons_collector(qapp):
    done = []
    owner = Owner()
    when_destroyed(owner, lambda: done.append("once"))
    leave_to_collector(owner)
    assert not done
    del owner
    gc.collect()
    assert done == ["once"]


@pytest.mark.parametrize("seen_as", [lambda event: event, Proxy])
def test_an_event_is_followed_until_the_owner_is_destroyed(qtbot, seen_as):
    event, owner = EventEmitter(type_name="moved"), Owner()
    connect_while(owner, seen_as(event), owner.follow)
    event()
    assert len(owner.heard) == 1
    with qtbot.waitSignal(owner.destroyed):
        owner.deleteLater()
    event()
    assert len(owner.heard) == 1
    assert not event.callbacks


def test_neither_owner_nor_event_is_kept(qapp):
    event, owner = EventEmitter(type_name="moved"), Owner()
    gone = [ref(event), ref(owner)]
    connect_while(owner, event, owner.follow)
    del event
    gc.collect()
    assert gone[0]() is None
    leave_to_collector(owner)
    del owner
    gc.collect()
    assert gone[1]() is None


def test_a_function_that_napari_would_keep_is_refused(qapp):
    with pytest.raises(TypeError):
        connect_while(Owner(), EventEmitter(type_name="moved"), lambda: None)
