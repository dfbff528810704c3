"""The user's way from place to place: the view moves there, and ring and dots show where to look."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QWidget

from emseg_napari.annotation.label_state import is_proposal, plain
from emseg_napari.annotation.suggest import Place
from emseg_napari.core.jobs import UserError
from emseg_napari.widgets.base.drawn_frame import DrawnFrame
from emseg_napari.widgets.base.labels_step import LabelsStep
from emseg_napari.widgets.correct.place_queue import PlaceQueue
from emseg_napari.widgets.correct.place_search import NO_RUN, PlaceSearch
from emseg_napari.widgets.layers.aid_layer import AidLayer
from emseg_napari.widgets.layers.labels_layer import (
    confirmed_in,
    history_of,
    is_managed,
    set_pixels,
    stack_of,
)
from emseg_napari.widgets.layers.placement import (
    fits_the_view,
    layer_transform,
    show_pixel,
    show_slice,
    zoom_to,
)
from emseg_napari.widgets.layers.remote_layers import remote_layers_of
from emseg_napari.widgets.layers.selection import show_if_hidden

_RING_WIDTH, _DOT_PX, _DOT_GAP_PX = 0.012, 1.2, 4  # of the ring's size; in pixels of the image
_REPAIRED_PX = 4.0  # a boundary is a few pixels wide
_LEAST_ZOOM, _ZOOM = 3.0, 5.0  # screen pixels for one of the image


class PlaceWalk(QObject):
    """The queues of places, one for labels beside an image, and the place that is looked at.

    Parameters
    ----------
    step : LabelsStep
        Knows the layer and says the sentences.
    searches : PlaceSearch
    page : QWidget
        A place that the user waited for comes into view only while this is seen.

    Attributes
    ----------
    waits_for : int or None
        The slice whose places the user waits for.

    Signals
    -------
    changed
        Another place is looked at, or the user waits for one.
    """

    changed = Signal()

    def __init__(self, step: LabelsStep, searches: PlaceSearch, page: QWidget) -> None:
        super().__init__(page)
        self._step, self._searches, self._page = step, searches, page
        self._queues: dict[tuple[Any, Any], PlaceQueue] = {}  # by the unique ids of labels and image
        self._ring = AidLayer(step.viewer, "points", name="place to look at", border_color="white")
        self._marked: Place | None = None
        self._frame, self._remote = DrawnFrame(page), remote_layers_of(step.viewer)
        self.waits_for: int | None = None
        searches.searched.connect(self._arrive)
        searches.changed.connect(self._follow_search)
        step.workspace.edited.connect(self.mark_place)
        for leave in (self.unmark, self.stop_waiting):
            step.closing.connect(leave)

    @property
    def queue(self) -> PlaceQueue | None:
        """The places of the chosen labels and image; None if the plugin does not manage these labels."""
        layer, image = self._step.workspace.labels, self._step.workspace.image
        if not is_managed(layer):
            return None
        key = layer.unique_id, None if image is None else image.unique_id
        return self._queues.setdefault(key, PlaceQueue(layer, image))

    @property
    def place(self) -> Place | None:
        """The place that is looked at."""
        return self.queue.place if self.queue else None

    @property
    def open_place(self) -> Place | None:
        """The place that is looked at; None if its slice is confirmed, where nothing is left to look at."""
        queue, place = self.queue, self.place
        return None if queue is None or place is None or place.z in confirmed_in(queue.layer) else place

    def follow_layers(self) -> None:
        """Forget the places of layers that are gone, and mark no place of another layer."""
        labels, images = self._step.workspace.managed_labels, [None, *self._step.workspace.images]
        self._queues = {
            key: queue
            for key, queue in self._queues.items()
            if queue.layer in labels and queue.image in images
        }
        self.mark_place()

    def forget(self, layer: Labels, z: int) -> None:
        """Forget the places of a slice that was proposed anew, unless the user looks at one."""
        for queue in self._queues.values():
            is_looked_at = queue is self.queue and queue.place is not None and queue.place.z == z
            if queue.layer == layer and not is_looked_at:
                queue.drop(z)

    def take_repair(self, z: int, rows: np.ndarray, columns: np.ndarray) -> None:
        """Ask no longer about the open place if a repair has changed its boundary: that was the answer."""
        queue, place = self.queue, self.open_place
        if queue is None or place is None or place.z != z:
            return
        far = [np.hypot(rows - y, columns - x).min() for y, x in zip(*place.pixels, strict=True)]
        if min(far, default=_REPAIRED_PX) < _REPAIRED_PX:
            queue.settle(place)
            self._leave(queue)

    def _leave(self, queue: PlaceQueue) -> None:
        queue.leave()
        self.mark_place()
        self.changed.emit()

    # -- waiting for a search -----------------------------------------------------------

    def _wait_for(self, queue: PlaceQueue, z: int) -> None:
        """Go to the first place of a slice once it is searched."""
        self.waits_for = z
        self._step.say(searching(z))
        self._searches.start(queue, z)
        self.changed.emit()

    def stop_waiting(self) -> None:
        """Go nowhere when the search ends."""
        if self.waits_for is not None:
            self._step.take_back(searching(self.waits_for))
            self.waits_for = None

    def _follow_search(self) -> None:
        if not self._searches.job.running:
            self.stop_waiting()

    def _arrive(self, queue: PlaceQueue, z: int) -> None:
        """Go to a place that the user waited for, if the page is still seen."""
        if z == self.waits_for and queue is self.queue:
            self.stop_waiting()
            if self._page.isVisible():
                self._step.guarded(partial(self.go, 1))

    # -- from place to place ------------------------------------------------------------

    def go(self, by: int) -> None:
        """Go to the next place of the slice in view, then to the next slice; or back."""
        z = self._step.slice_of(self._step.managed_layer())
        queue = self.queue
        assert queue is not None  # the layer is managed
        if queue.move(by, z):
            self._show_place(queue)
        elif by < 0:
            raise UserError("This is the first place.")
        elif self._searches.can_start(queue, z):
            self._wait_for(queue, z)
        else:
            self._go_on(queue, z)

    def _go_on(self, queue: PlaceQueue, z: int) -> None:
        """Go on in the next slice that has places."""
        other = queue.next_slice(z)
        if other is None:
            self._step.say(self._no_place_left(queue, z))
            return
        queue.move(1, other)
        self._show_place(queue)
        self._step.say(f"No place is left in slice {z}; this is slice {other}.")

    def _no_place_left(self, queue: PlaceQueue, z: int) -> str:
        stack = stack_of(queue.layer)
        if self._searches.run is None:
            raise UserError(NO_RUN)
        if not stack[z].any():
            raise UserError(f"Slice {z} has no labels yet; propose it first.")
        if self._searches.job.running:
            return f"No place is left in slice {z}; other slices are being searched."
        if len(queue.errors.keys() | confirmed_in(queue.layer) | queue.left_out) < len(stack):
            return f"No place is left in slice {z}; confirm it (C), or press 'All slices'."
        return "No place is left in any slice; train on what you corrected, then press 'All slices' again."

    def _show_place(self, queue: PlaceQueue) -> None:
        """Bring a place into view; the zoom stays if the place is well seen with it."""
        place, viewer, layer = queue.place, self._step.viewer, queue.layer
        assert place is not None  # `move` went to one
        show_if_hidden(viewer, layer)
        show_pixel(viewer, layer, (place.z, place.y, place.x))
        if not fits_the_view(viewer, layer, 2 * place.radius_px, _LEAST_ZOOM):
            zoom_to(viewer, layer, 2 * place.radius_px, _ZOOM)
        self._mark(queue, place)
        self._frame.request()
        self.changed.emit()

    # -- the mark on the canvas ---------------------------------------------------------

    def mark_place(self, *_: Any) -> None:
        """Mark the place that is open, and that place only."""
        queue, place = self.queue, self.open_place
        if queue is None or place is None:
            self.unmark()
        elif place is not self._marked and self._page.isVisible():
            self._mark(queue, place)

    def unmark(self) -> None:
        """Mark nothing for now."""
        self._marked = None
        self._ring.hide()

    def _mark(self, queue: PlaceQueue, place: Place) -> None:
        """Show a ring around a place, and dots along its boundary."""
        self._marked, middle = place, (place.y, place.x)  # noted first: layers that come are followed
        rows, columns = (np.r_[m, line[::_DOT_GAP_PX]] for m, line in zip(middle, place.pixels, strict=True))
        where = np.stack([np.full(len(rows), place.z), rows, columns], axis=1)[:, -queue.layer.ndim :]
        is_ring = np.arange(len(where)) == 0
        ring = self._ring.show(where.astype(float), layer_transform(queue.layer, queue.layer.ndim))
        ring.size = np.where(is_ring, 2 * place.radius_px, _DOT_PX)
        ring.border_width = np.where(is_ring, _RING_WIDTH, 0)
        ring.face_color = np.where(is_ring[:, np.newaxis], (0, 0, 0, 0), (1, 1, 1, 1))

    def accept(self) -> None:
        """Make the proposals around the place the user's own, then go to the next place."""
        queue, place = self._current_place()
        plane = stack_of(queue.layer)[place.z]
        y, x = np.ogrid[: plane.shape[0], : plane.shape[1]]
        near = np.hypot(y - place.y, x - place.x) <= place.radius_px
        rows, columns = np.nonzero(near & is_proposal(plane))
        show_if_hidden(self._step.viewer, queue.layer)
        with history_of(queue.layer).named("accept place"):
            set_pixels(queue.layer, place.z, rows, columns, plain(plane[rows, columns]))
        self._settle(queue, place)

    def skip(self) -> None:
        """Do not ask about the place again."""
        self._settle(*self._current_place())

    def _settle(self, queue: PlaceQueue, place: Place) -> None:
        """Ask never again about a place, and go to the next one; from the last, to none."""
        queue.settle(place)
        try:
            self.go(1)
        finally:
            if queue.place is place:
                self._leave(queue)

    def _current_place(self) -> tuple[PlaceQueue, Place]:
        """Return the place that the user looks at, in the slice in view.

        Raises
        ------
        UserError
            If there is none, or it was not drawn yet: the user cannot have judged it.
        """
        z = self._step.slice_of(self._step.managed_layer())
        queue, place = self.queue, self.open_place
        if queue is None or place is None or place.z != z:
            raise UserError("Go to a place first (N).")
        if self._frame.is_awaited or self._remote.names:
            raise UserError("This place is not drawn yet; press the key again when you see it.")
        return queue, place

    def go_to_slice(self) -> None:
        """Go to the slice that teaches most."""
        queue = self.queue
        z = queue.slice_to_label() if queue else None
        if queue is None or z is None:
            raise UserError("Every slice that was searched is confirmed; press 'All slices' to search all.")
        show_slice(self._step.viewer, queue.layer, z)
        error = f"estimated error {queue.errors[z]:.3f} (1 - V_rand)"
        self._step.say(f"The network would learn most from slice {z}: {error}.")


def searching(z: int) -> str:
    """Return the sentence that is shown while a slice is searched."""
    return f"Searching slice {z}..."
