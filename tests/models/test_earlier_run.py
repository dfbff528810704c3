"""What a training starts from by default, and starts that cannot be used."""

import shutil

import pytest

from emseg_napari.core.jobs import UserError
from emseg_napari.models import run as run_module
from emseg_napari.models.earlier_run import (
    check_start,
    opened_replay,
    opened_start,
    replay_notes,
    starter_name,
    with_default_start,
)
from emseg_napari.models.run import Run
from emseg_napari.models.run_folder import refuse_other_settings
from emseg_napari.models.starter import STARTER, STARTER_FOLDER
from emseg_napari.settings import TrainingSettings
from helpers.tiny_runs import tiny_network_run, whole_weights

INSTEAD = (
    r"install emseg-napari again, or start a training from nothing \(.*'emseg train': --from nothing\)\.$"
)


@pytest.fixture(autouse=True)
def starter(tmp_path, monkeypatch):
    """A small run in the place of the starter, in a folder where no other has its name."""
    run = whole_weights(tiny_network_run(tmp_path / "package" / "starter"))
    monkeypatch.setattr(run_module, "STARTER_FOLDER", run.folder)
    monkeypatch.chdir(tmp_path)
    return run


def start_of(**given):
    return TrainingSettings.recipe(**with_default_start(given)).start


@pytest.mark.parametrize("given", [{}, {"start": None}, {"network": "compact", "seed": 3}])
def test_a_new_training_starts_from_the_starter(given):
    assert start_of(**given) == STARTER
    assert opened_start(TrainingSettings(start=STARTER)).folder == run_module.STARTER_FOLDER


@pytest.mark.parametrize("network", ["reference", "ridge", "trees"])
def test_other_networks_than_the_starters_start_from_nothing(network):
    assert start_of(network=network) is None


def test_what_is_asked_for_stays():
    assert start_of(start="nothing") is None
    assert start_of(start="nothing", network="trees") is None
    assert start_of(start="runs/mine") == "runs/mine"
    assert start_of(start="./nothing") == "./nothing"
    assert start_of(start="") == ""  # as of a variable that is not set: refused, not replaced


def test_without_a_starter_a_training_starts_from_nothing(starter):
    shutil.rmtree(starter.folder)
    assert start_of() is None


def test_another_folder_called_starter_is_not_taken_for_it(starter, tmp_path):
    (tmp_path / STARTER).mkdir()
    assert start_of() == starter_name() == str(starter.folder)
    (tmp_path / STARTER).rmdir()
    (tmp_path / STARTER).symlink_to(starter.folder)
    assert start_of() == STARTER


def test_resumed_and_repeated_runs_keep_the_start_that_they_had(starter):
    from_nothing, from_starter = tiny_network_run(starter.folder.parent / "mine"), starter
    from_starter.settings = TrainingSettings(start=STARTER)
    for run, same, other in ((from_nothing, "nothing", STARTER), (from_starter, STARTER, "nothing")):
        for given in ({}, {"start": None}, {"start": same}):
            refuse_other_settings(run, given)
        with pytest.raises(UserError, match="start differs from the settings"):
            refuse_other_settings(run, {"start": other})


def cut(path):
    path.write_bytes(path.read_bytes()[:-30])


def change(path):
    path.write_bytes(path.read_bytes().replace(b"numbers", b"letters"))


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut, change, empty])
def test_damaged_weights_are_found_before_a_training_begins(starter, tmp_path, damage):
    mine = tmp_path / "mine"
    shutil.copytree(starter.folder, mine)
    assert opened_start(TrainingSettings(start=str(mine)))
    damage(mine / "best.keras")
    with pytest.raises(UserError, match=r"best\.keras is damaged .*; choose another run, or train it again"):
        opened_start(TrainingSettings(start=str(mine)))
    damage(starter.best_checkpoint)
    with pytest.raises(UserError, match=rf"^The starter network cannot be used: .* is damaged .*; {INSTEAD}"):
        opened_start(TrainingSettings(start=start_of()))


@pytest.mark.parametrize(
    ("name", "reason"), [("best.keras", "has no weights yet"), ("settings.json", "does not exist")]
)
def test_a_starter_of_which_a_file_is_missing_is_not_replaced_by_nothing(starter, name, reason):
    (starter.folder / name).unlink()
    with pytest.raises(UserError, match=rf"^The starter network cannot be used: .*{reason}; {INSTEAD}"):
        opened_start(TrainingSettings(start=start_of()))


def test_a_missing_starter_that_is_asked_for_is_said(starter):
    shutil.rmtree(starter.folder)
    with pytest.raises(UserError, match=rf"comes without a starter network; {INSTEAD}"):
        opened_start(TrainingSettings(start=STARTER))


def test_the_starter_cannot_start_another_network():
    with pytest.raises(UserError, match="starter is a 'compact' network and cannot start a 'reference' one"):
        opened_start(TrainingSettings.recipe("reference", start=STARTER))


def test_an_imported_network_that_cannot_start_another_names_its_own(starter):
    mine = Run(starter.folder, starter.settings.model_copy(update={"network": "imported"}), starter.record)
    with pytest.raises(UserError, match=r"choose another run, or network 'imported'.*--network imported"):
        check_start(mine, "compact", mine.folder)


def test_the_starter_that_comes_with_the_package_is_whole(monkeypatch):
    monkeypatch.setattr(run_module, "STARTER_FOLDER", STARTER_FOLDER)
    assert opened_start(TrainingSettings(start=STARTER)).folder == STARTER_FOLDER


def test_a_run_whose_start_was_trained_anew_is_not_repeated(starter, tmp_path):
    run = tiny_network_run(tmp_path / "run", minutes=1, start=STARTER)
    run.save_steps([(1e-3, 0.1)])
    [note] = replay_notes(opened_replay(run.folder), starter)
    assert note.startswith("It is not known whether starter is still the network")
    run.update(start_mark=starter.network_mark)
    assert replay_notes(opened_replay(run.folder), starter) == []
    starter.network_file.write_bytes(b"other")
    with pytest.raises(UserError, match=r"starter is not the network any more from which .*run started"):
        opened_replay(run.folder)
