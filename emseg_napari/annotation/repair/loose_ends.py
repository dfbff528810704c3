"""Loose ends of membranes, and clicks that snap to them."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from emseg_napari.annotation.repair.clicked_cells import membrane_near
from emseg_napari.annotation.repair.edit import Pixel, Point, is_membrane, pixel_at
from emseg_napari.annotation.repair.skeleton import CORNERS_TOO, Skeleton, skeleton_of
from emseg_napari.annotation.repair.slice_window import RIM_PX, window_around

SNAP_PX = 12.0
_MARGIN_PX = 32  # around the radius: what is needed to see that an end is loose
_STICKS_OUT_PX = 2.0
_EDGE_PX = 5


def snap(labels: np.ndarray, point: Point, radius_px: float = SNAP_PX) -> Pixel:
    """Return what a click most likely means.

    Parameters
    ----------
    labels : numpy.ndarray
        uint8 (y, x): a slice's labels with their states.
    point : (float, float)
        y and x of the click.
    radius_px : float
        How far away a loose end or membrane may be.

    Returns
    -------
    (int, int)
        The nearest loose end in the radius, else the nearest pixel of membrane, else the pixel itself,
        or that at the edge of the slice if it is close.
        A click on membrane, or close to it, means no end of another one.

    Raises
    ------
    UserError
        If the point lies outside of the slice.
    """
    pixel = pixel_at(point, labels.shape)
    window = window_around([pixel], radius_px + _MARGIN_PX, labels.shape)
    part = labels[window.top : window.bottom, window.left : window.right]
    corner = np.array([window.top, window.left])
    near = np.array(membrane_near(labels, pixel) or pixel)
    ends = _ends_near(part, near - corner, radius_px) + corner
    if len(ends):
        y, x = ends[((ends - pixel) ** 2).sum(axis=1).argmin()].tolist()
        return y, x
    return membrane_near(labels, pixel, radius_px) or _at_edge(pixel, labels.shape)


def loose_ends(labels: np.ndarray) -> np.ndarray:
    """Return where membranes end without reaching another.

    Parameters
    ----------
    labels : numpy.ndarray
        uint8 (y, x): a slice or a part of it; a membrane that reaches its edge has no loose end there.

    Returns
    -------
    numpy.ndarray
        int64 (n, 2): y and x of the last pixels of their centre lines.
    """
    skeleton = skeleton_of(np.pad(labels, RIM_PX, mode="edge"))
    y, x = skeleton.y - RIM_PX, skeleton.x - RIM_PX
    inside = (y >= 0) & (x >= 0) & (y < labels.shape[0]) & (x < labels.shape[1])
    loose = inside & (skeleton.degree == 1) & _sticks_out(skeleton)
    return np.stack([y[loose], x[loose]], axis=1)


def _at_edge(pixel: Pixel, shape: tuple[int, ...]) -> Pixel:
    """Return the pixel, or the nearest one at the edge of the slice: no membrane ends just before it."""
    y, x = (
        at if _EDGE_PX <= at < size - _EDGE_PX else (0 if at < _EDGE_PX else size - 1)
        for at, size in zip(pixel, shape, strict=True)
    )
    return y, x


def _ends_near(labels: np.ndarray, pixel: np.ndarray, radius_px: float) -> np.ndarray:
    """Return the loose ends, (n, 2), in a radius; from membrane, only those that it leads to there."""
    y, x = np.ogrid[: labels.shape[0], : labels.shape[1]]
    disc = np.hypot(y - pixel[0], x - pixel[1]) <= radius_px
    ends = loose_ends(labels)
    ends = ends[disc[tuple(ends.T)]]
    pieces = ndimage.label(is_membrane(labels) & disc, CORNERS_TOO)[0]
    here = pieces[tuple(pixel)]
    return ends[pieces[tuple(ends.T)] == here] if here else ends


def _sticks_out(skeleton: Skeleton) -> np.ndarray:
    """Return which pixels of the lines, bool (n,), lie in one cell and no part of a wall's thickness."""
    lowest, highest, _ = skeleton.sides
    walls = skeleton.picture(lowest != highest)
    single = lowest == highest
    if not walls.any():
        return single
    far, (y, x) = ndimage.distance_transform_edt(~walls, return_indices=True)
    at = skeleton.y, skeleton.x
    radius = ndimage.distance_transform_edt(skeleton.mask)
    return single & (far[at] > radius[y[at], x[at]] + _STICKS_OUT_PX)
