"""What step Predict says of an image before it predicts, without a network."""

from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel

from emseg_napari.core.jobs import Cancelled, UserError
from emseg_napari.inference import fit as fit_module
from emseg_napari.inference.fit import Fit
from emseg_napari.widgets.predict import PredictStep
from helpers.seen_runs import a_run
from helpers.window import wait_for

UNLIKE = Fit("Unlike; try scale 2.", 2.0)


@pytest.fixture
def looks(monkeypatch):
    """What each look at an image finds, and the scales that were looked at; any other look finds a fit."""
    found = SimpleNamespace(results={None: UNLIKE}, scales=[], ended=0)

    def fit_to_run(image, run, settings, should_stop):
        found.scales.append(settings.scale)
        result = found.results.get(settings.scale, Fit())
        if isinstance(result, Exception):
            raise result
        return result

    monkeypatch.setattr(fit_module, "fit_to_run", fit_to_run)
    return found


@pytest.fixture
def step(qtbot, tmp_path, looks):
    step = PredictStep(ViewerModel())
    qtbot.addWidget(step)
    step.viewer.add_image(np.zeros((2, 8, 9), np.uint8), name="cells")
    step.workspace.choose_run(a_run(tmp_path / "mine", [0], [1]).folder)
    return step


def test_nothing_is_looked_at_before_the_step_is_seen(step, looks, qtbot):
    assert looks.scales == []
    step.show()
    wait_for(qtbot, step.fit.isVisible)
    assert step.fit.sentence.text() == "Unlike; try scale 2."
    assert looks.scales == [None]


def test_one_click_takes_the_scale_that_is_offered(step, looks, qtbot):
    step.show()
    wait_for(qtbot, step.fit.isVisible)
    assert step.fit.use.text() == "Use scale 2"
    step.fit.use.click()
    assert step.form.values()["scale"] == 2
    wait_for(qtbot, lambda: looks.scales == [None, 2])
    assert not step.fit.isVisible()


def test_another_image_is_looked_at_and_the_same_is_not_again(step, looks, qtbot):
    step.show()
    wait_for(qtbot, step.fit.isVisible)
    step.fit.refresh()
    other = step.viewer.add_image(np.zeros((2, 8, 9), np.uint8), name="other")
    step.workspace.choose("image", other)
    wait_for(qtbot, lambda: looks.scales == [None, None])
    step.viewer.layers.clear()
    assert not step.fit.isVisible()


def test_missing_chunks_that_are_to_be_empty_are_looked_at_again(step, looks, qtbot):
    step.show()
    wait_for(qtbot, step.fit.isVisible)
    step.form.set_values({"missing_is_empty": True})
    wait_for(qtbot, lambda: looks.scales == [None, None])


@pytest.mark.parametrize("error", [UserError("The run has no network."), Cancelled()])
def test_what_cannot_be_looked_at_is_left_to_the_prediction(step, looks, qtbot, error):
    looks.results[None] = error
    step.show()
    wait_for(qtbot, lambda: looks.scales == [None])
    step.viewer.add_image(np.zeros((8, 9, 3), np.uint8), rgb=True, name="colour")
    step.workspace.choose("image", step.viewer.layers["colour"])
    assert step.status.text() == ""
    assert not step.fit.isVisible()
