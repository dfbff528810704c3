"""Options of a training that most trainings do not need: its recipe, what trains, and what is kept of it."""

from __future__ import annotations

from qtpy.QtWidgets import QCheckBox, QPushButton, QVBoxLayout, QWidget

from emseg_napari.widgets.base.preferences import recall
from emseg_napari.widgets.base.settings_form import SettingsForm
from emseg_napari.widgets.train.run_controls import RunOutputs


class TrainOptions(QWidget):
    """The options, one below the other.

    Parameters
    ----------
    form : SettingsForm
        The recipe.
    show_samples : QPushButton
    outputs : RunOutputs

    Attributes
    ----------
    include_proposals, keep_movie : QCheckBox
    """

    def __init__(self, form: SettingsForm, show_samples: QPushButton, outputs: RunOutputs) -> None:
        super().__init__()
        self.include_proposals = QCheckBox("Train on unconfirmed proposals too")
        self.include_proposals.setToolTip("Off: the network learns only from what you painted or confirmed.")
        self.keep_movie = QCheckBox("Keep a movie of the epochs")
        self.keep_movie.setToolTip("Collect the preview of the slice in view now, one frame per epoch.")
        self.keep_movie.setChecked(bool(recall("train").get("keep_movie", False)))
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        for widget in (form, show_samples, self.include_proposals, self.keep_movie, outputs):
            rows.addWidget(widget)
