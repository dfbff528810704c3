"""What is known of the slices; the one in view is confirmed, or its proposals are dropped."""

from __future__ import annotations

from functools import partial

import numpy as np
from napari.layers import Labels
from qtpy.QtWidgets import QVBoxLayout, QWidget

from emseg_napari.annotation.label_state import is_proposal, summary
from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import UNLABELLED
from emseg_napari.io.axes import slice_spans
from emseg_napari.widgets.base.keys import bind, with_key
from emseg_napari.widgets.base.labels_step import LabelsStep
from emseg_napari.widgets.base.step import WrappingLabel, enable, in_row, primary
from emseg_napari.widgets.correct.slice_strip import SliceStrip
from emseg_napari.widgets.layers.labels_layer import (
    confirmed_in,
    history_of,
    is_managed,
    refuse_confirmed,
    set_pixels,
    stack_of,
)
from emseg_napari.widgets.layers.placement import shown_slice
from emseg_napari.widgets.layers.selection import show_if_hidden
from emseg_napari.widgets.layers.undo_history import Confirmed

_KEY = "C"
_CONFIRM = "All labels of this slice are yours: they train, are exported, and no prediction changes them."
_DROP = "Make unconfirmed proposals of this slice unlabelled again."


class ConfirmPanel(QWidget):
    """Confirms slices of the chosen labels layer, and says what is known of them.

    Parameters
    ----------
    step : LabelsStep
        Knows the layer and says the sentences.
    strip : SliceStrip
        Has counted the slices.
    beside : QWidget
        Stands beside the buttons.
    """

    def __init__(self, step: LabelsStep, strip: SliceStrip, beside: QWidget) -> None:
        super().__init__()
        self._step, self._strip = step, strip
        self._said: tuple[str, int | None] = "", None
        self.confirm = primary(step.button(_confirm_text(False), _CONFIRM, self.toggle_confirmed))
        self.drop = step.button("Drop proposals", _DROP, self.drop_proposals)
        self.state, self.totals = WrappingLabel(), WrappingLabel()
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(self.state)
        rows.addLayout(in_row(self.confirm, self.drop, beside))
        rows.addWidget(self.totals)
        strip.counted.connect(self.show_totals)
        bind(step.viewer, self, {_KEY: partial(step.guarded, self.toggle_confirmed)})

    def set_obstacle(self, obstacle: str | None) -> None:
        """Enable the buttons, or say what prevents them."""
        for button in (self.confirm, self.drop):
            enable(button, obstacle)

    # -- what the user does -------------------------------------------------------------

    def toggle_confirmed(self) -> None:
        """Confirm or unconfirm the slice in view."""
        layer, z = self._layer_and_slice()
        confirmed = confirmed_in(layer)
        sentence = f"Slice {z} is no longer confirmed." if z in confirmed else _confirmation(layer, z)
        show_if_hidden(self._step.viewer, layer)
        entry = Confirmed(confirmed, z)
        entry.redo()
        history_of(layer).add(entry)
        self._say(sentence, z)

    def drop_proposals(self) -> None:
        """Make unconfirmed proposals of the slice in view unlabelled."""
        layer, z = self._layer_and_slice()
        refuse_confirmed(layer, z)
        show_if_hidden(self._step.viewer, layer)
        y, x = np.nonzero(is_proposal(stack_of(layer)[z]))
        with history_of(layer).named("drop proposals"):
            set_pixels(layer, z, y, x, UNLABELLED)
        self._say(f"{len(y)} proposed pixels of slice {z} are unlabelled again (Ctrl+Z undoes it).", z)

    def _say(self, sentence: str, z: int) -> None:
        """Say what was done to a slice, while that is in view."""
        self._said = sentence, z
        self._step.say(sentence)

    def _layer_and_slice(self) -> tuple[Labels, int]:
        layer = self._step.managed_layer()
        return layer, self._step.slice_of(layer)

    # -- what shows ---------------------------------------------------------------------

    def show_slice(self) -> int | None:
        """Describe the slice in view, and return it; None if none is, or of a foreign layer."""
        layer = self._step.workspace.labels
        self.state.setText("")
        z = self._describe(layer) if is_managed(layer) else None
        if z != self._said[1]:
            self._step.take_back(self._said[0])
        self.show_totals()
        return z

    def _describe(self, layer: Labels) -> int | None:
        try:
            z = shown_slice(self._step.viewer, layer)
        except UserError as error:
            self._strip.show_pixel(None)
            self.state.setText(str(error))
            return None
        confirmed = z in confirmed_in(layer)
        self._strip.show_pixel(z)
        self._strip.found[z] = summary(stack_of(layer)[z], confirmed)
        self.state.setText(self._strip.sentence(z).replace(" %", "\N{NO-BREAK SPACE}%"))
        self.confirm.setText(_confirm_text(confirmed))
        return z

    def show_totals(self) -> None:
        """Say how many slices are in which state, and which are confirmed."""
        totals = self._strip.totals()
        counts = ", ".join(f"{count} {state}" for state, count in totals.items() if count)
        confirmed = sorted(z for z, found in self._strip.found.items() if found.confirmed)
        which = f" ({slice_spans(confirmed)})" if confirmed else ""
        self.totals.setText(f"{sum(totals.values())} slices: {counts}{which}" if counts else "")


def _confirm_text(confirmed: bool) -> str:
    return with_key("Unconfirm" if confirmed else "Confirm slice", _KEY)


def _confirmation(layer: Labels, z: int) -> str:
    """Say that a slice is confirmed, and what is missing in it; one without labels is refused."""
    plane = stack_of(layer)[z]
    empty = int(np.count_nonzero(plane == UNLABELLED))
    if empty == plane.size:
        raise UserError(f"Slice {z} has no labels yet; paint or propose first, then confirm.")
    return f"Slice {z} is confirmed" + (f"; {empty} of its pixels are unlabelled." if empty else ".")
