"""Live preview of the proposal for the slice in view, epoch by epoch."""

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
from emseg_napari.widgets.layers.placement import layer_transform, slice_transform


class LivePreview:
    """An image layer that shows the latest proposal, and perhaps a movie of all of them.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._live = self._aid("live proposal (boundary probability)")
        self._is_hidden = False  # by the plugin, and not by the user
        self._movie = self._new_movie()
        self.frames: list[np.ndarray] = []
        self._epoch = 0  # of the last frame

    def reset(self) -> None:
        """Start a new training: an old movie stays the user's, and a layer that was hidden is shown again."""
        self._movie = self._new_movie()
        self.frames = []
        self._is_hidden = True

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
            self._show_live(preview.probability[None], slice_transform(over, preview.z))
        if keep:
            self._add_frame(preview, over)

    def _show_live(self, picture: np.ndarray, place: dict[str, Any]) -> None:
        layer = self._live.put(picture, place)
        if self._is_hidden:
            layer.visible = True
        self._is_hidden = False

    def hide(self) -> None:
        """Hide the live layer, which is used again, unless the user has hidden it; the movie stays."""
        if self._live.layer is not None and self._live.layer.visible:
            self._live.hide()
            self._is_hidden = True

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
