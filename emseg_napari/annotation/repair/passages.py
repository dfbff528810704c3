"""Passages through membrane from cell to cell, where it is thick or has pockets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage
from skimage.graph import MCP_Geometric

from emseg_napari.annotation.repair.cheapest_path import cheapest_path
from emseg_napari.annotation.repair.edit import Edit, Pixel, edit_of, is_membrane
from emseg_napari.annotation.repair.known_values import known_probability
from emseg_napari.annotation.repair.slice_window import RepairWindow
from emseg_napari.core.labels import INTERIOR

POCKET_PX = 30  # interior of fewer pixels is not a cell to lead to, but may lie on the way
_HALF_WIDTH_PX = 4.0
_WALLS_PX = (3.0, 2.0, 1.0)  # of membrane that other cells keep, if there is space
_FARTHEST_PX = 40.0  # from a pixel to the cells around
_LEAST = 0.05  # cost of a step over what is certainly no boundary; 1 more over certain one


@dataclass(frozen=True)
class PassageWindow:
    """A window in which a way is sought.

    Attributes
    ----------
    labels : numpy.ndarray
        uint8 (y, x): the slice.
    window : RepairWindow
    probability : numpy.ndarray or None
        Boundary probability of the slice, float32 (y, x), 0 to 1, where there is one.
    pocket_px : int
        Interior of fewer pixels may lie on the way.
    """

    labels: np.ndarray
    window: RepairWindow
    probability: np.ndarray | None
    pocket_px: int = POCKET_PX

    @cached_property
    def membrane(self) -> np.ndarray:
        """Bool (y, x), in the window, as all that follows."""
        return is_membrane(self.window.of(self.labels))

    @cached_property
    def numbers(self) -> np.ndarray:
        """Connected interior, numbered: int (y, x), 0 on membrane."""
        return ndimage.label(~self.membrane)[0]

    @cached_property
    def cells(self) -> np.ndarray:
        """The numbers without those of pockets."""
        large = np.bincount(self.numbers.ravel()) >= self.pocket_px
        return np.where(large[self.numbers], self.numbers, 0)

    @cached_property
    def cost(self) -> np.ndarray:
        """Of a step over membrane and pockets, float (y, x); negative where no way leads."""
        likely = 1.0 if self.probability is None else known_probability(self.window.of(self.probability))
        cost = _LEAST + np.where(self.membrane, likely, 0.0)
        return np.where(self.window.in_slice & (self.cells == 0), cost, -1.0)

    def between(self, one: np.ndarray, other: np.ndarray) -> np.ndarray | None:
        """Return the cheapest way from beside a cell, bool (y, x), to beside another: int (n, 2), or None."""
        allowed = self.cost > 0
        shores = [np.argwhere(ndimage.binary_dilation(cell) & allowed) for cell in (one, other)]
        if not all(map(len, shores)):
            return None
        return cheapest_path(self.cost, allowed, *([(int(y), int(x)) for y, x in some] for some in shores))

    def through(self, pixel: Pixel) -> np.ndarray | None:
        """Return the way, int (n, 2), from a pixel of membrane to the two cells that are easiest to reach."""
        y, x = np.ogrid[: self.cost.shape[0], : self.cost.shape[1]]
        near = np.hypot(y - pixel[0], x - pixel[1]) <= _FARTHEST_PX
        search = MCP_Geometric(np.where(near, self.cost, -1.0), fully_connected=True)
        totals, _ = search.find_costs([pixel])
        y, x, numbers = self._shore
        totals = totals[y, x]
        order = np.argsort(totals)
        first = order[np.unique(numbers[order], return_index=True)[1]]  # of each cell the easiest pixel
        first = first[np.isfinite(totals[first])]
        if len(first) < 2:
            return None
        one, other = first[np.argsort(totals[first])[:2]]
        ways = [search.traceback((int(y[at]), int(x[at]))) for at in (one, other)]
        return np.array(ways[0][::-1] + ways[1][1:])

    @cached_property
    def _shore(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows, columns and cells of the pixels beside cells that a way may reach."""
        found = []
        for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            beside = np.roll(self.cells, (dy, dx), (0, 1))
            y, x = np.nonzero((beside > 0) & (self.cost > 0))
            found.append((y, x, beside[y, x]))
        y, x, numbers = (np.concatenate(column) for column in zip(*found, strict=True))
        return y, x, numbers

    def opened(self, way: np.ndarray, ends: tuple[int, int]) -> Edit | None:
        """Return the edit that makes a way, int (n, 2), passable from one of two `numbers` to the other.

        As wide as others leave space for; None if it would open one of them.
        """
        far = ndimage.distance_transform_edt(~_drawn(way, self.cost.shape))
        others = (self.cells > 0) & ~np.isin(self.cells, list(ends))
        away = ndimage.distance_transform_edt(~others) if others.any() else np.full(far.shape, np.inf)
        for wall_px in _WALLS_PX:
            gone = self.membrane & (far <= _HALF_WIDTH_PX) & (away > wall_px)
            pieces = ndimage.label(~self.membrane | gone)[0]
            one, other = (pieces[self.numbers == number].max() for number in ends)
            if one == other:
                return edit_of(self.labels, gone & (pieces == one), INTERIOR, self.window.origin)
        return None

    def ends(self, way: np.ndarray) -> tuple[int, int]:
        """Return the cells beside both ends of a way that leads `through`."""
        y, x, numbers = self._shore
        one, other = (numbers[(y == at[0]) & (x == at[1])] for at in (way[0], way[-1]))
        return next((int(a), int(b)) for a in one for b in other if a != b)


def _drawn(way: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    drawn = np.zeros(shape, bool)
    drawn[way[:, 0], way[:, 1]] = True
    return drawn
