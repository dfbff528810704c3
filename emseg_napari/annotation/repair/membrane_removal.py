"""Removal of membrane around pieces of its centre lines; the rest stays as thick as it was.

A membrane is the union of the largest discs that fit into it, their centres on its lines (Blum 1967).
So what the discs of the remaining lines cover stays: junctions and the segments beyond them.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from emseg_napari.annotation.repair.edit import Edit, edit_of, is_membrane
from emseg_napari.annotation.repair.skeleton import CORNERS_TOO, Skeleton
from emseg_napari.annotation.repair.slice_window import RepairWindow, box_of
from emseg_napari.core.labels import INTERIOR

THICKEST_PX = 32
_JUNCTION_PX = 7
_STUB_PX = 15  # a loose piece of a line no longer goes with the wall on which it stands
_SHARES = (1.0, 0.5, 0.0)  # of the discs that stay, until the cells are open to each other


def removal(labels: np.ndarray, window: RepairWindow, skeleton: Skeleton, gone: np.ndarray) -> Edit:
    """Return the edit that makes interior of the membrane around some pixels of the lines.

    Parameters
    ----------
    labels : numpy.ndarray
        uint8 (y, x): the slice.
    window : RepairWindow
    skeleton : Skeleton
        Of this window.
    gone : numpy.ndarray
        bool (n,): which pixels of its lines go.
    """
    lines = skeleton.picture(gone | _stubs(skeleton, gone))
    part = _part(lines)
    mask, lines, kept = skeleton.mask[part], lines[part], (skeleton.lines & ~lines)[part]
    sides = {
        (int(one), int(other))
        for one, other in zip(*(side[gone] for side in skeleton.sides[:2]), strict=True)
    }
    for share in _SHARES:
        removed = _around(mask, lines, kept, share)
        pieces = ndimage.label(~mask | removed)[0]
        if _joins(pieces, skeleton.regions[part], mask, sides):
            break
    removed &= _holding(pieces, ~mask)  # no pocket in a junction becomes a cell of its own
    origin = (window.origin[0] + part[0].start, window.origin[1] + part[1].start)
    return edit_of(labels, removed & is_membrane(window.of(labels))[part], INTERIOR, origin)


def _stubs(skeleton: Skeleton, gone: np.ndarray) -> np.ndarray:
    """Return the short loose pieces, bool (n,), that would be left of what goes: corners and bumps."""
    lowest, highest, _ = skeleton.sides
    loose = skeleton.picture((lowest == highest) & ~gone)
    pieces, count = ndimage.label(loose, CORNERS_TOO)
    touching = np.zeros(count + 1, bool)
    touching[pieces[ndimage.binary_dilation(skeleton.picture(gone), CORNERS_TOO)]] = True
    touching &= np.bincount(pieces.ravel(), minlength=count + 1) <= _STUB_PX
    touching[0] = False
    return touching[pieces[skeleton.y, skeleton.x]]


def _part(lines: np.ndarray) -> tuple[slice, slice]:
    top, left, bottom, right = box_of(lines)
    rows = slice(max(top - THICKEST_PX, 0), min(bottom + THICKEST_PX, lines.shape[0]))
    return rows, slice(max(left - THICKEST_PX, 0), min(right + THICKEST_PX, lines.shape[1]))


def _around(mask: np.ndarray, lines: np.ndarray, kept: np.ndarray, share: float) -> np.ndarray:
    """Return the membrane around `lines` that no disc around `kept` covers, all bool (y, x)."""
    radius = ndimage.distance_transform_edt(mask)
    far, reach = _nearest(lines, radius)
    # Discs at junctions reach into the segment that goes: there, those beside them are enough.
    leaner = ndimage.minimum_filter(np.where(kept, radius, np.inf), _JUNCTION_PX)
    kept_far, kept_reach = _nearest(kept, leaner)
    own = (far < reach + 1) | ((far < kept_far) & (far < 2 * reach + 1))
    return mask & own & (kept_far >= np.maximum(share * kept_reach, 0.5))


def _nearest(lines: np.ndarray, radius: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distance to the nearest pixel of lines, and the radius of the membrane there."""
    if not lines.any():
        return np.full(lines.shape, np.inf), np.zeros(lines.shape)
    far, (y, x) = ndimage.distance_transform_edt(~lines, return_indices=True)
    return far, radius[y, x]


def _joins(pieces: np.ndarray, regions: np.ndarray, mask: np.ndarray, sides: set[tuple[int, int]]) -> bool:
    """Return whether cells on both sides of what is removed are connected then."""
    cells = np.where(mask, 0, regions)
    pieces_of = {region: set(np.unique(pieces[cells == region])) for region in set().union(*sides)}
    return any(pieces_of[one] & pieces_of[other] for one, other in sides)


def _holding(pieces: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Return the numbered pieces, bool (y, x), that hold some of the given pixels."""
    touched = np.zeros(int(pieces.max()) + 1, bool)
    touched[pieces[pixels]] = True
    return touched[pieces]
