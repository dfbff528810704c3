"""The pages of a first sitting, the queue, and live learning."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from picture_camera import Camera, Panel, Point
from picture_hands import confirm_corrected, press, propose_all, stroke, wait_for_job
from picture_repairs import PALE_MEMBRANE
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from emseg_napari.widgets.demo import wait_until
from helpers.window import at, canvas_of, click, move

LEARNED_STEPS = 330
# Of slice 10.
FOLD = [
    (91, 10),
    (97, 34),
    (104, 56),
    (112, 78),
    (120, 100),
    (134, 120),
    (146, 140),
    (160, 162),
    (172, 180),
    (186, 204),
]
MEMBRANES = [
    [(108, 90), (90, 85), (60, 83)],
    [(175, 105), (178, 112), (174, 125)],
    [(218, 40), (224, 60), (216, 90)],
]


def pages(camera: Camera) -> None:
    """The pages of the window in a first sitting."""
    dock = camera.dock
    camera.page("start")
    dock.load.open_sample()
    QTest.qWait(1000)  # the view is fitted to it
    camera.look_at(14, (162, 100), 3)
    camera.page("sample")
    dock.predict.this_slice.click()
    wait_for_job(dock.predict, "Proposing")
    camera.page("proposed")
    _wait_for_places(camera)
    _correct_slice_14(camera)
    camera.page("corrected")
    press(camera, "c")
    camera.page("confirmed")
    dock.predict.whole_stack.click()
    wait_for_job(dock.predict, "Proposing")
    confirm_corrected(camera, 3, 8, 11)
    camera.viewer.dims.set_point(0, 5)
    _train(camera)
    dock.show_step(dock.evaluate)
    dock.evaluate.truth.choose(camera.viewer.layers["phantom truth"])
    dock.evaluate.evaluate.click()
    wait_for_job(dock.evaluate, "Evaluating")
    camera.page("check", dock.evaluate)
    dock.show_step(dock.cells)
    dock.cells.find.click()
    wait_for_job(dock.cells, "Finding cells")
    camera.page("cells", dock.cells)


def _correct_slice_14(camera: Camera) -> None:
    dock, canvas = camera.dock, canvas_of(camera.dock)
    press(camera, "d")
    for false_membrane in ((68, 52), (269, 36)):
        click(canvas, at(dock, *false_membrane))
    dock.correct.tools[0].click()
    stroke(camera, PALE_MEMBRANE)
    press(camera, Qt.Key.Key_Escape)


def _train(camera: Camera) -> None:
    train = camera.dock.train
    camera.dock.show_step(train)
    train.train.click()
    wait_until(lambda: len(train.plot.rows) > 4 or not train.job.running, 600, "Training")
    camera.page("training")
    train.cancel.click()
    wait_for_job(train, "Ending the training")


def queue(camera: Camera) -> None:
    """The next place, its question and its answers; the strip of slices."""
    dock, places = camera.dock, camera.dock.correct.places
    dock.window().resize(1280, 800)  # of the picture in the README
    propose_all(camera)
    camera.viewer.dims.set_point(0, 5)
    _wait_for_places(camera)
    asked, place = _next_place(camera), places.walk.place
    press(camera, "d")
    move(canvas_of(dock), at(dock, place.y, place.x))
    QTest.qWait(300)
    answer = camera.panel("It is not: D, click on it.", clicks=[(place.y, place.x)])
    click(canvas_of(dock), at(dock, place.y, place.x))
    press(camera, Qt.Key.Key_Escape)
    camera.series("queue", asked, answer, _next_place(camera))
    for _ in range(3):  # to one that does not lie at the edge of the slice
        _next_place(camera)
    asked, place = _next_place(camera), places.walk.place
    press(camera, "a")
    camera.look_at(5, (place.y, place.x), 3)
    camera.series("accept", asked, camera.panel("It is: A. All in the ring is yours."))
    _strip(camera)


def _next_place(camera: Camera) -> Panel:
    press(camera, "n")
    QTest.qWait(800)
    camera.viewer.scene.camera.zoom = 3
    return camera.panel(camera.dock.correct.places.about.text())


def _strip(camera: Camera) -> None:
    """Slices in every state, with the estimated errors."""
    dock = camera.dock
    confirm_corrected(camera, 0, 1, 2, 4)
    for z in (13, 14, 15):
        camera.viewer.dims.set_point(0, z)
        QTest.qWait(100)
        dock.correct.drop.click()
    camera.viewer.dims.set_point(0, 5)
    dock.correct.places.search.click()
    wait_for_job(dock.correct.places, "Finding places")
    camera.widget("strip", dock.correct.strip, 2)
    press(camera, "n")
    QTest.qWait(800)


def live(camera: Camera) -> None:
    """Live learning: strokes over a half of the fold in slice 10, and what becomes of the other half."""
    dock = camera.dock
    propose_all(camera)
    seen = [_fold(camera, "A fold was taken for a membrane.")]
    press(camera, "y")
    wait_until(lambda: "corrections" in dock.correct.live.bar.format(), 300, "Starting to learn")
    for stretch in pairwise(FOLD):
        _paint(camera, 1, 9, stretch)
        if stretch[0] == FOLD[0]:
            for membrane in MEMBRANES:
                _paint(camera, 0, 5, membrane)
        if stretch[1] == FOLD[-3]:
            seen.append(_fold(camera, "Interior, painted over it bit by bit."))
        QTest.qWait(22_000)
    for x in range(20, 80, 6):  # it learns for half a minute after a correction
        if _steps(camera) > LEARNED_STEPS:
            break
        _paint(camera, 1, 9, [(160, x), (160, x + 3)])
        QTest.qWait(25_000)
    seen.append(_fold(camera, "Minutes later: the rest is thinner, or gone."))
    camera.series("live", *seen)
    press(camera, "y")
    wait_for_job(dock.correct.live, "Ending live learning")


def _steps(camera: Camera) -> int:
    return int(re.sub(r"\D", "", camera.dock.correct.live.bar.format()) or 0)


def _paint(camera: Camera, brush: int, size_px: int, line: Sequence[Point]) -> None:
    camera.look_at(10, (150, 150), 1.2)
    camera.dock.correct.tools[brush].click()
    camera.dock.workspace.labels.brush_size = size_px
    stroke(camera, line)
    press(camera, Qt.Key.Key_Escape)


def _fold(camera: Camera, text: str) -> Panel:
    camera.look_at(10, (162, 208), 1.45)
    return camera.panel(text)


def _wait_for_places(camera: Camera) -> None:
    wait_until(lambda: "places to look at" in camera.dock.correct.places.about.text(), 120, "Finding places")
    QTest.qWait(300)
