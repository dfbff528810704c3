"""Preview of a training: what the network proposes for the slice in view, epoch by epoch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
from napari.layers import Layer

from emseg_napari.core.jobs import PreviewReady, UserError
from emseg_napari.core.owned_output import writing_file
from emseg_napari.widgets.layers.aid_layer import AidLayer
from emseg_napari.widgets.layers.label_colours import proposal_look
from emseg_napari.widgets.layers.layer_info import info_of
from emseg_napari.widgets.layers.placement import layer_transform, slice_transform
from emseg_napari.widgets.layers.selection import has_tool_in_hand


class TrainingPreview:
    """An image layer that shows the latest proposal, and perhaps a movie of all of them.

    It would cover what the user paints, so it is hidden while a tool is in hand.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._picture = self._aid("training preview (boundary probability)")
        self._latest: tuple[np.ndarray, dict[str, Any]] | None = None  # None while nothing is to be seen
        self._selected: Any = None
        self._movie = self._new_movie()
        self.frames: list[np.ndarray] = []
        self._epoch = 0  # of the last frame
        viewer.layers.selection.events.active.connect(self._follow_selected)
        self._follow_selected()

    def reset(self) -> None:
        """Start a new training: an old movie stays the user's, and a layer that was hidden is shown again."""
        self._movie = self._new_movie()
        self.frames = []
        self._picture.is_hidden = True

    def show(self, preview: PreviewReady, over: Layer, keep: bool, is_seen: bool = True) -> None:
        """Show a preview on its slice of the layer `over`.

        Parameters
        ----------
        preview : PreviewReady
        over : napari.layers.Layer
        keep : bool
            Whether to add it to the movie.
        is_seen : bool
            Whether to show it now: not while the dock is put away.
        """
        if is_seen:
            self._latest = preview.probability[None], slice_transform(over, preview.z)
            self._follow(self._viewer.layers.selection.active)
            self._draw()
        if keep:
            self._add_frame(preview, over)

    def _draw(self, *_: Any) -> None:
        """Show the latest picture, but no picture while a tool is in hand."""
        if self._latest is None:
            return
        if has_tool_in_hand(self._selected):
            self._picture.hide()
        else:
            self._picture.put(*self._latest)
            self._picture.show_again()

    def _follow_selected(self, *_: Any) -> None:
        """Follow the tool of the selected layer; while an aid is made, it is selected, or no layer."""
        layer = self._viewer.layers.selection.active
        if layer is not None and not info_of(layer).is_aid:
            self._follow(layer)
            self._draw()

    def _follow(self, layer: Layer | None) -> None:
        if layer == self._selected:
            return
        for event in _tool_events(self._selected):
            event.disconnect(self._draw)
        for event in _tool_events(layer):
            event.connect(self._draw)
        self._selected = layer

    def hide(self) -> None:
        """Hide the layer, which is used again, unless the user has hidden it; the movie stays."""
        self._latest = None
        self._picture.hide()

    def _add_frame(self, preview: PreviewReady, over: Layer) -> None:
        if self.frames and self._epoch == preview.epoch:
            self.frames.pop()  # previews come within an epoch too, its last one is the frame
        self.frames.append(preview.probability)
        self._epoch = preview.epoch
        movie, layer = np.stack(self.frames)[:, None], self._movie.layer
        if layer is not None:
            layer.data = movie
            dims = self._viewer.dims  # napari does not notice that the layer has grown
            dims.set_range(dims.ndim - 4, (0, len(movie) - 1, 1))
        elif len(self.frames) > 1:  # one epoch is no movie, and would only add a slider
            place = layer_transform(over, 4, (preview.z, 0, 0))
            place["units"] = ("pixel", *place["units"][1:])  # an epoch has no length
            self._movie.put(movie, place)

    def _new_movie(self) -> AidLayer:
        return self._aid("training movie (epochs)", visible=False)

    def _aid(self, name: str, **more: Any) -> AidLayer:
        look = {"name": name, "contrast_limits": (0.0, 1.0), **proposal_look(), **more}
        return AidLayer(self._viewer, "image", **look)

    def export_gif(self, path: Path) -> None:
        """Write the movie as an animated GIF, four epochs a second."""
        if not self.frames:
            raise UserError(
                "There is no movie yet; tick 'Keep a movie of the epochs' under More and train first."
            )
        frames = [np.round(255 * np.clip(frame, 0, 1)).astype(np.uint8) for frame in self.frames]
        with writing_file(path) as temporary:
            imageio.imwrite(temporary, frames, extension=".gif", duration=250, loop=0)


def _tool_events(layer: Layer | None) -> tuple[Any, ...]:
    return () if layer is None else (layer.events.mode, layer.events.mouse_pan)
