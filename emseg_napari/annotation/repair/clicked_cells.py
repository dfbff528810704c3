"""Cells under a click, and cells beside centre lines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from emseg_napari.annotation.repair.edit import Pixel, Point, is_membrane, pixel_at
from emseg_napari.annotation.repair.skeleton import Skeleton
from emseg_napari.annotation.repair.slice_window import RepairWindow, window_around
from emseg_napari.core.jobs import UserError

CLICK_PX = 4  # a click may miss a membrane by as much


def interior_under(labels: np.ndarray, window: RepairWindow, points: Sequence[Point]) -> list[np.ndarray]:
    """Return what is connected in a window with the interior under each click: bool (y, x), as the window.

    Raises
    ------
    UserError
        If there is membrane under a click.
    """
    membrane = is_membrane(window.of(labels))
    numbers, found = ndimage.label(~membrane)[0], []
    for y, x in (pixel_at(point, labels.shape) for point in points):
        number = numbers[window.local((y, x))]
        if not number:
            raise UserError(f"There is membrane at ({y}, {x}); click inside a cell.")
        found.append((numbers == number) & window.in_slice)
    return found


def membrane_at(labels: np.ndarray, point: Point) -> Pixel:
    """Return the pixel of membrane that is nearest to a click.

    Raises
    ------
    UserError
        If there is none within `CLICK_PX`.
    """
    near = membrane_near(labels, point)
    if near is None:
        y, x = pixel_at(point, labels.shape)
        raise UserError(f"There is no membrane at ({y}, {x}); click on one.")
    return near


def membrane_near(labels: np.ndarray, point: Point, radius_px: float = CLICK_PX) -> Pixel | None:
    """Return the pixel of membrane that is nearest to a point; None if none is in the radius."""
    pixel = pixel_at(point, labels.shape)
    window = window_around([pixel], radius_px, labels.shape)
    y, x = np.nonzero(is_membrane(labels[window.top : window.bottom, window.left : window.right]))
    squares = (y + window.top - pixel[0]) ** 2 + (x + window.left - pixel[1]) ** 2
    if len(squares) == 0 or squares.min() > radius_px**2:
        return None
    nearest = squares.argmin()
    return int(y[nearest]) + window.top, int(x[nearest]) + window.left


def beside(skeleton: Skeleton, cell: np.ndarray) -> np.ndarray:
    """Return which neighbours of the lines, bool (8, n), belong to a cell, bool (y, x)."""
    belongs = np.zeros(int(skeleton.regions.max()) + 1, bool)
    belongs[skeleton.regions[cell & ~skeleton.mask]] = True
    return belongs[skeleton.beside]


def parted(skeleton: Skeleton, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the pixels of the lines, bool (n,), that have two cells beside them and no third.

    Parameters
    ----------
    skeleton : Skeleton
    one, other : numpy.ndarray
        What `beside` returns for the two cells.
    """
    only = (one | other | (skeleton.beside == 0)).all(axis=0)
    return one.any(axis=0) & other.any(axis=0) & only
