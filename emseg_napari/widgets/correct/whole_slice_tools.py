"""Slices drawn as a whole, from their neighbours: copied, or interpolated between confirmed ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from napari.layers import Labels

from emseg_napari.annotation.label_state import is_proposal
from emseg_napari.annotation.repair.copy_slice import copy_neighbour
from emseg_napari.annotation.repair.edit import is_membrane
from emseg_napari.annotation.repair.interpolate import Between
from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import UNLABELLED
from emseg_napari.widgets.base.labels_step import LabelsStep
from emseg_napari.widgets.layers.labels_layer import (
    confirmed_in,
    history_of,
    refuse_confirmed,
    stack_of,
    trusted_plane,
)
from emseg_napari.widgets.layers.undo_history import Replaced


@dataclass(frozen=True)
class WholeSliceTool:
    """A tool that draws all pixels of the slice in view that have no label of the user's own.

    Attributes
    ----------
    name, key, about : str
        For the button.
    draw : callable
        Returns, for a layer and a slice, its new labels, uint8 (y, x), and the sentence that says what was
        done; raises `UserError` where that cannot be.
    points : int
        1: a click anywhere in the slice.
    """

    name: str
    key: str
    about: str
    draw: Callable[[Labels, int], tuple[np.ndarray, str]]
    points: int = 1


def redraws(step: LabelsStep) -> tuple[WholeSliceTool, ...]:
    """Return the tools of a step: copies from before and after, and interpolation."""
    return (
        WholeSliceTool("Copy before", "Q", f"{_COPY} before.", partial(_copied, step, -1)),
        WholeSliceTool("Copy after", "W", f"{_COPY} after.", partial(_copied, step, 1)),
        WholeSliceTool("Interpolate", "U", _BETWEEN, Interpolation()),
    )


def _copied(step: LabelsStep, by: int, layer: Labels, z: int) -> tuple[np.ndarray, str]:
    labels = stack_of(layer)
    if not 0 <= z + by < len(labels):
        raise UserError(f"Slice {z} has no neighbour on that side.")
    refuse_confirmed(layer, z)
    source = trusted_plane(labels[z + by], z + by in confirmed_in(layer))
    if not source.any():
        raise UserError(f"Slice {z + by} has no labels of yours to copy; confirm it first.")
    drawn = copy_neighbour(source, step.image_plane(z + by), step.image_plane(z))
    return drawn, f"Copied the labels of slice {z + by} to where slice {z} had no labels of yours."


class Interpolation:
    """Draws slices between the nearest confirmed ones, and remembers the last one that it drew."""

    def __init__(self) -> None:
        self._known: tuple[list[np.ndarray], Between] | None = None
        self._last: tuple[Between, float, np.ndarray] | None = None

    def __call__(self, layer: Labels, z: int) -> tuple[np.ndarray, str]:
        """Return labels of slice z, uint8 (y, x), and what was done."""
        confirmed, labels = confirmed_in(layer), stack_of(layer)
        before, after = [c for c in confirmed if c < z], [c for c in confirmed if c > z]
        refuse_confirmed(layer, z)
        if not before or not after:
            raise UserError(f"Confirm a slice before and one after slice {z} first; then interpolate.")
        low, high = max(before), min(after)
        drawn = self._drawn([labels[low], labels[high]], (z - low) / (high - low))
        return drawn, f"Slice {z} is drawn between slices {low} and {high}, where it had no labels of yours."

    def _drawn(self, planes: list[np.ndarray], fraction: float) -> np.ndarray:
        # A thread draws, too: what is remembered is taken and replaced as a whole.
        ends = [is_membrane(plane.astype(np.uint8, copy=False)).view(np.uint8) for plane in planes]
        known, last = self._known, self._last
        if known is None or not all(map(np.array_equal, ends, known[0])):
            known = self._known = ends, Between(*ends)
        if last is None or last[:2] != (known[1], fraction):
            last = self._last = known[1], fraction, known[1].at(fraction)
        return last[2]


def free_in(plane: np.ndarray) -> np.ndarray:
    """Return which pixels of an unconfirmed slice (y, x) have no label of the user's own: bool."""
    return (plane == UNLABELLED) | is_proposal(plane)


def redraw(layer: Labels, z: int, drawn: np.ndarray, name: str = "new labels") -> int:
    """Give a slice new labels where it has none of the user's own, as one undo entry; return how many.

    Parameters
    ----------
    drawn : numpy.ndarray
        uint8 (y, x): 1 boundary, 2 interior, 0 where nothing is to change.
    name : str
        Of the entry.
    """
    plane = stack_of(layer)[z]
    before, free = plane.copy(), free_in(plane) & (drawn != UNLABELLED)
    np.copyto(plane, drawn, where=free, casting="unsafe")
    layer.refresh()
    history_of(layer).add(Replaced(lambda: stack_of(layer), z, before, name))
    return int(np.count_nonzero(free))


_COPY = (
    "For a damaged section: where this slice has no labels of yours it gets those of its neighbour, moved to "
    "fit. The preview shows it; click into the slice to apply it. From the slice"
)
_BETWEEN = (
    "Draw what lies between the nearest confirmed slices before and after, where this slice has no labels of "
    "yours. The preview shows it; click into the slice to apply it."
)
