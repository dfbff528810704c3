"""Tiles of a slice, and the halo that must be read around them so that no seam shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from emseg_napari.io.axes import SliceWindow

# Both U-Nets: pooling by 16 in all.
GRID_PX = 16


@dataclass(frozen=True)
class Halo:
    """How far a network looks from a tile whose edges lie on its grid, in its own pixels.

    Attributes
    ----------
    before, after : int
        Towards smaller and towards larger indices; multiples of `grid_px`.
    grid_px : int
        Width and height of its input are multiples of it; itself a multiple of `GRID_PX`.
    """

    before: int
    after: int
    grid_px: int = GRID_PX


# Sums over the levels of what their convolutions add at their pixel size; kernels of two pixels look at one
# side only. Tests measure them with impulses.
HALOS = {"compact": Halo(96, 96), "reference": Halo(64, 96)}
WIDEST = Halo(96, 96)


def halo_of(reach_px: int, grid_px: int = GRID_PX) -> Halo:
    """Return the halo of a filter or a network that looks so far."""
    return Halo(_up(reach_px, grid_px), _up(reach_px, grid_px), grid_px)


@dataclass(frozen=True)
class Orientation:
    """One of the eight flips and turns.

    Attributes
    ----------
    turns : int
        Quarter turns, after the flip.
    flip : bool
        Whether columns are mirrored.
    """

    turns: int
    flip: bool

    def turned(self, values: np.ndarray) -> np.ndarray:
        """Flip and turn an array (y, x)."""
        return np.rot90(values[:, ::-1] if self.flip else values, self.turns)

    def back(self, values: np.ndarray) -> np.ndarray:
        """Undo `turned`."""
        upright = np.rot90(values, -self.turns)
        return upright[:, ::-1] if self.flip else upright

    def source(self, tile: SliceWindow, shape: tuple[int, ...], halo: Halo) -> SliceWindow:
        """Return what the network must see of a slice for a tile.

        Its grid begins where the turned slice does and its far end is padded to a multiple of the grid, so
        the window may lie beyond faces of the slice.

        Parameters
        ----------
        tile : SliceWindow
            (y, x) in the slice as it lies, as is the result.
        shape : tuple of int
            (y, x) of the slice.
        halo : Halo
        """
        corner = int(self.turned(np.arange(4).reshape(2, 2))[0, 0])  # which one comes first when turned
        rows, columns = (
            _mirrored_axis(part, n, halo) if reverse else _axis(part, n, halo)
            for part, n, reverse in zip(tile, shape, (corner >= 2, corner % 2 == 1), strict=True)
        )
        return rows, columns


# The first one, two, four or eight are averaged (measured: benchmarks/README.md). All but the last four keep
# rows as rows.
ORIENTATIONS = tuple(
    Orientation(turns, flip)
    for quarter in (0, 1)
    for flip in (False, True)
    for turns in (quarter, quarter + 2)
)


def _axis(part: slice, length: int, halo: Halo) -> slice:
    start = part.start // halo.grid_px * halo.grid_px - halo.before
    stop = _up(part.stop, halo.grid_px) + halo.after
    return slice(max(0, start), min(_up(length, halo.grid_px), stop))


def _mirrored_axis(part: slice, length: int, halo: Halo) -> slice:
    seen = _axis(slice(length - part.stop, length - part.start), length, halo)
    return slice(length - seen.stop, length - seen.start)


def _up(position: int, grid_px: int = GRID_PX) -> int:
    return -(-position // grid_px) * grid_px


def tiles(window: SliceWindow, tile_px: int) -> Iterator[SliceWindow]:
    """Cut a window (y, x) into tiles of at most `tile_px` along y and x, about equal in size."""
    rows, columns = (_cuts(part, tile_px) for part in window)
    yield from product(rows, columns)


def _cuts(part: slice, tile_px: int) -> list[slice]:
    count = max(1, -(-(part.stop - part.start) // tile_px))
    side = _up(-(-(part.stop - part.start) // count))
    return [slice(first, min(first + side, part.stop)) for first in range(part.start, part.stop, side)]


def grown(window: SliceWindow, margin_px: int, shape: tuple[int, ...]) -> SliceWindow:
    """Return a window (y, x) with a margin around it, as far as the slice goes."""
    rows, columns = (
        slice(max(0, part.start - margin_px), min(n, part.stop + margin_px))
        for part, n in zip(window, shape, strict=True)
    )
    return rows, columns


def within(window: SliceWindow, outer: SliceWindow) -> SliceWindow:
    """Return where a window lies in an outer one."""
    rows, columns = (
        slice(part.start - whole.start, part.stop - whole.start)
        for part, whole in zip(window, outer, strict=True)
    )
    return rows, columns


def moved(window: SliceWindow, outer: SliceWindow) -> SliceWindow:
    """Return where what `within` found lies beside the outer window: its inverse."""
    rows, columns = (
        slice(part.start + whole.start, part.stop + whole.start)
        for part, whole in zip(window, outer, strict=True)
    )
    return rows, columns


def common(one: SliceWindow, other: SliceWindow) -> SliceWindow | None:
    """Return what two windows (y, x) share; None if that is nothing."""
    rows, columns = (
        slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(one, other, strict=True)
    )
    return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None


def hull(windows: list[SliceWindow]) -> SliceWindow:
    """Return the smallest window (y, x) that holds all."""
    rows, columns = (
        slice(min(part.start for part in parts), max(part.stop for part in parts))
        for parts in zip(*windows, strict=True)
    )
    return rows, columns


def whole(shape: tuple[int, ...]) -> SliceWindow:
    """Return the window of a whole slice (y, x)."""
    return slice(0, shape[0]), slice(0, shape[1])
