import json
import os
import pickle
import shutil
from pathlib import Path

import pytest

from emseg_napari.core.jobs import EpochEnded, UserError
from emseg_napari.core.locks import OutputLock
from emseg_napari.models import run as run_module
from emseg_napari.models.earlier_run import opened_replay
from emseg_napari.models.run import FORMAT, Run, RunRecord, is_run, open_run, versions
from emseg_napari.models.run_folder import check_new_run, owned_run, resumable_run
from emseg_napari.settings import LiveSettings, TrainingSettings

HISTORY = [
    EpochEnded(1, 100, 12.5, 0.7, 0.9, 0.85, 3e-3),
    EpochEnded(2, 200, 25.0, 0.5, 0.92, None, 1e-3),
]


@pytest.fixture
def run(tmp_path) -> Run:
    """A saved run as after two epochs."""
    record = RunRecord(
        versions=versions(),
        scale=(0.5, 0.25),
        image_shape=(20, 512, 1024),
        image_dtype="uint16",
        trained_slices=[0, 1, 2],
        held_out_slices=[3],
        label_counts={"unlabelled": 5, "boundary": 6, "interior": 7},
        threshold=0.35,
    )
    folder = tmp_path / "run"
    folder.mkdir()
    run = Run(folder, TrainingSettings.recipe(seed=4, slices=(0, 4)), record, list(HISTORY))
    run.save()
    return run


def edit(path: Path, **changes) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_run_opens_as_it_was_saved(run):
    again = open_run(run.folder)
    assert (again.settings, again.record, again.history) == (run.settings, run.record, HISTORY)


@pytest.mark.parametrize("name", ["other name", "Größe 3 µm", "deep/er"])
def test_run_opens_after_it_was_moved_or_renamed(run, tmp_path, name):
    target = tmp_path / "elsewhere" / name
    target.parent.mkdir(parents=True)
    shutil.move(run.folder, target)
    moved = open_run(str(target))
    assert moved.record == run.record
    assert moved.network_file == target / "network.onnx"
    assert str(run.folder) not in "".join(p.read_text() for p in target.iterdir())


def test_change_of_the_record_is_on_disk_at_once(run):
    run.update(finished=True, threshold=0.6)
    again = open_run(run.folder)
    assert again.record.finished
    assert again.record.threshold == 0.6
    assert again.record.trained_slices == run.record.trained_slices


def test_history_is_on_disk_at_once(run):
    run.history.append(EpochEnded(3, 300, 40.0, 0.4, 0.93, 0.9, 1e-4))
    run.save_history()
    assert open_run(run.folder).history == run.history


def test_record_names_the_versions_that_made_the_run():
    assert {"keras", "onnxruntime", "numpy"} <= set(versions())


def test_run_knows_a_run_folder_from_another(run, tmp_path):
    assert is_run(run.folder)
    assert not is_run(tmp_path)
    assert not is_run(tmp_path / "nowhere")


def begun(run, **settings):
    """The run as it was left before its end."""
    run.settings = run.settings.model_copy(update=settings)
    run.record = run.record.model_copy(update={"finished": False})
    run.save()
    run.last_checkpoint.touch()
    run.network_file.touch()
    return run


def test_an_interrupted_run_can_be_resumed(run):
    assert resumable_run(begun(run).folder).record == run.record


def test_a_finished_run_cannot_be_resumed_unless_its_network_is_gone(run):
    begun(run).update(finished=True)
    with pytest.raises(UserError, match=r"is finished, so it stays as it is; .*'Start from'.*--from"):
        resumable_run(run.folder)
    run.network_file.unlink()
    assert resumable_run(run.folder).record.finished


@pytest.mark.parametrize("finished", [False, True])
def test_a_run_that_learned_live_cannot_be_resumed_without_its_hold(run, finished):
    begun(run, **LiveSettings().training(run.settings).model_dump(include={"minutes", "epochs"}))
    run.update(finished=finished)
    with pytest.raises(UserError, match=r"(learned live|is finished).* start a new run from it"):
        resumable_run(run.folder)


def test_only_a_run_with_steps_on_labels_that_stayed_can_be_repeated(run):
    run.save_steps([])
    with pytest.raises(UserError, match="has no steps to repeat"):
        opened_replay(run.folder)
    run.save_steps([(0.1, 1.0)])
    assert opened_replay(run.folder).record == run.record
    begun(run, **LiveSettings().training(run.settings).model_dump(include={"minutes", "epochs"}))
    with pytest.raises(UserError, match="learned live, from labels that changed meanwhile, so it cannot"):
        opened_replay(run.folder)


@pytest.mark.parametrize("network", ["ridge", "trees"])
def test_a_baseline_cannot_be_resumed(run, network):
    with pytest.raises(UserError, match="neither resumed nor"):
        resumable_run(begun(run, network=network, minutes=None).folder)


@pytest.mark.parametrize("name", ["settings.json", "note.txt", ".hidden"])
def test_a_new_run_needs_a_new_or_empty_folder(run, tmp_path, name):
    with pytest.raises(UserError, match="holds a run already"):
        check_new_run(run.folder)
    folder = tmp_path / "other"
    check_new_run(folder)
    folder.mkdir()
    check_new_run(folder)
    (folder / name).touch()
    with pytest.raises(UserError, match="is not empty and holds no run; choose a new or empty folder"):
        check_new_run(folder)


