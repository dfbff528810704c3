import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

import emseg_napari
from emseg_napari import predict, train
from emseg_napari.jobs import Finished, Progress, SlicePredicted, UserError
from emseg_napari.settings import TrainingSettings

UNGUARDED = """
import sys
import numpy as np
from emseg_napari import predict, train

print("script runs")
image, labels = np.load("image.npy"), np.load("labels.npy")
run = train(image, labels, output="run", epochs=1, steps_per_epoch=2, patch_px=32, batch_size=2)
probability = predict(image, run, slices=(1, 3))
print(probability.shape, probability.dtype, "tensorflow" in sys.modules, "keras" in sys.modules)
"""


def test_script_without_a_main_guard_trains_and_predicts(tiny_stack, tmp_path):
    for name, array in zip(("image", "labels"), tiny_stack, strict=True):
        np.save(tmp_path / f"{name}.npy", array)
    (tmp_path / "script.py").write_text(UNGUARDED)
    done = subprocess.run(
        [sys.executable, "-W", "error", "script.py"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["script runs", "(2, 48, 40) float32 False False"]
    assert done.stderr == ""
    assert (tmp_path / "run" / "network.onnx").is_file()


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
    events = []
    result = train([[1, 2]], [[0, 1]], "run", report=events.append, resume=True, network="reference", seed=3)
    assert result == "the run"
    assert events == [Progress(0.5)]
    ((job, arguments),) = FakeEngine.jobs
    assert job == "train"
    assert arguments["settings"] == TrainingSettings.recipe("reference", seed=3)
    assert (arguments["folder"], arguments["resume"]) == (tmp_path / "run", True)
    np.testing.assert_array_equal(arguments["image"], np.array([[1, 2]]))
    np.testing.assert_array_equal(arguments["labels"], np.array([[0, 1]]))


@pytest.mark.parametrize("given", ["run", "folder", "text"])
def test_prediction_takes_a_run_or_its_folder(tiny_stack, tiny_run, given):
    run = {"run": tiny_run, "folder": tiny_run.folder, "text": str(tiny_run.folder)}[given]
    result = predict(tiny_stack[0], run, slices=(0, 1), average_orientations=False)
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
        ({"network": "vgg"}, "^Network: "),
        ({"minuets": 1}, "^minuets: "),
        ({"patch_px": 33}, "^Patch size"),
    ],
)
def test_wrong_setting_gets_a_sentence_before_any_process_starts(tiny_stack, tmp_path, settings, sentence):
    with pytest.raises(UserError, match=sentence):
        train(*tiny_stack, tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()


def test_mistake_found_in_the_engine_gets_the_same_sentence(tiny_stack, tmp_path):
    with pytest.raises(UserError, match="is no run folder"):
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


def test_package_offers_two_functions_and_knows_no_others():
    assert {"train", "predict", "__version__"} == set(emseg_napari.__all__)
    with pytest.raises(AttributeError, match="no attribute 'fit'"):
        emseg_napari.fit  # noqa: B018
