"""The list of runs: which, in which order, what each can be used for, and that none is read twice."""

import os
import shutil

import pytest

from emseg_napari.core.jobs import EpochEnded
from emseg_napari.core.locks import OutputLock
from emseg_napari.models import run as run_module
from emseg_napari.models import run_list
from emseg_napari.models.run import open_run
from emseg_napari.models.run_list import RECENT, add_missing, listed_run, recent_runs, shipped_runs
from helpers.tiny_runs import tiny_network_run

ROW = EpochEnded(1, 30, 185.0, 0.5, 0.91, 0.9, 1e-3)


def written(folder, age_s=0):
    """A finished run that was written so long ago."""
    run = tiny_network_run(folder)
    os.utime(folder / "run.json", (1e9 - age_s, 1e9 - age_s))
    return run


def interrupted(folder):
    """A run that was cancelled before it had a network."""
    run = tiny_network_run(folder)
    run.history = [ROW]
    run.save()
    run.update(finished=False)
    run.network_file.unlink()
    run.last_checkpoint.write_bytes(b"weights")
    return run


def test_the_newest_runs_come_first_and_the_oldest_are_left_out(tmp_path):
    assert recent_runs(tmp_path / "missing") == []
    for age in range(RECENT + 2):
        written(tmp_path / f"run-{age % 7}-{age}", age)
    (tmp_path / "notes").mkdir()
    (tmp_path / "file.txt").touch()
    names = [one.folder.name for one in recent_runs(tmp_path)]
    assert names == [f"run-{age % 7}-{age}" for age in range(RECENT)]


def test_a_run_is_read_again_only_after_it_was_written(tmp_path, monkeypatch):
    run, read = written(tmp_path / "mine"), []
    monkeypatch.setattr(run_list, "open_run", lambda folder: read.append(folder) or open_run(folder))
    first = recent_runs(tmp_path)
    assert recent_runs(tmp_path) == first
    assert len(read) == 1
    run.update(kept_accuracy=0.9)
    assert recent_runs(tmp_path)[0].run.record.kept_accuracy == 0.9
    assert len(read) == 2


def test_the_epochs_of_a_run_that_trains_are_read_again_though_its_record_stays(tmp_path):
    run = interrupted(tmp_path / "mine")
    times = [(run.folder / name).stat().st_mtime for name in ("run.json", "history.json")]
    assert len(listed_run(run.folder).run.history) == 1
    run.history.append(ROW)
    run.save_history()
    os.utime(run.folder / "history.json", (times[1] + 60, times[1] + 60))
    assert len(listed_run(run.folder).run.history) == 2
    assert (run.folder / "run.json").stat().st_mtime == times[0]


def test_a_run_that_could_not_be_read_once_is_tried_again(tmp_path):
    run = written(tmp_path / "mine")
    settings = (run.folder / "settings.json").read_text()
    (run.folder / "settings.json").write_text("{")
    assert "settings.json is damaged" in listed_run(run.folder).problem
    (run.folder / "settings.json").write_text(settings)  # such as on a drive of the network
    assert listed_run(run.folder).problem is None


def test_a_finished_run_predicts_and_a_damaged_one_says_why_not(tmp_path):
    run = written(tmp_path / "mine")
    found = listed_run(run.folder)
    assert (found.problem, found.resumable, found.changed_at) == (None, False, 1e9)
    (run.folder / "run.json").write_text("{")
    found = listed_run(run.folder)
    assert found.run is None
    assert "run.json is damaged" in found.problem
    shutil.rmtree(run.folder)
    assert "is not a run folder" in listed_run(run.folder).problem


def test_an_interrupted_run_is_resumed_and_does_not_predict_before(tmp_path):
    run = interrupted(tmp_path / "mine")
    found = listed_run(run.folder)
    assert found.resumable
    assert found.problem.endswith("before it had a network; resume it (page Train: 'Start from').")
    run.last_checkpoint.unlink()
    found = listed_run(run.folder)
    assert not found.resumable
    assert found.problem.endswith("before it had a network; choose another run.")


def test_a_run_that_is_being_trained_is_not_called_interrupted(tmp_path):
    run = interrupted(tmp_path / "mine")
    lock = OutputLock(run.folder)
    found = listed_run(run.folder)
    assert (found.problem, found.resumable) == ("mine is being trained; wait for its end.", False)
    assert found.is_in_use
    lock.release()
    assert listed_run(run.folder).resumable


def test_runs_of_other_folders_come_after_and_none_twice(tmp_path):
    here, other = written(tmp_path / "runs" / "here"), written(tmp_path / "other")
    listed = add_missing(recent_runs(tmp_path / "runs"), [here.folder, other.folder])
    assert [one.folder for one in listed] == [here.folder, other.folder]


@pytest.mark.parametrize("others", [[], ["starter-isbi2012", "starter-mouse"]])
def test_the_starter_comes_before_the_other_networks_of_the_package(tmp_path, monkeypatch, others):
    for name in ("starter", *others, "models"):
        tiny_network_run(tmp_path / name)
    monkeypatch.setattr(run_module, "STARTER_FOLDER", tmp_path / "starter")
    shipped = shipped_runs()
    assert [one.folder.name for one in shipped] == ["starter", *others]
    assert all(one.is_shipped for one in shipped)
