"""Suggestions where to look next: places by expected gain, and the keys from one to the next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QGridLayout, QPushButton, QVBoxLayout, QWidget

from emseg_napari.annotation.label_state import is_proposal, plain
from emseg_napari.annotation.suggest import Place
from emseg_napari.core.jobs import UserError
from emseg_napari.evaluation.evaluation import as_ranges
from emseg_napari.widgets.base.job_line import JobLine
from emseg_napari.widgets.base.keys import bind
from emseg_napari.widgets.base.labels_step import LabelsStep
from emseg_napari.widgets.base.step import enable, first_obstacle, in_columns, wrapping_label
from emseg_napari.widgets.correct.place_queue import PlaceQueue
from emseg_napari.widgets.correct.place_ring import PlaceRing
from emseg_napari.widgets.correct.place_search import PlaceSearch
from emseg_napari.widgets.layers.labels_layer import (
    NO_LABELS_YET,
    confirmed_in,
    history_of,
    is_managed,
    set_pixels,
    stack_of,
)
from emseg_napari.widgets.layers.placement import fits_the_view, show_pixel, show_slice, zoom_to

_REST_MS = 350  # after the 150 ms with which the step follows the view
_LEAST_ZOOM, _ZOOM = 3.0, 5.0  # screen pixels for one of the image
_NEXT = (
    "Go to the place of this slice where a correction may gain most V_rand. The slice in view is searched by "
    "itself; once its places are done, the next slice that has some follows."
)
_ALL = "Search all slices for places, from the one in view outwards, and estimate the error of each."
_ACCEPT = "The place is right as it is: its proposed labels become yours."
_NEXT_SLICE = "Go to the slice from which the network would learn most."
_WORDS = {
    "gap": "Is a membrane missing here, between two cells that are joined now?",
    "membrane": "Is this membrane false, and are its two cells one?",
}
_NO_RUN = "Train a network or choose one first."


class SuggestionPanel(QWidget):
    """The queues of places, one for each labels layer; it steers the viewer.

    Parameters
    ----------
    step : LabelsStep
        Knows the layer and says the sentences.

    Attributes
    ----------
    searches : PlaceSearch
    line : JobLine
        For the dock: shows a search that the user waits for.

    Signals
    -------
    errors_estimated : dict
        Slice -> estimated error in the chosen layer, whenever it is another.
    """

    errors_estimated = Signal(object)

    def __init__(self, step: LabelsStep) -> None:
        super().__init__()
        self._step = step
        self._queues: dict[Any, PlaceQueue] = {}  # by the unique id of the layer
        self._ring = PlaceRing(step.viewer)
        self._ringed: PlaceQueue | None = None  # whose place has the ring
        self._here: int | None = None  # the slice in view
        self._wanted: int | None = None  # the slice whose places the user waits for
        self._rest = QTimer(self, singleShot=True, interval=_REST_MS)
        self._rest.timeout.connect(self._search_by_itself)
        step.closing.connect(self._ring.hide)
        self._build_search()
        self._build_buttons()
        self._lay_out()
        self._bind_keys()

    def _build_search(self) -> None:
        self.searches = PlaceSearch(self._step, self)
        self.job = self.searches.job
        self.searches.searched.connect(self._show_searched)
        self.searches.failed.connect(self._show_failed)
        self.searches.changed.connect(self._follow_search)
        self.cancel = self._step.button("Cancel", "End the search; what was found stays.", self._cancel)
        self.line = JobLine(self.job, "Places", self.searches.bar, self.cancel)

    def _build_buttons(self) -> None:
        button = self._step.button
        self.next = button("Next (N)", _NEXT, partial(self.go, 1))
        self.back = button("Back (⇧N)", "Go back to the previous place.", partial(self.go, -1))
        self.accept = button("Accept (A)", _ACCEPT, self.accept_place)
        self.skip = button("Skip (S)", "Do not ask again about this place.", self.skip_place)
        self.whole = button("Whole slice (H)", "Show the whole slice again.", self._step.viewer.reset_view)
        self.search = button("All slices", _ALL, self.search_all)
        self.next_slice = button("Slice to label", _NEXT_SLICE, self.go_to_slice)

    def _lay_out(self) -> None:
        self.about = wrapping_label()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for buttons in (self.buttons[:4], self.buttons[4:]):
            row = QGridLayout()
            in_columns(buttons, row, columns=len(buttons))
            layout.addLayout(row)
        layout.addWidget(self.about)

    def _bind_keys(self) -> None:
        actions: dict[str, Callable[[], Any]] = {
            "N": partial(self.go, 1),
            "Shift-N": partial(self.go, -1),
            "A": self.accept_place,
            "S": self.skip_place,
            "H": self._step.viewer.reset_view,
        }
        guarded = {key: partial(self._step.guarded, action) for key, action in actions.items()}
        bind(self._step.viewer, self, guarded)

    @property
    def buttons(self) -> list[QPushButton]:
        """All of the page."""
        walk = [self.next, self.back, self.accept, self.skip]
        return [*walk, self.whole, self.search, self.next_slice]

    @property
    def queue(self) -> PlaceQueue | None:
        """The places of the chosen labels layer; None if the plugin does not manage it."""
        layer = self._step.workspace.labels
        if not is_managed(layer):
            return None
        return self._queues.setdefault(layer.unique_id, PlaceQueue(layer))

    @property
    def errors(self) -> Mapping[int, float]:
        """Slice -> estimated error in the chosen layer."""
        return self.queue.errors if self.queue else {}

    @property
    def place(self) -> Place | None:
        """The place that is looked at."""
        return self.queue.place if self.queue else None

    # -- what can be done, and what is shown --------------------------------------------

    def update_buttons(self, *_: Any) -> None:
        """Enable what can be done now, after layers or run were chosen, too."""
        known = {layer.unique_id for layer in self._step.workspace.managed_labels}
        self._queues = {key: queue for key, queue in self._queues.items() if key in known}
        missing = [
            (self.queue is None, NO_LABELS_YET),
            (self._step.workspace.image is None, "open an image first"),
        ]
        for button, own in self._obstacles().items():
            enable(button, first_obstacle([*missing, *own]))
        if self.queue is not self._ringed:
            self._ring.hide()

    def _obstacles(self) -> dict[QPushButton, list[tuple[bool, str]]]:
        untrained = (self.searches.run is None, "train a network first")
        no_place = (self.place is None, "go to a place first")
        return {
            self.next: [untrained],
            self.search: [(self.searches.searches_all, "a search is running"), untrained],
            self.next_slice: [(not self.errors, "search all slices first")],
            self.back: [(not (self.queue and self.queue.has_previous), "this is the first place")],
            self.accept: [no_place],
            self.skip: [no_place],
            self.whole: [],
        }

    def _show_found(self) -> None:
        self.errors_estimated.emit(self.errors)
        self.update_buttons()
        self._describe()

    def _describe(self) -> None:
        queue = self.queue
        sentence = "" if queue is None or self._here is None else self._sentence(queue, self._here)
        if queue is not None and queue.left_out:
            sentence += f" Slices that cannot be read: {as_ranges(sorted(queue.left_out))}."
        self.about.setText(sentence.strip())

    def _sentence(self, queue: PlaceQueue, z: int) -> str:
        if queue.place is not None and queue.place.z == z:
            number, count = queue.rank(queue.place)
            where = f" {number} of the best {count} in this slice." if number else ""
            return _WORDS[queue.place.kind] + where
        if self.searches.comes_to(queue, z):
            return f"Searching slice {z}..."
        if not queue.is_searched(z):
            return ""
        count = len(queue.waiting(z))
        return f"{count} places to look at in this slice (N)." if count else "No place is left in this slice."

    # -- searching ----------------------------------------------------------------------

    def follow(self, z: int | None, may_search: bool) -> None:
        """Follow the slice in view and its labels.

        Parameters
        ----------
        z : int or None
            The slice; None if no slice is shown.
        may_search : bool
            Whether it has proposals to be searched by itself, once the user has rested there.
        """
        if z != self._here:
            self._here, self._wanted = z, None
        if self.queue is not None and self.queue.drop_outdated():
            self._show_found()
        if may_search:
            self._rest.start()
        else:
            self._rest.stop()
        self._describe()

    def forget(self, z: int) -> None:
        """Forget the places of a slice that live learning has drawn anew, unless the user looks at one."""
        if self.queue is not None and (self.place is None or self.place.z != z):
            self.queue.drop(z)

    def _search_by_itself(self) -> None:
        """Search the slice in view, if this page is seen and nothing is missing."""
        queue, z = self.queue, self._here
        if self.isVisible() and queue is not None and z is not None and self.searches.can_start(queue, z):
            self.searches.start(queue, z)

    def search_all(self) -> None:
        """Search all slices in the background, from the one in view outwards."""
        self._step.managed_layer()
        if self.searches.run is None:
            raise UserError(_NO_RUN)
        assert self.queue is not None  # the layer is managed
        self.searches.start(self.queue, None)

    def _cancel(self) -> None:
        self._wanted = None
        self.searches.cancel()

    def _follow_search(self) -> None:
        """Follow a search that started or ended."""
        if not self.job.running:
            self._wanted = None
        # A search by itself is over soon, and must not move what lies above its line.
        self.line.setVisible(self.searches.searches_all or (self.job.running and self._wanted is not None))
        self._show_found()

    def _show_searched(self, queue: PlaceQueue, z: int) -> None:
        self._show_found()
        if z == self._wanted and queue is self.queue:
            self._wanted = None
            self._step.say("")
            self._step.guarded(partial(self.go, 1))

    def _show_failed(self, sentence: str, z: int | None) -> None:
        """Show what went wrong; with a search that nobody asked for, in the page."""
        if z is None or z == self._wanted:
            self._step.complain(sentence)
        else:
            self.about.setText(sentence)

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
        elif self.searches.can_start(queue, z):
            self._wait_for(queue, z)
        else:
            self._go_on(queue, z)

    def _wait_for(self, queue: PlaceQueue, z: int) -> None:
        """Go to the first place of a slice once it is searched."""
        self._here = self._wanted = z
        self._step.say(f"Searching slice {z}...")
        self.searches.start(queue, z)
        self._follow_search()

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
        if self.searches.run is None:
            raise UserError(_NO_RUN)
        if not stack[z].any():
            raise UserError(f"Slice {z} has no labels yet; propose it first.")
        if self.job.running:
            return f"No place is left in slice {z}; other slices are being searched."
        if len(queue.errors.keys() | confirmed_in(queue.layer) | queue.left_out) < len(stack):
            return f"No place is left in slice {z}; confirm it (C), or press 'All slices'."
        return "No place is left in any slice; train on what you corrected, then press 'All slices' again."

    def _show_place(self, queue: PlaceQueue) -> None:
        """Bring a place into view; the zoom stays if the place is well seen with it."""
        place, viewer, layer = queue.place, self._step.viewer, queue.layer
        assert place is not None  # `move` went to one
        self._here, self._ringed = place.z, queue
        show_pixel(viewer, layer, (place.z, place.y, place.x))
        if not fits_the_view(viewer, layer, 2 * place.radius_px, _LEAST_ZOOM):
            zoom_to(viewer, layer, 2 * place.radius_px, _ZOOM)
        self._ring.show(layer, place)
        self._describe()
        self.update_buttons()

    def accept_place(self) -> None:
        """Make the proposals around the place the user's own, then go to the next place."""
        queue, place = self._current_place()
        plane = stack_of(queue.layer)[place.z]
        y, x = np.ogrid[: plane.shape[0], : plane.shape[1]]
        near = np.hypot(y - place.y, x - place.x) <= place.radius_px
        rows, columns = np.nonzero(near & is_proposal(plane))
        with history_of(queue.layer).named("accept place"):
            set_pixels(queue.layer, place.z, rows, columns, plain(plane[rows, columns]))
        queue.settle(place)
        self.go(1)

    def skip_place(self) -> None:
        """Do not ask about the place again."""
        queue, place = self._current_place()
        queue.settle(place)
        self.go(1)

    def _current_place(self) -> tuple[PlaceQueue, Place]:
        """Return the place that the user looks at, in the slice in view."""
        z = self._step.slice_of(self._step.managed_layer())
        queue, place = self.queue, self.place
        if queue is None or place is None or place.z != z:
            raise UserError("Go to a place first (N).")
        return queue, place

    def go_to_slice(self) -> None:
        """Go to the slice that teaches most."""
        queue = self.queue
        z = queue.slice_to_label() if queue else None
        if queue is None or z is None:
            raise UserError("Every slice that was searched is confirmed.")
        show_slice(self._step.viewer, queue.layer, z)
        error = f"estimated error {queue.errors[z]:.3f} (1 - V_rand)"
        self._step.say(f"The network would learn most from slice {z}: {error}.")
