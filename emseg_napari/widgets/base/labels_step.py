"""Base of a step that changes the labels of the chosen layer; its panels are given this step.

A labels layer that the plugin does not manage is taken over first: checked in the background, and copied
where its pixels cannot be painted as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import current_thread, main_thread
from typing import Any

import numpy as np
from napari.layers import Image, Labels

from emseg_napari.core.jobs import UserError
from emseg_napari.io.address import is_address
from emseg_napari.io.sparse_stack import SparseStack, exchanged
from emseg_napari.io.volume import Volume
from emseg_napari.widgets.base.step import StepWidget
from emseg_napari.widgets.base.threads import in_daemon, outcome_of
from emseg_napari.widgets.base.workspace import Workspace
from emseg_napari.widgets.layers.labels_layer import NO_LABELS, adopt, is_managed, is_paintable, stack_of
from emseg_napari.widgets.layers.layer_pixels import finest, volume_of_layer
from emseg_napari.widgets.layers.placement import shown_slice, slice_in_view
from emseg_napari.widgets.layers.whole_view import show_whole_slice

NO_IMAGE = "No image is open; open one first."


class ForeignLayerError(UserError):
    """The labels layer is not managed by the plugin: it has to be taken over first."""


@dataclass(eq=False)
class _Planes:
    """Two slices of an image, (y, x) each, that were asked for last, and those that are being read."""

    pixels: Any
    known: dict[int, np.ndarray] = field(default_factory=dict)
    awaited: set[int] = field(default_factory=set)

    def keep(self, z: int, plane: np.ndarray) -> None:
        self.known = dict([*self.known.items()][-1:]) | {z: plane}


class LabelsStep(StepWidget):
    """Base of a step that changes labels."""

    def __init__(self, napari_viewer: Any, workspace: Workspace | None = None) -> None:
        super().__init__(napari_viewer, workspace)
        self._waiting: dict[Any, list[Callable[[], Any]]] = {}  # by the layer that is being taken over
        self._planes = _Planes(None)
        self._for_now = ""

    def managed_layer(self) -> Labels:
        """Return the labels layer, which the plugin manages.

        Raises
        ------
        ForeignLayerError
            If it does not; `guarded` then takes the layer over, and does the action again.
        """
        layer = self.workspace.labels
        if layer is None:
            raise UserError(NO_LABELS)
        if not is_managed(layer):
            raise ForeignLayerError(f"{layer.name} was not made by emseg; press a tool to take it over.")
        return layer

    def image(self) -> np.ndarray | Volume:
        """Return the image (z, y, x) of the labels layer."""
        return image_beside(self.workspace.image, self.workspace.labels)

    def image_plane(self, z: int) -> np.ndarray:
        """Return a slice of the image, (y, x); a tool that asks for it at every move reads it once.

        It may be called in any thread; the window's does not wait for an address.

        Raises
        ------
        UserError
            If it cannot be read; in the window's thread, if it lies at an address and has not come yet.
        """
        image, pixels = self.image(), finest(self.workspace.image)
        if isinstance(image, np.ndarray):
            return image[z]
        if self._planes.pixels is not pixels:
            self._planes = _Planes(pixels)
        planes = self._planes
        if z not in planes.known:
            if is_address(image.source) and current_thread() is main_thread():
                self._fetch_plane(image, planes, z)
                raise UserError(f"Slice {z} of {image.name} is still being read; try again in a moment.")
            planes.keep(z, image[z])
        return planes.known[z]

    def _fetch_plane(self, image: Volume, planes: _Planes, z: int) -> None:
        """Read a slice of the image in a thread, for the next time that it is asked for."""
        if z in planes.awaited:
            return
        planes.awaited.add(z)

        def take(outcome: tuple[Any, Exception | None]) -> None:
            planes.awaited.discard(z)
            plane, error = outcome
            if error is not None:
                raise error
            planes.keep(z, plane)

        self.in_background(None, lambda: outcome_of(lambda: image[z]), take, in_daemon)

    def show_whole_slice(self) -> None:
        """Fit the chosen image into the view, with the slice in view, or else the nearest one."""
        if self.workspace.image is None:
            raise UserError(NO_IMAGE)
        show_whole_slice(self.viewer, self.workspace.image)

    def slice_of(self, layer: Labels) -> int:
        """Return the slice in view."""
        return shown_slice(self.viewer, layer)

    def say_for_now(self, sentence: str) -> None:
        """Say what is over; it goes with the next thing that the user does."""
        self._for_now = sentence
        self.say(sentence)

    def drop_for_now(self, *_: Any) -> None:
        """Take such a sentence back, if it is still there."""
        if self._for_now:
            self.take_back(self._for_now)
            self._for_now = ""

    def take_back(self, sentence: str) -> None:
        """Take a sentence back, if it is still the last one of this step."""
        if sentence == self.status.text():
            self.unsay()

    # -- taking over --------------------------------------------------------------------

    def guarded(self, action: Callable[[], Any], *_: Any) -> None:
        """Do something whose errors become sentences, after a foreign labels layer is taken over."""
        with self.guard():
            try:
                action()
            except ForeignLayerError:
                self._take_over(action)

    def _take_over(self, action: Callable[[], Any]) -> None:
        """Let the plugin manage the labels layer, or a copy of it; then do what waits for it."""
        layer = self.workspace.labels
        waiting = self._waiting.setdefault(layer.unique_id, [])
        is_new = not waiting
        if action not in waiting:  # else it is the second press of an impatient user
            waiting.append(action)
        if is_new:
            z, check = slice_in_view(self.viewer, layer), lambda: outcome_of(lambda: self._manageable(layer))
            self.in_background(
                f"Checking {layer.name}...", check, lambda found: self._taken(layer, z, *found)
            )

    def _taken(self, layer: Labels, z: int | None, taken: Any, error: Exception | None) -> None:
        """Do what waits for a layer, if the user still looks at the slice where it was asked for."""
        waiting = self._waiting.pop(layer.unique_id)
        if error is not None:
            raise error
        if self.workspace.labels not in (layer, taken[0]):
            self.say(f"Another labels layer is chosen than {layer.name}, so nothing was done.")
            return
        self._manage(*taken)
        if slice_in_view(self.viewer, layer) != z:
            raise UserError(
                f"{taken[0].name} can be corrected now; another slice is in view, so press again."
            )
        for action in waiting:
            self.guarded(action)

    def _manage(self, layer: Labels, doubt: str) -> None:
        if not is_managed(layer):
            adopt(layer)
            self.workspace.follow()
        self.workspace.choose("labels", layer)
        self.say(doubt)

    def _manageable(self, layer: Labels) -> tuple[Labels, str]:
        """Return a layer that the plugin can manage, and a doubt about its labels; called in a thread."""
        known, labels = self.known_labels(layer)
        doubt = exchanged(labels, layer.name) or ""
        if is_managed(known) or (is_paintable(layer) and _are_same(labels, stack_of(layer))):
            return known, doubt
        return self.show_converted(layer, labels), doubt


def image_beside(image: Image | None, labels: Labels | None) -> np.ndarray | Volume:
    """Return the pixels (z, y, x) of an image; labels of another size are refused with `UserError`."""
    pixels = volume_of_layer(image)
    if labels is not None and volume_of_layer(labels).shape != pixels.shape:
        assert image is not None  # it has pixels
        raise UserError(f"{image.name} and {labels.name} differ in size; choose labels of this image.")
    return pixels


def _are_same(labels: SparseStack, stack: np.ndarray) -> bool:
    return all(np.array_equal(labels[z], stack[z]) for z in range(len(stack)))
