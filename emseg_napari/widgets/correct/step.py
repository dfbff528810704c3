"""Step Correct: labels are corrected with brushes and repair tools, where it gains most, and confirmed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from napari.layers import Labels
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QLabel, QWidget

from emseg_napari.core.jobs import UserError
from emseg_napari.widgets.base.keys import KeySheet, bind
from emseg_napari.widgets.base.labels_step import NO_IMAGE, LabelsStep
from emseg_napari.widgets.base.workspace import Workspace
from emseg_napari.widgets.correct.brush_panel import BrushPanel
from emseg_napari.widgets.correct.confirm_panel import ConfirmPanel
from emseg_napari.widgets.correct.live_panel import LivePanel
from emseg_napari.widgets.correct.repair_panel import RepairPanel
from emseg_napari.widgets.correct.slice_strip import SliceStrip
from emseg_napari.widgets.correct.suggestion_panel import SuggestionPanel
from emseg_napari.widgets.correct.undo_keys import UndoKeys
from emseg_napari.widgets.layers.destruction import connect_while
from emseg_napari.widgets.layers.label_colours import show_confirmed
from emseg_napari.widgets.layers.labels_layer import (
    NO_LABELS,
    NO_LABELS_YET,
    confirmed_in,
    history_of,
    is_managed,
)
from emseg_napari.widgets.layers.layer_pixels import volume_of_layer
from emseg_napari.widgets.layers.placement import (
    show_slice,
    shown_slice,
    shows_other_slice,
    slice_in_view,
    view_events,
)
from emseg_napari.widgets.layers.selection import show_if_hidden

_STRIP = (
    "Empty: raw (no labels); hatched: proposed; half full: touched (you painted); full with a tick: "
    "confirmed; bar below: estimated error. A click goes there."
)


class CorrectStep(LabelsStep):
    """The page: its panels follow the chosen layers and the slice in view."""

    def __init__(self, napari_viewer: Any, workspace: Workspace | None = None) -> None:
        super().__init__(napari_viewer, workspace)
        self._watched: Labels | None = None
        self._stripped: Labels | None = None
        self._sheet: KeySheet | None = None
        self._soon = QTimer(self, singleShot=True, interval=150)
        self._soon.timeout.connect(self._show_state)
        self._build()
        self.workspace.changed.connect(self._follow)
        self.workspace.managed_changed.connect(self._follow)
        self.workspace.edited.connect(self._show_soon)
        self.workspace.edited.connect(self._show_colours)
        self.workspace.edited.connect(self._count)
        self.workspace.edited.connect(self.drop_for_now)
        self.workspace.replayed.connect(self._show_replayed)
        for event in view_events(self.viewer):
            for follow in (self._show_soon, self._show_colours, self._drop_old):
                connect_while(self, event, follow)
        self._bind_keys()
        self._follow()

    def _build(self) -> None:
        self.repairs, self.places, self.live = RepairPanel(self), SuggestionPanel(self), LivePanel(self)
        self.brushes = BrushPanel(self, self.repairs.put_away)
        self.tools = self.brushes.buttons
        self.job_lines = [self.places.line, self.live.line]
        self._build_strip()
        self.slices = ConfirmPanel(self, self.strip, self.live)
        self.confirm, self.drop = self.slices.confirm, self.slices.drop
        for title, part in (("Brush", self.brushes), ("Repair", self.repairs), ("Next place", self.places)):
            self._add_part(title, part)
        self.rows.addWidget(self.slices)

    def _build_strip(self) -> None:
        self.strip = SliceStrip()
        self.strip.setToolTip(_STRIP)
        self.strip.clicked.connect(self._go_to)
        self.places.errors_estimated.connect(self.strip.show_errors)
        self.live.proposed.connect(self.show_proposed)
        self.repairs.repair.repaired.connect(self.places.walk.take_repair)

    def _add_part(self, title: str, part: QWidget) -> None:
        self.rows.addWidget(QLabel(f"<b>{title}</b>"))
        self.rows.addWidget(part)

    def _bind_keys(self) -> None:
        looks: dict[str, Callable[[], Any]] = {
            "T": self.toggle_visible,
            "O": self.toggle_outlines,
            ",": partial(self._move, -1),
            ".": partial(self._move, 1),
            "H": self.show_whole_slice,
            "F1": self.show_keys,
        }
        guarded = {key: partial(self.guarded, action) for key, action in looks.items()}
        bind(self.viewer, self.strip, guarded)  # which is seen on every page
        self._undo_keys = UndoKeys(self.workspace, self.strip, self)
        self._undo_keys.said.connect(self.say)

    # -- following the user -------------------------------------------------------------

    def _follow(self) -> None:
        layer = self.workspace.labels
        if layer != self._watched:
            self._unwatch()
            if layer is not None:
                for event in _shown(layer):
                    event.connect(self._show_soon)
                layer.events.mode.connect(self._drop_old)
            self._watched = layer
        obstacle = None if layer is not None else NO_LABELS_YET
        self.slices.set_obstacle(obstacle)
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
        self.strip.show_errors(self.places.errors)  # of another image, too

    def _unwatch(self) -> None:
        if self._watched is not None:
            for event in _shown(self._watched):
                event.disconnect(self._show_soon)
            self._watched.events.mode.disconnect(self._drop_old)

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

    def _drop_old(self, *_: Any) -> None:
        """Say no longer what was wrong with another tool, or in another slice, nor what is over."""
        if self.is_wrong:
            self.unsay()
        self.drop_for_now()

    def guarded(self, action: Callable[[], Any], *_: Any) -> None:
        """Do something whose errors become sentences; the last complaint is over."""
        self._drop_old()
        super().guarded(action)

    def _show_replayed(self, layer: Labels, slices: set[int]) -> None:
        """Say what was undone or redone, and bring it into view."""
        sentence = history_of(layer).sentence
        if layer != self.workspace.labels:
            self.say_for_now(f"{sentence.removesuffix('.')}, in '{layer.name}'.")
            return
        show_if_hidden(self.viewer, layer)
        if shows_other_slice(self.viewer, layer, slices):
            show_slice(self.viewer, layer, min(slices))
        self.say_for_now(sentence)  # last: another slice in view would take it back

    # -- what the user does -------------------------------------------------------------

    def toggle_visible(self) -> None:
        """Show or hide the labels."""
        layer = self._shown_layer()
        layer.visible = not layer.visible
        if not self.isVisible():  # on another page: napari takes up the brush that was in hand before
            self.brushes.put_down()

    def toggle_outlines(self) -> None:
        """Show the labels as outlines, or filled."""
        layer = self._shown_layer()
        layer.contour = 0 if layer.contour else 1

    def _shown_layer(self) -> Labels:
        if self.workspace.labels is None:
            raise UserError(NO_LABELS)
        return self.workspace.labels

    def _move(self, by: int) -> None:
        layer = self.workspace.labels if self.workspace.labels is not None else self.workspace.image
        if layer is None:
            raise UserError(NO_IMAGE)
        z = shown_slice(self.viewer, layer) + by
        if 0 <= z < len(volume_of_layer(layer)):
            show_slice(self.viewer, layer, z)

    def _go_to(self, z: int) -> None:
        show_slice(self.viewer, self.workspace.labels, z)

    def show_keys(self) -> None:
        """Show all keys of the loop on one page."""
        self._sheet = self._sheet or KeySheet(self)
        self._sheet.show()

    # -- what shows ---------------------------------------------------------------------

    def show_proposed(self, layer: Labels, z: int) -> None:
        """Follow a slice that was proposed while more of them come."""
        self._count(layer, {z})
        self.places.walk.forget(layer, z)

    def _count(self, layer: Labels, slices: set[int]) -> None:
        if layer == self._stripped:
            self.strip.count(slices)

    def _show_state(self) -> None:
        self._show_colours()  # also of layers that have just come
        z = self.slices.show_slice()
        proposed = z is not None and self.strip.found[z].proposed > 0
        self.places.follow(proposed and not self.live.job.running)


def _shown(layer: Labels) -> tuple[Any, Any, Any]:
    """Return the events after which a layer may show something else."""
    return layer.events.paint, layer.events.set_data, layer.events.labels_update
