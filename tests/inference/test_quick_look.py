"""A first look at large slices, before their prediction."""

import numpy as np
import pytest

from emseg_napari.core.jobs import BlockDone, JobContext, QuickLookReady, SlicePredicted, UserError
from emseg_napari.inference import plan, predict, quick_look
from emseg_napari.inference.volume import VolumeTask, predict_volume
from emseg_napari.io.volume import volume_of
from emseg_napari.settings import PredictionSettings
from helpers.tiny_runs import tiny_network_run

PLAIN = PredictionSettings(close_gaps=False)
QUICK = PredictionSettings(close_gaps=False, orientations=1)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tiny_network_run(tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 256, (3, 100, 150)).astype(np.uint8)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(quick_look, "_TILE_PX", 64)
    monkeypatch.setattr(plan, "_CHUNK_PX", 32)
    monkeypatch.setattr(plan, "_BLOCK_PX", 64)


def drawn(events, shape):
    """What the first look shows in the end, and of which slices."""
    seen, slices = np.full(shape, np.nan, np.float32), set()
    for event in events:
        if isinstance(event, QuickLookReady):
            seen[event.window] = event.probability
            slices.add(event.z)
    return seen, slices


def test_a_large_slice_is_seen_in_one_orientation_before_it_is_predicted(run, image):
    events = []
    predict(
        image,
        run,
        PLAIN.model_copy(update={"slices": (1, 3)}),
        context=JobContext(report=events.append),
        near=0,
    )
    seen, slices = drawn(events, image.shape[1:])
    assert slices == {1}
    np.testing.assert_allclose(seen, predict(image[1], run, QUICK)[0], atol=1e-5)
    kinds = [type(event) for event in events]
    assert max(i for i, kind in enumerate(kinds) if kind is QuickLookReady) < kinds.index(SlicePredicted)


def test_the_slice_that_a_user_looks_at_is_predicted_first_and_the_others_outward_from_it(run, image):
    stack = np.stack([image[0][:64, :64] + n for n in range(5)])
    for near, order in ((None, [1, 2, 3, 4]), (3, [3, 2, 4, 1]), (0, [1, 2, 3, 4])):
        events = []
        settings = QUICK.model_copy(update={"slices": (1, 5)})
        result = predict(stack, run, settings, JobContext(report=events.append), near=near)
        slices = [event for event in events if isinstance(event, SlicePredicted)]
        assert [event.z for event in slices] == order
        for event in slices:
            np.testing.assert_array_equal(result[event.z - 1], event.probability)


def test_what_is_predicted_at_once_has_no_first_look(run, image, monkeypatch):
    for settings in (QUICK, PLAIN):
        if settings is PLAIN:
            monkeypatch.setattr(quick_look, "_TILE_PX", 256)  # all in one part
        events = []
        predict(image, run, settings, context=JobContext(report=events.append), near=0)
        assert not drawn(events, image.shape[1:])[1]


def test_a_volume_begins_with_a_first_look_at_the_slice_in_view_unless_it_is_done(run, image, tmp_path):
    events = []
    predict_volume(
        image, run, VolumeTask(tmp_path / "a.zarr", PLAIN, near=2), context=JobContext(report=events.append)
    )
    seen, slices = drawn(events, image.shape[1:])
    assert slices == {2}
    assert np.isfinite(seen).all()
    assert isinstance(events[0], QuickLookReady)
    again = []
    predict_volume(
        image, run, VolumeTask(tmp_path / "a.zarr", PLAIN, near=2), context=JobContext(report=again.append)
    )
    assert not any(isinstance(event, QuickLookReady | BlockDone) for event in again)


def test_a_slice_that_cannot_be_looked_at_is_left_to_its_blocks(run, image, tmp_path):
    broken = image.astype(np.float32)
    broken[1, 5, 5] = np.nan
    done = predict_volume(broken, run, VolumeTask(tmp_path / "a.zarr", PLAIN, near=1))
    assert {failure.index[0] for failure in done.failures} == {1}


def test_a_volume_is_read_from_the_slice_in_view_on_and_not_as_a_whole_before(run):
    pixels = np.random.default_rng(0).random((5, 64, 64)).astype(np.float32)
    pixels[0, 3, 3] = np.nan
    read: list[str] = []

    class Noting:
        shape, dtype, ndim = pixels.shape, pixels.dtype, 3

        def __getitem__(self, key):
            read.append(str(key[0]))
            return pixels[key]

    volume, seen = volume_of(Noting(), "noting"), []
    context = JobContext(report=lambda event: seen.append((type(event), len(set(read)))))
    with pytest.raises(UserError, match="Slice 0 cannot be predicted: it has 1 "):
        predict(volume, run, QUICK, context, near=3)
    assert seen[0] == (SlicePredicted, 1)
    assert [kind for kind, _ in seen].count(SlicePredicted) == 4
