"""Stacks of which only some slices are stored, such as the labels of five slices of two thousand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from emseg_napari.core.label_survey import MOST_FORMS
from emseg_napari.core.labels import Convention, conversion, doubt
from emseg_napari.io.slabs import in_slabs
from emseg_napari.io.volume import Volume

# What training, live learning and validation take slices of.
Stack = np.ndarray | Volume


class SparseStack:
    """A stack (z, y, x) that stores some slices; all others are 0.

    It is asked for slices as an array is: ``stack[z]``, ``stack[2:4]``, ``stack[[2, 7]]``. Pickled, it is
    as large as the slices that it stores.

    Parameters
    ----------
    shape : (int, int, int)
        (z, y, x).
    dtype : numpy.dtype
    planes : mapping of int to numpy.ndarray
        (y, x) each; not copied.
    """

    ndim = 3

    def __init__(
        self,
        shape: tuple[int, int, int],
        dtype: Any = np.uint8,
        planes: Mapping[int, np.ndarray] | None = None,
    ) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        self._planes = dict(sorted((planes or {}).items()))

    @classmethod
    def of(cls, stack: Any, slices: Iterable[int] | None = None) -> SparseStack:
        """Store the slices of an array-like stack (z, y, x) that are not all 0.

        Parameters
        ----------
        stack : array-like
            Read slice by slice; slices of an array in memory are views of it.
        slices : iterable of int, optional
            Where to look; all when not given.
        """
        stack, looked_at = in_slabs(stack), range(len(stack)) if slices is None else slices
        planes = ((int(z), np.asarray(stack[z])) for z in looked_at)  # one at a time in memory
        return cls(tuple(stack.shape), stack.dtype, {z: plane for z, plane in planes if plane.any()})

    @property
    def stored_slices(self) -> list[int]:
        """The slices that are stored, in order."""
        return list(self._planes)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: int | slice | Sequence[int]) -> np.ndarray:
        if isinstance(key, int | np.integer):
            z = range(len(self))[key]
            return self._planes[z] if z in self._planes else np.zeros(self.shape[1:], self.dtype)
        every = range(len(self))
        chosen = every[key] if isinstance(key, slice) else [every[z] for z in key]
        result = np.zeros((len(chosen), *self.shape[1:]), self.dtype)
        for place, z in enumerate(chosen):
            if z in self._planes:
                result[place] = self._planes[z]
        return result

    def __setitem__(self, z: int, plane: np.ndarray) -> None:
        """Replace a slice; it is not copied."""
        if plane.shape != self.shape[1:]:
            raise ValueError(f"a slice of shape {plane.shape} for a stack of shape {self.shape}")
        self._planes = dict(sorted({**self._planes, z: plane}.items()))

    def mapped(self, change: Callable[[np.ndarray], np.ndarray]) -> SparseStack:
        """Return another stack, of what `change` makes of each slice that is stored."""
        planes = {z: change(plane) for z, plane in self._planes.items()}
        changed = next(iter(planes.values())) if planes else change(np.zeros((0, 0), self.dtype))
        return SparseStack(self.shape, changed.dtype, planes)


def normalised(stack: Any, name: str, convention: Convention | None = None) -> SparseStack:
    """Return labels of any convention, read slice by slice, as 0 unlabelled, 1 boundary, 2 interior.

    Parameters
    ----------
    stack : array-like
        (z, y, x).
    name, convention
        As for `labels.normalise`.

    Raises
    ------
    AmbiguousLabels, UnknownLabels
        As `labels.normalise`.
    """
    stack = in_slabs(stack)
    change = conversion(_planes(stack), np.dtype(stack.dtype), name, convention)
    planes = ((z, change(plane)) for z, plane in enumerate(_planes(stack)))
    return SparseStack(tuple(stack.shape), np.uint8, {z: plane for z, plane in planes if plane.any()})


def exchanged(labels: Any, name: str) -> str | None:
    """Return a sentence if boundary and interior of labels (z, y, x) look exchanged, as `labels.doubt` does.

    Of a `SparseStack` only what is stored is looked at; the first slices are enough.
    """
    slices = labels.stored_slices if isinstance(labels, SparseStack) else range(len(labels))
    return doubt((labels[z] for z in slices[:MOST_FORMS]), name)


def _planes(stack: Any) -> Iterator[np.ndarray]:
    """Yield slices (y, x), one at a time in memory."""
    return (np.asarray(stack[z]) for z in range(len(stack)))


def labelled_slices(labels: Any, slices: Iterable[int] | None = None) -> list[int]:
    """Return which slices of labels (z, y, x), an array or a `SparseStack`, are not all 0."""
    asked = range(len(labels)) if slices is None else slices
    if isinstance(labels, SparseStack):
        stored = set(labels.stored_slices)
        asked = (z for z in asked if z in stored)
    return [z for z in asked if labels[z].any()]


def stacked(stack: Any, slices: Sequence[int]) -> np.ndarray:
    """Return some slices of anything that is asked for slices, as an array (z, y, x)."""
    if isinstance(stack, np.ndarray):
        return stack[list(slices)]
    if not slices:
        return np.zeros((0, *stack.shape[1:]), stack.dtype)
    return np.stack([stack[z] for z in slices])
