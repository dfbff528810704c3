"""Split of the labels into those that train and those that are held out.

Whole slices are held out, or, where too few have labels, a tile of the labelled area: a score on what a
network was trained on says nothing about other slices.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TypeVar

import numpy as np

from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import BOUNDARY, INTERIOR, UNLABELLED, check_trainable
from emseg_napari.io.axes import SliceWindow, slice_ranges
from emseg_napari.io.sparse_stack import SparseStack, labelled_slices
from emseg_napari.io.stacks import check_range
from emseg_napari.settings import TrainingSettings

T = TypeVar("T")

SLICES_FOR_HOLD_OUT = 4
# Between a held-out tile and the labels that train: neighbouring pixels are not independent.
_MARGIN_PX = 16
# An eighth of the labelled area, as of the slices; a smaller one says nothing.
_TILE_SIDE = 8**-0.5
_SMALLEST_TILE_PX = 32
# Below that part of labelled pixels labels say nothing of a threshold: strokes keep off the edges of
# membranes, and single corrections lie where the network fails.
_MANY = 0.125
# Below that part of labelled pixels, cells have gaps and their scores mean nothing.
_DENSE = 0.9

Tile = tuple[int, int, int, int]
Labels = np.ndarray | SparseStack


@dataclass(frozen=True)
class DataNames:
    """What the user calls the data of a training; error messages use these names.

    Attributes
    ----------
    image, labels : str
        Of the arrays: names of files, of layers, or of a function's parameters.
    slices, validate_slices : str
        Of the two ranges of slices: command-line options, or titles of settings.
    """

    image: str = "image"
    labels: str = "labels"
    slices: str = "Slices"
    validate_slices: str = "Held-out slices"


PARAMETER_NAMES = DataNames()


def split(
    labels: Labels, settings: TrainingSettings, names: DataNames = PARAMETER_NAMES
) -> tuple[list[int], list[int]]:
    """Choose which slices train and which are held out.

    An eighth of the labelled slices is held out, the last ones together, since neighbouring
    slices resemble each other; nothing when fewer than four are labelled.

    Parameters
    ----------
    labels : numpy.ndarray or SparseStack
        uint8 (z, y, x): 0 unlabelled, 1 boundary, 2 interior.
    settings : TrainingSettings
        Its `slices`, `validate_slices` and `hold_out`.
    names : DataNames, optional

    Returns
    -------
    trained, held_out : list of int
        Disjoint indices of slices with labels.

    Raises
    ------
    UserError
        If a range lies outside of the stack, or no slice is left to train on.
    """
    labelled = _labelled_in(labels, settings.slices, names.slices)
    held_out = _held_out(labels, labelled, settings, names)
    trained = [z for z in labelled if z not in held_out]
    if labelled and not trained:
        raise UserError("All labelled slices are held out, so none is left to train on; hold out fewer.")
    if not trained:
        check_trainable(labels[labelled], names.labels)
    return trained, held_out


def _held_out(labels: Labels, labelled: list[int], settings: TrainingSettings, names: DataNames) -> list[int]:
    wanted = settings.validate_slices
    if wanted is None:
        return _last_eighth(labels, labelled) if settings.hold_out else []
    found = _labelled_in(labels, wanted, names.validate_slices)
    if labelled and not found:
        raise UserError(
            f"{names.validate_slices}: {wanted[0]}:{wanted[1]} has no labels, so nothing would be held out; "
            f"choose among the labelled slices {slice_ranges(labelled)}, or leave it out."
        )
    return found


def _labelled_in(labels: Labels, chosen: tuple[int, int] | None, name: str) -> list[int]:
    return labelled_slices(labels, range(*check_range(chosen, len(labels), name)))


def _last_eighth(labels: Labels, labelled: list[int]) -> list[int]:
    if len(labelled) < SLICES_FOR_HOLD_OUT:
        return []
    both = [z for z in labelled if _both(labels[z])]
    return both[-max(1, len(labelled) // 8) :]


def hold_out_tile(labels: Labels, slices: list[int]) -> Tile | None:
    """Choose a corner of the labelled area to hold out, where no whole slice can be.

    Parameters
    ----------
    labels : numpy.ndarray or SparseStack
        uint8 (z, y, x): 0 unlabelled, 1 boundary, 2 interior.
    slices : list of int
        Those that train.

    Returns
    -------
    tuple of int or None
        First y, end y, first x, end x; None if it would be tiny, or one side would lack a class.
    """
    labels = labels[slices]
    rows, columns = (np.flatnonzero(labels.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    (top, bottom), (left, right) = ((int(n[0]), int(n[-1]) + 1) for n in (rows, columns))
    height, width = (round(_TILE_SIDE * n) for n in (bottom - top, right - left))
    if min(height, width) < _SMALLEST_TILE_PX:
        return None
    corners = [(y, y + height, x, x + width) for y in (top, bottom - height) for x in (left, right - width)]
    fit = [c for c in corners if _both(only_tile(labels, c)) and _both(but_tile(labels, c))]
    return max(fit, key=lambda c: np.count_nonzero(only_tile(labels, c)), default=None)


def only_tile(labels: np.ndarray, tile: Tile) -> np.ndarray:
    """Return labels (z, y, x) or (y, x) with those in the tile only; all others are 0."""
    part = np.s_[..., tile[0] : tile[1], tile[2] : tile[3]]
    result = np.zeros_like(labels)
    result[part] = labels[part]
    return result


def but_tile(labels: np.ndarray, tile: Tile) -> np.ndarray:
    """Return labels (z, y, x) or (y, x) without those in the tile and in a margin around it."""
    top, bottom, left, right = tile
    result = labels.copy()
    result[
        ...,
        max(0, top - _MARGIN_PX) : bottom + _MARGIN_PX,
        max(0, left - _MARGIN_PX) : right + _MARGIN_PX,
    ] = UNLABELLED
    return result


def _both(labels: np.ndarray) -> bool:
    return bool((labels == BOUNDARY).any() and (labels == INTERIOR).any())


def are_many(labels: np.ndarray) -> bool:
    """Say whether enough pixels have labels to choose a threshold by."""
    return float(np.mean(labels != UNLABELLED)) >= _MANY


def is_dense(labels: np.ndarray) -> bool:
    """Say whether nearly all pixels of the labelled area (z, y, x) have labels, so that cells are whole."""
    rows, columns = (np.flatnonzero(labels.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    if not rows.size:
        return False
    inside = labels[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return float(np.mean(inside != UNLABELLED)) >= _DENSE


def spread_over(items: list[T], most: int) -> list[T]:
    """Return at most `most` items, evenly spread."""
    places = np.linspace(0, len(items) - 1, min(most, len(items)))
    return [items[i] for i in places.round().astype(int)]


def most_labelled(labels: np.ndarray, side_px: int) -> SliceWindow:
    """Return the window (y, x), of a grid with `side_px` steps, that has most labels of (z, y, x)."""
    rows, columns = (
        [slice(first, min(first + side_px, n)) for first in range(0, n, side_px)] for n in labels.shape[1:]
    )
    return max(product(rows, columns), key=lambda window: np.count_nonzero(labels[:, *window]))
