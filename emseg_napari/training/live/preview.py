"""Preview of live learning: when the slice in view is predicted again, and its prediction."""

from __future__ import annotations

import time

from emseg_napari.core.jobs import Cancelled, JobContext, PreviewReady
from emseg_napari.inference import SlicePredictor
from emseg_napari.inference.stack import predict_closed
from emseg_napari.io.readable_slices import ReadableSlices
from emseg_napari.io.sparse_stack import Stack
from emseg_napari.models.run import RunRecord

REFRESH_SECONDS = 3.0
# Seconds of learning for each second of prediction, at least.
_LEARNING_PER_PREVIEW = 3.0


class SlicePreview:
    """Preview of the slice in view: at once when it is another one, and again while the weights change.

    Parameters
    ----------
    image : numpy.ndarray
        (z, y, x).
    context : JobContext
    """

    def __init__(self, image: Stack, context: JobContext) -> None:
        self._image, self._context = image, context
        self._slices = ReadableSlices(image, context.report)
        self._shown: tuple[int, int] | None = None
        self._due = 0.0

    def refresh_soon(self) -> None:
        """Show within seconds what was learned from a correction."""
        self._due = min(self._due, time.monotonic() + REFRESH_SECONDS)

    def slice_due(self, steps: int, is_idle: bool) -> int | None:
        """Return the slice that is due for a preview after so many steps, None if there is none."""
        z = self._context.control().z
        if z is None or not 0 <= z < len(self._image) or self._shown == (z, steps):
            return None
        moved = self._shown is None or self._shown[0] != z
        return z if moved or is_idle or time.monotonic() >= self._due else None

    def show(self, z: int, steps: int, updates: int, predictor: SlicePredictor, record: RunRecord) -> None:
        """Predict a slice and report it, unless another slice comes into view meanwhile, or it is broken.

        Gaps are closed as in every prediction that becomes labels, with the thresholds of the record.
        """
        context, began = self._context, time.monotonic()

        def should_stop() -> bool:
            return context.should_stop() or context.control().z != z

        if (plane := self._slices.read(z)) is None:
            self._shown, self._due = (z, steps), began + REFRESH_SECONDS
            return
        try:
            probability = predict_closed(
                predictor, plane, record.threshold, record.merge_threshold, should_stop
            )
        except Cancelled:
            if context.should_stop():
                raise
            return
        self._shown = z, steps
        context.report(PreviewReady(updates, z, probability))
        # Large slices are shown less often, so that most of the time is for learning.
        now = time.monotonic()
        self._due = now + max(REFRESH_SECONDS, _LEARNING_PER_PREVIEW * (now - began))
