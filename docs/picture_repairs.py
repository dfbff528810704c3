"""A series for each repair tool, on mistakes that the starter network makes in the phantom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from picture_camera import Camera, Panel, Point
from picture_hands import LEFT, confirm_corrected, press, propose_all, stroke
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from emseg_napari.widgets.demo import wait_until
from helpers.window import at, canvas_of, click, move


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
        7,
        (226, 130),
        [(214, 126), (238, 136)],
        ("A membrane is missing.", "G, click at both ends: the preview.", "Closed along the dark path."),
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
        ("A dark patch was taken for a cell.", "I, point into it: what would go.", "Interior of its cell."),
    ),
)
PALE_MEMBRANE = [(87, 126), (91, 135), (97, 143), (106, 150), (110, 160), (113, 170), (117, 179)]  # slice 14


def tools(camera: Camera) -> None:
    """The series of the repair tools, of the brush and of the tools that draw a slice."""
    propose_all(camera)
    for repair in REPAIRS:
        _show_repair(camera, repair)
    _brush(camera)
    _fill(camera)
    _from_neighbours(camera)


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
        QTest.mouseRelease(canvas, LEFT, pos=end)
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
    before = camera.panel("A membrane that is hardly seen.")
    camera.dock.correct.tools[0].click()
    stroke(camera, PALE_MEMBRANE)
    press(camera, Qt.Key.Key_Escape)
    camera.series("brush", before, camera.panel("Boundary, drawn with the brush.", clicks=PALE_MEMBRANE[-1:]))


def _fill(camera: Camera) -> None:
    """A cell in a slice without labels, outlined with the brush and filled with a click."""
    dock, centre = camera.dock, (174, 252)
    camera.look_at(4, centre)
    dock.correct.drop.click()
    before = camera.panel("A slice without labels.")
    dock.correct.tools[0].click()
    turns = np.linspace(0, 2 * np.pi, 24)
    outline = [(centre[0] + 19 * np.cos(turn), centre[1] + 15.5 * np.sin(turn)) for turn in turns]
    stroke(camera, outline)
    painted = camera.panel("Boundary, around a cell.", clicks=outline[-1:])
    press(camera, "4")
    click(canvas_of(dock), at(dock, *centre))
    press(camera, Qt.Key.Key_Escape)
    camera.series("fill-interior", before, painted, camera.panel("4, click into it.", clicks=[centre]))


def _from_neighbours(camera: Camera) -> None:
    """Slice 10, which is damaged, and one between two others."""
    confirm_corrected(camera, 9, 11, 13)
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
