"""The buttons of a training by themselves: when each can be pressed, and what is asked of the engine."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QFileDialog, QProgressBar

from emseg_napari.widgets.base.network_list import networks_of
from emseg_napari.widgets.base.preferences import recall_folder
from emseg_napari.widgets.base.step import StepWidget
from emseg_napari.widgets.train.run_controls import RunControls, RunOutputs
from helpers.tiny_runs import tiny_network_run
from helpers.window import wait_for


@pytest.fixture
def controls(qtbot):
    step, asked = StepWidget(ViewerModel()), []
    qtbot.addWidget(step)
    job = SimpleNamespace(
        running=True,
        preparing=False,
        steer=lambda **changes: asked.append(changes),
        cancel=lambda: asked.append("cancel"),
    )
    controls = RunControls(step, job, QProgressBar())
    qtbot.addWidget(controls._bar)
    for button in controls.buttons:
        qtbot.addWidget(button)
    controls.job, controls.asked, controls.bar = job, asked, controls._bar
    controls.reset("compact")
    return controls


def not_yet(controls):
    buttons = controls.buttons
    return [None if one.isEnabled() else one.toolTip().rpartition("Not yet: ")[2] for one in buttons]


@pytest.mark.parametrize(
    ("running", "preparing", "network", "reasons"),
    [
        (True, False, "compact", [None] * 3),
        (True, False, "trees", ["'trees' is fitted in one step"] * 2 + [None]),
        (True, True, "trees", ["the training has not started"] * 2 + [None]),
        (False, False, "trees", ["nothing is running"] * 3),
    ],
)
def test_a_button_that_cannot_be_pressed_says_why(controls, running, preparing, network, reasons):
    controls.job.running, controls.job.preparing = running, preparing
    controls.reset(network)
    assert not_yet(controls) == reasons


def test_pause_is_continue_until_it_is_pressed_again(controls):
    seen = []
    for _ in range(2):
        controls.pause.click()
        seen.append((controls.pause.text(), controls.bar.format()))
    assert seen == [("Continue", "pausing..."), ("Pause", "continuing...")]
    assert controls.asked == [{"paused": True}, {"paused": False}]


def test_good_enough_is_said_at_once_and_can_be_pressed_in_the_next_training(controls):
    controls.pause.click()
    controls.good_enough.click()
    assert controls.asked[1] == {"paused": False, "enough": True}
    assert controls.bar.format() == "ending..."
    assert not_yet(controls) == ["the training is ending"] * 2 + [None]
    assert controls.pause.text() == "Pause"
    controls.cancel.click()
    assert controls.asked[2] == "cancel"
    controls.reset("compact")
    assert not_yet(controls) == [None] * 3


def test_a_training_that_ended_while_it_was_paused_leaves_no_continue(controls):
    controls.pause.click()
    controls.job.running = False
    controls.update_buttons()
    assert controls.pause.text() == "Pause"
    controls.job.running = True
    controls.pause.click()
    assert controls.asked[-1] == {"paused": True}


@pytest.fixture
def outputs(qtbot):
    step, written = StepWidget(ViewerModel()), []
    qtbot.addWidget(step)
    outputs = RunOutputs(step, SimpleNamespace(frames=[], export_gif=written.append))
    qtbot.addWidget(outputs)
    outputs.step, outputs.written = step, written
    return outputs


def test_a_movie_is_saved_where_the_user_says_once_there_is_one(outputs, monkeypatch):
    outputs.update_buttons()
    assert "Not yet: no movie was kept" in outputs.save_movie.toolTip()
    assert not outputs.save_movie.isEnabled()
    outputs._preview.frames.append(None)
    outputs.update_buttons()
    for answer in ("", "a/movie.gif"):
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, answer=answer: (answer, ""))
        outputs.save_movie.click()
    assert outputs.written == [Path("a/movie.gif")]
    assert outputs.step.status.text() == "Saved a/movie.gif."


def test_the_folder_of_new_runs_is_remembered(outputs, monkeypatch, tmp_path):
    before = outputs.step.workspace.runs_folder
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "")
    outputs.choose_folder.click()
    assert outputs.step.workspace.runs_folder == before
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    outputs.choose_folder.click()
    assert outputs.step.workspace.runs_folder == recall_folder("runs", before) == tmp_path
    assert outputs.step.status.text() == f"New runs go to {tmp_path}."


def test_the_lists_of_networks_follow_the_runs_folder(outputs, monkeypatch, tmp_path, qtbot):
    networks = networks_of(outputs.step)
    run = tiny_network_run(tmp_path / "mine")
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    outputs.choose_folder.click()
    wait_for(qtbot, lambda: networks.find(run.folder) is not None)
