"""What is closed in the window is gone: it hears no keys and no layers any more."""

import numpy as np
import pytest
from napari.utils.events import EmitterGroup
from qtpy.QtCore import Qt

from emseg_napari.widgets.correct.step import CorrectStep
from emseg_napari.widgets.demo import TITLE
from emseg_napari.widgets.dock import Dock
from emseg_napari.widgets.evaluate.step import EvaluateStep
from emseg_napari.widgets.export import ExportStep
from emseg_napari.widgets.layers.labels_layer import add_labels, adopt, confirmed_in
from emseg_napari.widgets.load import LoadStep
from emseg_napari.widgets.predict import PredictStep
from emseg_napari.widgets.segment import CellsStep
from emseg_napari.widgets.train.step import TrainStep
from helpers.slow import slow_case
from helpers.window import canvas_of, move, striped, wait_for

STEPS = (CorrectStep, LoadStep, TrainStep, PredictStep, EvaluateStep, CellsStep, ExportStep)


def opened(viewer, kind):
    """The dock from the menu, or a step that another program puts into a dock of its own."""
    if kind is Dock:
        return viewer.window.add_plugin_dock_widget("emseg-napari", TITLE)
    step = kind(viewer)
    return viewer.window.add_dock_widget(step), step


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    viewer = make_napari_viewer_proxy(show=True)
    image, labels = striped()
    add_labels(viewer, labels + 2, "mine", viewer.add_image(image, name="cells"))
    return viewer


def connections(viewer):
    """All that hears of the viewer and its layers: callbacks, keys and what follows the mouse."""
    owners = {"viewer": viewer, "layers": viewer.layers, "dims": viewer.dims}
    owners |= {layer.name: layer for layer in viewer.layers}
    found = {}
    for name, owner in owners.items():
        group: EmitterGroup = owner.events
        found |= {(name, event): len(emitter.callbacks) for event, emitter in group.emitters.items()}
        found[name, "keys"] = sorted(map(str, getattr(owner, "keymap", ())))
        for mouse in ("mouse_drag_callbacks", "mouse_move_callbacks"):
            found[name, mouse] = len(getattr(owner, mouse, ()))
    return found | {"names": sorted(owners)}


def ended(viewer, step, qtbot, close):
    gone = []
    step.destroyed.connect(lambda: gone.append(True))
    close()
    wait_for(qtbot, lambda: bool(gone))


def test_whatever_is_opened_leaves_nothing_behind_when_it_is_closed(viewer, qtbot):
    before = connections(viewer)
    with qtbot.captureExceptions() as wrong:
        for kind in (Dock, *STEPS, Dock):
            dock, step = opened(viewer, kind)
            correct = getattr(step, "correct", step)
            if hasattr(correct, "repairs"):  # with a tool in hand, a preview and a place that is looked at
                correct.repairs.tools["Drop piece"].click()
                canvas = canvas_of(dock)
                move(canvas, canvas.rect().center())
                assert viewer.layers["mine"].mouse_drag_callbacks
            assert connections(viewer) != before
            ended(viewer, step, qtbot, dock.destroyOnClose)
            assert connections(viewer) == before, kind
            assert viewer.layers["mine"].mouse_pan
        qtbot.keyClick(canvas, "c")
        viewer.dims.set_point(0, 4)
        viewer.layers["cells"].scale = (5, 1, 1)
        qtbot.wait(200)
    assert wrong == []
    assert not confirmed_in(viewer.layers["mine"])


@pytest.mark.parametrize("way", [slow_case("closed"), slow_case("removed"), "destroyed", slow_case("hidden")])
def test_keys_go_with_the_step_and_come_back_to_the_one_that_is_left(viewer, qtbot, way):
    _, all_steps = opened(viewer, Dock)
    dock, step = opened(viewer, CorrectStep)
    other = viewer.add_labels(np.ones((6, 64, 64), np.uint8), name="other")
    adopt(other)
    for workspace, layer in ((all_steps.workspace, viewer.layers["mine"]), (step.workspace, other)):
        workspace.follow()
        workspace.choose("labels", layer)
    canvas = canvas_of(dock)
    qtbot.keyClick(canvas, "c")
    assert (len(confirmed_in(other)), len(confirmed_in(viewer.layers["mine"]))) == (1, 0)
    if way == "hidden":
        dock.close()
    else:
        close = {
            "closed": step.close,
            "removed": lambda: viewer.window.remove_dock_widget(dock),
            "destroyed": step.deleteLater,
        }[way]
        ended(viewer, step, qtbot, close)
    qtbot.keyClick(canvas, "c")
    assert (len(confirmed_in(other)), len(confirmed_in(viewer.layers["mine"]))) == (1, 1)
    if way == "hidden":
        dock.show()
        qtbot.keyClick(canvas, "c")
        assert not confirmed_in(other)
        return
    ended(viewer, all_steps, qtbot, all_steps.close)
    qtbot.keyClick(canvas, Qt.Key.Key_C)
    assert (len(confirmed_in(other)), len(confirmed_in(viewer.layers["mine"]))) == (1, 1)


def test_a_key_that_was_bound_before_is_bound_again(make_napari_viewer, qtbot):
    viewer, pressed = make_napari_viewer(), []
    viewer.bind_key("C", pressed.append)
    _, step = opened(viewer, CorrectStep)
    assert pressed.append not in viewer.keymap.values()
    ended(viewer, step, qtbot, step.close)
    assert pressed.append in viewer.keymap.values()


def test_a_step_that_is_put_into_another_dock_lives_on(make_napari_viewer, qtbot):
    viewer = make_napari_viewer()
    dock, step = opened(viewer, CorrectStep)
    viewer.window.remove_dock_widget(dock)
    viewer.window.add_dock_widget(step)
    qtbot.wait(50)
    assert step.isWidgetType()
    assert {"C"} <= {str(key) for key in viewer.keymap}
