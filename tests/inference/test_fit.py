"""How well an image fits a network, found without labels."""

import numpy as np
import pytest
import zarr
from scipy import ndimage

from emseg_napari.core.jobs import Cancelled, JobContext, Message
from emseg_napari.inference import SlicePredictor
from emseg_napari.inference import fit as fit_module
from emseg_napari.inference.fit import Fit, fit_of, fit_to_run, parts_of, report_fit
from emseg_napari.inference.slice_predictor import Backend
from emseg_napari.inference.tiles import Halo
from emseg_napari.io.chunk_errors import BrokenChunk
from emseg_napari.io.fingerprint import fingerprint
from emseg_napari.io.open import open_volume
from emseg_napari.io.volume import Volume, volume_of
from emseg_napari.models.run import RunRecord
from emseg_napari.settings import PredictionSettings
from helpers.tiny_runs import tiny_network_run

RECORD = RunRecord(
    image_shape=(1, 64, 64), image_dtype="uint8", trained_slices=[0], held_out_slices=[], label_counts={}
)


def dark_lines(image: np.ndarray) -> np.ndarray:
    """Find dark lines of 2 to 8 pixels, and of what else is dark the half of one orientation."""
    grey = image[0, ..., 0]
    dark = grey < -0.5
    wide = ndimage.binary_opening(dark, np.ones((2, 2))) & ~ndimage.binary_opening(dark, np.ones((9, 9)))
    odd = dark & ~wide & (np.arange(grey.shape[1]) % 8 < 4)
    return (wide | odd).astype(np.float32)[None, ..., None]


NOISE = np.random.default_rng(0).integers(0, 255, (2, 240, 240), np.uint8)


@pytest.fixture(scope="module")
def predictor() -> SlicePredictor:
    return SlicePredictor(RECORD, Backend(dark_lines, Halo(16, 16)))


def cells(width: int, spacing: int, side: int = 240) -> np.ndarray:
    """Cells between dark walls, uint8 (z, y, x)."""
    wall = np.arange(side) % spacing < width
    return np.where(wall[:, None] | wall, 30, 200).astype(np.uint8)[None]


def test_an_image_that_the_network_knows_fits(predictor):
    assert fit_of(predictor, cells(6, 40)) == Fit()


def test_of_thinner_membranes_the_scale_is_offered_at_which_they_are_found(predictor):
    found = fit_of(predictor, cells(2, 16))
    assert found.scale == 2
    assert f"another width: try scale {found.scale:g}, or label two patches and train." in found.sentence


def test_an_offered_scale_counts_from_that_of_the_run_and_keeps_its_limits(predictor):
    found = fit_of(predictor.enlarged(0.5), cells(4, 32))
    assert found.scale == 1
    assert fit_of(predictor.enlarged(4), cells(1, 4)).scale in (None, 2)


@pytest.mark.parametrize(("scale", "expected"), [(0.125, [0.25]), (0.3, [0.42, 0.6]), (3, [1.5])])
def test_only_scales_inside_the_limits_of_the_setting_are_thought_of(predictor, scale, expected):
    offered = []
    fit_of(predictor.enlarged(scale), NOISE, accepts=lambda scale: bool(offered.append(scale)))
    assert offered == expected


def test_a_scale_with_which_the_prediction_would_fail_is_not_offered(predictor):
    thin = cells(2, 16)
    assert fit_of(predictor, thin, accepts=lambda scale: scale != 2).scale in (None, 1.41)
    assert fit_of(predictor, thin, accepts=lambda scale: False).scale is None


def test_inverted_grey_values_are_said(predictor):
    found = fit_of(predictor, 255 - cells(6, 40))
    assert "membranes must be dark: invert them, or label two patches" in found.sentence
    assert found.scale is None


def test_of_noise_it_is_only_said_that_it_is_unlike(predictor):
    found = fit_of(predictor, NOISE)
    assert not found.fits
    assert found.sentence.endswith("has seen. Label two patches and train, or choose another run.")


