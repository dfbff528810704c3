"""Which labels a person has made and which a network has only proposed.

The state of a pixel follows from values, so that an undo of the labels needs no message here: it
is a proposal while its label is the one that a prediction filled in, nobody has touched it, and its
slice is not confirmed. Every other label is a person's; no prediction changes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from emseg_napari.labels import UNLABELLED

Indices = tuple[np.ndarray, np.ndarray, np.ndarray]
Pixels = np.ndarray | tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class SliceSummary:
    """How many pixels of one slice are in which state, and whether a person has confirmed it."""

    unlabelled: int
    proposed: int
    touched: int
    confirmed: bool


class Corrections:
    """The state of every pixel of one labels array.

    Parameters
    ----------
    shape : (int, int, int)
        Of the labels array, (z, y, x).

    Attributes
    ----------
    proposal : numpy.ndarray
        uint8 (z, y, x): the label that the last prediction filled in; 0 = none.
    touched : numpy.ndarray
        bool (z, y, x): pixels that a person has painted, also where this changed no label.
    confirmed : set of int
        Slices that a person has confirmed.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = tuple(shape)
        self.proposal = np.zeros(shape, np.uint8)
        self.touched = np.zeros(shape, bool)
        self.confirmed: set[int] = set()

    def is_proposal(self, labels: np.ndarray, z: int | None = None) -> np.ndarray:
        """Return where labels are proposals that nobody has touched or confirmed.

        Parameters
        ----------
        labels : numpy.ndarray
            uint8 (z, y, x), 0 unlabelled, 1 boundary, 2 interior.
        z : int, optional
            The slice that is wanted; all when not given.

        Returns
        -------
        numpy.ndarray
            bool, (y, x) for one slice, else (z, y, x).
        """
        self._check(labels)
        if z is not None:
            return self._is_proposal(labels, z)
        return np.stack([self._is_proposal(labels, i) for i in range(self.shape[0])])

    def fill(self, labels: np.ndarray, z: int, proposed: np.ndarray) -> tuple[Indices, np.ndarray]:
        """Propose labels for the pixels of a slice that are unlabelled or still a proposal.

        The proposal is recorded here; the caller sets the labels, outside of any undo history: an undo of
        a fill would bring back labels that no record calls a proposal.

        Parameters
        ----------
        labels : numpy.ndarray
            uint8 (z, y, x), 0 unlabelled, 1 boundary, 2 interior; stays as it is.
        z : int
            The slice.
        proposed : numpy.ndarray
            uint8 (y, x), 1 boundary, 2 interior, 0 where nothing is proposed.

        Returns
        -------
        indices : tuple of numpy.ndarray
            z, y and x of the labels to change, none in a confirmed slice.
        values : numpy.ndarray
            uint8, their new labels in the same order.
        """
        self._check(labels)
        if proposed.shape != self.shape[1:]:
            raise ValueError(f"a proposal of shape {proposed.shape} for slices of shape {self.shape[1:]}")
        changed = np.zeros(self.shape[1:], bool)
        if z not in self.confirmed:
            changed = self._record(labels[z], z, proposed) & (labels[z] != proposed)
        y, x = np.nonzero(changed)
        return (np.full(len(y), z), y, x), proposed[changed].astype(np.uint8)

    def touch(self, z: int, pixels: Pixels, erased: bool = False) -> None:
        """Note that a person has painted pixels, whether or not this changed their labels.

        Parameters
        ----------
        z : int
            The slice.
        pixels : numpy.ndarray or tuple of numpy.ndarray
            Mask (y, x), or the pixels' y and x.
        erased : bool
            Whether they were painted with "unlabelled", which gives them free for proposals again.
        """
        if erased:
            # without its record, a label of a person's that undo brings back stays a person's
            record = self.proposal[z]
            record[pixels] = np.where(self.touched[z][pixels], UNLABELLED, record[pixels])
        self.touched[z][pixels] = not erased

    def confirm(self, z: int) -> None:
        """Count all labels of slice `z` as a person's from now on."""
        if not 0 <= z < self.shape[0]:
            raise ValueError(f"there is no slice {z} in a stack of {self.shape[0]}")
        self.confirmed.add(z)

    def unconfirm(self, z: int) -> None:
        """Take a confirmation back; untouched proposals of slice `z` are proposals again."""
        self.confirmed.discard(z)

    def trusted(self, labels: np.ndarray, include_proposals: bool = False) -> np.ndarray:
        """Return a copy of the labels for training and export: proposals are unlabelled in it.

        Parameters
        ----------
        labels : numpy.ndarray
            uint8 (z, y, x), 0 unlabelled, 1 boundary, 2 interior.
        include_proposals : bool
            Whether proposals count as labels too.
        """
        self._check(labels)
        result = labels.copy()
        if not include_proposals:
            for z, plane in enumerate(result):
                plane[self._is_proposal(labels, z)] = UNLABELLED
        return result

    def summary(self, labels: np.ndarray, z: int) -> SliceSummary:
        """Count the pixels of slice `z` by their state."""
        self._check(labels)
        return SliceSummary(
            unlabelled=int(np.count_nonzero(labels[z] == UNLABELLED)),
            proposed=int(np.count_nonzero(self._is_proposal(labels, z))),
            touched=int(np.count_nonzero(self.touched[z] & (labels[z] != UNLABELLED))),
            confirmed=z in self.confirmed,
        )

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return everything as arrays by name, to be saved."""
        return {
            "proposal": self.proposal,
            "touched": self.touched,
            "confirmed": np.array(sorted(self.confirmed), np.int64),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Corrections:
        """Make corrections from what `to_arrays` gave.

        Raises
        ------
        ValueError, KeyError
            If arrays are missing or do not fit each other.
        """
        corrections = cls(arrays["proposal"].shape)
        for name in ("proposal", "touched"):
            wanted, found = getattr(corrections, name), arrays[name]
            if (found.shape, found.dtype) != (wanted.shape, wanted.dtype):
                raise ValueError(f"{name} has the shape {found.shape} and type {found.dtype}")
            setattr(corrections, name, found.copy())
        for z in arrays["confirmed"].tolist():
            corrections.confirm(z)
        return corrections

    def _is_proposal(self, labels: np.ndarray, z: int) -> np.ndarray:
        if z in self.confirmed:
            return np.zeros(self.shape[1:], bool)
        filled = self.proposal[z]
        return (filled != UNLABELLED) & (labels[z] == filled) & ~self.touched[z]

    def _record(self, plane: np.ndarray, z: int, proposed: np.ndarray) -> np.ndarray:
        """Keep `proposed` where it may be filled in, and return that mask; the rest keeps its record."""
        free = (plane == UNLABELLED) | ((plane == self.proposal[z]) & ~self.touched[z])
        free &= proposed != UNLABELLED
        self.touched[z][free] = False  # of the free ones only unlabelled ones were: that paint is gone
        self.proposal[z][free] = proposed[free]
        return free

    def _check(self, labels: np.ndarray) -> None:
        if labels.shape != self.shape:
            raise ValueError(f"labels of shape {labels.shape} for corrections of shape {self.shape}")


def stroke_pixels(points: np.ndarray, radius: float, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return y and x of the pixels under a stroke of a round brush, each once.

    Parameters
    ----------
    points : numpy.ndarray
        (n, 2), y and x of the brush's centre along the stroke; pixel centres are whole numbers.
    radius : float
        Of the brush, in pixels; a pixel is painted if its centre lies within it.
    shape : (int, int)
        Of the slice.
    """
    painted, points = np.zeros(shape, bool), np.asarray(points, float).reshape(-1, 2)
    for start, end in zip(points, points[1:] if len(points) > 1 else points, strict=False):
        _paint(painted, start, end, radius)
    y, x = np.nonzero(painted)
    return y, x


def _paint(painted: np.ndarray, start: np.ndarray, end: np.ndarray, radius: float) -> None:
    """Set the pixels within `radius` of the line from `start` to `end`."""
    low = np.maximum(np.ceil(np.minimum(start, end) - radius), 0).astype(int)
    high = np.minimum(np.floor(np.maximum(start, end) + radius) + 1, painted.shape).astype(int)
    if (low >= high).any():
        return
    y, x = np.ogrid[low[0] : high[0], low[1] : high[1]]
    (dy, dx), length = end - start, float(((end - start) ** 2).sum())
    along = ((y - start[0]) * dy + (x - start[1]) * dx) / length if length else np.zeros(1)
    along = np.clip(along, 0, 1)
    near = (y - start[0] - along * dy) ** 2 + (x - start[1] - along * dx) ** 2 <= radius**2
    painted[low[0] : high[0], low[1] : high[1]] |= near
