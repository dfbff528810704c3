"""The dock: one column with all that the plugin does.

From top to bottom: work that was not saved, what the user works with, a card that opens something while no
image is open, the slices, the bar that proposes labels, the four pages, jobs that run, and one status line.

The dock belongs to its viewer: closed, it is only put away, its jobs go on, and opened again, it is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from inspect import unwrap
from typing import Any
from weakref import WeakSet

from napari.utils.notifications import show_info
from qtpy.compat import isalive
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QDockWidget,
    QMainWindow,
    QScrollArea,
    QSizePolicy,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from emseg_napari.widgets.base.autosave import autosave_of
from emseg_napari.widgets.base.focus import FocusReturn
from emseg_napari.widgets.base.header import Header, MenuEntry
from emseg_napari.widgets.base.help import InstallationCheck, open_guide
from emseg_napari.widgets.base.keys import with_key
from emseg_napari.widgets.base.labels_offer import LabelsOffer
from emseg_napari.widgets.base.status_line import StatusLine
from emseg_napari.widgets.base.step import StepWidget
from emseg_napari.widgets.base.wheel import leave_wheel_to_page
from emseg_napari.widgets.base.workspace import Workspace
from emseg_napari.widgets.correct.step import CorrectStep
from emseg_napari.widgets.evaluate.step import EvaluateStep
from emseg_napari.widgets.export import ExportStep
from emseg_napari.widgets.layers.label_colours import prepare_colours
from emseg_napari.widgets.load import LoadStep
from emseg_napari.widgets.predict import PredictStep
from emseg_napari.widgets.save_as import SaveAsStep
from emseg_napari.widgets.segment import CellsStep
from emseg_napari.widgets.train.step import TrainStep

_WIDTH_PX = 400
_STEPS: dict[str, Callable[..., StepWidget]] = {
    "load": LoadStep,
    "offer": LabelsOffer,
    "predict": PredictStep,
    "correct": CorrectStep,
    "train": TrainStep,
    "evaluate": EvaluateStep,
    "cells": CellsStep,
    "save_as": SaveAsStep,
    "export": ExportStep,
}
_DOCKS: WeakSet[Dock] = WeakSet()


class Dock(QWidget):
    """The column of one viewer, built part by part, so that the window answers meanwhile.

    Attributes
    ----------
    workspace : Workspace
    autosave : SessionAutosave
    load, offer, predict, correct, train, evaluate, cells, save_as, export
        The steps, once they are built.
    steps : list of StepWidget
        Those that are built.
    header : Header
    status : StatusLine
    """

    load: LoadStep
    offer: LabelsOffer
    predict: PredictStep
    correct: CorrectStep
    train: TrainStep
    evaluate: EvaluateStep
    cells: CellsStep
    save_as: SaveAsStep
    export: ExportStep

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        _DOCKS.add(self)
        self.workspace = Workspace(napari_viewer, self)
        self.autosave = autosave_of(self.workspace)
        self.status = StatusLine()
        self.steps: list[StepWidget] = []
        self._check: InstallationCheck | None = None
        self._parts = self._build_parts(napari_viewer)

    def build_next(self) -> bool:
        """Build the next part; return False when there is none."""
        return next(self._parts, False)

    def build(self) -> Dock:
        """Build all parts that are not there yet."""
        while self.build_next():
            pass
        return self

    def _build_parts(self, viewer: Any) -> Iterator[bool]:
        for name, kind in _STEPS.items():
            step = kind(viewer, self.workspace)
            step.setParent(self)  # else it would be a window if it showed itself, and outlive this one
            step.said.connect(self._show_sentence)
            step.unsaid.connect(self.status.drop)
            self.steps.append(step)
            setattr(self, name, step)
            yield True
        self.predict.proposed.connect(self.correct.show_proposed)
        self._build_header()
        self._lay_out()
        FocusReturn(self)
        self.workspace.changed.connect(self._follow)
        self._follow()
        prepare_colours()  # not before: beside it, the parts would take twice as long

    def _build_header(self) -> None:
        self.header = Header(
            self.workspace, self.predict.run_picker, self.load.new_labels_button, self.load.about
        )
        for choice in (self.header.image, self.header.labels):
            choice.activated.connect(self._forget_sentence)
        keys = MenuEntry(
            with_key("Keys", "F1"),
            "All keys.",
            partial(self.correct.guarded, self.correct.show_keys),
        )
        guide = MenuEntry("Guide", "The documentation, in the browser.", open_guide)
        check = MenuEntry(
            "Check this installation...",
            "What is installed, whether it works, and what to do about what does not.",
            self.check_installation,
        )
        self.header.add_entries(*self.load.menu_entries())
        self.header.add_submenu("Help", [keys, guide, check])

    def check_installation(self) -> None:
        """Show what `emseg doctor` says of this installation."""
        self._check = self._check or InstallationCheck(self, lambda: self.workspace.runs_folder)
        self._check.show()
        self._check.start()

    def _lay_out(self) -> None:
        self.pages = QTabWidget()
        for title, parts in self._pages().items():
            self.pages.addTab(_scrolling(_stacked(parts)), title)
        self.pages.currentChanged.connect(self._put_brush_down)
        self._work = _stacked([self.correct.strip, self.predict, self.pages])
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 6, 6, 6)
        for part in (self.load.trouble, self.load.lost_work, self.header, self.offer, self.load):
            column.addWidget(part)
        column.addWidget(self._work, 1)
        column.addStretch(0)
        for step in self.steps:
            for line in step.job_lines:
                column.addWidget(line)
        column.addWidget(self.status)
        leave_wheel_to_page(self)
        self.setMinimumWidth(_WIDTH_PX)
        # Expanding, or napari would push the column into the upper half of the dock.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)

    def _pages(self) -> dict[str, list[QWidget]]:
        return {
            "1 Label && correct": [self.correct],
            "2 Train": [self.train],
            "3 Check": [self.evaluate],
            "4 Results": [self.cells, self.save_as, self.export],
        }

    def _follow(self) -> None:
        """Show the card that opens something while there is no image, else the work."""
        has_image = self.workspace.image is not None
        if not has_image:
            self.status.show_sentence("", wrong=False)
        self.load.setVisible(not has_image)
        self._work.setVisible(has_image)

    def _put_brush_down(self, page: int) -> None:
        """Put a brush down on pages on which nothing is painted: a drag is meant to move the image there."""
        if not any(step in (self.correct, self.train) for step in list(self._pages().values())[page]):
            self.correct.brushes.put_down()

    def show_step(self, step: QWidget) -> None:
        """Open the page that a step lies in, if it lies in one."""
        for page, parts in enumerate(self._pages().values()):
            if step in parts:
                self.pages.setCurrentIndex(page)

    def _show_sentence(self, sentence: str, wrong: bool) -> None:
        self.status.show_sentence(sentence, wrong)
        if wrong and not self.isVisible():  # a key was pressed while the dock is put away
            show_info(sentence)

    def _forget_sentence(self, *_: Any) -> None:
        """Show no sentence about layers that were chosen before."""
        self.status.show_sentence("", wrong=False)

    def put_away(self, window: QMainWindow) -> None:
        """Leave the dock that napari removes; the jobs go on in a hidden one of the same window."""
        self.build()
        for step in self.steps:
            step.closing.emit()
        hidden = QDockWidget(window)
        hidden.setWidget(self)
        hidden.hide()

    def discard(self) -> None:
        """End half a dock, of which a part cannot be built: the next opening begins anew."""
        _DOCKS.discard(self)
        self.hide()
        self.setParent(None)
        self.deleteLater()


def dock_of(viewer: Any) -> Dock:
    """Return the dock of a viewer, or a new one to build; napari hands plugins a new proxy each time."""
    alive = filter(isalive, _DOCKS)
    known = (dock for dock in alive if unwrap(dock.workspace.viewer) is unwrap(viewer))
    return next(known, None) or Dock(viewer)


def _stacked(parts: list[QWidget]) -> QWidget:
    """Lay parts out below each other, with one left edge; the last takes the rest of the height."""
    widget = QWidget()
    layout = QVBoxLayout(widget)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
    for part in parts:
        layout.addWidget(part)
    layout.setStretch(len(parts) - 1, 1)
    return widget


def _scrolling(page: QWidget) -> QScrollArea:
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setFrameShape(QScrollArea.Shape.NoFrame)
    area.setWidget(page)
    return area
