"""Windows of a slice in which tools work, so that their time does not grow with the slice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from emseg_napari.annotation.repair.edit import Pixel, Point

RIM_PX = 8  # around every window: membranes continue straight there, so that none ends at its edge
_NEAR_CUT_PX = 8  # as far inside, a centre line bends because of the cut


@dataclass(frozen=True)
class RepairWindow:
    """A rectangle of a slice with a rim around it, in which the outermost pixels are repeated.

    Attributes
    ----------
    top, left, bottom, right : int
        The rectangle without its rim, inside the slice, half-open.
    shape : (int, int)
        Of the slice.
    """

    top: int
    left: int
    bottom: int
    right: int
    shape: tuple[int, ...]

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Top, left, bottom and right without the rim."""
        return self.top, self.left, self.bottom, self.right

    @property
    def origin(self) -> Pixel:
        """Row and column in the slice of the window's first pixel, which is one of the rim."""
        return self.top - RIM_PX, self.left - RIM_PX

    @property
    def whole(self) -> bool:
        """Whether it is the whole slice."""
        return self.box == (0, 0, *self.shape)

    @property
    def in_slice(self) -> np.ndarray:
        """Which pixels are not part of the rim: bool (y, x)."""
        inside = np.ones((self.bottom - self.top, self.right - self.left), bool)
        return np.pad(inside, RIM_PX)

    def of(self, array: np.ndarray) -> np.ndarray:
        """Return this part of an array (y, x) of the slice, with the rim."""
        return np.pad(array[self.top : self.bottom, self.left : self.right], RIM_PX, mode="edge")

    def part_of(self, mask: np.ndarray, around: RepairWindow) -> np.ndarray:
        """Return this part of a mask of a window around; nothing of it in the rim."""
        top, left = self.top - around.top, self.left - around.left  # the rims are of one width
        height, width = self.in_slice.shape
        return mask[top : top + height, left : left + width] & self.in_slice

    def local(self, point: Point) -> Pixel:
        """Return the pixel of the window under a point of the slice; it may lie outside."""
        return round(float(point[0])) - self.origin[0], round(float(point[1])) - self.origin[1]

    def reaches_cut(self, mask: np.ndarray) -> bool:
        """Return whether a mask of the window comes near an edge that is not an edge of the slice."""
        depth = RIM_PX + _NEAR_CUT_PX
        return bool(
            (self.top > 0 and mask[:depth].any())
            or (self.left > 0 and mask[:, :depth].any())
            or (self.bottom < self.shape[0] and mask[-depth:].any())
            or (self.right < self.shape[1] and mask[:, -depth:].any())
        )


def window_around(points: np.ndarray | list[Point], margin_px: float, shape: tuple[int, ...]) -> RepairWindow:
    """Return the window that holds points, (n, 2), and `margin_px` around them."""
    points = np.asarray(points, float).reshape(-1, 2)
    low = np.floor(points.min(axis=0) - margin_px).astype(int)
    high = np.ceil(points.max(axis=0) + margin_px).astype(int) + 1
    (top, left), (bottom, right) = np.clip(low, 0, shape), np.clip(high, 0, shape)
    return RepairWindow(int(top), int(left), int(bottom), int(right), tuple(shape))


def growing_windows(point: Point, margin_px: float, shape: tuple[int, ...]) -> Iterator[RepairWindow]:
    """Yield windows around a point, each twice as large as the one before, up to the whole slice."""
    window = window_around([point], margin_px, shape)
    yield window
    while not window.whole:
        margin_px *= 2
        window = window_around([point], margin_px, shape)
        yield window


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Return top, left, bottom and right (half-open) of the pixels of a mask that is not empty."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1
