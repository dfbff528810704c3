"""Live learning without a window: what the engine is given, and what is shown of what it says."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel

from emseg_napari.annotation.session.store import Origin
from emseg_napari.core.jobs import Failed, Finished, Message, PreviewReady, Progress
from emseg_napari.models import run as run_module
from emseg_napari.settings import LiveSettings, TrainingSettings
from emseg_napari.widgets.correct import live_panel
from emseg_napari.widgets.correct.step import CorrectStep
from emseg_napari.widgets.layers.labels_layer import add_labels, confirmed_in
from emseg_napari.widgets.layers.layer_info import info_of
from helpers.seen_runs import a_run
from helpers.window import noting, striped, wait_for

IMAGE, LABELS = striped((4, 32, 48))
STARTED = {"running": True, "preparing": False}


@pytest.fixture
def live(qtbot, tmp_path, monkeypatch):
    """The panel over an image and labels, its engine pretended."""
    monkeypatch.setattr(run_module, "STARTER_FOLDER", tmp_path / "none")
    step = CorrectStep(ViewerModel())
    qtbot.addWidget(step)
    add_labels(step.viewer, LABELS.copy(), "mine", step.viewer.add_image(IMAGE, name="cells"))
    step.workspace.runs_folder = tmp_path / "runs"
    panel = step.live
    panel.step, panel.jobs, panel.asked = step, [], []
    monkeypatch.setattr(panel.job, "start", noting(panel.jobs))
    monkeypatch.setattr(panel.job, "steer", lambda **changes: panel.asked.append(changes))
    monkeypatch.setattr(panel.job, "cancel", lambda: panel.asked.append("cancel"))
    monkeypatch.setattr(panel.job, "update_labels", lambda z, labels: panel.asked.append((z, labels)))
    panel.pretend = lambda **states: [
        monkeypatch.setattr(type(panel.job), name, state) for name, state in states.items()
    ]
    return panel


@pytest.fixture
def started(live, tmp_path):
    """The same while it learns, from a run with the threshold 0.6."""
    live.step.workspace.choose_run(a_run(tmp_path / "mine", [0], [1]).folder)
    live.switch.click()
    live.pretend(**STARTED)
    live.update_buttons()
    live.asked.clear()
    return live


def test_it_starts_from_the_chosen_run_in_a_folder_of_its_own(live, tmp_path):
    run = a_run(tmp_path / "mine", [0], [1])
    live.step.workspace.choose_run(run.folder)
    live.switch.click()
    (job,) = live.jobs
    assert job["settings"] == LiveSettings(start=str(run.folder))
    assert job["folder"].parent == tmp_path / "runs"
    assert job["folder"].name.startswith("cells-live-")
    np.testing.assert_array_equal(job["image"], IMAGE)
    np.testing.assert_array_equal(job["labels"][:], LABELS)


def test_it_learns_at_the_scale_at_which_the_user_predicts(live, tmp_path):
    live.step.workspace.choose_run(a_run(tmp_path / "mine", [0], [1]).folder)
    live.step.workspace.choose_scale(2.0)
    live.switch.click()
    assert live.jobs[0]["settings"].scale == 2


def test_a_network_without_another_scale_is_refused_before_the_engine_starts(live, tmp_path):
    run = a_run(tmp_path / "published", [0], [1])
    run.settings = TrainingSettings.recipe("reference")
    run.save()
    live.step.workspace.choose_run(run.folder)
    live.step.workspace.choose_scale(2.0)
    live.switch.click()
    assert "Scale has no effect on 'reference'" in live.step.status.text()
    assert live.jobs == []


def test_without_a_run_it_starts_from_the_starter_network_or_says_that_one_is_missing(
    live, tmp_path, monkeypatch
):
    live.switch.click()
    assert live.step.status.text() == "Train a network or choose one first."
    assert not live.switch.isChecked()
    monkeypatch.setattr(run_module, "STARTER_FOLDER", a_run(tmp_path / "starter", [0], [1]).folder)
    live.switch.click()
    assert live.jobs[0]["settings"].start == "starter"


def test_what_cannot_continue_to_learn_is_refused(live, tmp_path):
    run = a_run(tmp_path / "trees", [0], [1])
    run.settings = TrainingSettings.recipe("trees")
    run.save()
    live.step.workspace.choose_run(run.folder)
    live.switch.click()
    assert live.step.status.text() == "'trees' cannot continue to learn; choose another network."
    assert live.jobs == []


def test_pressed_again_it_saves_what_it_learned_and_before_it_began_it_is_cancelled(started):
    assert started.switch.isChecked()
    started.switch.click()
    assert started.asked == [{"enough": True}]
    assert started.bar.format() == "saving what it learned..."
    assert started.switch.isChecked()
    started.pretend(preparing=True)
    started.switch.click()
    assert started.asked[1:] == ["cancel"]


def test_the_button_stays_pressed_and_enabled_while_it_learns(started):
    started.step.viewer.layers.clear()
    started.update_buttons()
    assert started.switch.isEnabled()
    started.pretend(running=False)
    started.update_buttons()
    assert not started.switch.isEnabled()
    assert not started.switch.isChecked()
    assert started.bar.format() == ""


def test_the_slice_in_view_is_followed_only_while_it_learns(started):
    started.step.viewer.dims.set_point(0, 3)
    assert started.asked == [{"z": 3}]
    started.pretend(running=False)
    started.step.viewer.dims.set_point(0, 1)
    assert started.asked == [{"z": 3}]


def sent(panel):
    return sorted(z for z, _ in panel.asked)


def test_changed_slices_are_sent_as_the_user_has_them(started, qtbot):
    layer = started.layer
    layer.data[1], layer.data[2], layer.data[2, :3] = 4, 4, 1
    confirmed_in(layer).add(1)
    started.step.workspace.edited.emit(layer, {1, 2})
    wait_for(qtbot, lambda: sent(started) == [1, 2])
    given = dict(started.asked)
    assert (given[1] == 2).all()
    assert (given[2][:3] == 1).all()
    assert not given[2][3:].any()


def test_edits_of_other_layers_and_before_the_start_are_not_sent(started, qtbot):
    other = add_labels(started.step.viewer, LABELS.copy(), "other")
    started.pretend(preparing=True)
    started.step.workspace.edited.emit(started.layer, {1})
    started.step.workspace.edited.emit(other, {3})
    qtbot.wait(400)
    assert started.asked == []
    started.pretend(preparing=False)  # by now the engine has begun
    wait_for(qtbot, lambda: sent(started) == [1])
    started.pretend(running=False)
    started.step.workspace.edited.emit(started.layer, {2})
    qtbot.wait(400)
    assert sent(started) == [1]


def test_many_changed_slices_are_sent_in_portions(started, qtbot, monkeypatch):
    times = iter(range(1000))
    monkeypatch.setattr(live_panel, "time", SimpleNamespace(monotonic=lambda: next(times)))
    monkeypatch.setattr(live_panel, "_SEND_SECONDS", 2)
    started.step.workspace.edited.emit(started.layer, {0, 1, 2, 3})
    wait_for(qtbot, lambda: bool(started.asked))
    assert len(started.asked) == 1
    wait_for(qtbot, lambda: sent(started) == [0, 1, 2, 3])


def test_what_the_network_does_is_said_beside_the_button(started):
    started.job.event.emit(Progress(0.1, None, "step 5"))
    assert started.bar.format() == "step 5"
    started.job.event.emit(Message("It waits."))
    assert started.bar.format() == "It waits."


def test_what_it_learned_is_the_run_that_predicts_from_then_on(started):
    started.job.event.emit(Finished(SimpleNamespace(folder=Path("runs/learned"))))
    assert started.step.workspace.run == Path("runs/learned")
    assert started.step.status.text() == "Saved what it learned as learned, the network from now on."


def test_a_failure_is_said_and_a_cancel_is_not(started):
    started.step.say("")
    started.job.event.emit(Failed("Cancelled.", cancelled=True))
    assert started.step.status.text() == ""
    started.job.event.emit(Failed("The engine is gone."))
    assert started.step.status.text() == "The engine is gone."


def test_proposals_follow_the_threshold_of_the_run_and_leave_confirmed_slices(started):
    layer, proposed = started.layer, []
    started.proposed.connect(lambda *slice_of_layer: proposed.append(slice_of_layer))
    layer.data[1:3] = 0
    confirmed_in(layer).add(1)
    for z, value in ((1, 0.9), (2, 0.55), (3, 0.9)):
        started.job.event.emit(PreviewReady(1, z, np.full(layer.data.shape[1:], value, np.float32)))
    assert not layer.data[1].any()
    assert (layer.data[2] == 4).all()
    np.testing.assert_array_equal(layer.data[3], LABELS[3])
    assert proposed == [(layer, z) for z in (1, 2, 3)]
    folder = started.jobs[0]["folder"]
    assert info_of(layer).origins == {2: Origin(folder), 3: Origin(folder)}
    started.step.viewer.layers.remove(layer)
    started.job.event.emit(PreviewReady(1, 2, np.ones(layer.data.shape[1:], np.float32)))
    assert (layer.data[2] == 4).all()
    assert proposed == [(layer, z) for z in (1, 2, 3)]


def test_cells_and_whatever_else_covers_the_labels_are_hidden_so_that_learning_is_seen(live, tmp_path):
    live.step.workspace.choose_run(a_run(tmp_path / "mine", [0], [1]).folder)
    mine = live.step.workspace.labels
    cells = live.step.viewer.add_labels(np.ones(IMAGE.shape, int), name="cells found")
    mine.visible = False
    live.switch.click()
    assert (mine.visible, cells.visible) == (True, False)
