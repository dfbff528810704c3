"""Close gap: draws the missing membrane between two loose ends."""

from __future__ import annotations

import math

import numpy as np

from emseg_napari.annotation.repair.cheapest_path import (
    cheapest_path,
    corridor,
    cost_of,
    drawn,
    half_thickness,
    with_pockets,
)
from emseg_napari.annotation.repair.clicked_cells import membrane_near
from emseg_napari.annotation.repair.edit import Edit, Pixel, Point, edit_of, is_membrane, pixel_at
from emseg_napari.annotation.repair.loose_ends import snap
from emseg_napari.annotation.repair.skeleton import skeleton_of, without_specks
from emseg_napari.annotation.repair.slice_window import window_around
from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import BOUNDARY

_DETOUR, _DETOUR_PX = 1.2, 10.0  # as long as that may the way be, seen from any of its pixels
_MARGIN_PX = 24
_LONG_PX = 80.0
_THICKNESS_PX = 48  # around an end: where membranes say how thick the new one is
_CLOSEST_PX = 3.0  # clicks no farther apart are one


def close_gap(
    labels: np.ndarray, probability: np.ndarray | None, image: np.ndarray, start: Point, end: Point
) -> Edit:
    """Draw membrane between two points, along what looks most like boundary.

    Both points snap to loose ends, or else to membrane (`emseg_napari.annotation.repair.loose_ends.snap`).

    Parameters
    ----------
    labels : numpy.ndarray
        uint8 (y, x): a slice's labels with their states.
    probability : numpy.ndarray or None
        Its boundary probability, float32 (y, x), 0 to 1, where there is a prediction.
    image : numpy.ndarray
        (y, x): the slice itself, of any type.
    start, end : (float, float)
        y and x.

    Returns
    -------
    Edit
        To boundary, as thick as the membranes at both ends.

    Raises
    ------
    UserError
        If both points are the same, or one lies outside of the slice.
    """
    first, last = _two_ends(labels, start, end)
    length = math.dist(first, last)
    window = window_around([first, last], _MARGIN_PX + (_DETOUR - 1) * length / 2, labels.shape)
    start, end = window.local(first), window.local(last)
    mask = without_specks(is_membrane(window.of(labels)))
    cost = cost_of(mask, None if probability is None else window.of(probability), window.of(image))
    near = window.in_slice & _between(cost.shape, start, end, length * _DETOUR + _DETOUR_PX)
    if length > _LONG_PX:
        near = corridor(cost, near, start, end)
    path = cheapest_path(cost, near, [start], [end])
    assert path is not None  # the straight line is always allowed
    band = drawn(path, [_half_thickness(labels, at) for at in (first, last)], cost.shape)
    return edit_of(labels, with_pockets(band, mask), BOUNDARY, window.origin)


def _half_thickness(labels: np.ndarray, pixel: Pixel) -> float:
    window = window_around([pixel], _THICKNESS_PX, labels.shape)
    return half_thickness(skeleton_of(window.of(labels)), [window.local(pixel)])[0]


def _two_ends(labels: np.ndarray, start: Point, end: Point) -> tuple[Pixel, Pixel]:
    """Return what two clicks snap to; where both snap to the same, the nearer one has it."""
    first, last = snap(labels, start), snap(labels, end)
    if first == last and math.dist(start, end) >= _CLOSEST_PX:
        if math.dist(start, first) > math.dist(end, last):
            first = membrane_near(labels, start) or pixel_at(start, labels.shape)
        else:
            last = membrane_near(labels, end) or pixel_at(end, labels.shape)
    if first == last:
        raise UserError(f"Both ends of the gap are at {first}; click on either side of it.")
    return first, last


def _between(shape: tuple[int, ...], first: Pixel, last: Pixel, length: float) -> np.ndarray:
    """Return the pixels over which the way between two others is no longer than `length`: an ellipse."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    return np.hypot(y - first[0], x - first[1]) + np.hypot(y - last[0], x - last[1]) <= length
