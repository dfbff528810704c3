import json
from pathlib import Path
from shutil import copyfile
from types import SimpleNamespace
from typing import ClassVar

import dask.array
import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

import emseg_napari
from emseg_napari import evaluate, predict, segment, train
from emseg_napari.cli import app
from emseg_napari.core.jobs import Finished, Message, Progress, SlicePredicted, UserError
from emseg_napari.core.labels import to_isbi
from emseg_napari.evaluation.evaluation import evaluate as scored
from emseg_napari.io.open import open_volume
from emseg_napari.io.stacks import write_stack
from emseg_napari.models import run as run_module
from emseg_napari.segmentation.stack import segment_stack
from emseg_napari.settings import CellSettings, TrainingSettings
from helpers.slow import slow_case


class FakeEngine:
    """Takes the job that it is given and ends at once."""

    jobs: ClassVar[list] = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def run(self, job, **arguments):
        self.jobs.append((job, arguments))
        yield Progress(0.5)
        yield Finished("the run")


def test_training_hands_everything_to_the_engine(monkeypatch, tmp_path):
    monkeypatch.setattr("emseg_napari.api.Engine", FakeEngine)
    monkeypatch.chdir(tmp_path)
    events, begun = [], SimpleNamespace(settings=TrainingSettings.recipe("reference", seed=3))
    monkeypatch.setattr("emseg_napari.api.resumable_run", lambda folder: begun)
    result = train([[1, 2]], [[0, 1]], "run", report=events.append, resume=True, network="reference", seed=3)
    assert result == "the run"
    assert events == [Progress(0.5)]
    ((job, arguments),) = FakeEngine.jobs
    assert job == "train"
    assert arguments["settings"] == TrainingSettings.recipe("reference", seed=3)
    assert (arguments["folder"], arguments["resume"]) == (tmp_path / "run", True)
    np.testing.assert_array_equal(arguments["image"], np.array([[1, 2]]))
    np.testing.assert_array_equal(arguments["labels"], np.array([[[0, 1]]]))


@pytest.mark.parametrize("resume", [False, True])
def test_training_into_a_folder_of_other_things_is_refused_as_on_the_command_line(
    monkeypatch, tmp_path, resume
):
    monkeypatch.setattr("emseg_napari.api.Engine", None)  # it is not even started
    for name in ("settings.json", "history.json"):
        (tmp_path / name).write_text("mine")
    with pytest.raises(UserError, match="no run to resume" if resume else "is not empty and holds no run"):
        train(np.ones((1, 2, 2)), np.ones((1, 2, 2), np.uint8), tmp_path, resume=resume)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "settings.json": "mine",
        "history.json": "mine",
    }


def test_a_run_is_resumed_with_its_own_settings_or_not_at_all(monkeypatch):
    monkeypatch.setattr("emseg_napari.api.Engine", FakeEngine)
    begun = SimpleNamespace(settings=TrainingSettings.recipe(minutes=3), folder="run")
    monkeypatch.setattr("emseg_napari.api.resumable_run", lambda folder: begun)
    for same in ({}, {"minutes": 3}, {"seed": None}):
        assert train([[1, 2]], [[0, 1]], "run", resume=True, **same) == "the run"
    with pytest.raises(UserError, match="minutes differs from the settings of run, which are kept; leave it"):
        train([[1, 2]], [[0, 1]], "run", resume=True, minutes=5)


def test_a_new_run_starts_from_the_starter_unless_one_says_otherwise(monkeypatch, tmp_path):
    monkeypatch.setattr("emseg_napari.api.Engine", FakeEngine)
    monkeypatch.setattr(FakeEngine, "jobs", [])
    monkeypatch.chdir(tmp_path)
    for given in ({}, {"start": "nothing"}, {"network": "reference"}, {"network": "trees"}):
        train([[1, 2]], [[0, 1]], "run", **given)
    assert [asked["settings"].start for _, asked in FakeEngine.jobs] == ["starter", None, None, None]


def test_a_start_that_cannot_be_used_is_said_before_the_engine_starts(monkeypatch, tmp_path):
    monkeypatch.setattr("emseg_napari.api.Engine", None)
    monkeypatch.setattr(run_module, "STARTER_FOLDER", tmp_path / "none")
    with pytest.raises(UserError, match="without a starter network; install emseg-napari again, or"):
        train([[1, 2]], [[0, 1]], tmp_path / "run", start="starter")
    assert not (tmp_path / "run").exists()


