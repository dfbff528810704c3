"""What is asked when a window closes, and of whom."""

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QMainWindow, QWidget

from emseg_napari.widgets.base.closing import CloseQuestion
from helpers.window import answer_with

LOSS = "The disk is full. The last strokes are not on disk and would be lost."


@pytest.fixture
def window(qtbot):
    """A window with a step that would lose something, and an image."""
    window, step = QMainWindow(), QWidget()
    qtbot.addWidget(window)
    step.viewer = window.viewer = ViewerModel()
    window.viewer.add_image(np.zeros((4, 8, 8), np.uint8))
    window.setCentralWidget(step)
    window.question = CloseQuestion(step, lambda: LOSS)
    window.question.watch()
    window.show()
    return window


@pytest.mark.parametrize(("answer", "is_open"), [(None, True), ("Close", False)])
def test_who_closes_the_window_by_its_menu_is_asked(window, monkeypatch, answer, is_open):
    asked = answer_with(monkeypatch, answer)
    window.close()
    assert asked == [LOSS]
    assert window.isVisible() is is_open


def test_a_program_that_closes_the_viewer_is_asked_nothing_and_the_loss_is_logged(
    window, monkeypatch, caplog
):
    asked = answer_with(monkeypatch, None)
    window.viewer.layers.clear()  # as `napari.Viewer.close` does first
    window.close()
    assert asked == []
    assert not window.isVisible()
    assert LOSS in caplog.text
