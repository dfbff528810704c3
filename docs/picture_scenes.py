"""What is done in the window for the pictures: every repair on a mistake of the starter network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from helpers.window import at, canvas_of, click, move
from picture_camera import Camera, Panel, Point
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from emseg_napari.widgets.demo import wait_until

_LEFT = Qt.MouseButton.LeftButton


@dataclass(frozen=True)
class Repair:
    """A mistake of the starter in the phantom, and the click or stroke that mends it.

    Attributes
    ----------
    name, key : str
        Of the file and of the tool.
    z, centre, zoom
        Where to look.
    points : sequence of (float, float)
        y and x of the clicks; of a stroke its ends and what lies between them.
    texts : (str, str, str)
        Below the panels.
    """

    name: str
    key: str
    z: int
    centre: Point
    points: Sequence[Point]
    texts: tuple[str, str, str]
    is_stroke: bool = False
    zoom: float = 5


REPAIRS = (
    Repair(
        "close-gap",
        "g",
        14,
        (23, 219),
        [(4, 209), (22, 227)],
        ("A membrane ends in the air.", "G, click at both ends: the preview.", "Closed along the dark path."),
    ),
    Repair(
        "drop-piece",
        "d",
        14,
        (68, 52),
        [(68, 52)],
        ("A thin false membrane cuts a cell.", "D, point at it: what would go.", "Dropped: the cell is one."),
    ),
    Repair(
        "join-cells",
        "j",
        6,
        (355, 278),
        [(340, 285), (364, 258)],
        (
            "False membrane in several pieces.",
            "J, click in one cell, point into the other.",
            "All between the two is gone.",
        ),
        zoom=4,
    ),
    Repair(
        "split-cell",
        "k",
        3,
        (32, 166),
        [(14, 168), (22, 167), (34, 164), (42, 163), (50, 163)],
        ("Two cells are one.", "K, draw across, roughly.", "Split along the membrane."),
        is_stroke=True,
    ),
    Repair(
        "drop-island",
        "i",
        6,
        (98, 214),
        [(94, 214)],
        ("A dark spot was taken for a cell.", "I, point into it: what would go.", "Interior of its cell."),
    ),
)


def tools(camera: Camera) -> None:
    """The series of the repair tools, of the brush and of the tools that draw a slice."""
    _propose_all(camera)
    for repair in REPAIRS:
        _show_repair(camera, repair)
    _brush(camera)
    _fill(camera)
    _from_neighbours(camera)


def pages(camera: Camera) -> None:
    """The pages of the window in a first sitting."""
    viewer, dock = camera.viewer, camera.dock
    camera.page("start")
    dock.load.open_sample()
    QTest.qWait(500)
    camera.page("sample")
    camera.look_at(14, (192, 122), 2)
    dock.predict.this_slice.click()
    _wait_for(dock.predict, "Proposing")
    camera.page("proposed")
    for repair in REPAIRS[:2]:
        _use(camera, repair)
    camera.page("corrected")
    press(camera, "c")
    camera.page("confirmed")
    dock.predict.whole_stack.click()
    _wait_for(dock.predict, "Proposing")
    dock.train.amount.setText("0.5")
    dock.show_step(dock.train)
    dock.train.train.click()
    wait_until(lambda: len(dock.train.plot.rows) > 4 or not dock.train.job.running, 300, "Training")
    camera.page("training", dock.train)
    _wait_for(dock.train, "Training")
    dock.evaluate.evaluate.click()
    _wait_for(dock.evaluate, "Evaluating")
    camera.page("check", dock.evaluate)
    dock.show_step(dock.cells)
    dock.cells.find.click()
    _wait_for(dock.cells, "Finding cells")
    camera.page("cells", dock.cells)


def queue(camera: Camera) -> None:
    """The next place, its question and its answers; the strip of slices; a slice that is confirmed."""
    dock = camera.dock
    _propose_all(camera)
    camera.viewer.dims.set_point(0, 5)
    wait_until(lambda: "places to look at" in dock.correct.places.about.text(), 120, "Finding places")
    panels = []
    for _ in range(6):
        press(camera, "n")
        QTest.qWait(800)
        panels.append(camera.panel(dock.correct.places.about.text()))
    camera.series("queue", *panels[:3])
    camera.series("queue2", *panels[3:])
    camera.page("next-place")
    camera.widget("strip", dock.correct.strip, 2)


def live(camera: Camera) -> None:
    """Live learning: what a few strokes change of the rest of the proposals."""
    dock = camera.dock
    _propose_all(camera)
    camera.look_at(10, (180, 190), 2)
    panels = [camera.panel("Before.")]
    press(camera, "y")
    wait_until(lambda: "starting" not in dock.correct.live.bar.format(), 120, "Live")
    print(dock.correct.live.bar.format())
    dock.correct.tools[1].click()
    stroke(camera, [(97, 34), (110, 80), (125, 115), (150, 140)])
    dock.correct.tools[0].click()
    for line in ([(110, 148), (90, 143), (60, 140)], [(195, 110), (180, 105), (172, 120)]):
        stroke(camera, line)
    press(camera, Qt.Key.Key_Escape)
    camera.look_at(10, (180, 190), 2)
    panels.append(camera.panel("Strokes."))
    import time
    for i in range(8):
        QTest.qWait(10000)
        print(i, dock.correct.live.bar.format())
        panels.append(camera.panel(f"{10*i+10}"))
    for i in range(0, 9, 3):
        camera.series(f"live{i}", *panels[i:i+3])
    press(camera, "y")
    _wait_for(dock.correct.live, "Live")


def _wait_for(step: Any, what: str) -> None:
    wait_until(lambda: not step.job.running, 600, what)
    QTest.qWait(500)


def _propose_all(camera: Camera) -> None:
    dock = camera.dock
    dock.load.open_sample()
    dock.predict.whole_stack.click()
    _wait_for(dock.predict, "Proposing")
    dock.show_step(dock.correct)


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
    QTest.mousePress(canvas, _LEFT, pos=where[0])
    for start, end in zip(where, where[1:], strict=False):
        for i in range(1, 6):
            move(canvas, start + (end - start) * (i / 5), _LEFT)
            QTest.qWait(20)
    if release:
        QTest.mouseRelease(canvas, _LEFT, pos=where[-1])
    QTest.qWait(100)
    return where[-1]


def _show_repair(camera: Camera, repair: Repair) -> None:
    camera.look_at(repair.z, repair.centre, repair.zoom)
    before = camera.panel(repair.texts[0])
    during = _use(camera, repair)
    camera.series(repair.name, before, during, camera.panel(repair.texts[2]))


def _use(camera: Camera, repair: Repair) -> Panel:
    """Do a repair by key and mouse; return what was seen before it was done."""
    dock, canvas = camera.dock, canvas_of(camera.dock)
    press(camera, repair.key)
    if repair.is_stroke:
        end = stroke(camera, repair.points, release=False)
        seen = camera.panel(repair.texts[1], stroke=repair.points)
        QTest.mouseRelease(canvas, _LEFT, pos=end)
    else:
        for point in repair.points[:-1]:
            click(canvas, at(dock, *point))
        move(canvas, at(dock, *repair.points[-1]))
        QTest.qWait(300)
        seen = camera.panel(repair.texts[1], clicks=repair.points)
        click(canvas, at(dock, *repair.points[-1]))
    press(camera, Qt.Key.Key_Escape)
    return seen


def _brush(camera: Camera) -> None:
    camera.look_at(14, (103, 154))
    before = camera.panel("A pale membrane that no tool finds.")
    camera.dock.correct.tools[0].click()
    path = [(87, 126), (91, 135), (97, 143), (106, 150), (110, 160), (113, 170), (117, 179)]
    stroke(camera, path)
    press(camera, Qt.Key.Key_Escape)
    camera.series("brush", before, camera.panel("Boundary, drawn with the brush.", clicks=path[-1:]))


def _fill(camera: Camera) -> None:
    """A cell in a slice without labels, outlined with the brush and filled with a click."""
    dock, centre = camera.dock, (177, 255)
    camera.look_at(4, centre)
    dock.correct.drop.click()
    before = camera.panel("A slice without labels.")
    dock.correct.tools[0].click()
    turns = np.linspace(0, 2 * np.pi, 24)
    outline = [(centre[0] + 20 * np.cos(turn), centre[1] + 17 * np.sin(turn)) for turn in turns]
    stroke(camera, outline)
    painted = camera.panel("Boundary, around a cell.", clicks=outline[-1:])
    press(camera, "4")
    click(canvas_of(dock), at(dock, *centre))
    press(camera, Qt.Key.Key_Escape)
    camera.series("fill-interior", before, painted, camera.panel("4, click into it.", clicks=[centre]))


def _from_neighbours(camera: Camera) -> None:
    """Slice 10, which is damaged, and one between two others; true labels stand for corrected ones."""
    layer, truth = camera.dock.workspace.labels, camera.viewer.layers["phantom truth"].data
    for z in (9, 11, 13):
        layer.data[z] = truth[z]
        _confirm(camera, z)
    camera.look_at(10, (120, 105), 2)
    before = camera.panel("A fold was taken for a membrane.")
    camera.series("copy-neighbour", before, *_redrawn(camera, "q", "Q: the labels of slice 9, moved to fit."))
    camera.look_at(12, (190, 190), 2)
    camera.dock.correct.drop.click()
    before = camera.panel("Slice 12, without labels.")
    camera.series("interpolate", before, *_redrawn(camera, "u", "U: drawn between slices 11 and 13."))


def _redrawn(camera: Camera, key: str, text: str) -> tuple[Panel, Panel]:
    """Take a tool that draws the slice in view: its preview, and what a click makes of it."""
    dock, centre = camera.dock, camera.viewer.scene.camera.center[-2:]
    press(camera, key)
    wait_until(lambda: dock.correct.repairs.repair.tool is not None, 60, "Drawing the slice")
    QTest.qWait(500)
    preview = camera.panel(text, clicks=[centre])
    click(canvas_of(dock), at(dock, *centre))
    press(camera, Qt.Key.Key_Escape)
    return preview, camera.panel("After a click, it is yours.")


def _confirm(camera: Camera, z: int) -> None:
    camera.viewer.dims.set_point(0, z)
    QTest.qWait(100)
    camera.dock.correct.confirm.click()
