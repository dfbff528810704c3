"""What takes a while in step Correct is done where it was asked for, without a window."""

import numpy as np
import pytest
from napari.components import ViewerModel

from emseg_napari.annotation.repair.edit import Edit
from emseg_napari.core.labels import BOUNDARY
from emseg_napari.io.stacks import as_stack
from emseg_napari.widgets.correct import whole_slice_tools
from emseg_napari.widgets.correct.repair_controller import RepairController
from emseg_napari.widgets.correct.repair_tools import Tool
from emseg_napari.widgets.correct.step import CorrectStep
from emseg_napari.widgets.correct.whole_slice_tools import Interpolation
from emseg_napari.widgets.layers.labels_layer import add_labels, confirmed_in, is_managed
from helpers.window import striped

IMAGE, LABELS = striped((5, 48, 48))


@pytest.fixture
def later(qapp, qtbot):
    """The step over an image, and what it does in the background, which the test does when it wants."""
    viewer = ViewerModel()
    viewer.add_image(IMAGE, name="cells")
    step = CorrectStep(viewer)
    qtbot.addWidget(step)
    waiting = []

    def in_background(sentence, work, done):
        waiting.append(lambda: step.guarded(lambda: done(work())))

    step.in_background = in_background
    return step, waiting


def do(waiting):
    while waiting:
        waiting.pop(0)()


def test_what_waits_for_a_foreign_layer_is_done_on_the_slice_where_it_was_pressed_or_not_at_all(later):
    step, waiting = later
    foreign = step.viewer.add_labels(LABELS.copy(), name="foreign")
    step.confirm.click()
    step.viewer.dims.set_point(0, 4)
    do(waiting)
    assert confirmed_in(foreign) == set()
    assert "another slice is in view, so press again" in step.status.text()
    step.confirm.click()
    assert confirmed_in(foreign) == {4}


def test_what_waits_for_a_foreign_layer_is_not_done_when_another_one_is_chosen(later):
    step, waiting = later
    first, second = (step.viewer.add_labels(LABELS.copy(), name=name) for name in ("first", "second"))
    step.workspace.choose("labels", first)
    step.confirm.click()
    step.workspace.choose("labels", second)
    step.confirm.click()
    do(waiting)
    assert not is_managed(first)
    assert step.workspace.labels == second
    assert confirmed_in(second) == {int(step.viewer.dims.current_step[0])}


def test_a_slice_tool_that_took_a_while_is_not_activated_on_a_layer_that_is_no_longer_chosen(later):
    step, waiting = later
    first = add_labels(step.viewer, LABELS.copy(), "first")
    confirmed_in(first).update({0, 4})
    step.workspace.choose("labels", first)
    step.viewer.dims.set_point(0, 2)
    step.repairs.interpolate.click()
    step.workspace.choose("labels", add_labels(step.viewer, LABELS.copy(), "second"))
    do(waiting)
    assert step.repairs.repair.tool is None


@pytest.mark.parametrize(("value", "known"), [(0.0, False), (0.2, True)])
def test_a_slice_that_was_not_predicted_has_no_probability_for_a_tool(later, value, known):
    step, _ = later
    layer, seen = add_labels(step.viewer, LABELS.copy(), "mine"), []

    def change(scene, points):
        seen.append(scene.probability)
        return Edit(np.array([1]), np.array([1]), np.array([BOUNDARY], np.uint8))

    probability = np.zeros(LABELS.shape, np.float32)
    probability[2, 5] = value
    step.viewer.dims.set_point(0, 2)
    controller = RepairController(step.viewer, lambda: probability, lambda z: as_stack(IMAGE)[z], step)
    controller.activate(Tool("any", "", "", 1, change), layer)
    controller._apply([(1.0, 1.0)])
    assert [one is not None for one in seen] == [known]


def test_a_slice_that_a_thread_draws_meanwhile_is_not_taken_for_the_one_asked_for(monkeypatch, qapp):
    labels = np.full((5, 32, 32), 2, np.uint8)
    labels[0, 8], labels[2, 10], labels[4, 20] = 1, 1, 1
    layer = add_labels(ViewerModel(), labels, "mine")
    confirmed_in(layer).update({0, 2, 4})
    draw, compare = Interpolation(), np.array_equal
    expected, _ = Interpolation()(layer, 1)
    draw(layer, 1)

    def meanwhile(*given):
        found = compare(*given)
        monkeypatch.setattr(whole_slice_tools.np, "array_equal", compare)
        draw(layer, 3)  # as a thread does that began with another slice
        return found

    monkeypatch.setattr(whole_slice_tools.np, "array_equal", meanwhile)
    drawn, _ = draw(layer, 1)
    assert compare(drawn, expected)
