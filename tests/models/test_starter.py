"""The starter network that comes with the package."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import tifffile

import emseg_napari
from emseg_napari.evaluation.evaluation import evaluate
from emseg_napari.io.samples import sample_folder
from emseg_napari.io.stacks import read_image, read_labels
from emseg_napari.models.run import open_run
from emseg_napari.models.starter import STARTER, STARTER_FOLDER
from emseg_napari.settings import EvaluationSettings

FOLDER = STARTER_FOLDER
SAMPLE = sample_folder()


def emseg(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "emseg_napari", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)


def test_it_is_small():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 3e6


def test_its_card_and_its_licence_name_the_images_that_it_was_trained_on():
    card, licence = (
        " ".join((FOLDER / name).read_text("utf-8").split()) for name in ("README.md", "LICENSE")
    )
    for words in ("FlyEM", "10.1371/journal.pone.0125825", "Attribution 3.0", "BSD"):
        assert words in card
        assert words in licence
    assert "non-commercial" not in card + licence


def test_no_slice_of_the_isbi_stack_is_in_it():
    first = "e235f967447919aa"  # the fingerprint of its first slice, with which former starters were trained
    assert first not in open_run(STARTER).record.fingerprints


def test_its_weights_are_kept_in_half_precision():
    weights = onnx.load(FOLDER / "network.onnx").graph.initializer
    large = [w for w in weights if np.prod(w.dims) >= 64 and w.data_type == onnx.TensorProto.FLOAT]
    assert not large
    assert open_run(STARTER).settings.network == "compact"


@pytest.fixture(scope="module")
def predicted(tmp_path_factory) -> Path:
    """Interior probability of four slices of the phantom, by the command line."""
    path = tmp_path_factory.mktemp("starter") / "predicted.tif"
    done = emseg(
        *(
            "predict",
            "starter",
            SAMPLE / "phantom.tif",
            "--output",
            path,
            "--slices",
            "0:4",
            "--as",
            "interior",
        )
    )
    assert done.returncode == 0, done.stderr
    return path


def test_it_proposes_boundaries_of_a_stack_that_it_never_saw(predicted):
    """Better than the smoothed phantom, whose best threshold has V_rand 0.7."""
    labels = read_labels(SAMPLE / "phantom-labels.tif")[:4]
    threshold = 1 - open_run(STARTER).record.threshold
    found = evaluate(tifffile.imread(predicted), labels, EvaluationSettings(threshold=threshold))
    assert found.at_threshold.v_rand > 0.75


def test_it_predicts_in_python_by_its_name(predicted):
    again = emseg_napari.predict(read_image(SAMPLE / "phantom.tif"), STARTER, slices=(0, 1))
    np.testing.assert_allclose(1 - again, tifffile.imread(predicted)[:1], atol=1e-5)


@pytest.mark.slow
def test_a_training_starts_from_it_by_default_and_says_so_whatever_backend_keras_is_set_to(tmp_path):
    image, labels = (read_image(SAMPLE / "phantom.tif")[:1], read_labels(SAMPLE / "phantom-labels.tif")[:1])
    tifffile.imwrite(tmp_path / "image.tif", image)
    tifffile.imwrite(tmp_path / "labels.tif", np.where(labels == 1, 0, 255).astype(np.uint8))
    done = emseg(
        *("train", tmp_path / "image.tif", tmp_path / "labels.tif", "--output", tmp_path / "run"),
        *("--epochs", "1", "--steps-per-epoch", "2"),
        KERAS_BACKEND="of which nobody heard",
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(emseg("info", tmp_path / "run", "--json").stdout)
    assert told["start"] == "starter"
    assert "start" not in told["settings"]
