"""Drop membrane: removes the segment between two junctions, or all that separates two cells."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from emseg_napari.annotation.repair.clicked_cells import beside, interior_under, membrane_at, parted
from emseg_napari.annotation.repair.edit import Edit, Pixel, Point
from emseg_napari.annotation.repair.membrane_removal import THICKEST_PX, removal
from emseg_napari.annotation.repair.passages import PassageWindow
from emseg_napari.annotation.repair.skeleton import CORNERS_TOO, Skeleton, skeleton_of
from emseg_napari.annotation.repair.slice_window import (
    RIM_PX,
    RepairWindow,
    box_of,
    growing_windows,
    window_around,
)
from emseg_napari.core.jobs import UserError

_MARGIN_PX = 80
_FARTHEST_PX = 400  # from click to click
_REACH_PX = 120  # around them; what is farther away is not used
_POCKET_PX = 100  # a smaller cell between the clicked ones may be opened too
_LONGEST_PX = 64  # way through membrane, beyond which two cells do not lie side by side


def drop_membrane(labels: np.ndarray, point: Point, probability: np.ndarray | None = None) -> Edit:
    """Remove the segment of membrane under a click, from junction to junction.

    In thick membrane it separates the two cells that are easiest to reach from the click; where no segment
    separates just these two, a way between them is opened. A segment that ends loosely goes from its end to
    the next junction. What other segments and junctions need for their thickness stays.

    Parameters
    ----------
    labels : numpy.ndarray
        uint8 (y, x): a slice's labels with their states.
    point : (float, float)
        y and x of the click, on the membrane or up to `CLICK_PX` beside it.
    probability : numpy.ndarray, optional
        Its boundary probability, float32 (y, x), 0 to 1: where it is low, a way is easy.

    Returns
    -------
    Edit
        To interior.

    Raises
    ------
    UserError
        If there is no membrane under the click.
    """
    pixel = membrane_at(labels, point)
    for window in growing_windows(pixel, _MARGIN_PX, labels.shape):
        skeleton = skeleton_of(window.of(labels))
        meant = _meant(skeleton, PassageWindow(labels, window, probability), window.local(pixel))
        if isinstance(meant, Edit):
            return meant
        segment = _segment(skeleton, meant)
        if not window.reaches_cut(skeleton.picture(segment)):
            break
    return removal(labels, window, skeleton, segment)


def join_cells(labels: np.ndarray, a: Point, b: Point, probability: np.ndarray | None = None) -> Edit:
    """Remove all membrane that separates two cells, and nothing that parts one of them from a third.

    Where no membrane separates just these two, as in thick membrane with pockets, the easiest short way
    between them is opened. Only the surroundings of the clicks are looked at.

    Parameters
    ----------
    labels, probability
        As for `drop_membrane`.
    a, b : (float, float)
        y and x of a click in each of the cells.

    Returns
    -------
    Edit
        To interior.

    Raises
    ------
    UserError
        If a click is on membrane, both are in one cell, or the cells do not face each other.
    """
    if math.dist(a, b) > _FARTHEST_PX:
        raise UserError("The clicks are far apart; click on both sides of the membrane between the cells.")
    around = window_around([a, b], _REACH_PX, labels.shape)
    cells = interior_under(labels, around, (a, b))
    if (cells[0] & cells[1]).any():
        raise UserError("Both clicks are in the same cell; click in two cells that a membrane separates.")
    window = _between(around, *cells)
    if window is not None:
        skeleton = skeleton_of(window.of(labels))
        wall = parted(skeleton, *(beside(skeleton, window.part_of(cell, around)) for cell in cells))
        if wall.any():
            return removal(labels, window, skeleton, wall)
    terrain = PassageWindow(labels, around, probability, _POCKET_PX)
    way = terrain.between(*cells)
    one, other = (int(terrain.numbers[cell].max()) for cell in cells)
    edit = terrain.opened(way, (one, other)) if way is not None and len(way) <= _LONGEST_PX else None
    if edit is None:
        raise UserError("No membrane separates just these two cells; click in two neighbouring cells.")
    return edit


def _meant(skeleton: Skeleton, terrain: PassageWindow, pixel: Pixel) -> int | Edit:
    """Return the pixel of the lines that a click means, or the edit where no line parts what it means."""
    nearest = skeleton.nearest(pixel, ~skeleton.sides[2])
    if nearest is None:
        raise UserError("Only a junction lies here; click on the membrane farther from it.")
    way = None if skeleton.is_loose[nearest] else terrain.through(pixel)
    if way is None:
        return nearest
    crossing = _crossing(skeleton, terrain, way)
    if crossing is not None:
        return crossing
    edit = terrain.opened(way, terrain.ends(way))
    return nearest if edit is None else edit


def _crossing(skeleton: Skeleton, terrain: PassageWindow, way: np.ndarray) -> int | None:
    """Return the pixel of the lines at which a way crosses from its one cell to the other, if it does."""
    lowest, highest, third = skeleton.sides
    ends = sorted(int(skeleton.regions[terrain.numbers == cell].max()) for cell in terrain.ends(way))
    passed = np.zeros(skeleton.lines.shape, bool)
    passed[way[:, 0], way[:, 1]] = True
    near = ndimage.binary_dilation(passed, CORNERS_TOO)[skeleton.y, skeleton.x]
    found = np.flatnonzero(near & ~third & (lowest == ends[0]) & (highest == ends[1]))
    return int(found[len(found) // 2]) if len(found) else None


def _segment(skeleton: Skeleton, at: int) -> np.ndarray:
    """Return the pixels of the lines, bool (n,), between the junctions on both sides of one of them."""
    lowest, highest, third = skeleton.sides
    alike = ~third & (lowest == lowest[at]) & (highest == highest[at])
    if skeleton.is_loose[at]:  # where it forks, only one arm is meant
        alike &= (skeleton.degree < 3) | (np.arange(len(alike)) == at)
    pieces = ndimage.label(skeleton.picture(alike), CORNERS_TOO)[0][skeleton.y, skeleton.x]
    return pieces == pieces[at]


def _between(around: RepairWindow, one: np.ndarray, other: np.ndarray) -> RepairWindow | None:
    """Return the window in which two cells of another can face each other; None if they are too far apart."""
    boxes = np.array([box_of(one), box_of(other)]) + np.tile(around.origin, 2)
    low = boxes[:, :2].max(axis=0) - THICKEST_PX - RIM_PX
    high = boxes[:, 2:].min(axis=0) + THICKEST_PX + RIM_PX
    if (low >= high).any():
        return None
    low, high = (np.clip(at, around.box[:2], np.array(around.box[2:]) - 1) for at in (low, high))
    return window_around([tuple(low), tuple(high)], 0, around.shape)
