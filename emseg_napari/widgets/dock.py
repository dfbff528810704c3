"""One dock with all the steps in order: Load, Train, Predict, Correct, Export."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QScrollArea, QToolBox, QVBoxLayout, QWidget

from emseg_napari.widgets.correct import CorrectStep
from emseg_napari.widgets.export import ExportStep
from emseg_napari.widgets.load import LoadStep
from emseg_napari.widgets.predict import PredictStep
from emseg_napari.widgets.train import TrainStep
from emseg_napari.widgets.workspace import Workspace


class Dock(QWidget):
    """The steps, sharing one workspace.

    Attributes
    ----------
    load, train, predict, correct, export
        The step widgets.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.workspace = Workspace(napari_viewer, self)
        self.load = LoadStep(napari_viewer, self.workspace)
        self.train = TrainStep(napari_viewer, self.workspace)
        self.predict = PredictStep(napari_viewer, self.workspace)
        self.correct = CorrectStep(napari_viewer, self.workspace)
        self.export = ExportStep(napari_viewer, self.workspace)
        self.steps = QToolBox()
        titles = ("1  Load", "2  Train", "3  Predict", "4  Correct", "5  Export")
        for title, step in zip(titles, (self.load, self.train, self.predict, self.correct, self.export), strict=True):
            self.steps.addItem(_scrolling(step), title)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.steps)
        self.setMinimumWidth(340)

    def show_step(self, step: QWidget) -> None:
        """Open the page of a step."""
        pages = (self.load, self.train, self.predict, self.correct, self.export)
        self.steps.setCurrentIndex(pages.index(step))


def _scrolling(step: QWidget) -> QScrollArea:
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setFrameShape(QScrollArea.Shape.NoFrame)
    area.setWidget(step)
    return area
