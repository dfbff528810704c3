"""Skeleton: the centre lines of membranes, and the cells that they separate.

The lines are thinned membranes (Zhang and Suen 1984, doi:10.1145/357994.358023). What lies between
them are the cells, each grown to the middle of its membranes: so a pixel of a line that has two cells
beside it belongs to the wall between these two, one with more to a junction, and one with a single
cell to a membrane that ends in that cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage
from skimage.morphology import skeletonize

from emseg_napari.annotation.repair.edit import Pixel, is_membrane

SPECK_PX = 12  # holes in a membrane of fewer pixels are not cells
_LONGER_PX = 24  # a line ends as far from the edge as its membrane is wide: let that be beyond it
_AROUND = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]
CORNERS_TOO = np.ones((3, 3), bool)


@dataclass(frozen=True)
class Skeleton:
    """The membranes of a window as lines.

    Attributes
    ----------
    mask : numpy.ndarray
        bool (y, x): membrane, without its specks of holes.
    lines : numpy.ndarray
        bool (y, x): the centre lines, which are connected over corners.
    regions : numpy.ndarray
        int32 (y, x): number of the cell, from 1; 0 on the lines.
    """

    mask: np.ndarray
    lines: np.ndarray
    regions: np.ndarray

    @cached_property
    def y(self) -> np.ndarray:
        """Row of each pixel of the lines, (n,)."""
        return np.nonzero(self.lines)[0]

    @cached_property
    def x(self) -> np.ndarray:
        """Column of each pixel of the lines, (n,)."""
        return np.nonzero(self.lines)[1]

    @cached_property
    def beside(self) -> np.ndarray:
        """The regions, int32 (8, n), at the neighbours of each pixel of the lines, 0 for lines."""
        return self._neighbours(self.regions)

    @cached_property
    def degree(self) -> np.ndarray:
        """Number, int (n,), of the neighbours of each pixel of the lines that are lines."""
        return np.count_nonzero(self._neighbours(self.lines), axis=0)

    @cached_property
    def sides(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Lowest and highest region beside each pixel of the lines, and whether there is a third."""
        lowest = np.where(self.beside > 0, self.beside, np.iinfo(np.int32).max).min(axis=0)
        highest = self.beside.max(axis=0)
        third = ((self.beside > 0) & (self.beside != lowest) & (self.beside != highest)).any(axis=0)
        return lowest, highest, third

    @cached_property
    def is_loose(self) -> np.ndarray:
        """Whether each pixel of the lines, bool (n,), has one cell on all sides."""
        return self.sides[0] == self.sides[1]

    def picture(self, chosen: np.ndarray) -> np.ndarray:
        """Return the chosen pixels of the lines, bool (n,), as bool (y, x)."""
        drawn = np.zeros(self.lines.shape, bool)
        drawn[self.y[chosen], self.x[chosen]] = True
        return drawn

    def nearest(self, pixel: Pixel, among: np.ndarray) -> int | None:
        """Return which of some pixels of the lines, bool (n,), is nearest; None if there is none."""
        chosen = np.flatnonzero(among)
        if len(chosen) == 0:
            return None
        squares = (self.y[chosen] - pixel[0]) ** 2 + (self.x[chosen] - pixel[1]) ** 2
        return int(chosen[squares.argmin()])

    def _neighbours(self, array: np.ndarray) -> np.ndarray:
        padded = np.pad(array, 1)
        return np.stack([padded[self.y + 1 + dy, self.x + 1 + dx] for dy, dx in _AROUND])


def skeleton_of(labels: np.ndarray) -> Skeleton:
    """Return the membranes of labels, uint8 (y, x), as lines."""
    mask = without_specks(is_membrane(labels))
    longer = skeletonize(np.pad(mask, _LONGER_PX, mode="edge"))
    lines = longer[_LONGER_PX:-_LONGER_PX, _LONGER_PX:-_LONGER_PX]
    return Skeleton(mask, lines, ndimage.label(~lines)[0])


def without_specks(mask: np.ndarray) -> np.ndarray:
    """Return a mask, bool (y, x), without its holes of fewer than `SPECK_PX` pixels."""
    holes, count = ndimage.label(~mask)
    return ~(np.bincount(holes.ravel(), minlength=count + 1) >= SPECK_PX)[holes] | mask
