"""What a training starts from: the default, and what can be chosen for which network."""

import shutil
from types import SimpleNamespace

import pytest
from qtpy.QtCore import Qt

from emseg_napari.core.jobs import UserError
from emseg_napari.models import run as run_module
from emseg_napari.settings import TrainingSettings
from emseg_napari.widgets.train.start_choice import StartChoice
from helpers.tiny_runs import tiny_network_run, whole_weights


@pytest.fixture
def run(tmp_path):
    return whole_weights(tiny_network_run(tmp_path / "mine"))


@pytest.fixture
def starter(tmp_path, monkeypatch):
    starter = whole_weights(tiny_network_run(tmp_path / "starter"))
    monkeypatch.setattr(run_module, "STARTER_FOLDER", starter.folder)
    return starter


@pytest.fixture
def choice(qtbot, starter):
    choice = StartChoice()
    qtbot.addWidget(choice)
    return choice


def entries(choice):
    return [choice.itemText(n) for n in range(choice.count())], choice.currentText()


def test_the_starter_is_the_default_of_its_network_and_nothing_that_of_others(choice):
    assert (choice.start, entries(choice)) == (
        "starter",
        (["nothing", "starter network", "a run of mine..."], "starter network"),
    )
    for network in ("reference", "trees"):
        choice.fit_network(network)
        assert (choice.start, choice.currentText()) == (None, "nothing")


def test_what_the_user_has_chosen_stays_when_the_network_changes_and_comes_back(choice):
    for index, start in ((0, None), (1, "starter")):
        choice.choose(index, lambda: None)
        for network in ("reference", "compact"):
            choice.fit_network(network)
        assert (choice.start, choice.currentIndex()) == (start, index)


def test_a_damaged_starter_stays_the_default_but_cannot_be_chosen(choice, starter, qtbot):
    starter.best_checkpoint.unlink()
    choice = StartChoice()
    qtbot.addWidget(choice)
    assert (choice.start, choice.currentText()) == ("starter", "starter network")  # Train says what is wrong
    assert not choice.model().item(1).isEnabled()
    assert "install emseg-napari again" in choice.itemData(1, Qt.ItemDataRole.ToolTipRole)


def test_the_tooltip_says_what_a_start_means(choice):
    assert "a few labels and a minute are enough" in choice.toolTip()
    assert "'nothing' means random weights" in choice.toolTip()


def test_a_run_that_is_gone_does_not_become_nothing(choice, run):
    choice.choose(2, lambda: run.folder)
    shutil.rmtree(run.folder)
    assert choice.start == str(run.folder)  # Train says what is wrong


def test_a_run_of_the_users_is_offered_beside_the_others(choice, run):
    choice.choose(2, lambda: None)  # the question is cancelled
    assert choice.currentText() == "starter network"
    choice.choose(2, lambda: run.folder)
    assert choice.start == str(run.folder)
    assert entries(choice) == (["nothing", "starter network", "mine", "a run of mine..."], "mine")
    choice.choose(1, lambda: None)
    choice.choose(2, lambda: None)
    assert choice.start == str(run.folder)


def test_a_start_of_another_network_is_barred_with_its_reason(choice, run):
    choice.choose(2, lambda: run.folder)
    tips = [choice.itemData(n, Qt.ItemDataRole.ToolTipRole) for n in (1, 2)]
    assert tips[0] == tips[1] == choice.toolTip()
    choice.fit_network("reference")
    items = [choice.model().item(n) for n in range(4)]
    assert [item.isEnabled() for item in items] == [True, False, False, True]
    assert "mine is a 'compact' network and cannot start a 'reference' one" in (
        choice.itemData(2, Qt.ItemDataRole.ToolTipRole)
    )
    assert (choice.start, choice.currentText()) == (None, "nothing")
    choice.fit_network("trees")
    assert choice.start is None
    choice.fit_network("compact")
    assert choice.start == str(run.folder)


def test_a_run_that_cannot_start_a_training_is_refused_and_the_choice_before_stays(choice, run, tmp_path):
    run.best_checkpoint.unlink()
    with pytest.raises(UserError, match="has no weights yet; resume that training first"):
        choice.choose(2, lambda: run.folder)
    whole_weights(run)
    run.settings = TrainingSettings.recipe("reference")
    run.save()
    with pytest.raises(
        UserError, match="cannot start a 'compact' one; choose another run, or another network"
    ):
        choice.choose(2, lambda: run.folder)
    with pytest.raises(UserError, match="is not a run folder"):
        choice.choose(2, lambda: tmp_path)
    assert entries(choice) == (["nothing", "starter network", "a run of mine..."], "starter network")


def test_the_wheel_chooses_nothing(choice):
    ignored = []
    choice.wheelEvent(SimpleNamespace(ignore=lambda: ignored.append(True)))
    assert ignored == [True]
