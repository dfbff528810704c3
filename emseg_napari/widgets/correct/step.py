"""Step Correct: labels are corrected with brushes and repair tools, where it gains most, and confirmed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QLabel, QWidget

from emseg_napari.annotation.label_state import is_proposal, summary
from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import UNLABELLED
from emseg_napari.evaluation.evaluation import as_ranges
from emseg_napari.widgets.base.keys import KeySheet, bind
from emseg_napari.widgets.base.labels_step import LabelsStep
from emseg_napari.widgets.base.step import enable, in_row, primary, wrapping_label
from emseg_napari.widgets.base.workspace import Workspace
from emseg_napari.widgets.correct.brush_panel import BrushPanel
from emseg_napari.widgets.correct.live_panel import LivePanel
from emseg_napari.widgets.correct.repair_panel import RepairPanel
from emseg_napari.widgets.correct.slice_strip import SliceStrip
from emseg_napari.widgets.correct.suggestion_panel import SuggestionPanel
from emseg_napari.widgets.layers.label_colours import show_confirmed
from emseg_napari.widgets.layers.labels_layer import (
    NO_LABELS,
    NO_LABELS_YET,
    confirmed_in,
    connect_while,
    history_of,
    is_managed,
    refuse_confirmed,
    set_pixels,
    stack_of,
)
from emseg_napari.widgets.layers.layer_pixels import volume_of_layer
from emseg_napari.widgets.layers.placement import (
    show_slice,
    shown_slice,
    shows_other_slice,
    slice_in_view,
    view_events,
)
from emseg_napari.widgets.layers.undo_history import Confirmed

CONFIRM_KEY = "C"
_CONFIRM = "All labels of this slice are yours: they train, are exported, and no prediction changes them."
_STRIP = (
    "Empty: raw (no labels); hatched: proposed; half full: touched (you painted); full with a tick: "
    "confirmed; bar below: estimated error. A click goes there."
)


class CorrectStep(LabelsStep):
    """Chooses brush and label, shows the state of pixels, and confirms slices."""

    def __init__(self, napari_viewer: Any, workspace: Workspace | None = None) -> None:
        super().__init__(napari_viewer, workspace)
        self._watched: Labels | None = None
        self._stripped: Labels | None = None
        self._sheet: KeySheet | None = None
        self._complaint = ""  # that was said last
        self._soon = QTimer(self, singleShot=True, interval=150)
        self._soon.timeout.connect(self._show_state)
        self._build()
        self.workspace.changed.connect(self._follow)
        self.taken_over.connect(self._follow)
        self.workspace.managed_changed.connect(self._show_soon)
        self.workspace.edited.connect(self._show_soon)
        self.workspace.edited.connect(self._show_colours)
        self.workspace.edited.connect(self._count)
        self.workspace.replayed.connect(self._show_replayed)
        for event in view_events(self.viewer):
            for follow in (self._show_soon, self._show_colours, self._drop_complaint):
                connect_while(self, event, follow)
        self._bind_keys()
        self._follow()

    def _build(self) -> None:
        self.confirm = primary(self.button(f"Confirm slice ({CONFIRM_KEY})", _CONFIRM, self.toggle_confirmed))
        self.drop = self.button(
            "Drop proposals",
            "Make unconfirmed proposals of this slice unlabelled again.",
            self.drop_proposals,
        )
        self.repairs, self.places, self.live = RepairPanel(self), SuggestionPanel(self), LivePanel(self)
        self.brushes = BrushPanel(self, self.repairs.put_away)
        self.tools = self.brushes.buttons
        self.job_lines = [self.places.line, self.live.line]
        self._build_strip()
        self._lay_out()

    def _lay_out(self) -> None:
        self._add_part("Brush", self.brushes)
        self._add_part("Repair", self.repairs)
        self._add_part("Next place", self.places)
        self.state, self.confirmed = wrapping_label(), wrapping_label()
        self.rows.addWidget(self.state)
        self.rows.addLayout(in_row(self.confirm, self.drop, self.live))
        self.rows.addWidget(self.confirmed)

    def _build_strip(self) -> None:
        self.strip = SliceStrip()
        self.strip.setToolTip(_STRIP)
        self.strip.clicked.connect(self._go_to)
        self.strip.counted.connect(self._show_totals)
        self.places.errors_estimated.connect(self.strip.show_errors)
        self.live.proposed.connect(self._show_proposed)

    def _add_part(self, title: str, part: QWidget) -> None:
        self.rows.addWidget(QLabel(f"<b>{title}</b>"))
        self.rows.addWidget(part)

    def _bind_keys(self) -> None:
        self._bind(self.confirm, {CONFIRM_KEY: self.toggle_confirmed})
        looks: dict[str, Callable[[], Any]] = {
            "T": self.toggle_visible,
            "O": self.toggle_outlines,
            ",": partial(self._move, -1),
            ".": partial(self._move, 1),
            "F1": self.show_keys,
        }
        self._bind(self.strip, looks)  # which is seen on every page

    def _bind(self, owner: QWidget, actions: dict[str, Callable[[], Any]]) -> None:
        bind(self.viewer, owner, {key: partial(self.guarded, action) for key, action in actions.items()})

    # -- following the user -------------------------------------------------------------

    def _follow(self) -> None:
        layer = self.workspace.labels
        if layer != self._watched:
            self._unwatch()
            if layer is not None:
                for event in _shown(layer):
                    event.connect(self._show_soon)
                layer.events.mode.connect(self._drop_complaint)
            self._watched = layer
        obstacle = None if layer is not None else NO_LABELS_YET
        for button in (self.confirm, self.drop):
            enable(button, obstacle)
        self.brushes.set_obstacle(obstacle)
        self.repairs.set_obstacle(
            obstacle or ("open an image first" if self.workspace.image is None else None)
        )
        self.places.update_buttons()
        self.live.update_buttons()
        self._show_strip()
        self._show_colours()
        self._show_soon()

    def _show_strip(self) -> None:
        layer = self.workspace.labels if is_managed(self.workspace.labels) else None
        if layer != self._stripped:
            self._stripped = layer
            self.strip.show_layer(layer)
            self.strip.show_errors(self.places.errors)

    def _unwatch(self) -> None:
        if self._watched is not None:
            for event in _shown(self._watched):
                event.disconnect(self._show_soon)
            self._watched.events.mode.disconnect(self._drop_complaint)

    def _show_soon(self, *_: Any) -> None:
        """Show the state when the user pauses, not at every mouse move."""
        self._soon.start()

    def showEvent(self, event: Any) -> None:
        """Look at the slice that came into view while another page was open."""
        super().showEvent(event)
        self._show_soon()

    def _show_colours(self, *_: Any) -> None:
        """Draw proposals of confirmed slices as the user's own labels, for which they count."""
        for layer in self.workspace.managed_labels:
            show_confirmed(layer, slice_in_view(self.viewer, layer) in confirmed_in(layer))

    def _drop_complaint(self, *_: Any) -> None:
        """Say no longer what was wrong with another tool, or in another slice."""
        if self._complaint and self.status.text() == self._complaint:
            self.say("")

    def complain(self, sentence: str) -> None:
        """Show what is wrong, until it is no longer true."""
        super().complain(sentence)
        self._complaint = sentence

    def guarded(self, action: Callable[[], Any], *_: Any) -> None:
        """Do something whose errors become sentences; the last complaint is over."""
        self._drop_complaint()
        super().guarded(action)

    def _show_replayed(self, layer: Labels, slices: set[int]) -> None:
        """Say what was undone or redone, and bring it into view."""
        self.say(history_of(layer).sentence)
        if layer == self.workspace.labels and shows_other_slice(self.viewer, layer, slices):
            show_slice(self.viewer, layer, min(slices))

    # -- what the user does -------------------------------------------------------------

    def toggle_confirmed(self) -> None:
        """Confirm or unconfirm the slice in view."""
        layer = self.managed_layer()
        z = self.slice_of(layer)
        confirmed = confirmed_in(layer)
        if z in confirmed:
            self.say(f"Slice {z} is no longer confirmed.")
        else:
            plane = stack_of(layer)[z]
            empty = int(np.count_nonzero(plane == UNLABELLED))
            if empty == plane.size:
                raise UserError(f"Slice {z} has no labels yet; paint or propose first, then confirm.")
            self.say(
                f"Slice {z} is confirmed" + (f"; {empty} of its pixels are unlabelled." if empty else ".")
            )
        entry = Confirmed(confirmed, z)
        entry.redo()
        history_of(layer).add(entry)

    def drop_proposals(self) -> None:
        """Make unconfirmed proposals of the slice in view unlabelled."""
        layer = self.managed_layer()
        z = self.slice_of(layer)
        refuse_confirmed(layer, z)
        y, x = np.nonzero(is_proposal(stack_of(layer)[z]))
        with history_of(layer).named("drop proposals"):
            set_pixels(layer, z, y, x, UNLABELLED)
        self.say(f"{len(y)} proposed pixels of slice {z} are unlabelled again (Ctrl+Z undoes it).")

    def toggle_visible(self) -> None:
        """Show or hide the labels."""
        layer = self._shown_layer()
        layer.visible = not layer.visible

    def toggle_outlines(self) -> None:
        """Show the labels as outlines, or filled."""
        layer = self._shown_layer()
        layer.contour = 0 if layer.contour else 1

    def _shown_layer(self) -> Labels:
        if self.workspace.labels is None:
            raise UserError(NO_LABELS)
        return self.workspace.labels

    def _move(self, by: int) -> None:
        layer = self._shown_layer()
        z = self.slice_of(layer) + by
        if 0 <= z < len(volume_of_layer(layer)):
            show_slice(self.viewer, layer, z)

    def _go_to(self, z: int) -> None:
        show_slice(self.viewer, self.workspace.labels, z)

    def show_keys(self) -> None:
        """Show all keys of the loop on one page."""
        self._sheet = self._sheet or KeySheet(self)
        self._sheet.show()

    def _show_proposed(self, z: int) -> None:
        """Follow a proposal of live learning."""
        self.strip.count([z])
        self.places.forget(z)

    # -- what shows ---------------------------------------------------------------------

    def _count(self, layer: Labels, slices: set[int]) -> None:
        if layer == self._stripped:
            self.strip.count(slices)

    def _show_state(self) -> None:
        self._show_colours()  # also of layers that have just come
        layer = self.workspace.labels
        z = self._show_slice(layer) if is_managed(layer) else None
        proposed = z is not None and self.strip.found[z].proposed > 0
        self.places.follow(z, proposed and not self.live.job.running)
        if not is_managed(layer):
            self.state.setText("")
            self.confirmed.setText("")
        else:
            self._show_totals()

    def _show_slice(self, layer: Labels) -> int | None:
        """Describe the slice in view, and return it."""
        try:
            z = shown_slice(self.viewer, layer)
        except UserError as error:
            self.strip.show_pixel(None)
            self.state.setText(str(error))
            return None
        confirmed = z in confirmed_in(layer)
        self.strip.show_pixel(z)
        self.strip.found[z] = summary(stack_of(layer)[z], confirmed)
        self.state.setText(self.strip.sentence(z))
        self.confirm.setText(f"{'Unconfirm' if confirmed else 'Confirm'} slice ({CONFIRM_KEY})")
        return z

    def _show_totals(self) -> None:
        totals = self.strip.totals()
        counts = ", ".join(f"{count} {state}" for state, count in totals.items() if count)
        confirmed = sorted(z for z, found in self.strip.found.items() if found.confirmed)
        which = f" ({as_ranges(confirmed)})" if confirmed else ""
        self.confirmed.setText(f"{sum(totals.values())} slices: {counts}{which}" if counts else "")


def _shown(layer: Labels) -> tuple[Any, Any, Any]:
    """Return the events after which a layer may show something else."""
    return layer.events.paint, layer.events.set_data, layer.events.labels_update
