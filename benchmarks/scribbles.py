"""Scribbles as people draw them: strokes along some membranes and inside some cells."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.morphology import skeletonize

from emseg_napari.core.labels import BOUNDARY, INTERIOR

_STROKE_PX = 30, 90
_KEEP_OFF_PX = 4  # nobody draws inside a cell up to its very edge


def scribble(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Keep of full labels only what random strokes pass over.

    Parameters
    ----------
    labels : numpy.ndarray
        uint8 (z, y, x), 1 boundary, 2 interior, everywhere or nowhere in a slice.
    share : float
        Part of the pixels of every slice that the strokes cover, 0 to 1.
    seed : int
        Of the strokes.

    Returns
    -------
    numpy.ndarray
        uint8 of the same shape, 0 where nobody drew.
    """
    random = np.random.default_rng(seed)
    return np.stack([_scribble_slice(slice_, share, random) if slice_.any() else slice_ for slice_ in labels])


def _scribble_slice(labels: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    membranes = skeletonize(labels == BOUNDARY)
    room = ndimage.distance_transform_edt(labels == INTERIOR)
    on_membrane, in_cell = np.argwhere(membranes), np.argwhere(room > _KEEP_OFF_PX)
    drawn = np.zeros(labels.shape, bool)
    while drawn.mean() < share:
        track = _along(membranes, on_membrane[random.integers(len(on_membrane))], random)
        drawn |= ndimage.binary_dilation(_marked(track, labels.shape), iterations=1) & (labels == BOUNDARY)
        track = _inside(room, in_cell[random.integers(len(in_cell))], random)
        drawn |= ndimage.binary_dilation(_marked(track, labels.shape), iterations=2) & (labels == INTERIOR)
    return np.where(drawn, labels, 0).astype(np.uint8)


def _along(membranes: np.ndarray, start: np.ndarray, random: np.random.Generator) -> list[tuple[int, int]]:
    """Follow a membrane from pixel to pixel without turning back."""
    track, left = [(int(start[0]), int(start[1]))], membranes.copy()
    for _ in range(int(random.integers(*_STROKE_PX))):
        y, x = track[-1]
        left[y, x] = False
        top, first = max(0, y - 1), max(0, x - 1)
        ahead = np.argwhere(left[top : y + 2, first : x + 2])
        if not len(ahead):
            break
        step = ahead[random.integers(len(ahead))]
        track.append((top + int(step[0]), first + int(step[1])))
    return track


def _inside(room: np.ndarray, start: np.ndarray, random: np.random.Generator) -> list[tuple[int, int]]:
    """Wander through a cell, with slow turns, until its edge comes near."""
    place, heading, track = start.astype(float), random.uniform(0, 2 * np.pi), []
    for _ in range(int(random.integers(*_STROKE_PX))):
        y, x = (int(v) for v in place)
        if not (0 <= y < room.shape[0] and 0 <= x < room.shape[1]) or room[y, x] < _KEEP_OFF_PX - 1:
            break
        track.append((y, x))
        heading += random.normal(0, 0.2)
        place = place + np.array([np.sin(heading), np.cos(heading)])
    return track


def _marked(track: list[tuple[int, int]], shape: tuple[int, ...]) -> np.ndarray:
    result = np.zeros(shape, bool)
    result[tuple(np.array(track).T)] = True
    return result
