"""Conversion of NumPy index keys to windows of a volume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

ALL = slice(None)


@dataclass(frozen=True)
class AxisSelection:
    """What an index selects along one axis.

    Attributes
    ----------
    start, stop : int
        The range to read, with step 1.
    inside : int or slice
        What of that is selected.
    places : tuple of int or None
        The selected places where they are scattered, so that reading one by one may be better.
    """

    start: int
    stop: int
    inside: Any
    places: tuple[int, ...] | None = None

    @property
    def cover(self) -> slice:
        """The range to read."""
        return slice(self.start, self.stop)

    @classmethod
    def of(cls, key: Any, length: int) -> AxisSelection:
        """Read one index, slice, or sequence of indices or of truth values.

        Raises
        ------
        IndexError
            If it lies outside the axis.
        """
        if isinstance(key, slice):
            return cls._of_range(range(length)[key])
        if np.ndim(key) == 0:
            place = range(length)[int(key)]
            return cls(place, place + 1, 0)
        places = np.arange(length)[np.asarray(key, None if len(key) else int)]
        return cls(0, length, places, tuple(places.tolist()))

    @classmethod
    def _of_range(cls, wanted: range) -> AxisSelection:
        if not wanted:
            return cls(0, 0, ALL)
        start, stop = min(wanted), max(wanted) + 1
        if wanted.step == 1:
            return cls(start, stop, ALL)
        return cls(start, stop, slice(None, None, wanted.step), tuple(wanted))


def complete(key: Any) -> tuple[Any, Any, Any]:
    """Return one key for each of three axes.

    Raises
    ------
    IndexError
        If there are more.
    """
    keys = list(key) if isinstance(key, tuple) else [key]
    at = next((n for n, one in enumerate(keys) if one is Ellipsis), len(keys))
    missing = 3 - len(keys) + (at < len(keys))
    if missing < 0:
        raise IndexError(f"a volume has 3 axes, but {len(keys)} were indexed")
    keys[at : at + 1] = [ALL] * missing
    z, y, x = keys
    if np.ndim(y) or np.ndim(x):
        raise IndexError("only the first axis of a volume takes a sequence")
    return z, y, x
