"""The panel of places without a window, and a search that is only pretended."""

import pytest
from napari.components import ViewerModel

from emseg_napari.models import run as run_module
from emseg_napari.widgets.correct.step import CorrectStep
from emseg_napari.widgets.layers.labels_layer import add_labels
from helpers.window import noting, striped


@pytest.fixture
def alone(qtbot, tmp_path, monkeypatch, tiny_run):
    """The panel of places without a window, and the jobs that it begins."""
    monkeypatch.setattr(run_module, "STARTER_FOLDER", tmp_path / "none")
    step = CorrectStep(ViewerModel())
    qtbot.addWidget(step)
    image, labels = striped()
    add_labels(step.viewer, labels + 2, "proposal", step.viewer.add_image(image, name="cells"))
    step.workspace.choose_run(tiny_run.folder)
    step.viewer.dims.set_point(0, 4)
    panel = step.places
    panel.step, panel.jobs = step, []
    monkeypatch.setattr(panel.job, "start", noting(panel.jobs))
    return panel


@pytest.fixture
def running(alone, monkeypatch):
    """The same in view, while its engine is said to run from the first job on."""
    monkeypatch.setattr(type(alone.job), "running", property(lambda self: bool(alone.jobs)))
    monkeypatch.setattr(alone.job, "cancel", lambda: alone.cancelled.append(len(alone.jobs)))
    alone.cancelled = []
    alone.step.show()
    return alone