@pytest.mark.parametrize("resume", [False, True])
def test_a_run_folder_has_one_trainer_at_a_time(run, tmp_path, resume):
    folder = begun(run).folder if resume else tmp_path / "new"
    lock = OutputLock(folder)
    with pytest.raises(UserError, match="is being written by another emseg"), owned_run(folder, resume):
        pass
    lock.release()
    with owned_run(folder, resume) as resumed:
        assert (resumed is not None) == resume


@pytest.mark.parametrize("resume", [False, True])
def test_what_killed_trainings_left_in_a_run_folder_goes_with_the_next(run, tmp_path, resume):
    folder = begun(run).folder if resume else tmp_path / "new"
    (folder / ".emseg-0123456789ab").mkdir(parents=True)
    (folder / ".emseg-0123456789ab.keras").touch()
    with owned_run(folder, resume):
        assert not any(path.name.startswith(".emseg") for path in folder.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_a_run_with_a_file_that_is_a_link_elsewhere_is_not_trained(run, tmp_path):
    begun(run)
    run.last_checkpoint.rename(tmp_path / "elsewhere")
    run.last_checkpoint.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"last\.keras .*leads by a link"), owned_run(run.folder, resume=True):
        pass


@pytest.mark.parametrize("folder", ["", "nowhere"])
def test_folder_without_a_run_gets_a_sentence(tmp_path, folder):
    with pytest.raises(UserError, match=r"is not a run folder \(it has no run\.json\); choose"):
        open_run(tmp_path / folder)


def test_a_slip_in_the_name_of_the_starter_is_pointed_to_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"strter is not a run folder .*, or write 'starter' for the network"):
        open_run("strter")
    (tmp_path / "strter").mkdir()  # a folder of the user's
    with pytest.raises(UserError, match=r"choose the folder that a training wrote\.$"):
        open_run("strter")


@pytest.mark.parametrize("written", [FORMAT + 1, 0, "1", None])
def test_run_of_another_format_gets_a_sentence(run, written):
    edit(run.folder / "run.json", format=written, something="new")
    with pytest.raises(UserError, match=rf"another version of emseg-napari \(format {written}"):
        open_run(run.folder)


@pytest.mark.parametrize("name", ["settings.json", "history.json"])
def test_missing_file_gets_a_sentence_that_names_it(run, name):
    (run.folder / name).unlink()
    with pytest.raises(UserError, match=rf"{name} does not exist"):
        open_run(run.folder)


@pytest.mark.parametrize("name", ["run.json", "settings.json", "history.json"])
@pytest.mark.parametrize("content", [b"", b'{"form', b"\xff\xfe\x00"])
def test_file_that_is_no_json_gets_a_sentence_that_names_it(run, name, content):
    (run.folder / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"{name} is damaged"):
        open_run(run.folder)


@pytest.mark.parametrize("name", ["run.json", "settings.json", "history.json"])
@pytest.mark.parametrize("content", ["3", "null", '["a"]', '{"a": 1}', '"text"'])
def test_file_with_the_wrong_contents_gets_one_sentence(run, name, content):
    (run.folder / name).write_text(content)
    with pytest.raises(UserError, match=r"is damaged|another version") as error:
        open_run(run.folder)
    assert "\n" not in str(error.value)
    assert str(run.folder) in str(error.value)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("run.json", {"image_shape": [1, 2]}),
        ("run.json", {"threshold": "high"}),
        ("run.json", {"scale": None}),
        ("settings.json", {"batch_size": -1}),
        ("settings.json", {"network": "vgg"}),
        ("settings.json", {"unheard_of": 1}),
    ],
)
def test_impossible_value_gets_a_sentence(run, name, changes):
    edit(run.folder / name, **changes)
    with pytest.raises(UserError, match=r"run is damaged or from another version"):
        open_run(run.folder)


@pytest.mark.parametrize("row", [{"epoch": "one"}, {"loss": None}, {"step": [3]}])
def test_impossible_row_of_the_history_gets_a_sentence(run, row):
    path = run.folder / "history.json"
    rows = json.loads(path.read_text())
    path.write_text(json.dumps([rows[0] | row]))
    with pytest.raises(UserError, match=r"run is damaged or from another version"):
        open_run(run.folder)


def test_opening_a_run_never_unpickles(run, tmp_path):
    class Trap:
        def __reduce__(self):
            return (tmp_path.joinpath("trap").touch, ())

    for name in ("run.json", "settings.json", "history.json"):
        content = (run.folder / name).read_bytes()
        (run.folder / name).write_bytes(pickle.dumps(Trap()))
        with pytest.raises(UserError):
            open_run(run.folder)
        (run.folder / name).write_bytes(content)
    assert not (tmp_path / "trap").exists()
    assert open_run(run.folder).record == run.record


def test_a_missing_starter_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_module, "STARTER", "absent")
    monkeypatch.setattr(run_module, "STARTER_FOLDER", tmp_path / "none")
    with pytest.raises(UserError, match="comes without a starter network"):
        open_run("absent")


@pytest.mark.parametrize(
    ("stored", "weight"),
    [
        ({"start": "starter", "minutes": 1.0}, 0.0),
        ({"start": "starter", "minutes": None, "epochs": 2}, 0.0),
        ({"start": "starter", "minutes": None}, 30.0),  # learned live
        ({"start": None, "minutes": 1.0}, 30.0),
    ],
)
def test_a_run_that_names_no_anchor_had_one_only_if_it_learned_live(run, stored, weight):
    file = run.folder / "settings.json"
    named = json.loads(file.read_text()) | stored
    del named["anchor_weight"]
    file.write_text(json.dumps(named))
    assert open_run(run.folder).settings.anchor_weight == weight
