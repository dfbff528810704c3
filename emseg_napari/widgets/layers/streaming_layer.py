"""Image layer of a prediction on disk, shown while it is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image
from qtpy.QtCore import QTimer

from emseg_napari.core.jobs import BlockDone, SlicePredicted
from emseg_napari.io.ome_zarr_writer import VolumeOutput
from emseg_napari.io.open import open_volume
from emseg_napari.io.resume_check import MARKS
from emseg_napari.models.run import Run
from emseg_napari.settings import PredictionSettings
from emseg_napari.widgets.layers.label_colours import proposal_look
from emseg_napari.widgets.layers.layer_info import LayerInfo, info_of
from emseg_napari.widgets.layers.placement import slice_in_view, slice_transform

# Larger slices are shown when there are coarser levels, so that they need not be read as a whole.
_MOST_PX = 2**27
_REFRESH_MS = 300


class StreamingLayer:
    """The layer of an output that is being written; what is not there yet shows as 0.

    Parameters
    ----------
    viewer : napari.Viewer
    image : napari.layers.Image
        What is predicted.
    path : Path
        The output; it may still have to be made.
    run : Path
        Of the network.

    Attributes
    ----------
    path : Path
    layer : napari.layers.Image or None
        None until the first block is there, of very large slices until all are.
    """

    def __init__(self, viewer: Any, image: Image, path: Path, run: Path) -> None:
        self.path = path
        self._viewer, self._image, self._run = viewer, image, run
        self._waits = False
        shown = (layer for layer in viewer.layers if info_of(layer).output == path)
        self.layer: Any = next(shown, None)  # of an earlier prediction that was interrupted

    def show(self, event: BlockDone) -> None:
        """Show a block that was written."""
        if self.layer is None:
            output = VolumeOutput(self.path)
            if output.shape[1] * output.shape[2] > _MOST_PX:
                return
            self.layer = self._add(output)
        z = slice_in_view(self._viewer, self._image)
        if z is not None and event.block.window[0].start <= z < event.block.window[0].stop:
            self._show_soon()

    def complete(self) -> Any:
        """Show the output with its coarser levels, and return the layer."""
        levels = VolumeOutput(self.path).levels
        shown = self.layer if self.layer is not None and self.layer in self._viewer.layers else None
        if shown is not None:
            self._viewer.layers.remove(shown)
        visible = True if shown is None else shown.visible
        self.layer = self._add(levels if len(levels) > 1 else levels[0])
        self.layer.visible = visible
        return self.layer

    def _add(self, data: Any) -> Image:
        return self._viewer.add_image(
            data,
            multiscale=isinstance(data, list),
            name=f"{self._image.name} boundary probability",
            contrast_limits=(0, 255),
            opacity=0.6,
            **proposal_look(),
            metadata=self._info(data[0] if isinstance(data, list) else data).as_metadata(),
            **slice_transform(self._image, 0),
        )

    def _info(self, array: Any) -> LayerInfo:
        return LayerInfo(
            proposal_of=self._image.unique_id,
            run=self._run,
            output=self.path,
            # what is computed from it must not take blocks that are missing for 0
            volume=(array, open_volume(self.path)),
        )

    def _show_soon(self) -> None:
        """Read the slice again, though not for every block of many workers."""
        if not self._waits:
            self._waits = True
            QTimer.singleShot(_REFRESH_MS, lambda: self._refresh())  # it is kept until then, unlike a method

    def _refresh(self) -> None:
        self._waits = False
        if self.layer in self._viewer.layers:
            self.layer.refresh()


def stored_slice(layer: Any, run: Run, settings: PredictionSettings, z: int) -> SlicePredicted | None:
    """Return a slice of a prediction on disk; None if it is not all there.

    Parameters
    ----------
    layer : napari.layers.Image or None
        That shows the prediction.
    run : Run
        By which it must have been predicted.
    settings : PredictionSettings
        With which, slices left aside.
    z : int
    """
    path = None if layer is None else info_of(layer).output
    if path is None:
        return None
    from emseg_napari.inference.prediction_record import (
        is_predicted_by,  # loads ONNX Runtime, which takes a while
    )

    output = VolumeOutput(path)
    if not (is_predicted_by(output, run, settings) and output.holds_slice(z)):
        return None
    marks = output.record.get(MARKS, ())
    probability = output[z].astype(np.float32) / np.float32(255)
    return SlicePredicted(z, probability, marks[z] if z < len(marks) else "")
