"""The window as a live job sees it, and when it shows the slice in view."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from emseg_napari.core.jobs import Cancelled, PreviewReady, Report, ShouldStop, Wishes
from emseg_napari.core.mailbox import Mailbox
from emseg_napari.inference import SlicePredictor
from emseg_napari.io.sparse_stack import Stack

REFRESH_SECONDS = 3.0
# Seconds of learning for one of prediction, at least.
_LEARNING_PER_SHOW = 3.0


@dataclass(frozen=True)
class Window:
    """The other side of a job: who is told, asked and heard.

    Attributes
    ----------
    report, should_stop, wishes : callable
        The long-job contract, see `emseg_napari.core.jobs`.
    inbox : Mailbox
        Where what is `Taught` comes in.
    """

    report: Report
    should_stop: ShouldStop
    wishes: Callable[[], Wishes]
    inbox: Mailbox


class View:
    """The slice in view: shown at once when it is another one, and again while the weights change.

    Parameters
    ----------
    image : numpy.ndarray
        (z, y, x).
    window : Window
    """

    def __init__(self, image: Stack, window: Window) -> None:
        self._image, self._window = image, window
        self._shown: tuple[int, int] | None = None
        self._due = 0.0

    def hurry(self) -> None:
        """Show soon what was taught now."""
        self._due = min(self._due, time.monotonic() + REFRESH_SECONDS)

    def slice_due(self, steps: int, resting: bool) -> int | None:
        """Return the slice that is to be shown now, if any, after so many steps."""
        z = self._window.wishes().z
        if z is None or not 0 <= z < len(self._image) or self._shown == (z, steps):
            return None
        moved = self._shown is None or self._shown[0] != z
        return z if moved or resting or time.monotonic() >= self._due else None

    def show(self, z: int, steps: int, updates: int, predictor: SlicePredictor) -> None:
        """Predict a slice and tell the window, unless another slice comes into view meanwhile."""
        window, began = self._window, time.monotonic()
        try:
            probability = predictor.probability(
                self._image[z], lambda: window.should_stop() or window.wishes().z != z
            )
        except Cancelled:
            if window.should_stop():
                raise
            return
        self._shown = z, steps
        window.report(PreviewReady(updates, z, probability))
        # Large slices are shown more seldom, so that most of the time is for learning.
        now = time.monotonic()
        self._due = now + max(REFRESH_SECONDS, _LEARNING_PER_SHOW * (now - began))