def test_a_finished_run_is_neither_trained_over_nor_resumed(monkeypatch, tiny_run):
    monkeypatch.setattr("emseg_napari.api.Engine", None)
    for resume, sentence in (
        (False, "holds a run already"),
        (True, "is finished, so it stays as it is"),
    ):
        with pytest.raises(UserError, match=sentence):
            train(np.ones((1, 2, 2)), np.ones((1, 2, 2), np.uint8), tiny_run.folder, resume=resume)


@pytest.mark.parametrize("given", [slow_case("run"), "folder", slow_case("text")])
def test_prediction_takes_a_run_or_its_folder(tiny_stack, tiny_run, given):
    run = {"run": tiny_run, "folder": tiny_run.folder, "text": str(tiny_run.folder)}[given]
    result = predict(tiny_stack[0], run, slices=(0, 1), orientations=1)
    assert (result.shape, result.dtype) == ((1, 48, 40), np.float32)
    assert 0 <= result.min() < result.max() <= 1


def test_relative_folder_is_that_of_the_caller(tiny_stack, tiny_run, monkeypatch):
    monkeypatch.chdir(tiny_run.folder.parent)
    assert predict(tiny_stack[0][:1], Path(tiny_run.folder.name)).shape == (1, 48, 40)


def test_single_slice_and_lists_are_taken_too(tiny_stack, tiny_run):
    assert predict(tiny_stack[0][2].tolist(), tiny_run).shape == (1, 48, 40)


