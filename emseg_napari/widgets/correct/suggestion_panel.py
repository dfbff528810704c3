"""Suggestions where to look next: places by expected gain, and the keys from one to the next."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QPushButton, QVBoxLayout, QWidget

from emseg_napari.annotation.label_state import is_proposal, plain
from emseg_napari.annotation.session.scratch import slices_in_use
from emseg_napari.annotation.suggest import Place, estimated_error, next_slice_to_label, ranked
from emseg_napari.annotation.suggest.search_stack import SliceSearched
from emseg_napari.core.jobs import Event, Failed, Finished, SliceLeftOut, UserError
from emseg_napari.evaluation.evaluation import as_ranges
from emseg_napari.io.sparse_stack import SparseStack
from emseg_napari.models.run import starter_folder
from emseg_napari.settings import PredictionSettings
from emseg_napari.widgets.base.engine_job import EngineJob
from emseg_napari.widgets.base.job_step import JobListener
from emseg_napari.widgets.base.keys import bind
from emseg_napari.widgets.base.labels_step import LabelsStep
from emseg_napari.widgets.base.progress_bar import JobBar
from emseg_napari.widgets.base.step import enable, first_obstacle, in_columns, wrapping_label
from emseg_napari.widgets.layers.labels_layer import confirmed_in, is_managed, set_pixels, stack_of
from emseg_napari.widgets.layers.layer_info import LayerInfo
from emseg_napari.widgets.layers.placement import (
    layer_transform,
    move_to,
    show_pixel,
    show_slice,
    slice_in_view,
    zoom_to,
)

_ZOOM = 5.0  # screen pixels for one of the image, at most
_SEARCH = "Search for places where labels may be wrong, ranked by how much V_rand a correction may gain."
_NEXT = "Go to the place where a correction may gain most."
_ACCEPT = "The place is right as it is: its proposed labels become yours."
_NEXT_SLICE = "Go to the slice from which the network would learn most."
_WORDS = {
    "gap": "Is a membrane missing here, between two cells that are joined now?",
    "membrane": "Is this membrane false, and are its two cells one?",
}


Key = tuple[int, int, int, str]


def _key(place: Place) -> Key:
    """Name a place by what another search finds again."""
    return place.z, place.y, place.x, place.kind


class SuggestionPanel(JobListener, QWidget):
    """The queue of places; it steers the viewer.

    Parameters
    ----------
    step : LabelsStep
        Knows the layer and says the sentences.

    Attributes
    ----------
    errors : dict
        Slice -> estimated error (expected 1 - V_rand) of the slices that were searched.

    Signals
    -------
    errors_estimated : dict
        `errors`, whenever it is another.
    """

    errors_estimated = Signal(object)

    def __init__(self, step: LabelsStep) -> None:
        super().__init__()
        self._step = step
        self.places: list[Place] = []
        self.errors: dict[int, float] = {}
        self._left_out: set[int] = set()
        self._settled: set[Key] = set()
        self._history: list[Place] = []
        self._at = -1
        self._mark: Any = None
        self._layer: Any = None
        self.job = EngineJob(self)
        self.listen(self.job, step.guard)
        self.job.ended.connect(self.update_buttons)
        step.closing.connect(self.job.close)
        step.closing.connect(self._remove_mark)
        self._build_buttons()
        self._lay_out()

    def _build_buttons(self) -> None:
        button = self._step.button
        self.search = button("Find places", _SEARCH, self.start)
        self.next = button("Next (N)", _NEXT, partial(self.go, 1))
        self.back = button("Back (⇧N)", "Go back to the previous place.", partial(self.go, -1))
        self.accept = button("Accept (A)", _ACCEPT, self.accept_place)
        self.skip = button("Skip (S)", "Do not ask again about this place.", self.skip_place)
        self.next_slice = button("Slice to label", _NEXT_SLICE, self.go_to_slice)

    def _lay_out(self) -> None:
        grid = QGridLayout()
        in_columns(self.buttons, grid)
        self.bar = JobBar()
        self.bar.hide()
        self.about = wrapping_label()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(grid)
        layout.addWidget(self.bar)
        layout.addWidget(self.about)

    @property
    def buttons(self) -> list[QPushButton]:
        """All of them."""
        return [self.search, self.next, self.back, self.accept, self.skip, self.next_slice]

    @property
    def place(self) -> Place | None:
        """The place that is looked at."""
        return self._history[self._at] if 0 <= self._at < len(self._history) else None

    def bind_keys(self) -> None:
        """Take the keys of the loop; another list may have had them."""
        moves = {"N": partial(self.go, 1), "Shift-N": partial(self.go, -1)}
        marks = {"A": self.accept_place, "S": self.skip_place}
        bind(
            self._step.viewer,
            self,
            {key: partial(self._step.guarded, action) for key, action in (moves | marks).items()},
        )

    def update_buttons(self, *_: Any) -> None:
        """Enable what can be done now."""
        workspace = self._step.workspace
        if self._layer is not None and workspace.labels != self._layer:
            self._reset()
        missing = [
            (not is_managed(workspace.labels), "make or open a labels layer first"),
            (workspace.image is None, "open an image first"),
        ]
        for button, own in self._obstacles().items():
            enable(button, first_obstacle([*missing, *own]))
        self.bar.setVisible(self.job.running)

    def _obstacles(self) -> dict[QPushButton, list[tuple[bool, str]]]:
        untrained = (self._step.workspace.run or starter_folder()) is None
        no_places = (not self.places, "find places first")
        no_place = (self.place is None, "go to a place first")
        return {
            self.search: [(self.job.running, "a search is running"), (untrained, "train a network first")],
            self.next: [no_places],
            self.next_slice: [no_places],
            self.back: [(self._at <= 0, "this is the first place")],
            self.accept: [no_place],
            self.skip: [no_place],
        }

    def _reset(self) -> None:
        """Forget the places of a layer that is no longer the chosen one."""
        self.job.cancel()
        self._layer, self.places, self.errors, self._left_out = None, [], {}, set()
        self._settled, self._history, self._at = set(), [], -1
        self._remove_mark()
        self.about.setText("")

    def _remove_mark(self) -> None:
        if self._mark is not None and self._mark in self._step.viewer.layers:
            self._step.viewer.layers.remove(self._mark)
        self._mark = None

    # -- searching --------------------------------------------------------------------------

    def start(self) -> None:
        """Search all slices in the background, from the one in view outwards."""
        layer = self._step.managed_layer()
        image, run = self._step.image(), self._step.workspace.run or starter_folder()
        if run is None:
            raise UserError("Train a network or choose a run first (step Predict).")
        self._layer, self.places, self.errors, self._left_out = layer, [], {}, set()
        work: dict[str, Any] = {"image": image, "run": run, "confirmed": frozenset(confirmed_in(layer))}
        work["settings"] = PredictionSettings(scale=self._step.workspace.scale)
        work["first"] = slice_in_view(self._step.viewer, layer) or 0
        self.job.start("search", "Finding places", lambda: work | {"labels": _copy_of(stack_of(layer))})
        self.bind_keys()
        self.update_buttons()

    def handlers(self) -> dict[type[Event], Callable[[Any], None]]:
        """Return what shows which event; the places of a slice come slice by slice."""
        return super().handlers() | {SliceSearched: self._add}

    def _add(self, event: SliceSearched) -> None:
        if self._layer is not None:
            self.errors[event.z] = estimated_error(event.places)
            self.places = ranked([*self.places, *event.places])
            self._describe()
        self._show_found()

    def on_left_out(self, event: SliceLeftOut) -> None:
        """Say which slice cannot be read; the search goes on."""
        self._left_out.add(event.z)
        self._step.complain(event.text)

    def on_finished(self, event: Finished) -> None:
        """Show how many places there are."""
        self._describe()
        self._show_found()

    def on_failed(self, event: Failed) -> None:
        """Show why the search ended early."""
        if not event.cancelled:
            self._step.complain(event.text)
        self._show_found()

    def _show_found(self) -> None:
        self.errors_estimated.emit(self.errors)
        self.update_buttons()

    def _describe(self) -> None:
        place, waiting = self.place, self._waiting()
        where = "" if place is None else f"Slice {place.z}, y {place.y}, x {place.x}: {_WORDS[place.kind]} "
        gain = sum(p.gain for p in waiting) / max(1, len(self.errors))
        self.about.setText(
            f"{where}{len(waiting)} places left (V_rand {gain:+.3f} per slice if all are right)."
            + (f" Slices that cannot be read: {as_ranges(sorted(self._left_out))}." if self._left_out else "")
        )

    # -- from place to place ------------------------------------------------------------------------

    def _waiting(self) -> list[Place]:
        seen, confirmed = self._settled.union(map(_key, self._history)), self._confirmed()
        return [p for p in self.places if _key(p) not in seen and p.z not in confirmed]

    def _confirmed(self) -> set[int]:
        return confirmed_in(self._layer) if is_managed(self._layer) else set()

    def go(self, by: int) -> None:
        """Go to the next place, or back."""
        if self._at + by >= len(self._history):
            waiting = self._waiting()
            if not waiting:
                raise UserError("No place is left; train on what you corrected, then find places again.")
            self._history.append(waiting[0])
        self._at = max(0, self._at + by)
        self._show_place_in_view()

    def _show_place_in_view(self) -> None:
        place = self.place
        assert place is not None  # `go` went to one
        viewer, layer = self._step.viewer, self._layer
        show_pixel(viewer, layer, (place.z, place.y, place.x))
        zoom_to(viewer, layer, 2 * place.radius_px, _ZOOM)
        self._draw(place)
        self._describe()
        self.update_buttons()

    def _draw(self, place: Place) -> None:
        """Put a ring around the place."""
        where = np.array([(place.z, place.y, place.x)[-self._layer.ndim :]], float)
        transform = layer_transform(self._layer, self._layer.ndim)
        if self._mark is not None and self._mark in self._step.viewer.layers:
            self._mark.data = where
            move_to(self._mark, transform)
            self._mark.size = 2 * place.radius_px
            return
        self._mark = self._step.viewer.add_points(
            where,
            name="place to look at",
            metadata=LayerInfo(is_aid=True).as_metadata(),
            size=2 * place.radius_px,
            face_color="transparent",
            border_color="white",
            border_width=0.012,
            **transform,
        )
        self._step.viewer.layers.selection.active = self._layer

    def accept_place(self) -> None:
        """Make the proposals around the place the user's own, then go to the next place."""
        place = self._current_place()
        self._step.slice_of(self._layer)  # whoever sees no slices sees nothing of what would be accepted
        plane = stack_of(self._layer)[place.z]
        y, x = np.ogrid[: plane.shape[0], : plane.shape[1]]
        near = np.hypot(y - place.y, x - place.x) <= place.radius_px
        rows, columns = np.nonzero(near & is_proposal(plane))
        set_pixels(self._layer, place.z, rows, columns, plain(plane[rows, columns]))
        self._settle(place)

    def skip_place(self) -> None:
        """Do not ask about the place again."""
        self._settle(self._current_place())

    def _settle(self, place: Place) -> None:
        self._settled.add(_key(place))
        self.go(1)

    def _current_place(self) -> Place:
        if self.place is None:
            raise UserError("Go to a place first (N).")
        return self.place

    def go_to_slice(self) -> None:
        """Go to the slice that teaches most."""
        confirmed = self._confirmed()
        if not set(self.errors) - confirmed:
            raise UserError("Every slice is confirmed.")
        z = next_slice_to_label(self.errors, confirmed)
        show_slice(self._step.viewer, self._layer, z)
        self._step.say(
            f"The network would learn most from slice {z}: estimated error {self.errors[z]:.3f} (1 - V_rand)."
        )


def _copy_of(labels: np.ndarray) -> SparseStack:
    painted = SparseStack.of(labels, slices_in_use(labels))
    return painted.mapped(lambda plane: np.array(plane, np.uint8))
