"""Fingerprint of a slice: one mark for one picture, whatever file it lies in and however it was read.

It is a hash of the grey values in the smallest of uint8, uint16 and float32 that holds them all. So
container, byte order, memory order, dtype, and the other slices of a stack do not matter.

Until November 2026 it was a hash of the values in the dtype in which they were read. Records of that time are
recognised, too: what asks whether a slice is known asks `known_as` or `seen`, never for equality.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from hashlib import sha256
from typing import Any

import numpy as np

from emseg_napari.io.stacks import supported

# Little-endian, so that every machine hashes the same bytes; smallest first.
_DTYPES = tuple(np.dtype(name) for name in ("u1", "<u2", "<f4"))
_DIGITS = 16
_BAND_PX = 1 << 20  # what is converted at once


def fingerprint(slice_: Any) -> str:
    """Return the mark of a slice (y, x) of any dtype that numbers have: 16 hexadecimal digits."""
    return marker_of(slice_, earlier=False).mark


def known_as(slice_: Any, fingerprints: Collection[str]) -> str:
    """Return the mark by which some fingerprints hold a slice; its own if they do not.

    Parameters
    ----------
    slice_ : array
        (y, x).
    fingerprints : collection of str
        Of this version, or of an earlier one.
    """
    return marker_of(slice_).known_as(fingerprints)


def seen(slice_: Any, fingerprints: Collection[str]) -> bool:
    """Whether a slice is among those whose fingerprints are given, by this version or an earlier one."""
    return bool(fingerprints) and known_as(slice_, fingerprints) in fingerprints


class SliceMarker:
    """Makes the marks of a slice whose rows come from top to bottom, so that few are in memory.

    Parameters
    ----------
    earlier : bool
        Whether marks of earlier versions will be asked for, too.
    """

    def __init__(self, earlier: bool = False) -> None:
        self._earlier = earlier
        self._hashes: dict[np.dtype[Any], Any] = {}
        self._as_read: Any = None  # the floats as they are, where -0 or another NaN makes a difference
        self._begun = False

    def add(self, rows: Any) -> None:
        """Take the next rows, (y, x)."""
        rows = np.asarray(rows)
        if not self._begun:
            self._hashes, self._begun = {one: sha256() for one in self._needed(rows.dtype)}, True
        with np.errstate(over="ignore", invalid="ignore"):
            values = supported(rows)
            plain = _plain(values)
            self._add_as_read(values, plain)
            for dtype in list(self._hashes):
                if _holds(dtype, plain):
                    _update(self._hashes[dtype], plain.astype(dtype, copy=False))
                else:
                    del self._hashes[dtype]

    @property
    def mark(self) -> str:
        """The mark of the rows so far."""
        return _digits(next(iter(self._hashes.values()), sha256()))

    def known_as(self, fingerprints: Collection[str]) -> str:
        """Return the mark by which some fingerprints hold the slice; its own if they do not."""
        forms = [*self._hashes.values(), *([self._as_read] if self._as_read else [])]
        return next((mark for mark in map(_digits, forms) if mark in fingerprints), self.mark)

    def _needed(self, dtype: np.dtype[Any]) -> tuple[np.dtype[Any], ...]:
        if self._earlier or dtype.itemsize > 2 or dtype.kind not in "bu":
            return _DTYPES
        return _DTYPES[: dtype.itemsize]

    def _add_as_read(self, values: np.ndarray, plain: np.ndarray) -> None:
        """Hash what an earlier version would have hashed, from where it differs."""
        if not self._earlier or _DTYPES[-1] not in self._hashes:
            return
        if values is not plain and self._as_read is None and values.tobytes() != plain.tobytes():
            self._as_read = self._hashes[_DTYPES[-1]].copy()
        if self._as_read is not None:
            _update(self._as_read, values.astype(_DTYPES[-1], copy=False))


def marker_of(slice_: Any, earlier: bool = True) -> SliceMarker:
    """Return the marks of a slice (y, x), by which it can be looked for more than once."""
    marker = SliceMarker(earlier)
    for rows in _bands(np.asarray(slice_)):
        marker.add(rows)
    return marker


def _bands(slice_: np.ndarray) -> Iterator[np.ndarray]:
    height = max(1, _BAND_PX // max(1, slice_[:1].size))
    return (slice_[first : first + height] for first in range(0, len(slice_), height))


def _plain(values: np.ndarray) -> np.ndarray:
    """Return values of which equal ones have equal bytes: no -0, and one NaN only."""
    if values.dtype.kind != "f":
        return values
    return np.where(np.isnan(values), np.float32(np.nan), values + np.float32(0))


def _holds(dtype: np.dtype[Any], values: np.ndarray) -> bool:
    """Whether a dtype holds values of uint8, uint16 or float32 exactly."""
    if dtype.kind == "f" or dtype.itemsize >= values.dtype.itemsize or not values.size:
        return dtype.kind == "f" or values.dtype.kind == "u" or not values.size
    if not (values.min() >= 0 and values.max() <= np.iinfo(dtype).max):  # NaN is neither
        return False
    return values.dtype.kind == "u" or bool((values == np.floor(values)).all())


def _update(hash_: Any, values: np.ndarray) -> None:
    hash_.update(np.ascontiguousarray(values).reshape(-1).data)


def _digits(hash_: Any) -> str:
    digits: str = hash_.hexdigest()[:_DIGITS]
    return digits
