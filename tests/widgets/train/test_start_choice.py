"""What a training starts from: the default, and what can be chosen for which network."""

import shutil
from types import SimpleNamespace

import pytest
from napari.components import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from emseg_napari.core.locks import OutputLock
from emseg_napari.models import run as run_module
from emseg_napari.models.run import open_run
from emseg_napari.settings import TrainingSettings
from emseg_napari.widgets.base.network_list import ANOTHER, IMPORT
from emseg_napari.widgets.base.step import StepWidget
from emseg_napari.widgets.train import start_choice
from emseg_napari.widgets.train.start_choice import StartChoice
from helpers.tiny_runs import tiny_network_run, whole_weights
from helpers.window import wait_for


@pytest.fixture
def run(tmp_path):
    return whole_weights(tiny_network_run(tmp_path / "other" / "mine"))


@pytest.fixture
def starter(tmp_path, monkeypatch):
    starter = whole_weights(tiny_network_run(tmp_path / "package" / "starter"))
    monkeypatch.setattr(run_module, "STARTER_FOLDER", starter.folder)
    return starter


@pytest.fixture
def step(qtbot, tmp_path):
    step = StepWidget(ViewerModel())
    step.workspace.runs_folder = tmp_path / "runs"
    qtbot.addWidget(step)
    return step


@pytest.fixture
def choice(qtbot, starter, step):
    choice = StartChoice(step)
    qtbot.addWidget(choice)
    return choice


@pytest.fixture
def ask(choice, monkeypatch):
    """Choose another run folder, as a user does."""

    def ask(folder):
        monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder or ""))
        pick(choice, choice.count() - 1)

    return ask


def pick(choice, index):
    choice.setCurrentIndex(index)
    choice.activated.emit(index)


def names(choice):
    """The names in the list, without date and score."""
    return [choice.itemText(n).partition(" \u00b7 ")[0] for n in range(choice.count())]


def current(choice):
    return choice.currentText().partition(" \u00b7 ")[0]


def tip(choice, index):
    return choice.itemData(index, Qt.ItemDataRole.ToolTipRole)


def test_the_starter_is_the_default_of_its_network_and_nothing_that_of_others(choice):
    assert (choice.start, names(choice), current(choice)) == (
        "starter",
        ["nothing", "starter", IMPORT, ANOTHER],
        "starter",
    )
    for network in ("reference", "trees"):
        choice.fit_network(network)
        assert (choice.start, current(choice)) == (None, "nothing")


def test_what_the_user_has_chosen_stays_when_the_network_changes_and_comes_back(choice):
    for index, start in ((0, None), (1, "starter")):
        pick(choice, index)
        for network in ("reference", "compact"):
            choice.fit_network(network)
        assert (choice.start, choice.currentIndex()) == (start, index)


def test_a_damaged_starter_stays_the_default_but_cannot_be_chosen(choice, starter):
    starter.best_checkpoint.unlink()
    choice.fill()
    assert (choice.start, current(choice)) == ("starter", "starter")  # Train says what is wrong
    assert not choice.model().item(1).isEnabled()
    assert "install emseg-napari again" in tip(choice, 1)


def test_the_entries_say_what_a_start_means(choice):
    assert "a few labels and a minute are enough" in choice.toolTip()
    assert "Random weights" in tip(choice, 0)


def test_runs_of_the_runs_folder_are_offered_without_asking_for_a_folder(choice, qtbot, tmp_path):
    run = whole_weights(tiny_network_run(tmp_path / "runs" / "own"))
    choice.networks.refresh()
    wait_for(qtbot, lambda: len(choice.networks.runs) == 1)
    assert names(choice) == ["nothing", "starter", "own", IMPORT, ANOTHER]
    pick(choice, 2)
    assert choice.start == str(run.folder)


def test_a_run_that_is_gone_does_not_become_nothing(choice, run, ask, qtbot):
    ask(run.folder)
    shutil.rmtree(run.folder)
    choice.networks.refresh()
    wait_for(qtbot, lambda: choice.networks.find(run.folder).run is None)
    assert choice.start == str(run.folder)  # Train says what is wrong
    assert current(choice) == "mine"


def test_a_run_of_another_folder_is_offered_beside_the_others(choice, run, ask):
    ask(None)  # the question is cancelled
    assert current(choice) == "starter"
    ask(run.folder)
    assert choice.start == str(run.folder)
    assert (names(choice), current(choice)) == (["nothing", "starter", "mine", IMPORT, ANOTHER], "mine")
    pick(choice, 1)
    pick(choice, 2)
    assert choice.start == str(run.folder)


def test_a_start_of_another_network_is_barred_with_its_reason(choice, run, ask):
    ask(run.folder)
    choice.fit_network("reference")
    assert [choice.model().item(n).isEnabled() for n in range(4)] == [True, False, False, True]
    assert "mine is a 'compact' network and cannot start a 'reference' one" in tip(choice, 2)
    assert (choice.start, current(choice)) == (None, "nothing")
    choice.fit_network("trees")
    assert choice.start is None
    choice.fit_network("compact")
    assert choice.start == str(run.folder)


def test_a_run_that_cannot_start_a_training_is_refused_and_the_choice_before_stays(
    choice, run, ask, step, tmp_path
):
    run.best_checkpoint.unlink()
    ask(run.folder)
    assert "has no weights yet; resume that training first" in step.status.text()
    whole_weights(run)
    run.settings = TrainingSettings.recipe("reference")
    run.save()
    ask(run.folder)
    assert "cannot start a 'compact' one; choose another run, or another network" in step.status.text()
    ask(tmp_path)
    assert "is not a run folder" in step.status.text()
    assert (current(choice), names(choice)) == ("starter", ["nothing", "starter", IMPORT, ANOTHER])


def test_a_run_that_is_being_trained_is_no_start_yet(choice, run, ask, step):
    run.update(finished=False)
    lock = OutputLock(run.folder)
    ask(run.folder)
    lock.release()
    assert step.status.text() == "mine is being trained; wait for its end."
    assert current(choice) == "starter"


def test_a_list_of_many_runs_opens_the_chosen_one_once(choice, run, ask, monkeypatch, qtbot, tmp_path):
    for name in "abc":
        tiny_network_run(tmp_path / "runs" / name)
    ask(run.folder)
    wait_for(qtbot, lambda: len(choice.networks.runs) == 4)
    opened = []
    monkeypatch.setattr(start_choice, "open_run", lambda name: opened.append(name) or open_run(name))
    choice.fill()
    assert opened == [str(run.folder)]


def test_an_interrupted_run_is_chosen_to_be_resumed_whatever_its_network(choice, run, ask):
    run.update(finished=False)
    run.best_checkpoint.unlink()
    run.last_checkpoint.touch()
    chosen = []
    choice.chosen.connect(lambda: chosen.append(choice.interrupted))
    ask(run.folder)
    choice.fit_network("reference")
    assert chosen == [run.folder] == [choice.interrupted]
    assert current(choice) == "mine"
    pick(choice, 0)
    assert (choice.interrupted, choice.start) == (None, None)


def test_the_wheel_chooses_nothing(choice):
    ignored = []
    choice.wheelEvent(SimpleNamespace(ignore=lambda: ignored.append(True)))
    assert ignored == [True]
