"""The form of predictions: its scale, which is that of the workspace, and the number of orientations."""

import pytest
from napari.components import ViewerModel

from emseg_napari.settings import PredictionSettings
from emseg_napari.widgets.base.prediction_form import PredictionForm
from emseg_napari.widgets.base.workspace import Workspace


@pytest.fixture
def form(qtbot):
    form = PredictionForm(Workspace(ViewerModel()))
    form.workspace = form._workspace
    qtbot.addWidget(form)
    return form


def test_the_scale_is_chosen_for_all_steps_as_soon_as_it_is_a_number(form):
    found = []
    for text in ("2", "2.", "2.x", "20", "0.5", ""):
        form.widgets["scale"].value = text
        found.append(form.workspace.scale)
    assert found == [2, 2, 2, 2, 0.5, None]


def test_a_scale_that_is_chosen_elsewhere_shows(form):
    form.workspace.choose_scale(1.5)
    assert form.widgets["scale"].value == "1.5"
    form.workspace.choose_scale(None)
    assert form.widgets["scale"].value == ""


@pytest.mark.parametrize("typed", ["1.50", "x"])
def test_what_is_being_typed_stays_when_something_else_is_chosen(form, tmp_path, typed):
    form.workspace.choose_scale(1.5)
    form.widgets["scale"].value = typed
    form.workspace.choose_run(tmp_path)
    assert form.widgets["scale"].value == typed
    assert form.workspace.scale == 1.5


def test_orientations_are_chosen_from_a_list_and_are_two_at_first(form):
    shown = form.widgets["orientations"]
    assert (shown.value, shown.choices) == (2, (1, 2, 4, 8))
    shown.native.setCurrentText("8")
    assert PredictionSettings(**form.values()).orientations == 8
