"""What a training starts from: which labels are few, and what can be chosen for which network."""

from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import Qt

from emseg_napari.core.jobs import UserError
from emseg_napari.models import run as run_module
from emseg_napari.settings import TrainingSettings
from emseg_napari.widgets.layers.labels_layer import add_labels
from emseg_napari.widgets.train import start_choice
from emseg_napari.widgets.train.start_choice import LabelCount, StartChoice, has_few_labels
from helpers.tiny_runs import tiny_network_run


def labelled(own, proposed=0, confirmed=(), managed=True):
    """A layer of eight slices: so many with labels of the user's, then so many proposed."""
    labels = np.zeros((8, 6, 6), np.uint8)
    labels[:own, 2, 2] = 1
    labels[own : own + proposed] = 4
    if not managed:
        return ViewerModel().add_labels(labels)
    return add_labels(ViewerModel(), labels, "mine", confirmed=confirmed)


@pytest.mark.parametrize(
    ("layer", "few"),
    [
        ({"own": 3}, True),
        ({"own": 4}, False),
        ({"own": 3, "proposed": 5}, True),
        ({"own": 3, "proposed": 5, "confirmed": {6}}, False),
        ({"own": 3, "confirmed": {7}}, True),
        ({"own": 2, "proposed": 2, "managed": False}, False),
        ({"own": 3, "managed": False}, True),
    ],
)
def test_labels_are_few_below_four_slices_that_the_user_made(layer, few):
    assert has_few_labels(labelled(**layer)) is few


def test_without_labels_they_are_few_and_beyond_memory_they_are_not_counted():
    assert has_few_labels(None)
    lazy = SimpleNamespace(data=object())
    assert not has_few_labels(lazy)


def test_of_large_labels_only_the_slices_in_use_are_counted_and_of_those_so_many(monkeypatch):
    layer = labelled(8)
    monkeypatch.setattr(start_choice, "_MOST_BYTES", 3 * 36)
    assert not has_few_labels(layer)  # of an ordinary array all
    monkeypatch.setattr(start_choice, "slices_in_use", lambda labels: range(7))
    assert has_few_labels(layer)
    monkeypatch.setattr(start_choice, "_MOST_BYTES", 4 * 36)
    assert not has_few_labels(layer)


@pytest.fixture
def run(tmp_path):
    run = tiny_network_run(tmp_path / "mine")
    run.best_checkpoint.write_bytes(b"weights")
    return run


@pytest.fixture
def choice(qtbot, tmp_path, monkeypatch):
    starter = tiny_network_run(tmp_path / "starter")
    monkeypatch.setattr(run_module, "STARTER_FOLDER", starter.folder)
    choice = StartChoice()
    qtbot.addWidget(choice)
    return choice


def entries(choice):
    return [choice.itemText(n) for n in range(choice.count())], choice.currentText()


def test_the_starter_is_proposed_while_labels_are_few_and_nothing_after(choice):
    assert (choice.start, entries(choice)) == (
        "starter",
        (["nothing", "starter network", "a run of mine..."], "starter network"),
    )
    choice.fit_labels(False)
    assert (choice.start, choice.currentText()) == (None, "nothing")
    choice.fit_labels(True)
    assert (choice.start, choice.currentText()) == ("starter", "starter network")


def test_what_the_user_has_chosen_stays_whatever_the_labels(choice):
    choice.choose(0, lambda: None)
    choice.fit_labels(False)
    choice.fit_labels(True)
    assert choice.start is None
    choice.choose(1, lambda: None)
    choice.fit_labels(False)
    assert choice.start == "starter"


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
    assert choice.itemData(2, Qt.ItemDataRole.ToolTipRole) == (
        "mine is a 'compact' network and cannot start a 'reference' one"
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
    run.best_checkpoint.write_bytes(b"weights")
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


@pytest.fixture
def count():
    """A count of labels, the layer that is chosen, what waits in the background, and what was found."""
    waiting, found = [], []
    step = SimpleNamespace(
        job=SimpleNamespace(running=False),
        workspace=SimpleNamespace(labels=labelled(1)),
        in_background=lambda sentence, work, done: waiting.append((work, done)),
    )
    count = LabelCount(step, SimpleNamespace(fit_labels=found.append))
    return SimpleNamespace(start=count.start, step=step, waiting=waiting, found=found)


def finish(count):
    work, done = count.waiting.pop(0)
    done(work())


def test_labels_are_counted_once_and_again_where_something_changed_meanwhile(count):
    count.start()
    finish(count)
    assert (count.found, count.waiting) == ([True], [])
    for _ in range(3):
        count.start()
    assert len(count.waiting) == 1
    finish(count)
    assert count.found == [True]
    finish(count)
    assert (count.found, count.waiting) == ([True, True], [])


def test_a_count_of_a_layer_that_is_no_longer_chosen_is_made_again(count):
    count.start()
    count.step.workspace.labels = labelled(5)
    finish(count)
    assert count.found == []
    finish(count)
    assert count.found == [False]


def test_nothing_is_counted_while_a_training_runs_nor_said_of_a_layer_that_cannot_be_read(count):
    count.step.job.running = True
    count.start()
    assert count.waiting == []
    count.step.job.running = False
    count.step.workspace.labels = object()
    count.start()
    finish(count)
    assert (count.found, count.waiting) == ([], [])
