"""Step 4: correct labels with napari's own tools and confirm slices."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout

from emseg_napari.jobs import UserError
from emseg_napari.labels import BOUNDARY, INTERIOR, UNLABELLED
from emseg_napari.widgets.layers import (
    adopt,
    converted,
    corrections_of,
    is_ours,
    is_paintable,
    placed,
    slice_in_view,
    stack_of,
)
from emseg_napari.widgets.step import Step, enable, wrapping_label
from emseg_napari.widgets.workspace import AID, Workspace

CONFIRM_KEY = "C"
_TOOLS = (
    ("Boundary", BOUNDARY, "paint", "Paint boundary (1) with the brush."),
    ("Interior", INTERIOR, "paint", "Paint interior (2) with the brush."),
    ("Erase", None, "erase", "Make pixels unlabelled again."),
    ("Fill interior", INTERIOR, "fill", "Click in an area to make all of it interior."),
    ("Polygon", INTERIOR, "polygon", "Draw around an area to make it interior."),
)
# Faint: it lies over the labels. 1 proposed, 2 touched, 3 confirmed.
_STATES = {
    0: (0, 0, 0, 0),
    1: (1, 0.9, 0.2, 0.35),
    2: (0.2, 1, 0.4, 0.35),
    3: (0.1, 0.9, 0.9, 0.25),
    None: (0, 0, 0, 0),
}


class CorrectStep(Step):
    """Chooses brush and label, shows the state of pixels, and confirms slices."""

    def __init__(self, napari_viewer: Any, workspace: Workspace | None = None) -> None:
        super().__init__(napari_viewer, workspace)
        self._overlay: Labels | None = None
        self._watched: Labels | None = None
        self._soon = QTimer(self, singleShot=True, interval=150)
        self._soon.timeout.connect(self._show_state)
        self._build()
        self.workspace.changed.connect(self._follow)
        self.viewer.dims.events.current_step.connect(self._later)
        self.viewer.bind_key(CONFIRM_KEY, self._confirm_by_key, overwrite=True)
        viewer = self.viewer
        self.destroyed.connect(lambda: _release_key(viewer))
        self._follow()

    def _build(self) -> None:
        self.add_choices("labels")
        grid = QGridLayout()
        self.tools = []
        for i, (text, label, mode, tooltip) in enumerate(_TOOLS):
            button = self.button(text, tooltip, partial(self.use, label, mode))
            grid.addWidget(button, i // 3, i % 3)
            self.tools.append(button)
        self.rows.addLayout(grid)
        self.confirm = self.button(
            f"Confirm slice ({CONFIRM_KEY})",
            "All labels of this slice are yours: they train, are exported, and no prediction changes them.",
            self.toggle_confirmed,
        )
        self.drop = self.button(
            "Drop proposals",
            "Make unconfirmed proposals of this slice unlabelled again.",
            self.drop_proposals,
        )
        line = QHBoxLayout()
        line.addWidget(self.confirm)
        line.addWidget(self.drop)
        self.rows.addLayout(line)
        self.overlay = QCheckBox("Show what is proposed, touched, confirmed")
        self.overlay.setToolTip(
            "Yellow: proposed by the network. Green: yours (painted, or loaded). Cyan: confirmed."
        )
        self.overlay.toggled.connect(self._later)
        self.state, self.confirmed = wrapping_label(), wrapping_label()
        for widget in (self.overlay, self.state, self.confirmed, self.status):
            self.rows.addWidget(widget)

    # -- following the user -------------------------------------------------------------

    def _follow(self) -> None:
        layer = self.workspace.labels
        if layer != self._watched:
            self._unwatch()
            if layer is not None:
                for event in (layer.events.paint, layer.events.data, layer.events.labels_update):
                    event.connect(self._later)
            self._watched = layer
        obstacle = None if layer is not None else "make or open a labels layer first"
        for button in (*self.tools, self.confirm, self.drop):
            enable(button, obstacle)
        self._later()

    def _unwatch(self) -> None:
        if self._watched is not None:
            for event in (
                self._watched.events.paint,
                self._watched.events.data,
                self._watched.events.labels_update,
            ):
                event.disconnect(self._later)

    def _later(self, *_: Any) -> None:
        """Show the state when the user pauses, not at every mouse move."""
        self._soon.start()

    def _layer(self) -> Labels:
        """Return the labels layer, made ours; a copy of it where its pixels cannot be painted as they are."""
        if is_ours(self.workspace.labels):
            return self.workspace.labels
        layer, labels = self.known_labels()
        if is_ours(layer):
            return layer
        if is_paintable(layer) and np.array_equal(labels, stack_of(layer)):
            adopt(layer)
        else:
            layer = converted(self.viewer, layer, labels)
        self.workspace.choose("labels", layer)
        return layer

    def _slice(self, layer: Labels) -> int:
        z = slice_in_view(self.viewer, layer)
        if z is None:
            raise UserError("The viewer shows no slice of the labels; move the slider to one.")
        return z

    # -- what the user does -------------------------------------------------------------

    def use(self, label: int | None, mode: str) -> None:
        """Select a napari tool with the right label."""
        layer = self._layer()
        self.viewer.layers.selection.active = layer
        layer.n_edit_dimensions = 2
        layer.contiguous = True
        if label is not None:
            layer.selected_label = label
        layer.mode = mode

    def _confirm_by_key(self, viewer: Any) -> None:
        with self.guard():
            self.toggle_confirmed()

    def toggle_confirmed(self) -> None:
        """Confirm the slice in view, or take that back."""
        layer = self._layer()
        z = self._slice(layer)
        corrections = corrections_of(layer)
        if z in corrections.confirmed:
            corrections.unconfirm(z)
            self.say(f"Slice {z} is no longer confirmed.")
        else:
            plane = stack_of(layer)[z]
            empty = int(np.count_nonzero(plane == UNLABELLED))
            if empty == plane.size:
                raise UserError(f"Slice {z} has no labels yet; paint or predict first, then confirm.")
            corrections.confirm(z)
            self.say(
                f"Slice {z} is confirmed" + (f"; {empty} of its pixels are unlabelled." if empty else ".")
            )
        self._show_state()

    def drop_proposals(self) -> None:
        """Make unconfirmed proposals of the slice in view unlabelled."""
        layer = self._layer()
        z = self._slice(layer)
        labels = stack_of(layer)
        y, x = np.nonzero(corrections_of(layer).is_proposal(labels, z))
        indices = (np.full(len(y), z), y, x) if layer.ndim == 3 else (y, x)
        layer.data_setitem(indices, UNLABELLED)
        self.say(f"{len(y)} proposed pixels of slice {z} are unlabelled again (Ctrl+Z brings them back).")
        self._show_state()

    # -- what shows ---------------------------------------------------------------------

    def _show_state(self) -> None:
        layer = self.workspace.labels
        if layer is None or not is_ours(layer):
            self.state.setText("")
            self.confirmed.setText("")
            self._hide_overlay()
            return
        corrections, z = corrections_of(layer), slice_in_view(self.viewer, layer)
        if z is not None:
            self.state.setText(self._sentence(layer, z))
            mark = "Unconfirm" if z in corrections.confirmed else "Confirm"
            self.confirm.setText(f"{mark} slice ({CONFIRM_KEY})")
        confirmed = ", ".join(map(str, sorted(corrections.confirmed))) or "none yet"
        self.confirmed.setText(f"Confirmed slices: {confirmed}")
        if self.overlay.isChecked() and z is not None:
            self._show_overlay(layer, z)
        else:
            self._hide_overlay()

    def _sentence(self, layer: Labels, z: int) -> str:
        labels = stack_of(layer)
        summary = corrections_of(layer).summary(labels, z)
        total = labels[z].size
        own = total - summary.unlabelled - summary.proposed
        parts = (("unlabelled", summary.unlabelled), ("proposed", summary.proposed), ("yours", own))
        shares = ", ".join(f"{name} {100 * count / total:.1f} %" for name, count in parts)
        return f"Slice {z}: {shares}" + ("; confirmed" if summary.confirmed else "")

    def _show_overlay(self, layer: Labels, z: int) -> None:
        labels, corrections = stack_of(layer), corrections_of(layer)
        state = np.zeros(labels[z].shape, np.uint8)
        state[labels[z] != UNLABELLED] = 3 if z in corrections.confirmed else 2
        state[corrections.is_proposal(labels, z)] = 1
        place = placed(layer, z)
        if self._overlay is not None and self._overlay in self.viewer.layers:
            self._overlay.data = state[None]
            self._overlay.translate = place["translate"]
            return
        active = self.viewer.layers.selection.active
        colours = DirectLabelColormap(color_dict=_STATES)
        self._overlay = self.viewer.add_labels(
            state[None], name="state of the slice", metadata={AID: True}, colormap=colours, **place
        )
        self.viewer.layers.selection.active = active

    def _hide_overlay(self) -> None:
        if self._overlay is not None and self._overlay in self.viewer.layers:
            self.viewer.layers.remove(self._overlay)
        self._overlay = None


def _release_key(viewer: Any) -> None:
    viewer.bind_key(CONFIRM_KEY, None, overwrite=True)
