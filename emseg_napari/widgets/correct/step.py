"""Step 4: correct labels with brushes and repair tools, where it improves most, and confirm slices."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from emseg_napari.annotation.label_state import is_proposal, summary
from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import BOUNDARY, INTERIOR, UNLABELLED
from emseg_napari.widgets.base.keys import KeySheet, bind
from emseg_napari.widgets.base.labels_step import LabelsStep
from emseg_napari.widgets.base.step import enable, in_columns, in_row, wrapping_label
from emseg_napari.widgets.base.workspace import Workspace
from emseg_napari.widgets.correct.live_panel import LivePanel
from emseg_napari.widgets.correct.repair_panel import RepairPanel
from emseg_napari.widgets.correct.slice_strip import SliceStrip
from emseg_napari.widgets.correct.suggestion_panel import SuggestionPanel
from emseg_napari.widgets.layers.labels_layer import (
    confirmed_in,
    connect_while,
    history_of,
    is_managed,
    refuse_confirmed,
    set_pixels,
    stack_of,
)
from emseg_napari.widgets.layers.layer_pixels import volume_of_layer
from emseg_napari.widgets.layers.placement import show_slice, shown_slice, shows_other_slice, view_events
from emseg_napari.widgets.layers.undo_history import Confirmed

CONFIRM_KEY = "C"
_TOOLS = (
    ("Boundary", BOUNDARY, "paint", "Paint boundary (1) with the brush."),
    ("Interior", INTERIOR, "paint", "Paint interior (2) with the brush."),
    ("Erase", None, "erase", "Make pixels unlabelled again."),
    ("Fill interior", INTERIOR, "fill", "Click in an area to make all of it interior."),
    ("Polygon", INTERIOR, "polygon", "Draw around an area to make it interior."),
)

_CONFIRM = "All labels of this slice are yours: they train, are exported, and no prediction changes them."
_STRIP = (
    "One column for each slice: grey raw, yellow proposed, orange touched, green confirmed; the dark bar is "
    "the estimated error. A click goes there."
)


class CorrectStep(LabelsStep):
    """Chooses brush and label, shows the state of pixels, and confirms slices."""

    def __init__(self, napari_viewer: Any, workspace: Workspace | None = None) -> None:
        super().__init__(napari_viewer, workspace)
        self._watched: Labels | None = None
        self._stripped: Labels | None = None
        self._sheet: KeySheet | None = None
        self._soon = QTimer(self, singleShot=True, interval=150)
        self._soon.timeout.connect(self._show_state)
        self._build()
        self.workspace.changed.connect(self._follow)
        self.taken_over.connect(self._follow)
        self.workspace.edited.connect(self._show_soon)
        self.workspace.edited.connect(self._count)
        self.workspace.replayed.connect(self._show_replayed)
        for event in view_events(self.viewer):
            connect_while(self, event, self._show_soon)
        self.destroyed.connect(lambda: self._unwatch())  # a bound method would not be called
        self._bind_keys()
        self._follow()

    def _build(self) -> None:
        self.add_choices("labels")
        self.rows.addLayout(self._brushes())
        self.confirm = self.button(f"Confirm slice ({CONFIRM_KEY})", _CONFIRM, self.toggle_confirmed)
        self.drop = self.button(
            "Drop proposals",
            "Make unconfirmed proposals of this slice unlabelled again.",
            self.drop_proposals,
        )
        self.repairs, self.places, self.live = RepairPanel(self), SuggestionPanel(self), LivePanel(self)
        self._build_strip()
        self._add_parts()
        self.rows.addLayout(in_row(self.confirm, self.drop))
        self.rows.addWidget(self.status)

    def _add_parts(self) -> None:
        self._add_part("Repair", self.repairs)
        self._add_part("Where to look next", self.places)
        self._add_part("Live learning", self.live)
        self._add_part("Slices", self.strip)
        self.state, self.confirmed = wrapping_label(), wrapping_label()
        for label in (self.state, self.confirmed):
            self.rows.addWidget(label)

    def _brushes(self) -> QGridLayout:
        """Make the buttons of napari's own tools, and the one that shows all keys."""
        self.tools = [
            self.button(text, tooltip, partial(self.use, label, mode))
            for text, label, mode, tooltip in _TOOLS
        ]
        self.keys = self.button("Keys (F1)", "All keys of the loop on one page.", self.show_keys)
        grid = QGridLayout()
        in_columns([*self.tools, self.keys], grid)
        return grid

    def _build_strip(self) -> None:
        self.strip = SliceStrip()
        self.strip.setToolTip(_STRIP)
        self.strip.clicked.connect(self._go_to)
        self.strip.counted.connect(self._show_totals)
        self.places.errors_estimated.connect(self.strip.show_errors)
        self.live.proposed.connect(lambda z: self.strip.count([z]))

    def _add_part(self, title: str, part: QWidget) -> None:
        self.rows.addWidget(QLabel(f"<b>{title}</b>"))
        self.rows.addWidget(part)

    def _bind_keys(self) -> None:
        actions: dict[str, Callable[[], Any]] = {
            CONFIRM_KEY: self.toggle_confirmed,
            "T": self.toggle_visible,
            "O": self.toggle_outlines,
            ",": partial(self._move, -1),
            ".": partial(self._move, 1),
            "F1": self.show_keys,
        }
        bind(self.viewer, self, {key: partial(self.guarded, action) for key, action in actions.items()})

    # -- following the user -------------------------------------------------------------

    def _follow(self) -> None:
        layer = self.workspace.labels
        if layer != self._watched:
            self._unwatch()
            if layer is not None:
                for event in _shown(layer):
                    event.connect(self._show_soon)
            self._watched = layer
        obstacle = None if layer is not None else "make or open a labels layer first"
        for button in (*self.tools, self.confirm, self.drop):
            enable(button, obstacle)
        self.repairs.set_obstacle(
            obstacle or ("open an image first" if self.workspace.image is None else None)
        )
        self.places.update_buttons()
        self.live.update_buttons()
        self._show_strip()
        self._show_soon()

    def _show_strip(self) -> None:
        layer = self.workspace.labels if is_managed(self.workspace.labels) else None
        if layer != self._stripped:
            self._stripped = layer
            self.strip.show_layer(layer)

    def _unwatch(self) -> None:
        if self._watched is not None:
            for event in _shown(self._watched):
                event.disconnect(self._show_soon)

    def _show_soon(self, *_: Any) -> None:
        """Show the state when the user pauses, not at every mouse move."""
        self._soon.start()

    def _show_replayed(self, layer: Labels, slices: set[int]) -> None:
        """Bring into view what undo or redo changed."""
        if layer == self.workspace.labels and shows_other_slice(self.viewer, layer, slices):
            show_slice(self.viewer, layer, min(slices))

    # -- what the user does -------------------------------------------------------------

    def use(self, label: int | None, mode: str) -> None:
        """Select a napari tool with the right label."""
        layer = self.managed_layer()
        self.viewer.layers.selection.active = layer
        layer.n_edit_dimensions = 2
        layer.contiguous = True
        if label is not None:
            layer.selected_label = label
        layer.mode = mode

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
                raise UserError(f"Slice {z} has no labels yet; paint or predict first, then confirm.")
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
            raise UserError("No labels layer is chosen; make or open one first.")
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

    # -- what shows ---------------------------------------------------------------------

    def _count(self, layer: Labels, slices: set[int]) -> None:
        if layer == self._stripped:
            self.strip.count(slices)

    def _show_state(self) -> None:
        layer = self.workspace.labels
        if not is_managed(layer):
            self.state.setText("")
            self.confirmed.setText("")
            return
        try:
            z = shown_slice(self.viewer, layer)
        except UserError as error:
            self.strip.show_pixel(None)
            self.state.setText(str(error))
        else:
            self.strip.show_pixel(z)
            self.strip.found[z] = summary(stack_of(layer)[z], z in confirmed_in(layer))
            self.state.setText(self.strip.sentence(z))
            mark = "Unconfirm" if z in confirmed_in(layer) else "Confirm"
            self.confirm.setText(f"{mark} slice ({CONFIRM_KEY})")
        self._show_totals()

    def _show_totals(self) -> None:
        counts = ", ".join(f"{count} {state}" for state, count in self.strip.totals().items() if count)
        slices = sorted(confirmed_in(self.workspace.labels)) if is_managed(self.workspace.labels) else []
        confirmed = ", ".join(map(str, slices)) or "none yet"
        self.confirmed.setText(f"Slices: {counts or 'none'}. Confirmed slices: {confirmed}")


def _shown(layer: Labels) -> tuple[Any, Any, Any]:
    """Return the events after which a layer may show something else."""
    return layer.events.paint, layer.events.set_data, layer.events.labels_update
