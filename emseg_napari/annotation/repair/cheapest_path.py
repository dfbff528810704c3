"""Cheapest paths along dark and probable boundary, drawn as thick as the membranes around."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy import ndimage
from skimage.graph import MCP_Geometric

from emseg_napari.annotation.repair.edit import Pixel
from emseg_napari.annotation.repair.known_values import known_greys, known_probability
from emseg_napari.annotation.repair.skeleton import Skeleton
from emseg_napari.models import ridge

THIN_PX = 1.5  # half the thickness of a new membrane where there is no other to compare
_NEAR_PX = 24.0
_POCKET_PX = 40
_SIGMA_PX = 1.4
_LARGE_PX = 150**2  # from which a window's ridges, which are smooth, are measured on every second pixel
_CORRIDOR_PX = 6  # to either side of the coarse path
_LEAST = 0.03  # cost of a step over certain boundary; 1 over certain interior


def cost_of(membrane: np.ndarray, probability: np.ndarray | None, image: np.ndarray) -> np.ndarray:
    """Return the cost of a step over each pixel of a window: float64 (y, x), above 0, at most 1.

    Parameters
    ----------
    membrane : numpy.ndarray
        bool (y, x). It says whether membranes are dark here; to run along it costs as much as interior,
        so that no path takes a detour over membranes that are there.
    probability : numpy.ndarray or None
        Boundary probability, float32 (y, x), 0 to 1, where there is one.
    image : numpy.ndarray
        (y, x), of any type.
    """
    unlike = 1 - _ridge(known_greys(image), membrane)
    if probability is not None:  # which is as high in the whole thickness: the ridge leads to its middle
        unlike = (unlike + 1 - known_probability(probability)) / 2
    return np.where(membrane, 1.0, _LEAST + (1 - _LEAST) * unlike)


def _ridge(image: np.ndarray, membrane: np.ndarray) -> np.ndarray:
    """Return how much of a ridge runs through each pixel, from 0 to 1, compared with the window."""
    by = 2 if image.size > _LARGE_PX else 1
    small = downsampled(image, by)
    spread = float(small.std())
    if spread == 0:
        return np.zeros(image.shape)
    strength = ridge.strength((small - small.mean()) / spread, _SIGMA_PX / by, _dark(image, membrane))
    low, high = np.percentile(strength, (50, 95))
    return upsampled(np.clip((strength - low) / max(high - low, 1e-6), 0, 1), by, image.shape)


def downsampled(array: np.ndarray, by: int) -> np.ndarray:
    """Return the means of blocks of `by` x `by` pixels; incomplete ones repeat the edge."""
    if by == 1:
        return array
    padded = np.pad(array, [(0, -size % by) for size in array.shape], mode="edge")
    rows = sum((padded[first::by] for first in range(1, by)), padded[::by])
    return sum((rows[:, first::by] for first in range(1, by)), rows[:, ::by]) / by**2


def upsampled(array: np.ndarray, by: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return an array of which every pixel has become a block: what `downsampled` has made smaller."""
    return array.repeat(by, 0).repeat(by, 1)[: shape[0], : shape[1]] if by > 1 else array


def _dark(image: np.ndarray, membrane: np.ndarray) -> bool:
    if membrane.all() or not membrane.any():
        return True
    return bool(image[membrane].mean() <= image[~membrane].mean())


def cheapest_path(
    cost: np.ndarray, allowed: np.ndarray, starts: list[Pixel], ends: list[Pixel]
) -> np.ndarray | None:
    """Return the cheapest way from one of the starts to one of the ends; None if there is none.

    Parameters
    ----------
    cost : numpy.ndarray
        float64 (y, x), above 0, per pixel of length.
    allowed : numpy.ndarray
        bool (y, x): where the way may go.
    starts, ends : list of (int, int)

    Returns
    -------
    numpy.ndarray or None
        int (n, 2): y and x, each pixel a neighbour of the one before.
    """
    costs = np.where(allowed, cost, -1.0)  # which MCP never enters
    for pixel in (*starts, *ends):
        costs[pixel] = cost[pixel]
    search = MCP_Geometric(costs, fully_connected=True)
    totals, _ = search.find_costs(starts, ends, find_all_ends=False)
    reached = min(ends, key=lambda end: totals[end])
    return np.array(search.traceback(reached)) if np.isfinite(totals[reached]) else None


def corridor(cost: np.ndarray, allowed: np.ndarray, start: Pixel, end: Pixel) -> np.ndarray:
    """Return the surroundings, bool (y, x), of the cheapest way that every second pixel shows.

    Parameters
    ----------
    cost, allowed, start, end
        As in `cheapest_path`.
    """
    ends = [(y // 2, x // 2) for y, x in (start, end)]
    coarse = cheapest_path(
        downsampled(cost, 2), downsampled(allowed.astype(float), 2) == 1, ends[:1], ends[1:]
    )
    if coarse is None:
        return allowed
    return allowed & discs(2 * coarse, np.full(len(coarse), float(_CORRIDOR_PX)), cost.shape)


def half_thickness(skeleton: Skeleton, pixels: Iterable[Pixel]) -> list[float]:
    """Return half the thickness of the membranes near each of some pixels; elsewhere's if none is near.

    It is the median over the centre lines, which junctions and blobs hardly change.
    """
    if len(skeleton.y) == 0:
        return [THIN_PX for _ in pixels]
    # The centre of a membrane of 3 px is 2 px from the nearest pixel beside it.
    radius = ndimage.distance_transform_edt(skeleton.mask)[skeleton.y, skeleton.x] - 0.5
    found = []
    for y, x in pixels:
        near = (skeleton.y - y) ** 2 + (skeleton.x - x) ** 2 <= _NEAR_PX**2
        found.append(float(np.median(radius[near] if near.any() else radius)))
    return found


def drawn(path: np.ndarray, radii: list[float], shape: tuple[int, ...]) -> np.ndarray:
    """Return a path as a band: bool (y, x).

    Parameters
    ----------
    path : numpy.ndarray
        int (n, 2).
    radii : list of float
        Half the thickness at its start and at its end.
    shape : (int, int)
    """
    return discs(path, np.linspace(radii[0], radii[1], len(path)), shape)


def discs(centres: np.ndarray, radii: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the union of discs: bool (y, x), from centres, int (n, 2), and radii, float (n,)."""
    far = int(radii.max(initial=0))
    y, x = np.mgrid[-far : far + 1, -far : far + 1].reshape(2, -1)
    which, offset = np.nonzero(radii[:, None] >= np.hypot(y, x))
    y, x = y[offset] + centres[which, 0], x[offset] + centres[which, 1]
    inside = (y >= 0) & (x >= 0) & (y < shape[0]) & (x < shape[1])
    union = np.zeros(shape, bool)
    union[y[inside], x[inside]] = True
    return union


def with_pockets(band: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return a band with the slivers that it cuts off from cells, too small to be cells themselves.

    Parameters
    ----------
    band, mask : numpy.ndarray
        bool (y, x): what is drawn, and the membrane that is there, in a window.
    """
    cells, pockets = ndimage.label(~mask)[0], ndimage.label(~(mask | band))[0]
    before, after = np.bincount(cells.ravel()), np.bincount(pockets.ravel())
    was = np.zeros(len(after), int)
    was[pockets] = before[cells]
    fills = (after < _POCKET_PX) & (after < was)
    for edge in (pockets[0], pockets[-1], pockets[:, 0], pockets[:, -1]):
        fills[edge] = False  # its size is unknown
    fills[0] = False
    return band | fills[pockets]
