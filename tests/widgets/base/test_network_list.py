"""The list of networks: what stands in it, how it is read, and what choosing does."""

import os
import shutil
from datetime import datetime
from threading import current_thread, main_thread

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from emseg_napari.core.jobs import EpochEnded
from emseg_napari.models import run as run_module
from emseg_napari.models import run_list
from emseg_napari.widgets.base.network_list import ANOTHER, IMPORT
from helpers.tiny_runs import tiny_network_run
from helpers.window import wait_for

WHEN = datetime(2025, 11, 29, 14, 2).timestamp()


@pytest.fixture(autouse=True)
def starter(tmp_path, monkeypatch):
    monkeypatch.setattr(run_module, "STARTER_FOLDER", tmp_path / "package" / "starter")
    return tiny_network_run(tmp_path / "package" / "starter")


def written(folder, age_s=0, **record):
    """A run that was written so long before a fixed date."""
    run = tiny_network_run(folder)
    run.update(**record)
    os.utime(folder / "run.json", (WHEN - age_s, WHEN - age_s))
    return run


@pytest.fixture
def network(dock):
    """The list of the dock, over an image."""
    return dock.predict.run_picker


def titles(choice):
    return [choice.itemText(n) for n in range(choice.count())]


def read(qtbot, choice, count):
    """Wait until the list shows so many runs, beside the starter and the last entry."""
    choice.networks.refresh()
    wait_for(qtbot, lambda: len(choice.networks.runs) == count)
    return titles(choice)


def choose(choice, index):
    """Choose as a hand would: the list tells only of that."""
    choice.setCurrentIndex(index)
    choice.activated.emit(index)


def test_runs_stand_with_name_date_score_and_slices_after_the_starter_newest_first(network, qtbot, tmp_path):
    runs = tmp_path / "runs"
    scored = {"kept_accuracy": 0.9167, "trained_slices": [1, 2], "held_out_slices": [5]}
    written(runs / "cells-compact-20251129-140202", **scored)
    written(runs / "cells-live-20251129-130202", 3600)
    assert read(qtbot, network, 2) == [
        "starter",
        "cells-compact \u00b7 91.7 % \u00b7 29 Nov 14:02 \u00b7 3 slices",
        "cells-live \u00b7 no score \u00b7 29 Nov 13:02 \u00b7 1 slice",
        IMPORT,
        ANOTHER,
    ]
    details = network.itemData(1, Qt.ItemDataRole.ToolTipRole)
    assert "compact, started from nothing, scale 1\ntrained on slices 1-2" in details
    assert "Score on held-out slice 5: 91.7 % pixel accuracy" in details


def test_in_a_narrow_list_name_and_score_are_read_and_the_rest_is_in_the_tooltip(network, qtbot, tmp_path):
    name = "a-very-long-name-of-an-image-stack-compact"
    run = written(tmp_path / "runs" / name, kept_accuracy=0.9167)
    network.set_run(run.folder)
    title = "a-very-long-name-\u2026-compact \u00b7 91.7 % \u00b7 29 Nov 14:02 \u00b7 1 slice"
    assert network.currentText() == title
    assert network.toolTip().startswith(f"{title}\n{run.folder}\n")
    named = network.fontMetrics().horizontalAdvance(title.partition(" \u00b7 29")[0])
    assert network.width() > named  # in the dock at its least width


def test_a_score_on_slices_that_the_start_was_trained_on_is_marked_as_too_high(network, qtbot, tmp_path):
    written(tmp_path / "runs" / "mine", kept_accuracy=0.97, held_out_slices=[5], start_slices=[4, 5])
    title = read(qtbot, network, 1)[1]
    assert title.startswith("mine \u00b7 97.0 % (too high) \u00b7 29 Nov 14:02")
    details = network.itemData(1, Qt.ItemDataRole.ToolTipRole)
    assert "97.0 % pixel accuracy. The score counts slices that the start was trained on" in details


