"""Merges and splits as a layer and as a list, and the way to each of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from napari.layers import Layer
from napari.utils.colormaps import DirectLabelColormap
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from emseg_napari.annotation.session.scratch import new_labels
from emseg_napari.core.text import counted
from emseg_napari.evaluation.errors import MERGE, SPLIT, SegmentationError, error_map
from emseg_napari.evaluation.training_overlap import ABOUT, TRAINED
from emseg_napari.widgets.base.keys import with_key
from emseg_napari.widgets.base.step import WrappingLabel, in_row
from emseg_napari.widgets.base.table import Cell, ScoreTable
from emseg_napari.widgets.base.theme_colours import BLUE, GREY, ThemeColour
from emseg_napari.widgets.layers.aid_layer import AidLayer
from emseg_napari.widgets.layers.placement import layer_transform, show_pixel, zoom_to

NEXT_KEY, PREVIOUS_KEY = "N", "Shift+N"
MERGE_COLOUR, SPLIT_COLOUR = "#ff1f70", "#3f8cff"  # on the image
WORDS = {"merge": ThemeColour("#c2004f", "#ff5c97"), "split": BLUE}
MOST_ROWS = 1000
_ZOOM = 4.0  # screen pixels for one of the image
_CLEAR = (0.0, 0.0, 0.0, 0.0)
_COLOURS = {None: _CLEAR, 0: _CLEAR, MERGE: MERGE_COLOUR, SPLIT: SPLIT_COLOUR}
_COLUMNS = {
    "Error": "merge: a membrane between two true cells was not found (red); "
    "split: a false membrane cuts a true cell (blue).",
    "Slice": "Slice",
    "Size (px)": "Pixels of the smaller of the two cells that were joined, or of the smaller piece.",
    "y": "Row of the middle of the wall.",
    "x": "Column of the middle of the wall.",
}


class ErrorList(QWidget):
    """Shows the errors of an evaluation, largest first, and goes to them.

    Parameters
    ----------
    viewer : napari.Viewer
    page : QWidget, optional
        The errors are drawn over the image only while this is seen, whichever of its tabs is open; without
        one, while the list is.

    Signals
    -------
    described : str
        What the error is that the user went to.
    """

    described = Signal(str)

    def __init__(self, viewer: Any, page: QWidget | None = None) -> None:
        super().__init__()
        self._viewer, self._page = viewer, page or self
        self._over: Any = None
        colours = DirectLabelColormap(color_dict=_COLOURS)
        self._marks = AidLayer(
            viewer, "labels", name="errors: merge red, split blue", colormap=colours, opacity=1
        )
        self._shape: tuple[int, ...] = ()
        self.errors: list[SegmentationError] = []
        self.summary = WrappingLabel()
        self.table = ScoreTable(_COLUMNS)
        self.table.chosen.connect(self._go)
        previous, following = (
            QPushButton(with_key(text, key)) for text, key in (("Previous", PREVIOUS_KEY), ("Next", NEXT_KEY))
        )
        for button, by in ((previous, -1), (following, 1)):
            button.setToolTip("Show the slice, with the wall in the middle.")
            button.clicked.connect(lambda *_, by=by: self.table.step(by))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.addWidget(self.summary)
        layout.addWidget(self.table, 1)
        layout.addLayout(in_row(previous, following))

    def show_errors(
        self,
        errors: Sequence[SegmentationError],
        over: Layer,
        shape: tuple[int, ...],
        trained: Collection[int] = (),
    ) -> None:
        """List errors and draw them over a layer.

        Parameters
        ----------
        errors : sequence of SegmentationError
            Largest first.
        over : napari.layers.Layer
            The true labels, in whose slices the errors count.
        shape : tuple of int
            (z, y, x) of it.
        trained : collection of int
            Slices that the run was trained on, where few errors prove nothing.
        """
        self.errors, self._over, self._shape = list(errors), over, shape
        self.summary.setText(_summary(self.errors, trained))
        self.table.fill([(error, _cells(error, error.z in trained)) for error in self.errors[:MOST_ROWS]])
        self._draw()

    def _draw(self) -> None:
        """Show the walls, if the page is seen."""
        walls = error_map(self.errors, self._shape, new_labels(self._shape))
        shown = walls[0] if self._over.ndim == 2 else walls
        self._marks.show(shown, layer_transform(self._over, shown.ndim))
        if not self._page.isVisible():
            self._marks.hide()

    def show_marks(self) -> None:
        """Show the walls again that `hide_marks` has hidden."""
        if self._over in self._viewer.layers:
            self._marks.show_again()

    def hide_marks(self) -> None:
        """Show the image without walls for now."""
        self._marks.hide()

    def _go(self, error: SegmentationError) -> None:
        """Bring the slice up, and the wall into the middle of the canvas."""
        if self._marks.layer is None:
            if self._over not in self._viewer.layers:
                self.summary.setText("The true labels were removed; evaluate again.")
                return
            self._draw()
        self._marks.move_up()
        y, x = error.centre
        show_pixel(self._viewer, self._marks.layer, (error.z, y, x))
        extent = max(np.ptp(axis) for axis in error.pixels) + 1
        zoom_to(self._viewer, self._marks.layer, extent, _ZOOM)
        self.described.emit(_sentence(error))


def _sentence(error: SegmentationError) -> str:
    what = {
        "merge": "Merge of two cells ({where}, red): the membrane between them was not found.",
        "split": "Split of a cell ({where}, blue): a false membrane cuts it.",
    }
    return what[error.kind].format(where=f"slice {error.z}")


def _summary(errors: Sequence[SegmentationError], trained: Collection[int]) -> str:
    merges = sum(error.kind == "merge" for error in errors)
    known = sum(error.z in trained for error in errors)
    sentences = [
        f"{counted(merges, 'merge')} (red: membrane missing), "
        f"{counted(len(errors) - merges, 'split')} (blue: false membrane).",
        f"{known} of them (grey) in slices that were trained on." if known else "",
        f"The {MOST_ROWS} largest are listed." if len(errors) > MOST_ROWS else "",
    ]
    return " ".join(filter(None, sentences))


def _cells(error: SegmentationError, is_trained: bool) -> list[Cell]:
    colour, why = (GREY, ABOUT[TRAINED]) if is_trained else (None, "")
    kind = Cell(error.kind, float(error.kind == "split"), why, WORDS[error.kind])
    numbers = (error.z, error.size_px, *error.centre)
    return [kind, *(Cell(str(n), n, why, colour) for n in numbers)]
