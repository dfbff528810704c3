"""Split cell: draws membrane along a stroke through a cell."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import ndimage

from emseg_napari.annotation.repair.cheapest_path import (
    cheapest_path,
    cost_of,
    drawn,
    half_thickness,
    with_pockets,
)
from emseg_napari.annotation.repair.clicked_cells import interior_under, membrane_near
from emseg_napari.annotation.repair.edit import Edit, Pixel, edit_of, is_membrane, pixel_at
from emseg_napari.annotation.repair.skeleton import Skeleton, skeleton_of
from emseg_napari.annotation.repair.slice_window import RepairWindow, window_around
from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import BOUNDARY

REACH_PX = 20.0  # from the ends of a stroke to the membrane, or to the edge of the slice
_MARGIN_PX = 40
_CORRIDOR_PX, _CORRIDOR_SHARE = 5.0, 0.1  # to either side of the stroke, and of its length
_LANDING_PX = 6.0  # from where the stroke meets the membrane to where the path may
_LEAST_SHARE = 0.5  # of the smaller part that the stroke cuts off, below which the path has missed it


@dataclass(frozen=True)
class _Cut:
    """A stroke through a cell, in a window.

    Attributes
    ----------
    cell : numpy.ndarray
        bool (y, x).
    line : numpy.ndarray
        int (n, 2): its pixels in order, each a neighbour of the one before; the outermost two are
        membrane, or lie at the edge of the slice.
    """

    cell: np.ndarray
    line: np.ndarray

    @property
    def ends(self) -> list[Pixel]:
        return [(int(y), int(x)) for y, x in self.line[[0, -1]]]


def split_cell(
    labels: np.ndarray, probability: np.ndarray | None, image: np.ndarray, stroke: np.ndarray
) -> Edit:
    """Draw membrane across a cell, along what looks most like boundary beside a stroke.

    The cell is the one of which the stroke covers most; what goes beyond it does not count, and ends
    that do not reach its membrane are led there. Where the best path does not split the cell as the
    stroke does, the stroke itself becomes membrane. A stroke from membrane to membrane need not split the
    cell: there may be another gap.

    Parameters
    ----------
    labels, probability, image
        As for `close_gap.close_gap`.
    stroke : numpy.ndarray
        float (n, 2): y and x of at least two points.

    Returns
    -------
    Edit
        To boundary, as thick as the membranes at both ends.

    Raises
    ------
    UserError
        If the stroke lies on membrane only, or neither splits the cell nor leads from membrane to membrane.
    """
    line = _pixels_along(np.asarray(stroke, float).reshape(-1, 2), labels.shape)
    window = window_around(line, _MARGIN_PX, labels.shape)
    cut = _cut(labels, window, line)
    skeleton = skeleton_of(window.of(labels))
    part = None if probability is None else window.of(probability)
    band = _best_band(skeleton, cut, cost_of(skeleton.mask, part, window.of(image)))
    band = with_pockets(band & (cut.cell | skeleton.mask), skeleton.mask)
    return edit_of(labels, band, BOUNDARY, window.origin)


def _best_band(skeleton: Skeleton, cut: _Cut, cost: np.ndarray) -> np.ndarray:
    """Return the band of membrane, bool (y, x), along the best path, or else along the stroke."""
    radii = half_thickness(skeleton, cut.ends)
    plain = drawn(cut.line, radii, cost.shape)
    least = _smaller_part(cut.cell, plain)
    if least == 0 and not all(skeleton.mask[end] for end in cut.ends):
        raise UserError("The stroke does not split the cell; draw it across, from membrane to membrane.")
    path = _best_path(skeleton, cut, cost)
    if path is None:
        return plain
    band = drawn(path, radii, cost.shape)
    return band if _smaller_part(cut.cell, band) >= _LEAST_SHARE * least else plain


def _best_path(skeleton: Skeleton, cut: _Cut, cost: np.ndarray) -> np.ndarray | None:
    """Return the cheapest path through the cell beside a stroke, from landing to landing."""
    away = ndimage.distance_transform_edt(~_marked(cut.line, cost.shape))
    near = cut.cell & (away <= _CORRIDOR_PX + _CORRIDOR_SHARE * len(cut.line))
    shore = skeleton.mask & ndimage.binary_dilation(near)
    reach = min(_LANDING_PX, len(cut.line) / 4)
    return cheapest_path(cost, near, *(_landing(shore, end, reach) for end in cut.ends))


def _landing(shore: np.ndarray, end: Pixel, reach: float) -> list[Pixel]:
    y, x = np.nonzero(shore)
    close = np.hypot(y - end[0], x - end[1]) <= reach
    return [end, *zip(y[close].tolist(), x[close].tolist(), strict=True)]


def _smaller_part(cell: np.ndarray, band: np.ndarray) -> int:
    """Return the pixels of the second largest part that a band leaves of a cell, 0 if it splits nothing."""
    parts, _ = ndimage.label(cell & ~band)
    touched = np.unique(parts[ndimage.binary_dilation(band)])
    sizes = np.bincount(parts.ravel())[touched[touched > 0]]
    return int(np.sort(sizes)[-2]) if len(sizes) > 1 else 0


def _cut(labels: np.ndarray, window: RepairWindow, line: np.ndarray) -> _Cut:
    """Return the part of a line, int (n, 2) in the slice, that crosses the cell it is mostly in."""
    membrane = is_membrane(labels[window.top : window.bottom, window.left : window.right])
    pieces = ndimage.label(~membrane)[0][tuple((line - (window.top, window.left)).T)]
    if not pieces.any():
        raise UserError("The stroke lies on membrane; draw it across a cell.")
    inside = np.flatnonzero(pieces == np.bincount(pieces[pieces > 0]).argmax())
    first, last = int(inside[0]), int(inside[-1])
    (cell,) = interior_under(labels, window, [(line[first, 0], line[first, 1])])
    before = line[first - 1 : first] if first else _way_out(labels, line[first])[::-1]
    after = line[last + 1 : last + 2] if last + 1 < len(line) else _way_out(labels, line[last])
    whole = np.concatenate([before, line[first : last + 1], after])
    return _Cut(cell, whole - window.origin)


def _way_out(labels: np.ndarray, pixel: np.ndarray) -> np.ndarray:
    """Return the straight way, int (n, 2), to the nearest membrane or edge, without its first pixel."""
    (y, x), (height, width) = (int(at) for at in pixel), labels.shape
    edges = [(0, x), (height - 1, x), (y, 0), (y, width - 1)]
    near = membrane_near(labels, (y, x), REACH_PX)
    found = min([*edges, *([near] if near else [])], key=lambda at: np.hypot(at[0] - y, at[1] - x))
    if np.hypot(found[0] - y, found[1] - x) > REACH_PX:
        return np.empty((0, 2), int)
    return _straight((y, x), found)[1:]


def _pixels_along(stroke: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the pixels of a stroke, float (n, 2), in order: int (m, 2)."""
    points = [pixel_at(point, shape) for point in stroke]
    ways = [_straight(one, other)[1:] for one, other in pairwise(points)]
    line = np.concatenate([np.array(points[:1], int).reshape(-1, 2), *ways])
    if len(line) < 2:
        raise UserError("A single point does not split a cell; draw a stroke across it.")
    return line


def _straight(one: Pixel, other: Pixel) -> np.ndarray:
    count = max(abs(one[0] - other[0]), abs(one[1] - other[1])) + 1
    return np.rint(np.linspace(one, other, count)).astype(int)


def _marked(line: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    marked = np.zeros(shape, bool)
    marked[line[:, 0], line[:, 1]] = True
    return marked