def test_choosing_a_run_makes_it_the_one_that_predicts_and_the_starter_can_be_chosen_again(
    network, dock, qtbot, tmp_path, starter
):
    run = written(tmp_path / "runs" / "mine", kept_accuracy=0.9)
    read(qtbot, network, 1)
    assert network.currentText() == "starter"
    assert dock.workspace.run is None  # evaluations ascribe nothing to it
    choose(network, 1)
    assert dock.workspace.run == network.run == run.folder
    assert dock.predict.status.text() == "mine: compact, accuracy 90.0 % on what was held out."
    choose(network, 0)
    assert network.run == starter.folder


def test_an_interrupted_and_a_damaged_run_are_named_and_cannot_predict(network, qtbot, tmp_path):
    broken = written(tmp_path / "runs" / "broken", 60)
    (broken.folder / "settings.json").write_text("{")
    run = written(tmp_path / "runs" / "mine")
    run.history = [EpochEnded(1, 30, 185.0, 0.5, 0.91, 0.9, 1e-3)]
    run.save_history()
    run.update(finished=False)
    os.utime(run.folder / "run.json", (WHEN, WHEN))
    run.network_file.unlink()
    run.last_checkpoint.touch()
    found = read(qtbot, network, 2)
    assert found[1:3] == [
        "mine \u00b7 interrupted, 3 min 05 s \u00b7 29 Nov 14:02 \u00b7 1 slice",
        "broken \u00b7 cannot be read \u00b7 29 Nov 14:01",
    ]
    for index, why in ((1, "resume it (page Train: 'Start from')"), (2, "settings.json is damaged")):
        assert not network.model().item(index).isEnabled()
        assert why in network.itemData(index, Qt.ItemDataRole.ToolTipRole)


def test_a_run_of_another_folder_is_asked_for_and_stays_in_the_list(network, dock, tmp_path, monkeypatch):
    run = written(tmp_path / "elsewhere" / "mine")
    for answer in ("", str(run.folder)):
        monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_, answer=answer: answer)
        choose(network, network.count() - 1)
    assert dock.workspace.run == run.folder
    assert network.currentText().startswith("mine \u00b7 ")
    choose(network, 0)
    assert any(title.startswith("mine") for title in titles(network))


def test_a_folder_without_a_network_is_a_sentence_and_the_choice_before_stays(
    network, dock, tmp_path, monkeypatch
):
    run = written(tmp_path / "elsewhere" / "mine", finished=False)
    run.network_file.unlink()
    for folder, why in ((tmp_path, "is not a run folder"), (run.folder, "before it had a network")):
        monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_, folder=folder: str(folder))
        choose(network, network.count() - 1)
        assert why in dock.predict.status.text()
        assert (dock.workspace.run, network.currentText()) == (None, "starter")


def test_the_list_is_read_again_when_it_is_opened(network, dock, qtbot, tmp_path):
    dock.workspace.viewer.add_image(np.zeros((2, 16, 16), np.uint8))
    read(qtbot, network, 0)
    network.showPopup()
    written(tmp_path / "runs" / "mine")
    network.hidePopup()
    network.showPopup()
    wait_for(qtbot, lambda: len(network.networks.runs) == 1)
    assert network.view().isVisible()
    assert titles(network)[1].startswith("mine")
    network.hidePopup()


def test_a_run_that_was_removed_keeps_its_name_and_the_list_forgets_the_others(
    network, dock, qtbot, tmp_path
):
    for name in ("mine", "other"):
        written(tmp_path / "runs" / name)
    read(qtbot, network, 2)
    network.set_run(tmp_path / "runs" / "mine")
    shutil.rmtree(tmp_path / "runs")
    read(qtbot, network, 0)
    assert network.currentText() == "mine"
    assert network.run == tmp_path / "runs" / "mine"


def test_records_are_read_in_a_thread(network, qtbot, tmp_path, monkeypatch):
    readers = []
    read_run = run_list.open_run
    monkeypatch.setattr(
        run_list, "open_run", lambda folder: readers.append(current_thread()) or read_run(folder)
    )
    written(tmp_path / "runs" / "mine")
    read(qtbot, network, 1)
    assert main_thread() not in readers[-1:]


def test_without_a_starter_and_a_run_there_is_none_yet(dock, starter):
    shutil.rmtree(starter.folder)
    network = dock.predict.run_picker
    network.fill()
    assert (titles(network), network.run) == (["none yet", IMPORT, ANOTHER], None)
