"""How far a long loop is, and how long it will still take."""

from __future__ import annotations

import time

from emseg_napari.core.jobs import JobContext, Progress


class Meter:
    """Counts what a loop has done, reports it and ends the loop when that is asked for.

    Parameters
    ----------
    context : JobContext
        Gets a `Progress` for each step.
    total : int
        How much there is to do, in any unit, such as voxels.
    """

    def __init__(self, context: JobContext, total: int) -> None:
        self._context, self._total, self._done = context, total, 0
        self._began = time.monotonic()

    def done(self, amount: int, text: str) -> None:
        """Count what was done.

        Parameters
        ----------
        amount : int
            Since the last call.
        text : str
            What it was.

        Raises
        ------
        Cancelled
        """
        self._done += amount
        seconds = time.monotonic() - self._began
        left = seconds / max(self._done, 1) * (self._total - self._done)
        self._context.report(Progress(self._done / self._total, left, text))
        self._context.check_stop()
