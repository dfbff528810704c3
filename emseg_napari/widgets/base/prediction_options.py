"""Options of predictions: where proposals go, and how they are made."""

from __future__ import annotations

from qtpy.QtWidgets import QCheckBox, QFormLayout, QVBoxLayout, QWidget

from emseg_napari.widgets.base.output_target import FILE, VolumeTarget
from emseg_napari.widgets.base.prediction_form import PredictionForm
from emseg_napari.widgets.base.preferences import recall, remember
from emseg_napari.widgets.base.step import choice_of
from emseg_napari.widgets.base.workspace import Workspace

FILL, OWN_LAYER = "the labels layer, where unlabelled", "a layer of its own"
_TARGET = (
    "Where proposals go. What you painted or confirmed is never changed. On disk: the boundary "
    "probability of the whole stack, which may be larger than memory and can be resumed after "
    "Cancel; then propose a slice to get labels from it."
)
_PROBABILITY = (
    "An image layer, float32, 0 to 1, 1 = boundary, hidden at first; closed gaps show in it. "
    "The repair tools follow it."
)


class PredictionOptions(QWidget):
    """Chooses the target and edits `PredictionSettings`; remembers the target.

    Parameters
    ----------
    workspace : Workspace

    Attributes
    ----------
    target : QComboBox
        `FILL`, `OWN_LAYER` or `output_target.FILE`.
    volume : VolumeTarget
        The file on disk.
    with_probability : QCheckBox
        Whether the probability is kept as a layer.
    form : PredictionForm
    """

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self.target = choice_of((FILL, OWN_LAYER, FILE), _TARGET)
        self.volume = VolumeTarget("boundaries", "boundary probability, 0 to 255")
        self.with_probability = QCheckBox("Keep the boundary probability")
        self.with_probability.setToolTip(_PROBABILITY)
        self.form = PredictionForm(workspace)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        rows = QFormLayout()
        rows.addRow("Write to", self.target)
        layout.addLayout(rows)
        for widget in (self.volume, self.with_probability, self.form):
            layout.addWidget(widget)
        self._restore()

    def _restore(self) -> None:
        remembered = recall("predict")
        self.target.currentTextChanged.connect(self._show_target)
        self.target.setCurrentText(str(remembered.get("target", FILL)))
        self._show_target()
        self.with_probability.setChecked(bool(remembered.get("probability", True)))

    def remember(self) -> None:
        """Remember where this prediction goes, for the next window."""
        keeps = self.with_probability.isChecked()
        remember("predict", {"target": self.target.currentText(), "probability": keeps})

    def _show_target(self) -> None:
        to_file = self.target.currentText() == FILE
        self.volume.setVisible(to_file)
        self.with_probability.setVisible(not to_file)