def test_prediction_tells_its_story(tiny_stack, tiny_run):
    events = []
    result = predict(tiny_stack[0], tiny_run, report=events.append, slices=(2, 5))
    assert [event.z for event in events if isinstance(event, SlicePredicted)] == [2, 3, 4]
    assert [event.fraction for event in events if isinstance(event, Progress)][-1] == 1
    assert result.shape == (3, 48, 40)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"minutes": -1}, "^Minutes: "),
        ({"network": "vgg"}, "^Kind of network: "),
        ({"minuets": 1}, "^minuets: "),
        ({"patch_px": 33}, "^Patch size"),
    ],
)
def test_wrong_setting_gets_a_sentence_before_any_process_starts(tiny_stack, tmp_path, settings, sentence):
    with pytest.raises(UserError, match=sentence):
        train(*tiny_stack, tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()


def test_mistake_found_in_the_engine_gets_the_same_sentence(tiny_stack, tmp_path):
    with pytest.raises(UserError, match="is not a run folder"):
        predict(tiny_stack[0], tmp_path)


def test_unforeseen_error_keeps_the_engine_s_traceback(tiny_stack, tiny_run, monkeypatch):
    monkeypatch.setattr("emseg_napari.api.validated", lambda *_, **__: "no settings at all")
    with pytest.raises(UserError, match="job failed: AttributeError") as error:
        predict(tiny_stack[0], tiny_run)
    assert "Traceback" in error.value.__notes__[0]


def test_report_that_raises_ends_the_job(tiny_stack, tiny_run):
    def annoyed(event):
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        predict(tiny_stack[0], tiny_run, report=annoyed)


@pytest.fixture
def field():
    """A labelled stack and a boundary probability that is right in most of it: (4, 30, 40)."""
    labels = np.full((4, 30, 40), 2, np.uint8)
    labels[:, 14:16] = labels[:, :, 19:21] = 1
    noise = np.random.default_rng(0).normal(0, 0.1, labels.shape)
    return labels, np.clip(np.where(labels == 1, 0.8, 0.2) + noise, 0, 1).astype(np.float32)


class HereEngine(FakeEngine):
    """Does what it is given in this process, which is quicker than to start another."""

    def run(self, job, **arguments):
        yield Finished({"evaluate": scored, "segment": segment_stack}[job](**arguments))


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr("emseg_napari.api.Engine", HereEngine)


@pytest.mark.usefixtures("at_once")
def test_scores_are_those_of_the_command_line(field, tmp_path):
    labels, probability = field
    write_stack(tmp_path / "labels.tif", to_isbi(labels))
    write_stack(tmp_path / "p.tif", probability)
    words = ["evaluate", *(str(tmp_path / name) for name in ("p.tif", "labels.tif")), "--json"]
    expected = json.loads(CliRunner().invoke(app, words).stdout)
    found = evaluate(probability, labels).as_dict()
    assert {name: expected[name] for name in found} == found


def test_a_run_tells_scoring_its_threshold_and_what_it_saw(field, tiny_run):
    labels, probability = field
    events = []
    found = evaluate(probability[1:3], labels, tiny_run, events.append, slices=(1, 3))
    assert found.threshold == pytest.approx(1 - tiny_run.record.threshold)
    assert [one.z for one in found.per_slice] == [1, 2]
    assert any("is taken for the boundary probability" in e.text for e in events if isinstance(e, Message))
    assert [event.fraction for event in events if isinstance(event, Progress)][-1] == 1


@pytest.mark.usefixtures("at_once")
def test_labels_probabilities_of_the_interior_and_lazy_arrays_are_scored(field):
    labels, probability = field
    assert evaluate(labels.copy(), labels).v_rand == 1
    expected = evaluate(probability[0], labels[0]).as_dict()
    assert evaluate(1 - (1 - probability[:1]), labels[:1]).as_dict() == expected
    lazy = dask.array.from_array(1 - probability[:1], chunks=10)
    assert evaluate(lazy, labels[:1], kind="interior").as_dict() == expected


def test_one_array_or_file_is_not_prediction_and_labels_both(field, tmp_path):
    labels, _ = field
    write_stack(tmp_path / "labels.tif", labels)
    copyfile(tmp_path / "labels.tif", tmp_path / "copy.tif")
    volumes = [open_volume(tmp_path / name) for name in ("labels.tif", "copy.tif")]
    for prediction, truth in (
        (labels, labels),
        (labels[:], labels),
        (volumes[0], volumes[0]),
        tuple(volumes),
    ):
        with pytest.raises(UserError, match="Prediction and labels are the same, which proves nothing"):
            evaluate(prediction, truth)


def test_cells_are_those_of_the_job(field):
    cells = segment(field[1], link=True)
    np.testing.assert_array_equal(cells, segment_stack(field[1], CellSettings(link=True)))
    assert len(np.unique(cells)) == 4


@pytest.mark.usefixtures("at_once")
def test_labels_are_divided_into_cells_as_the_probability_that_they_are(field):
    certain = (field[0] == 1).astype(np.float32)
    np.testing.assert_array_equal(segment(field[0][0]), segment(certain[0]))
    np.testing.assert_array_equal(segment(1 - certain, kind="interior"), segment(certain))


@pytest.mark.parametrize(
    ("wrong", "settings", "sentence"),
    [
        (lambda p: p[:2], {}, "say with slices which 2 of The labels they are"),
        (lambda p: p[:, 1:], {}, "differ in size"),
        (lambda p: p + 7, {}, r"^The prediction: .* is not a probability"),
        (lambda p: (p * 60000).astype(np.uint16), {}, "holds neither labels"),
        (lambda p: p[None], {}, "is not a stack of slices"),
        (lambda p: p, {"treshold": 0.5}, "^treshold: "),
        (lambda p: p, {"run": "nowhere"}, "is not a run folder"),
    ],
)
def test_what_cannot_be_scored_is_a_sentence(field, wrong, settings, sentence):
    labels, probability = field
    with pytest.raises(UserError, match=sentence):
        evaluate(wrong(probability), labels, **settings)


def test_package_offers_five_functions_and_knows_no_others():
    assert {"train", "predict", "evaluate", "segment", "convert", "__version__"} == set(emseg_napari.__all__)
    with pytest.raises(AttributeError, match="no attribute 'fit'"):
        emseg_napari.fit  # noqa: B018


def test_a_training_says_how_its_files_were_read(monkeypatch, tmp_path):
    monkeypatch.setattr("emseg_napari.api.Engine", FakeEngine)
    image = np.arange(60, dtype=np.uint8).reshape(1, 6, 10)
    tifffile.imwrite(tmp_path / "w.tif", 255 - image, photometric="miniswhite")
    events = []
    train(open_volume(tmp_path / "w.tif"), np.ones_like(image), "run", report=events.append)
    assert events[0] == Message("w.tif: 0 = white in the file, shown inverted back")
