"""Search of one slice for places where its labels may be wrong, with the gain of a correction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from emseg_napari.annotation.suggest import error_probability
from emseg_napari.annotation.suggest.boundaries import Boundaries, Kind, Pieces
from emseg_napari.annotation.suggest.pieces import Slice
from emseg_napari.annotation.suggest.place import Place, ranked

PixelPath = tuple[np.ndarray, np.ndarray]

_SMALLEST_GAIN = 1e-6  # of V_rand of a slice: a thousand of such places would hardly show in a score
_WORTH = 0.99  # of all expected gain: sure membranes are most of the boundaries, and have the rest
# Share of a boundary that the user has touched; a user who drew a part of a membrane has seen the rest.
_SETTLED = {"gap": 0.5, "membrane": 0.2}
_MARGIN_PX, _SMALLEST_RADIUS_PX = 8, 16


def places_of_slice(
    z: int,
    labels: np.ndarray,
    probability: np.ndarray,
    disagreement: np.ndarray | None = None,
    neighbours: Sequence[np.ndarray | None] = (),
) -> list[Place]:
    """Return the places of one slice where it may pay to look, that with the largest gain first.

    Left out are the many that together have a hundredth of the expected gain, and those that the
    user has settled: half of an opening, or a fifth of a membrane, is touched.

    Parameters
    ----------
    z : int
        Number of the slice, for the places.
    labels : numpy.ndarray
        uint8 (y, x): 0 unlabelled, 1 boundary, 2 interior, 3 proposed boundary, 4 proposed interior.
        Where nothing is labelled the probability decides.
    probability : numpy.ndarray
        Boundary probability, float32 (y, x), 0 to 1, as the network gave it: before gaps were closed.
    disagreement : numpy.ndarray, optional
        float32 (y, x): standard deviation of the probability over the orientations.
    neighbours : sequence of numpy.ndarray or None
        Labels of the slice before and of the slice after, with the values of `labels`.

    Raises
    ------
    ValueError
        If shapes differ.
    """
    given = [probability, *(array for array in (disagreement, *neighbours) if array is not None)]
    if any(array.shape != labels.shape for array in given):
        raise ValueError(f"shapes differ: {labels.shape} and {[array.shape for array in given]}")
    spread = np.zeros(labels.shape, np.float32) if disagreement is None else disagreement
    pieces = Pieces(Slice(labels, probability, spread), neighbours)
    gaps, membranes = pieces.gaps(), pieces.membranes()
    typical, squares = error_probability.typical_strength(membranes), float((pieces.cell_areas**2).sum())
    of_gaps = error_probability.GAP_WITHOUT_SPREAD if disagreement is None else error_probability.GAP
    wrong_gaps = error_probability.probability_wrong(gaps, typical, of_gaps)
    wrong_membranes = error_probability.probability_wrong(membranes, typical, error_probability.MEMBRANE)
    every = [*_places(z, gaps, wrong_gaps, squares), *_places(z, membranes, wrong_membranes, squares)]
    return worth_a_look(every)


def worth_a_look(places: list[Place]) -> list[Place]:
    """Return the fewest places that have nearly all of the expected gain, the largest first."""
    best = ranked(places)
    together = np.cumsum([place.gain for place in best])
    return best[: int(np.searchsorted(together, _WORTH * together[-1])) + 1] if best else []


def _places(z: int, boundaries: Boundaries, wrong: np.ndarray, squares: float) -> Iterator[Place]:
    """Yield the places of boundaries that are worth it and not settled."""
    gain = wrong * cost(boundaries, squares)
    seen = _seen(boundaries)
    touched = error_probability.means(boundaries, boundaries.steps.touched, seen)
    asked = (gain >= _SMALLEST_GAIN) & (touched < _SETTLED[boundaries.kind])
    for number, line in _lines(boundaries, seen & asked[boundaries.group]):
        yield _place(z, boundaries.kind, line, float(gain[number]), float(wrong[number]))


def _seen(boundaries: Boundaries) -> np.ndarray:
    """Return which steps are to be looked at: of a gap the open ones."""
    steps = boundaries.steps
    return steps.is_open if boundaries.kind == "gap" else np.ones(len(steps.y), bool)


def _lines(boundaries: Boundaries, seen: np.ndarray) -> Iterator[tuple[int, PixelPath]]:
    """Yield the boundaries that are seen at all, each with the pixels of its steps that are."""
    if not seen.any():
        return
    steps, group = boundaries.steps, boundaries.group
    rows = np.unique(np.stack([group[seen], steps.y[seen], steps.x[seen]]).astype(np.int32), axis=1)
    numbers, starts = np.unique(rows[0], return_index=True)
    for number, (_, y, x) in zip(numbers.tolist(), np.split(rows, starts[1:], axis=1), strict=True):
        yield number, (y, x)


def cost(boundaries: Boundaries, squares: float) -> np.ndarray:
    """Return 1 - V_rand for each boundary, if nothing but it were wrong in the slice.

    With S = sum s^2 over the cells as they are and T = sum t^2 over the true ones,
    1 - V_rand = (S + T - 2 sum p^2) / (S + T). Where two cells of a and b pixels are one, T = S - 2ab
    = sum p^2; where one cell is two, T = S + 2ab and sum p^2 = S.

    Parameters
    ----------
    boundaries : Boundaries
    squares : float
        S.
    """
    pairs = boundaries.areas.prod(axis=1)
    return pairs / (squares - pairs if boundaries.kind == "gap" else squares + pairs)


def _place(z: int, kind: Kind, line: PixelPath, gain: float, wrong: float) -> Place:
    y, x = line
    middle = int(((y - y.mean()) ** 2 + (x - x.mean()) ** 2).argmin())
    reach = float(np.hypot(y - y[middle], x - x[middle]).max()) + _MARGIN_PX
    return Place(z, int(y[middle]), int(x[middle]), kind, gain, max(reach, _SMALLEST_RADIUS_PX), wrong, line)