@pytest.mark.parametrize("shape", [(1, 30, 40), (1, 500, 40), (7, 200, 300)])
def test_parts_lie_inside_slices_of_any_size_and_over_the_whole_depth(predictor, shape):
    image = np.random.default_rng(0).random(shape).astype(np.float32) + np.arange(shape[0])[:, None, None]
    parts = list(parts_of(predictor, image))
    assert [part.shape for part in parts] == [tuple(min(192, n) for n in shape[1:])] * 4
    fit_of(predictor, image)
    for part, other in zip(parts, parts_of(predictor, volume_of(image)), strict=True):
        np.testing.assert_array_equal(part, other)


def test_borders_of_one_value_are_left_out(predictor):
    bordered = np.zeros((1, 400, 300), np.uint8)
    bordered[0, 100:340, 30:270] = cells(6, 40)[0]
    for part, plain in zip(parts_of(predictor, bordered), parts_of(predictor, cells(6, 40)), strict=True):
        np.testing.assert_array_equal(part, plain)


def test_a_look_that_is_not_wanted_any_more_ends(predictor):
    with pytest.raises(Cancelled):
        fit_of(predictor, cells(6, 40), lambda: True)


@pytest.fixture
def run(tmp_path):
    return tiny_network_run(tmp_path / "run")


def test_what_cannot_be_loaded_is_left_to_the_prediction(run):
    events = []
    report_fit(NOISE, run, PredictionSettings(), JobContext(report=events.append))
    assert [type(event) for event in events] == [Message]
    run.network_file.unlink()
    report_fit(NOISE, run, PredictionSettings(), JobContext(report=events.append))
    assert len(events) == 1


@pytest.mark.parametrize("network", ["reference", "trees", "ridge"])
def test_only_of_a_compact_network_it_is_known_what_it_finds(tmp_path, network):
    run = tiny_network_run(tmp_path / "other", network)
    run.network_file.unlink()
    assert fit_to_run(NOISE, run, PredictionSettings()).fits


def test_what_a_run_was_trained_on_fits(run):
    assert not fit_to_run(NOISE, run, PredictionSettings()).fits
    run.update(image_shape=(9, 240, 240), fingerprints=[fingerprint(NOISE[1])])
    assert fit_to_run(NOISE, run.folder, PredictionSettings()).fits
    assert not fit_to_run(NOISE, run, PredictionSettings(slices=(0, 1))).fits


class Broken:
    """Slices of which only one can be read, if missing ones are empty."""

    shape, dtype, chunks = (9, 240, 240), np.dtype(np.uint8), None

    def read(self, window):
        if range(*window[0].indices(9)) != range(3, 4):
            raise BrokenChunk("A chunk is missing.", (0, 0, 0))
        return NOISE[:1, window[1], window[2]]


def test_only_slices_that_are_predicted_are_looked_at(run):
    volume = Volume("broken", "", Broken())
    events = []
    for slices in (None, (3, 4)):
        settings = PredictionSettings(slices=slices)
        report_fit(volume, run, settings, JobContext(report=events.append))
    assert [type(event) for event in events] == [Message]


def test_missing_chunks_are_looked_at_as_they_are_predicted(run, tmp_path):
    array = zarr.create_array(tmp_path / "a.zarr", shape=(2, 240, 240), chunks=(1, 240, 240), dtype="uint8")
    array[1] = NOISE[0]
    volume, events = open_volume(tmp_path / "a.zarr"), []
    for fills in (False, True):
        settings = PredictionSettings(missing_is_empty=fills)
        report_fit(volume, run, settings, JobContext(report=events.append))
    assert [type(event) for event in events] == [Message]


def test_a_scale_is_offered_only_if_the_run_can_predict_at_it(run, monkeypatch):
    asked = {}

    def fit_of(predictor, image, should_stop, slices, accepts):
        asked.update({scale: accepts(scale) for scale in (0.5, 0.8, 2)})
        return Fit()

    monkeypatch.setattr(fit_module, "fit_of", fit_of)
    fit_to_run(NOISE, run, PredictionSettings())  # slices of 240 pixels, patches of 192
    assert asked == {0.5: False, 0.8: True, 2: True}
    fit_to_run(NOISE, run, PredictionSettings(), px=1 << 60)
    assert asked[2] is False
