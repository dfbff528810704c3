"""Settings of every step: each number that a user can set, defined once.

The forms in the window, the options of the command line and ``settings.json`` in a run
folder are all made from these classes. A field's ``title`` is its name in the form and
its ``description`` the tooltip and the command line's help; units stand in both.
"""

from emseg_napari.settings.base import (
    Settings,
    is_advanced,
    is_range,
    is_size,
    validated,
    with_present_names,
)
from emseg_napari.settings.cells import MERGE_THRESHOLD, CellSettings
from emseg_napari.settings.evaluation import ErrorSettings, EvaluationSettings, ReviewSettings
from emseg_napari.settings.export import ExportSettings
from emseg_napari.settings.live import LiveSettings
from emseg_napari.settings.prediction import PredictionSettings, usual_orientations
from emseg_napari.settings.training import BASELINES, NetworkName, TrainingSettings, applies

__all__ = [
    "BASELINES",
    "MERGE_THRESHOLD",
    "CellSettings",
    "ErrorSettings",
    "EvaluationSettings",
    "ExportSettings",
    "LiveSettings",
    "NetworkName",
    "PredictionSettings",
    "ReviewSettings",
    "Settings",
    "TrainingSettings",
    "applies",
    "is_advanced",
    "is_range",
    "is_size",
    "usual_orientations",
    "validated",
    "with_present_names",
]
