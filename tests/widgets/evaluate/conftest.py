"""The step that evaluates: alone, in the dock, and after an evaluation."""

import pytest

from emseg_napari.widgets.evaluate.step import EvaluateStep
from helpers.evaluations import PREDICTED, TRUTH, V_RAND, answer, opened
from helpers.reviews import a_review
from helpers.window import end_jobs, noting


@pytest.fixture
def alone(make_napari_viewer_proxy, qtbot):
    """The step by itself in an empty window that is not shown."""
    viewer = make_napari_viewer_proxy()
    step = EvaluateStep(viewer)
    viewer.window.add_dock_widget(step)
    yield step
    end_jobs(qtbot, step)


@pytest.fixture
def step(alone):
    """The same with layers."""
    return opened(alone)


@pytest.fixture
def in_window(dock, qtbot):
    """The step of the dock in a window that is shown, with layers and known results."""
    step = opened(dock.evaluate)
    dock.show_step(step)
    step.job.start = noting([])
    step.evaluate.click()
    answer(step, a_review(TRUTH, PREDICTED, V_RAND, trained=(5,)))
    return step


@pytest.fixture
def started(step, monkeypatch):
    """The jobs that would have begun."""
    jobs = []
    monkeypatch.setattr(step.job, "start", noting(jobs))
    return jobs


@pytest.fixture
def evaluated(step, started):
    """The step after an evaluation with known scores and true errors."""
    step.evaluate.click()
    answer(step, a_review(TRUTH, PREDICTED, V_RAND, trained=(5,)))
    return step
