"""Over-segmentation of a slice into pieces, and where they touch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage, sparse
from skimage.segmentation import watershed

from emseg_napari.core.labels import BOUNDARY, INTERIOR, PROPOSED_INTERIOR, UNLABELLED
from emseg_napari.segmentation.agglomeration import Regions
from emseg_napari.segmentation.watershed import seeds_of

# Interior is sure at a lower probability than for cells: a faint boundary inside a cell is worth a look.
_SURE_BELOW, _NECK_PX, _SMALLEST_PX = 0.15, 6.0, 100
_NEAR_PX = 2  # a line drawn this far from a border is meant for it: lines move a little between proposals
_NEIGHBOURS = ((np.s_[:-1, :], np.s_[1:, :]), (np.s_[:, :-1], np.s_[:, 1:]))


@dataclass(frozen=True)
class Slice:
    """Labels and probability of one slice.

    Attributes
    ----------
    labels : numpy.ndarray
        uint8 (y, x): 0 unlabelled, 1 boundary, 2 interior, 3 and 4 the same but only proposed.
    probability : numpy.ndarray
        Boundary probability, float32 (y, x), 0 to 1.
    spread : numpy.ndarray
        float32 (y, x): its standard deviation over orientations; 0 where unknown.
    """

    labels: np.ndarray
    probability: np.ndarray
    spread: np.ndarray

    @cached_property
    def touched(self) -> np.ndarray:
        """What the user has labelled: bool (y, x)."""
        return (self.labels == BOUNDARY) | (self.labels == INTERIOR)

    @cached_property
    def near_touched(self) -> np.ndarray:
        """What the user has labelled, and the pixels close by: bool (y, x)."""
        return ndimage.binary_dilation(self.touched, iterations=_NEAR_PX)

    @cached_property
    def interior(self) -> np.ndarray:
        """Interior as it stands, where nothing is labelled by the probability: bool (y, x)."""
        return is_interior(self.labels) | ((self.labels == UNLABELLED) & (self.probability < 0.5))

    @cached_property
    def belief(self) -> np.ndarray:
        """The boundary probability, given what the user has labelled: float32 (y, x), 0 to 1."""
        return np.where(self.touched, self.labels == BOUNDARY, self.probability).astype(np.float32)


@dataclass(frozen=True)
class Steps:
    """Every step from a pixel of one piece to the next pixel (in y or x) of another; arrays of one length.

    Attributes
    ----------
    one, other : numpy.ndarray
        int: the pieces; `one` is the lower number.
    y, x : numpy.ndarray
        int: the pixel of the two that is more like a boundary.
    strength, spread : numpy.ndarray
        float32: boundary probability and its spread there.
    is_open : numpy.ndarray
        bool: both pixels are interior.
    touched : numpy.ndarray
        bool: the user has labelled the pixel or one close by.
    """

    one: np.ndarray
    other: np.ndarray
    y: np.ndarray
    x: np.ndarray
    strength: np.ndarray
    spread: np.ndarray
    is_open: np.ndarray
    touched: np.ndarray

    def where(self, chosen: np.ndarray) -> Steps:
        """Return the steps where `chosen`, bool, is True."""
        return Steps(*(getattr(self, name)[chosen] for name in Steps.__annotations__))


def is_interior(labels: np.ndarray) -> np.ndarray:
    """Return where labels, with the values of `Slice`, say interior: bool of their shape."""
    return (labels == INTERIOR) | (labels == PROPOSED_INTERIOR)


def pieces_of(slice_: Slice) -> np.ndarray:
    """Divide a slice into pieces: int32 (y, x), 1, 2, ...; no 0.

    Every 4-connected part of the interior is a piece, or several where it has necks or where a
    boundary shows that is not strong enough to stand. Fronts grow over the sure interior from wide to
    narrow, then over other interior, and last over the boundary, on whose ridge they meet: so no
    piece has two parts of the interior, except specks, which join the neighbour with the weakest
    boundary.
    """
    belief, interior = slice_.belief, slice_.interior
    sure = interior & (belief < _SURE_BELOW)
    if not interior.any() or sure.all():
        return np.ones(interior.shape, np.int32)
    distance, seeds = _distance_and_seeds(sure)
    height = np.where(distance > 0, -distance, np.where(interior, belief - 1, belief))
    regions = Regions(watershed(height, _with_every_part(seeds, interior)), belief)
    regions.join_small(_SMALLEST_PX)
    return regions.numbers()


def _distance_and_seeds(sure: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Measure how wide the sure interior is, and where it is widest: float and int (y, x).

    In blocks of 2 x 2 pixels, of which all must be sure: four times faster, and no way through a
    boundary opens by it.
    """
    from emseg_napari.segmentation.watershed_kernel import squared_distances

    padded = np.pad(sure, [(0, n % 2) for n in sure.shape], mode="edge")
    blocks = padded[::2, ::2] & padded[1::2, ::2] & padded[::2, 1::2] & padded[1::2, 1::2]
    squares = squared_distances(blocks)
    seeds, _ = seeds_of(squares, _NECK_PX / 2)
    y, x = (np.arange(n) // 2 for n in sure.shape)
    return np.sqrt(squares)[np.ix_(y, x)], seeds[np.ix_(y, x)]


def _with_every_part(seeds: np.ndarray, interior: np.ndarray) -> np.ndarray:
    """Make each part of the interior without a seed a seed as a whole."""
    parts, count = ndimage.label(interior)
    missing = np.ones(count + 1, bool)
    missing[parts[seeds > 0]] = missing[0] = False
    new = np.cumsum(missing) + seeds.max()
    return np.where(missing[parts], new[parts], seeds)


def overlaps(pieces: np.ndarray, interior: np.ndarray) -> sparse.csr_matrix:
    """Count the pixels that each piece has in each 4-connected part of an interior.

    Parameters
    ----------
    pieces : numpy.ndarray
        int (y, x).
    interior : numpy.ndarray
        bool (y, x), of this slice or of another.

    Returns
    -------
    scipy.sparse.csr_matrix
        float64 (pieces + 1, parts + 1): a row per piece, a column per part; nothing in column 0.
    """
    parts, count = ndimage.label(interior)
    inside = parts > 0
    pairs = (pieces[inside], parts[inside])
    shape = (int(pieces.max()) + 1, count + 1)
    return sparse.coo_matrix((np.ones(len(pairs[0])), pairs), shape).tocsr()


def steps_between(pieces: np.ndarray, slice_: Slice) -> Steps:
    """Return the steps between the pieces of a slice, int (y, x)."""
    parts = [_steps_along(pieces, slice_, here, there) for here, there in _NEIGHBOURS]
    return Steps(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _steps_along(
    pieces: np.ndarray, slice_: Slice, here: tuple[slice, ...], there: tuple[slice, ...]
) -> tuple[np.ndarray, ...]:
    width, place = pieces.shape[1], np.arange(pieces.size).reshape(pieces.shape)
    differs = pieces[here] != pieces[there]
    first, second = place[here][differs], place[there][differs]
    flat = {name: getattr(slice_, name).ravel() for name in ("belief", "spread", "interior", "near_touched")}
    edge = np.where(flat["belief"][first] >= flat["belief"][second], first, second)
    one, other = pieces.ravel()[first], pieces.ravel()[second]
    return (
        np.minimum(one, other),
        np.maximum(one, other),
        edge // width,
        edge % width,
        flat["belief"][edge],
        flat["spread"][edge],
        flat["interior"][first] & flat["interior"][second],
        flat["near_touched"][edge],
    )
