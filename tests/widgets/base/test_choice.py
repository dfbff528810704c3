"""Lists of the dock: an entry that has no room is marked, and whole in the tooltip."""

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPoint
from qtpy.QtGui import QHelpEvent
from qtpy.QtWidgets import QApplication, QComboBox, QToolTip

from emseg_napari.widgets.base.choice import Choice

LONG = "ISBI 2012 boundary probability of the second run, with a name that nobody has room for"


@pytest.fixture
def choice(qtbot):
    choice = Choice()
    qtbot.addWidget(choice)
    choice.addItems(["cells", LONG])
    choice.setToolTip("What is divided.")
    choice.resize(200, 30)
    choice.show()
    return choice


def tooltip(choice):
    where = choice.rect().center()
    QApplication.sendEvent(choice, QHelpEvent(QEvent.Type.ToolTip, where, choice.mapToGlobal(QPoint(5, 5))))
    return QToolTip.text()


def test_a_name_that_has_no_room_ends_with_dots_and_is_whole_in_the_tooltip(choice):
    assert choice.shown_text() == "cells"
    assert tooltip(choice) == "What is divided."
    choice.setCurrentIndex(1)
    assert choice.shown_text().endswith("\u2026")
    assert LONG.startswith(choice.shown_text()[:-1])
    assert tooltip(choice) == f"{LONG}\n\nWhat is divided."
    choice.resize(2000, 30)
    assert choice.shown_text() == LONG
    assert tooltip(choice) == "What is divided."


def test_a_tooltip_that_begins_with_the_name_does_not_repeat_it(choice):
    choice.setCurrentIndex(1)
    choice.setToolTip(f"{LONG}\nTrained today.")
    assert tooltip(choice) == f"{LONG}\nTrained today."


def test_each_entry_of_an_open_list_has_its_name_as_tooltip(choice):
    choice.showPopup()
    assert choice.itemData(1, 3) == LONG
    choice.hidePopup()


def test_every_list_of_the_dock_has_room_for_its_entries_or_marks_what_is_cut(dock):
    dock.workspace.viewer.add_image(np.zeros((2, 8, 8), np.uint8), name=LONG)
    assert dock.header.image.shown_text().endswith("\u2026")
    narrow = QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
    lists = dock.findChildren(QComboBox)
    assert [one for one in lists if not isinstance(one, Choice) and one.sizeAdjustPolicy() == narrow] == []
