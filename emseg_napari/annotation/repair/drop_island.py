"""Fill interior: removes an island of membrane, a speck, or a ring around an organelle."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from emseg_napari.annotation.repair.clicked_cells import beside, interior_under, membrane_near, parted
from emseg_napari.annotation.repair.edit import Edit, Pixel, Point, edit_of, is_membrane, pixel_at
from emseg_napari.annotation.repair.known_values import known_probability
from emseg_napari.annotation.repair.membrane_removal import removal
from emseg_napari.annotation.repair.skeleton import CORNERS_TOO, Skeleton, skeleton_of
from emseg_napari.annotation.repair.slice_window import RepairWindow, box_of, growing_windows, window_around
from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import INTERIOR

LARGEST_PX = 512  # what is higher or wider is not an island or organelle, but tissue
LEAST_SHARE = 0.5  # of the outline of a false cell that one other cell must have
_FIRST_PX, _MARGIN_PX = 64, 32
_SHORTEST_PX = 3  # of a wall
_SURE = 0.95  # mean probability from which no membrane is weak


def drop_island(labels: np.ndarray, point: Point, probability: np.ndarray | None = None) -> Edit:
    """Make interior of a false island or ring.

    A click on membrane, or close to an island, removes the island with all that it encloses. A click
    inside a cell gives the cell to the one that has most of its outline, or else to the one from which
    the weakest membrane separates it: that membrane goes, and so do loose pieces in the cell; what separates
    it from others stays. A cell is not given to a smaller one: an organelle is smaller than its cell.

    Parameters
    ----------
    labels : numpy.ndarray
        uint8 (y, x): a slice's labels with their states.
    point : (float, float)
        y and x of the click.
    probability : numpy.ndarray, optional
        Its boundary probability, float32 (y, x), 0 to 1: it says which membrane is weak.

    Returns
    -------
    Edit
        To interior.

    Raises
    ------
    UserError
        If the membrane under the click is not an island, or the cell lies between several others, or is
        larger than the one that it would become a part of.
    """
    pixel, near = pixel_at(point, labels.shape), membrane_near(labels, point)
    island = None if near is None else _island(labels, near)
    if island is not None:
        return edit_of(labels, island[1], INTERIOR, island[0].origin)
    if not labels[pixel] & 1:
        return _without_cell(labels, pixel, probability)
    raise UserError(
        f"The membrane at ({pixel[0]}, {pixel[1]}) is connected with others; "
        "click inside the false cell, or drop the membrane segment by segment."
    )


def _room(labels: np.ndarray, pixel: Pixel) -> RepairWindow | None:
    """Return a window with all that is connected with a pixel; None if that is too large.

    Membrane is connected over corners too, interior is not.
    """
    value = labels[pixel] & 1
    for window in growing_windows(pixel, _FIRST_PX, labels.shape):
        here = labels[window.top : window.bottom, window.left : window.right] & 1 == value
        numbers = ndimage.label(here, CORNERS_TOO if value else None)[0]
        box = box_of(numbers == numbers[pixel[0] - window.top, pixel[1] - window.left])
        top, left, bottom, right = np.add(box, (window.top, window.left) * 2).tolist()
        if max(bottom - top, right - left) > LARGEST_PX:
            return None
        pairs = zip((top, left, bottom, right), window.box, (0, 0, *labels.shape), strict=True)
        if not any(at == cut != edge for at, cut, edge in pairs):
            return window_around([(top, left), (bottom - 1, right - 1)], _MARGIN_PX, labels.shape)
    return None


def _island(labels: np.ndarray, pixel: Pixel) -> tuple[RepairWindow, np.ndarray] | None:
    """Return the filled island around a pixel of membrane, bool (y, x) in a window; None if there is none."""
    window = _room(labels, pixel)
    if window is None:
        return None
    numbers = ndimage.label(is_membrane(window.of(labels)), CORNERS_TOO)[0]
    filled = ndimage.binary_fill_holes(numbers == numbers[window.local(pixel)])
    return (window, filled) if _lies_in_one_cell(labels, window, filled) else None


def _lies_in_one_cell(labels: np.ndarray, window: RepairWindow, filled: np.ndarray) -> bool:
    """Return whether all that touches a filled island, bool (y, x) in the window, is a single cell."""
    outline = ndimage.binary_dilation(filled) & ~filled & window.in_slice
    numbers = ndimage.label(~is_membrane(window.of(labels)))[0][outline]
    return len(numbers) > 0 and bool(numbers[0] > 0 and (numbers == numbers[0]).all())


def _without_cell(labels: np.ndarray, pixel: Pixel, probability: np.ndarray | None) -> Edit:
    window = _room(labels, pixel)
    if window is None:
        raise UserError(
            f"This cell is larger than {LARGEST_PX} px; press 'Join cells' (J) and join it to its cell."
        )
    skeleton = skeleton_of(window.of(labels))
    own = beside(skeleton, *interior_under(labels, window, [pixel]))
    walls = _walls(labels, window, skeleton, own)
    if not walls:
        raise UserError("No membrane separates this cell from another; click inside the false cell.")
    outline = own.any(axis=0) & ((skeleton.beside > 0) & ~own).any(axis=0)
    wall = max(walls, key=np.count_nonzero)
    if np.count_nonzero(wall) < LEAST_SHARE * np.count_nonzero(outline):
        wall = _weakest(walls, skeleton, None if probability is None else window.of(probability))
    if _size(labels, pixel) > _size(labels, _other_side(labels, window, skeleton, own, wall)):
        raise UserError(
            "This cell is larger than the one beside it, so it is not an island in that; "
            "if the two are one cell, use 'Join cells' (J)."
        )
    loose = own.any(axis=0) & (own | (skeleton.beside == 0)).all(axis=0)
    return removal(labels, window, skeleton, wall | loose)


def _walls(labels: np.ndarray, window: RepairWindow, skeleton: Skeleton, own: np.ndarray) -> list[np.ndarray]:
    """Return the pixels of the lines, bool (n,) each, that part a cell from each of its neighbours."""
    cells = ndimage.label(~is_membrane(window.of(labels)) & window.in_slice)[0]
    cell_of = np.zeros(int(skeleton.regions.max()) + 1, int)
    cell_of[skeleton.regions[cells > 0]] = cells[cells > 0]  # all pixels of a region are of one
    neighbours = np.where(own | (skeleton.beside == 0), 0, cell_of[skeleton.beside])
    walls = (parted(skeleton, own, neighbours == n) for n in np.unique(neighbours[:, own.any(axis=0)]) if n)
    return [wall for wall in walls if np.count_nonzero(wall) >= _SHORTEST_PX]


def _other_side(
    labels: np.ndarray, window: RepairWindow, skeleton: Skeleton, own: np.ndarray, wall: np.ndarray
) -> Pixel:
    """Return a pixel of the slice in the cell from which a wall parts a cell."""
    others = np.where(own, 0, skeleton.beside)[:, wall]
    cell = np.isin(skeleton.regions, others[others > 0]) & ~is_membrane(window.of(labels)) & window.in_slice
    y, x = np.argwhere(cell)[0] + window.origin
    return int(y), int(x)


def _size(labels: np.ndarray, pixel: Pixel) -> float:
    """Return how many pixels the cell of a pixel has; infinity where it is larger than any organelle."""
    window = _room(labels, pixel)
    if window is None:
        return np.inf
    return float(np.count_nonzero(interior_under(labels, window, [pixel])[0]))


def _weakest(walls: list[np.ndarray], skeleton: Skeleton, probability: np.ndarray | None) -> np.ndarray:
    """Return the wall that is least probable, if there is one that is not sure."""
    if probability is not None:
        likely = known_probability(probability)[skeleton.y, skeleton.x]
        weakest = min(walls, key=lambda wall: likely[wall].mean())
        if likely[weakest].mean() <= _SURE:
            return weakest
    raise UserError("This cell lies between several others; press 'Join cells' (J) and join it to its cell.")
