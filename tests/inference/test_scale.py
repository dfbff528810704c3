"""Another scale than the run's: in memory, block by block, and in the records."""

import pickle

import numpy as np
import pytest

from emseg_napari.core.jobs import JobContext, QuickLookReady, UserError, never
from emseg_napari.inference import load_predictor, plan, predict, quick_look
from emseg_napari.inference.prediction_record import is_predicted_by
from emseg_napari.inference.tiles import whole
from emseg_napari.inference.volume import VolumeTask, predict_volume
from emseg_napari.io.ome_zarr_writer import VolumeOutput
from emseg_napari.io.volume import volume_of
from emseg_napari.models import resampling
from emseg_napari.models.resampling import resample
from emseg_napari.models.run import Run
from emseg_napari.settings import PredictionSettings
from helpers.tiny_runs import tiny_network_run

TWICE = PredictionSettings(scale=2, close_gaps=False, orientations=1, tile_px=128)
OWN = TWICE.model_copy(update={"scale": None})


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return tiny_network_run(tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    noise = np.random.default_rng(0).random((1, 50, 60))
    return np.kron(noise, np.ones((1, 2, 2))).astype(np.float32)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(plan, "_CHUNK_PX", 64)
    monkeypatch.setattr(plan, "_BLOCK_PX", 64)


def test_at_scale_two_the_network_sees_the_slice_enlarged(run, image):
    predictor = load_predictor(run, TWICE)
    plain = load_predictor(run, OWN)
    enlarged = plain.window(resample(image[0], (2, 2)), whole((200, 240)), predictor.levels(image[0]))
    found = predict(image, run, TWICE)
    assert found.shape == image.shape
    np.testing.assert_allclose(found[0], resample(enlarged, (0.5, 0.5)), atol=1e-4)
    assert np.abs(found - predict(image, run, OWN)).mean() > 0.02


@pytest.mark.parametrize("scale", [0.75, 1.41])
def test_blocks_of_another_scale_leave_no_seam(image, tmp_path, scale):
    settings = TWICE.model_copy(update={"scale": scale})
    small = tiny_network_run(tmp_path / "small", patch_px=64)
    predict_volume(image, small, VolumeTask(tmp_path / "out.zarr", settings))
    in_memory = predict(image, small, settings.model_copy(update={"tile_px": 2304}))
    np.testing.assert_allclose(VolumeOutput(tmp_path / "out.zarr")[:] / 255, in_memory, atol=1.5 / 255)


def test_a_block_that_goes_to_a_worker_takes_the_scale_along(run, image, tmp_path):
    task = VolumeTask(tmp_path / "out.zarr", TWICE)
    predict_volume(image, run, task)
    output = VolumeOutput(task.output)
    work = pickle.loads(pickle.dumps(plan.planned(volume_of(image), run, task).work))
    block = output.blocks[0]
    found = work.compute(block, work.read(block), never)
    np.testing.assert_array_equal(found, output[block.window])


def test_the_quick_look_is_at_the_scale_of_the_prediction(run, image, monkeypatch):
    monkeypatch.setattr(quick_look, "_TILE_PX", 64)
    settings = TWICE.model_copy(update={"orientations": 8})
    parts = []
    predict(image, run, settings, JobContext(report=parts.append), near=0)
    looks = [part for part in parts if isinstance(part, QuickLookReady)]
    expected = predict(image[:1], run, TWICE)[0]
    for look in looks:
        np.testing.assert_allclose(look.probability, expected[look.window], atol=1e-4)
    assert looks


def test_an_output_that_was_begun_at_another_scale_is_not_resumed(run, image, tmp_path):
    task = VolumeTask(tmp_path / "out.zarr", TWICE)
    predict_volume(image, run, task)
    assert VolumeOutput(task.output).record["scale"] == 2
    with pytest.raises(UserError, match=r"other choices: 'Scale' was 2.0 and is none"):
        predict_volume(image, run, VolumeTask(task.output, OWN))
    assert predict_volume(image, run, task).done == 0
    assert is_predicted_by(VolumeOutput(task.output), run, TWICE)
    assert not is_predicted_by(VolumeOutput(task.output), run, OWN)


def test_the_run_s_own_scale_is_the_same_choice_as_none(run, image, tmp_path):
    predict_volume(image, run, VolumeTask(tmp_path / "out.zarr", OWN))
    named = VolumeTask(tmp_path / "out.zarr", TWICE.model_copy(update={"scale": 1.0}))
    assert predict_volume(image, run, named).done == 0


@pytest.mark.parametrize("into", ["memory", "zarr"])
def test_a_scale_that_makes_slices_too_small_or_too_large_is_refused_before_anything_is_written(
    run, image, tmp_path, monkeypatch, into
):
    def predicted(scale: float) -> None:
        settings = TWICE.model_copy(update={"scale": scale})
        if into == "memory":
            predict(image, run, settings)
        else:
            predict_volume(image, run, VolumeTask(tmp_path / "out.zarr", settings))

    with pytest.raises(UserError, match=r"Scale 0.5 makes slices of 100 x 120 pixels 50 x 60, smaller than"):
        predicted(0.5)
    monkeypatch.setattr(resampling, "free_memory", lambda: 100_000)
    with pytest.raises(UserError, match=r"At scale 4 slices of 100 x 120 pixels take about .* choose a smal"):
        predicted(4)
    assert not list(tmp_path.iterdir())
