"""Suggestions where to look next: buttons and keys, and the search of the slice in view."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QGridLayout, QPushButton, QVBoxLayout, QWidget

from emseg_napari.annotation.suggest import Place
from emseg_napari.core.jobs import UserError
from emseg_napari.io.axes import slice_spans
from emseg_napari.widgets.base.job_line import JobLine
from emseg_napari.widgets.base.keys import bind, with_key
from emseg_napari.widgets.base.labels_step import LabelsStep
from emseg_napari.widgets.base.step import WrappingLabel, enable, first_obstacle, in_columns
from emseg_napari.widgets.correct.place_queue import PlaceQueue, place_count
from emseg_napari.widgets.correct.place_search import NO_RUN, PlaceSearch
from emseg_napari.widgets.correct.place_walk import PlaceWalk, searching
from emseg_napari.widgets.layers.labels_layer import NO_LABELS_YET
from emseg_napari.widgets.layers.placement import slice_in_view

_REST_MS = 350  # after the 150 ms with which the step follows the view
_NEXT = (
    "Go to the place of this slice where a correction may gain most V_rand. The slice in view is searched by "
    "itself; once its places are done, the next slice that has some follows."
)
_ALL = "Search all slices for places, from the one in view outwards, and estimate the error of each."
_ACCEPT = "The place is right as it is: all proposed labels inside the ring become yours."
_NEXT_SLICE = "Go to the slice from which the network would learn most."
_WORDS = {
    "gap": "Are both sides of the dotted line one cell? Accept (A) leaves it open; Close gap (G) closes it.",
    "membrane": "Is the dotted membrane real? Accept (A) keeps it; Drop piece (D) removes it.",
}


class SuggestionPanel(QWidget):
    """Leads the user through the places of the chosen labels layer.

    Parameters
    ----------
    step : LabelsStep
        Knows the layer and says the sentences.

    Attributes
    ----------
    searches : PlaceSearch
    walk : PlaceWalk
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
        self._rest = QTimer(self, singleShot=True, interval=_REST_MS)
        self._rest.timeout.connect(self._search_by_itself)
        self._build_search()
        self._build_buttons()
        self._lay_out()
        self._bind_keys()

    def _build_search(self) -> None:
        self.searches = PlaceSearch(self._step, self)
        self.walk = PlaceWalk(self._step, self.searches, self)
        self.job = self.searches.job
        self.searches.searched.connect(self._show_found)
        self.searches.failed.connect(self._show_failed)
        self.searches.changed.connect(self._follow_search)
        self.walk.changed.connect(self._follow_search)
        self.cancel = self._step.button("Cancel", "End the search; what was found stays.", self._cancel)
        self.line = JobLine(self.job, "Places", self.searches.bar, self.cancel)

    def _build_buttons(self) -> None:
        button, walk = self._step.button, self.walk
        self.next = button(with_key("Next", "N"), _NEXT, partial(walk.go, 1))
        self.back = button(with_key("Back", "Shift+N"), "Back to the previous place.", partial(walk.go, -1))
        self.accept = button(with_key("Accept", "A"), _ACCEPT, walk.accept)
        self.skip = button(with_key("Skip", "S"), "Do not ask again about this place.", walk.skip)
        self.whole = button(
            with_key("Whole slice", "H"), "Show the whole slice again.", self._step.show_whole_slice
        )
        self.search = button("All slices", _ALL, self.search_all)
        self.next_slice = button("Slice to label", _NEXT_SLICE, walk.go_to_slice)

    def _lay_out(self) -> None:
        self.about = WrappingLabel()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for buttons in (self.buttons[:4], self.buttons[4:]):
            row = QGridLayout()
            in_columns(buttons, row, columns=len(buttons))
            for i, button in enumerate(buttons):  # the longest, with Shift+N, would be cut in equal columns
                row.setColumnStretch(i, len(button.text()))
            layout.addLayout(row)
        layout.addWidget(self.about)

    def _bind_keys(self) -> None:
        actions: dict[str, Callable[[], Any]] = {
            "N": partial(self.walk.go, 1),
            "Shift+N": partial(self.walk.go, -1),
            "A": self.walk.accept,
            "S": self.walk.skip,
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
        """The places of the chosen labels and image; None if the plugin does not manage these labels."""
        return self.walk.queue

    @property
    def errors(self) -> Mapping[int, float]:
        """Slice -> estimated error in the chosen layer."""
        return self.queue.errors if self.queue else {}

    @property
    def place(self) -> Place | None:
        """The place that is looked at."""
        return self.walk.place

    # -- what can be done, and what is shown --------------------------------------------

    def update_buttons(self) -> None:
        """Enable what can be done now, after layers or run were chosen, too."""
        self.walk.follow_layers()
        missing = [
            (self.queue is None, NO_LABELS_YET),
            (self._step.workspace.image is None, "open an image first"),
        ]
        for button, own in self._obstacles().items():
            enable(button, first_obstacle([*missing, *own]))

    def _obstacles(self) -> dict[QPushButton, list[tuple[bool, str]]]:
        untrained = (self.searches.run is None, "train a network first")
        no_place = (self._asked() is None, "go to a place first")
        return {
            self.next: [untrained],
            self.search: [(self.searches.searches_all, "a search is running"), untrained],
            self.next_slice: [(not self.errors, "search all slices first")],
            self.back: [(not (self.queue and self.queue.has_previous), "this is the first place")],
            self.accept: [no_place],
            self.skip: [no_place],
        }

    def _show_found(self, *_: Any) -> None:
        self.errors_estimated.emit(self.errors)
        self.update_buttons()
        self._describe()

    def _describe(self) -> None:
        queue, z = self.queue, self._slice_in_view()
        sentence = "" if queue is None or z is None else self._sentence(queue, z)
        if queue is not None and queue.left_out:
            sentence += f" Slices that cannot be read: {slice_spans(sorted(queue.left_out))}."
        self.about.setText(sentence.strip())

    def _sentence(self, queue: PlaceQueue, z: int) -> str:
        place = self._asked()
        if place is not None:
            number, count = queue.rank(place)
            where = f" {number} of the best {count} in this slice." if number else ""
            return _WORDS[place.kind] + where
        if self.searches.comes_to(queue, z):
            return searching(z)
        if not queue.is_searched(z):
            failure = self.searches.failure(queue, z)
            # The status line says why, until something else is said there.
            is_said = bool(failure) and failure == self._step.status.text()
            return "This slice could not be searched." if is_said else failure
        count = len(queue.waiting(z))
        if not count:
            return "No place is left in this slice."
        return f"{place_count(count)} to look at in this slice (N)."

    def _asked(self) -> Place | None:
        """Return the place that the user is asked about: it is in the slice in view."""
        place = self.walk.open_place
        return place if place is not None and place.z == self._slice_in_view() else None

    def _slice_in_view(self) -> int | None:
        return slice_in_view(self._step.viewer, self._step.workspace.labels)

    # -- searching ----------------------------------------------------------------------

    def follow(self, may_search: bool) -> None:
        """Follow the slice in view and its labels.

        Parameters
        ----------
        may_search : bool
            Whether it has proposals to be searched by itself, once the user has rested there.
        """
        if self._slice_in_view() != self.walk.waits_for:
            self.walk.stop_waiting()
        if self.queue is not None and self.queue.drop_outdated():
            self._show_found()
        if may_search:
            self._rest.start()
        else:
            self._rest.stop()
        self.update_buttons()
        self._describe()

    def showEvent(self, event: Any) -> None:
        """Mark the place that is asked about."""
        super().showEvent(event)
        self.walk.mark_place()

    def hideEvent(self, event: Any) -> None:
        """Mark no place while another page is open."""
        super().hideEvent(event)
        if not event.spontaneous():  # else the window is minimised
            self.walk.unmark()

    def _search_by_itself(self) -> None:
        """Search the slice in view, if this page is seen and nothing is missing."""
        queue, z = self.queue, self._slice_in_view()
        if not self.isVisible() or queue is None or z is None:
            return
        if self.searches.can_start_by_itself(queue, z):
            self.searches.start(queue, z)

    def search_all(self) -> None:
        """Search all slices in the background, from the one in view outwards."""
        self._step.managed_layer()
        if self.searches.run is None:
            raise UserError(NO_RUN)
        assert self.queue is not None  # the layer is managed
        self.searches.start(self.queue, None)

    def _cancel(self) -> None:
        self.walk.stop_waiting()
        self.searches.cancel()

    def _follow_search(self) -> None:
        """Follow a search that started or ended, and the user who waits for it."""
        is_awaited = self.job.running and self.walk.waits_for is not None
        # A search by itself is over soon, and must not move what lies above its line.
        self.line.setVisible(self.searches.searches_all or is_awaited)
        self._show_found()

    def _show_failed(self, sentence: str, z: int | None) -> None:
        """Show what went wrong; after a search that was not requested, in the page."""
        if z is None or z == self.walk.waits_for:
            self._step.complain(sentence)
        else:
            self._describe()
