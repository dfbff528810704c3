"""Slices of a stack for jobs that go on without those that cannot be read."""

from __future__ import annotations

from typing import Any

import numpy as np

from emseg_napari.core.jobs import Report, SliceLeftOut, UserError
from emseg_napari.io.stacks import refuse_unknown


class ReadableSlices:
    """A stack (z, y, x) whose slices may be broken; each broken one is reported once.

    Parameters
    ----------
    stack : numpy.ndarray or Volume
    report : callable
        Gets a `SliceLeftOut` for each slice that cannot be read, or has pixels without a value.
    """

    def __init__(self, stack: Any, report: Report) -> None:
        self._stack, self._report = stack, report
        self._named: set[int] = set()

    def read(self, z: int) -> np.ndarray | None:
        """Return a slice (y, x); None if it cannot be read, or nothing can be predicted of it."""
        try:
            plane: np.ndarray = self._stack[z]
            refuse_unknown(plane)
        except UserError as error:
            self.leave_out(z, error)
            return None
        self._named.discard(z)
        return plane

    def leave_out(self, z: int, error: UserError) -> None:
        """Report why a slice is left out, unless that was said before."""
        if z not in self._named:
            self._named.add(z)
            self._report(SliceLeftOut(f"Slice {z} is left out: {error}", z))
