"""Interpolate: labels for the slices between two labelled ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from emseg_napari.annotation.repair.edit import check_shapes, is_membrane
from emseg_napari.core.labels import BOUNDARY
from emseg_napari.segmentation.linking import Chain
from emseg_napari.segmentation.overlaps import Overlaps
from emseg_napari.settings import CellSettings

if TYPE_CHECKING:
    from emseg_napari.annotation.repair.row_segments import RowSegments

_TAPER_PX = 8


def interpolate(below: np.ndarray, above: np.ndarray, fraction: float) -> np.ndarray:
    """Return labels between two labelled slices, by shape.

    Each pixel's distance to a cell's outline, negative inside of it, is interpolated linearly, and the
    cell is where the result is negative (Raya and Udupa 1990, doi:10.1109/42.52985); boundary is what
    lies in no cell. Cells that overlap are taken to be the same cell; a cell that only one has
    tapers off. The boundary as a single shape would not do: membranes are thinner than their way from
    slice to slice, and vanish between.

    Parameters
    ----------
    below, above : numpy.ndarray
        uint8 (y, x): labels with their states; all that is not boundary counts as interior.
    fraction : float
        Of the way from `below` to `above`, 0 to 1.

    Returns
    -------
    numpy.ndarray
        uint8 (y, x): 1 boundary, 2 interior.

    Raises
    ------
    UserError
        If the shapes differ.
    """
    return Between(below, above).at(fraction)


class Between:
    """Draws slices between two others; what does not depend on where is found once.

    Parameters
    ----------
    below, above : numpy.ndarray
        As of `interpolate`.
    """

    def __init__(self, below: np.ndarray, above: np.ndarray) -> None:
        from emseg_napari.annotation.repair import interpolation_kernel, row_segments

        check_shapes(below, above)
        membranes = [_membrane(labels) for labels in (below, above)]
        self.shape = below.shape
        self._depths = [interpolation_kernel.depths(membrane) for membrane in membranes]
        for membrane, depth in zip(membranes, self._depths, strict=True):
            if not membrane.any():  # nothing says how deep its only cell is
                depth[:] = _TAPER_PX
        found = [row_segments.RowSegments(*row_segments.stretches_of(membrane)) for membrane in membranes]
        numbers = _linked(found)
        last = max(int(number.max(initial=0)) for number in numbers)
        self._cells = [
            row_segments.SegmentsByCell(*row_segments.sorted_by(number, last, one))
            for number, one in zip(numbers, found, strict=True)
        ]

    def at(self, fraction: float) -> np.ndarray:
        """Return labels, uint8 (y, x), at a fraction of the way, 0 to 1.

        A pixel p of a cell lasts if (1 - fraction) * d < fraction * e, d being the (negative) distance to
        its outline in its own slice and e that in the other. Where both slices have the cell at p
        it lasts at any fraction; elsewhere e is sought no farther than d allows.
        """
        from emseg_napari.annotation.repair.interpolation_kernel import LANES, draw_persisting

        drawn = np.full(self.shape, BOUNDARY, np.uint8)
        cells, shares, room = self._cells, (1 - fraction, fraction), np.empty((3, LANES), np.uint16)
        draw_persisting(drawn, cells[0], cells[1], self._depths[0], _reach(*shares), room)
        draw_persisting(drawn, cells[1], cells[0], self._depths[1], _reach(*shares[::-1]), room)
        return drawn


def _membrane(labels: np.ndarray) -> np.ndarray:
    """Return a new plain array, since functions are compiled again for every other kind."""
    return np.array(is_membrane(np.asarray(labels, np.uint8)).view(np.uint8), order="C")


def _linked(found: list[RowSegments]) -> list[np.ndarray]:
    """Return for the stretches of two slices the numbers of their cells, which are alike if they overlap."""
    from emseg_napari.annotation.repair.row_segments import numbers_of, shared

    own = [numbers_of(*one) for one in found]
    counts = [int(number.max(initial=0)) for number in own]
    sizes = [
        np.bincount(number, one.stop - one.start, count + 1)
        for number, one, count in zip(own, found, counts, strict=True)
    ]
    pairs = shared(*found)
    below, above = own[0][pairs[:, 0]], own[1][pairs[:, 1]]
    table = sparse.coo_array((pairs[:, 2], (below, above)), shape=[count + 1 for count in counts])
    summed = table.tocsr().tocoo()  # adds up what several stretches of the same two cells share
    one, other = (place.astype(np.int64) for place in summed.coords)
    overlap = summed.data / (sizes[0][one] + sizes[1][other] - summed.data)
    enough = overlap >= CellSettings().overlap
    chain = Chain(1)
    numbers = [
        chain.next(counts[0], []),
        chain.next(counts[1], [Overlaps(one[enough], other[enough], overlap[enough])]),
    ]
    return [np.concatenate([[0], new]).astype(np.int32)[old] for new, old in zip(numbers, own, strict=True)]


def _reach(own: float, other: float) -> np.ndarray:
    """Return how near the other slice's cell has to be, by the depth in the own one, both squared.

    The outline runs between two pixels, half a pixel from their centres.
    """
    from emseg_napari.annotation.repair.interpolation_kernel import FAR_PX

    deep = np.sqrt(np.arange(FAR_PX**2 + 1)) - 0.5
    far = np.clip((own / other * deep if other else np.inf * deep) + 0.5, 0, FAR_PX)
    return np.floor(far**2 + 1e-6).astype(np.uint16)
