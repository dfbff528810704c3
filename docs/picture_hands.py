"""Hands for the pictures: keys and strokes over the canvas, and slices as a user leaves them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from picture_camera import Camera, Point
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from emseg_napari.widgets.demo import wait_until
from helpers.window import at, canvas_of, move

LEFT = Qt.MouseButton.LeftButton


def press(camera: Camera, key: Any) -> None:
    """Press a key over the canvas."""
    QTest.keyClick(canvas_of(camera.dock), key)
    QTest.qWait(50)


def stroke(camera: Camera, points: Sequence[Point], release: bool = True) -> QPoint:
    """Draw with the left button held along (y, x) of the slice in view; return where it ended."""
    canvas = canvas_of(camera.dock)
    where = [at(camera.dock, *point) for point in points]
    move(canvas, where[0])
    QTest.qWait(30)
    QTest.mousePress(canvas, LEFT, pos=where[0])
    for start, end in pairwise(where):
        for i in range(1, 6):
            move(canvas, start + (end - start) * (i / 5), LEFT)
            QTest.qWait(20)
    if release:
        QTest.mouseRelease(canvas, LEFT, pos=where[-1])
    QTest.qWait(100)
    return where[-1]


def propose_all(camera: Camera) -> None:
    """Open the phantom and let the starter propose all of it."""
    dock = camera.dock
    dock.load.open_sample()
    dock.predict.whole_stack.click()
    wait_for_job(dock.predict, "Proposing")
    dock.show_step(dock.correct)


def confirm_corrected(camera: Camera, *slices: int) -> None:
    """Confirm slices whose true labels stand for corrected ones."""
    layer, truth = camera.dock.workspace.labels, camera.viewer.layers["phantom truth"].data
    for z in slices:
        layer.data[z] = truth[z]
        camera.viewer.dims.set_point(0, z)
        QTest.qWait(100)
        camera.dock.correct.confirm.click()


def wait_for_job(step: Any, what: str) -> None:
    """Serve the window until a job has ended and is shown."""
    wait_until(lambda: not step.job.running, 600, what)
    QTest.qWait(500)
