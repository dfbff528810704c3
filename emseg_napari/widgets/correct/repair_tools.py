"""The repair tools: what each is called, how it is used, and what it would change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from emseg_napari.annotation.repair.close_gap import close_gap
from emseg_napari.annotation.repair.drop_island import drop_island
from emseg_napari.annotation.repair.drop_membrane import drop_membrane, join_cells
from emseg_napari.annotation.repair.edit import Edit, Point
from emseg_napari.annotation.repair.split_cell import split_cell


@dataclass(frozen=True)
class Scene:
    """The slice under the cursor: labels uint8, boundary probability or None, both (y, x).

    Attributes
    ----------
    image : callable
        Returns the image, (y, x), or raises `UserError`; only few tools need it.
    """

    labels: np.ndarray
    probability: np.ndarray | None
    image: Callable[[], np.ndarray]


@dataclass(frozen=True)
class Tool:
    """A repair tool.

    Attributes
    ----------
    name, key, about : str
        For the button.
    points : int
        1: a click; 2: two clicks, or a drag from one to the other; 0: a stroke.
    change : callable
        Says what the points would change.
    """

    name: str
    key: str
    about: str
    points: int
    change: Callable[[Scene, list[Point]], Edit]


TOOLS = (
    Tool(
        "Close gap",
        "G",
        "Click both ends of a gap in a membrane, or drag from one to the other: the darkest path between "
        "them becomes membrane. Loose ends attract the cursor.",
        2,
        lambda scene, p: close_gap(scene.labels, scene.probability, scene.image(), p[0], p[-1]),
    ),
    Tool(
        "Drop piece",
        "D",
        "Click on a false membrane: its piece between two junctions is removed, which joins its two cells.",
        1,
        lambda scene, p: drop_membrane(scene.labels, p[-1], scene.probability),
    ),
    Tool(
        "Join cells",
        "J",
        "Click in two cells, or drag from one to the other: all membrane between just these two is removed.",
        2,
        lambda scene, p: join_cells(scene.labels, p[0], p[-1], scene.probability),
    ),
    Tool(
        "Split cell",
        "K",
        "Draw a stroke across a cell: it is split along the darkest path near the stroke.",
        0,
        lambda scene, p: split_cell(scene.labels, scene.probability, scene.image(), np.array(p)),
    ),
    Tool(
        "Drop island",
        "I",
        "Click on a speck, or into a mitochondrion taken for a cell: it becomes interior of the cell "
        "around it.",
        1,
        lambda scene, p: drop_island(scene.labels, p[-1], scene.probability),
    ),
)
