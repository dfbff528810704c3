"""One dock with all the steps in order: Load, Train, Predict, Correct, Evaluate, Cells, Export."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QScrollArea, QSizePolicy, QTabWidget, QVBoxLayout, QWidget

from emseg_napari.widgets.base.autosave import autosave_of
from emseg_napari.widgets.base.closing import ClosedForGood
from emseg_napari.widgets.base.step import StepWidget
from emseg_napari.widgets.base.workspace import Workspace
from emseg_napari.widgets.correct.step import CorrectStep
from emseg_napari.widgets.evaluate.step import EvaluateStep
from emseg_napari.widgets.export import ExportStep
from emseg_napari.widgets.load import LoadStep
from emseg_napari.widgets.predict import PredictStep
from emseg_napari.widgets.segment import CellsStep
from emseg_napari.widgets.train.step import TrainStep


class Dock(ClosedForGood):
    """The steps, sharing one workspace.

    Attributes
    ----------
    workspace : Workspace
    autosave : SessionAutosave
    load, train, predict, correct, evaluate, cells, export
        The step widgets.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.workspace = Workspace(napari_viewer, self)
        self.autosave = autosave_of(self.workspace)
        self.load = LoadStep(napari_viewer, self.workspace)
        self.train = TrainStep(napari_viewer, self.workspace)
        self.predict = PredictStep(napari_viewer, self.workspace)
        self.correct = CorrectStep(napari_viewer, self.workspace)
        self.evaluate = EvaluateStep(napari_viewer, self.workspace)
        self.cells = CellsStep(napari_viewer, self.workspace)
        self.export = ExportStep(napari_viewer, self.workspace)
        for step in self._pages().values():
            self.closing.connect(step.closing)
        self.steps = QTabWidget()
        self.steps.tabBar().setStyleSheet("QTabBar::tab { padding: 4px 4px; }")  # or not all would be seen
        for title, step in self._pages().items():
            self.steps.addTab(_scrolling(step), title)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 6, 0, 0)
        layout.addWidget(self.steps)
        self.setMinimumWidth(400)
        # Expanding, or napari would push the steps into the upper half of the dock.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)

    def _pages(self) -> dict[str, StepWidget]:
        return {
            "Load": self.load,
            "Train": self.train,
            "Predict": self.predict,
            "Correct": self.correct,
            "Evaluate": self.evaluate,
            "Cells": self.cells,
            "Export": self.export,
        }

    def show_step(self, step: QWidget) -> None:
        """Open the page of a step."""
        self.steps.setCurrentIndex(list(self._pages().values()).index(step))


def _scrolling(step: QWidget) -> QScrollArea:
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setFrameShape(QScrollArea.Shape.NoFrame)
    area.setWidget(step)
    return area
