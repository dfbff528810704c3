"""Hands and eyes for the tests of the window."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QMessageBox, QWidget

from emseg_napari.annotation.session.recovery import open_elsewhere
from helpers.timing import PATIENCE_S


def wait_for(qtbot: QtBot, condition: Callable[[], bool], seconds: float = PATIENCE_S) -> None:
    """Serve the window until a condition holds, which must not raise before."""
    qtbot.waitUntil(condition, timeout=int(1000 * seconds))


def end_jobs(qtbot: QtBot, *owners: Any) -> None:
    """End the jobs of steps or panels, so that none runs into the next test."""
    for owner in owners:
        owner.job.close()
    wait_for(qtbot, lambda: not any(owner.job.running for owner in owners))


def wait_until_left(qtbot: QtBot, session: Path) -> None:
    """Wait until a session whose layer was removed is written, and may be opened again."""
    wait_for(qtbot, lambda: not open_elsewhere(session))


def settle(*steps: Any) -> None:
    """Serve the window until no step says any more that it is doing something."""
    end = time.monotonic() + PATIENCE_S
    while any(step.status.text().endswith("...") for step in steps):
        assert time.monotonic() < end, "a step never ended what it does in the background"
        QTest.qWait(5)


def canvas_of(widget: QWidget) -> QWidget:
    """The canvas of the window that a widget lies in, drawn as it is now: else a click would go astray."""
    window = widget.window()
    assert QTest.qWaitForWindowExposed(window, int(1000 * PATIENCE_S))
    QTest.qWait(10)  # the layout follows what was said and shown
    canvas = next(w for w in window.findChildren(QWidget) if type(w).__name__ == "CanvasBackendDesktop")
    canvas.repaint()
    return canvas


def move(canvas: QWidget, point: QPoint, held: Qt.MouseButton = Qt.MouseButton.NoButton) -> None:
    """Move the mouse over the canvas. The pointer of the screen stays: another test process has it, too."""
    here, there = QPointF(point), QPointF(canvas.mapToGlobal(point))
    none, keys = Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier
    event = QMouseEvent(QEvent.Type.MouseMove, here, there, none, held, keys)  # type: ignore[arg-type]
    QApplication.sendEvent(canvas, event)


def drag(canvas: QWidget, start: QPoint, end: QPoint) -> None:
    """Draw with the left mouse button held."""
    move(canvas, start)
    QTest.qWait(30)
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=start)
    for i in range(1, 6):
        move(canvas, start + (end - start) * (i / 5), Qt.MouseButton.LeftButton)
        QTest.qWait(30)
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=end)
    QTest.qWait(30)


def middle(canvas: QWidget, dx: int = 0, dy: int = 0) -> QPoint:
    """The middle of the canvas, moved by some pixels."""
    return QPoint(canvas.width() // 2 + dx, canvas.height() // 2 + dy)


def striped(shape: tuple[int, int, int] = (6, 64, 64), period: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """A stack with dark walls every `period` pixels, and its labels (1 boundary, 2 interior)."""
    random = np.random.default_rng(0)
    wall = (np.arange(shape[2]) % period < 3) | (np.arange(shape[1])[:, None] % period < 3)
    image = np.where(wall, 60, 180)[None] + random.normal(0, 12, shape)
    labels = np.broadcast_to(np.where(wall, 1, 2), shape)
    return image.clip(0, 255).astype(np.uint8), labels.astype(np.uint8).copy()


def answer_with(monkeypatch: Any, starts: str | None) -> list[str]:
    """Answer message boxes with the button whose text starts so (None: Cancel); returns their texts."""
    asked: list[str] = []

    def press(box: QMessageBox) -> int:
        asked.append(box.text())
        for button in box.buttons():
            cancel = box.standardButton(button) == QMessageBox.StandardButton.Cancel
            if (starts is None and cancel) or (starts is not None and button.text().startswith(starts)):
                button.click()
        return 0

    for name in ("exec", "exec_"):
        if hasattr(QMessageBox, name):
            monkeypatch.setattr(QMessageBox, name, press)
    return asked


def at(dock: QWidget, y: float, x: float) -> QPoint:
    """The point of the canvas that shows a pixel of the slice in view."""
    canvas, camera = canvas_of(dock), dock.workspace.viewer.scene.camera  # type: ignore[attr-defined]
    return middle(
        canvas, round((x - camera.center[-1]) * camera.zoom), round((y - camera.center[-2]) * camera.zoom)
    )


def click(canvas: QWidget, point: QPoint) -> None:
    """Move there and press the left mouse button."""
    move(canvas, point)
    QTest.qWait(80)
    QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=point)
    QTest.qWait(30)


def entry(dock: Any, text: str) -> SimpleNamespace:
    """An entry of the dock's menu, which can be clicked like a button."""
    action = next(action for action in dock.header.menu.actions() if action.text() == text)
    return SimpleNamespace(click=action.trigger)


def noting(jobs: list[dict[str, Any]]) -> Callable[..., None]:
    """Stand for `EngineJob.start`: the job is prepared at once, its arguments are noted, and none begins."""

    def start(
        job: str, title: str, prepare: Callable[[], dict[str, Any]], begin: Callable[[], None] = lambda: None
    ) -> None:
        jobs.append(prepare())
        begin()

    return start
