"""Chunks that are many slices deep are decoded once or twice, not for every slice."""

from types import SimpleNamespace

import numpy as np
import pytest

from emseg_napari.annotation.suggest.search_stack import search_places
from emseg_napari.inference import predict
from emseg_napari.io import scratch_array, slabs
from emseg_napari.io.chunk_errors import BrokenChunk
from emseg_napari.io.slabs import Slabs, in_slabs, kept
from emseg_napari.io.sparse_stack import SparseStack, normalised
from emseg_napari.io.stacks import check_image
from emseg_napari.segmentation.boundary import Boundary
from emseg_napari.segmentation.tiles import CUT, Cut
from emseg_napari.segmentation.volume import Destination, segment_volume
from emseg_napari.settings import CellSettings, LiveSettings, PredictionSettings, TrainingSettings
from emseg_napari.training.dataset import check_data, prepare, prepare_live
from helpers.counted_chunks import CountedChunks
from helpers.tiny_runs import tiny_network_run

SHAPE = (40, 32, 40)
FAST = PredictionSettings(close_gaps=False, orientations=1)


@pytest.fixture
def deep() -> CountedChunks:
    values = np.random.default_rng(0).integers(0, 255, SHAPE).astype(np.uint8)
    return CountedChunks(values, (16, 16, 16))


@pytest.fixture
def labels() -> SparseStack:
    return SparseStack.of(np.where(np.arange(SHAPE[1])[:, None] < 9, 1, np.full(SHAPE, 2)).astype(np.uint8))


def test_slices_one_after_the_other(deep):
    stack = in_slabs(deep.volume)
    for z in range(len(stack)):
        np.testing.assert_array_equal(stack[z], deep.values[z])
    np.testing.assert_array_equal(stack[3:20, 2:9, 4:30], deep.values[3:20, 2:9, 4:30])
    assert in_slabs(stack) is stack
    assert deep.most <= 2


@pytest.mark.parametrize(("memory", "files"), [(1 << 20, 0), (5000, 1 << 20)])
def test_slabs_keep_whole_layers_of_chunks_in_memory_or_in_a_file(deep, monkeypatch, memory, files):
    monkeypatch.setattr(slabs, "SLAB_BYTES", memory)
    monkeypatch.setattr(slabs, "SCRATCH_BYTES", files)
    found = Slabs(deep.volume)
    for z in range(40):
        for window in (np.s_[0:32, 0:40], np.s_[3:20, 17:39], np.s_[5:5, 7:7]):
            np.testing.assert_array_equal(found.read(z, window), deep.values[z][window])
        assert sum(one.nbytes for one in found._kept.values() if isinstance(one, np.ndarray)) <= 2 * memory
    assert deep.most == 1


def test_slabs_are_thinner_where_there_is_no_room_for_all_slices(deep, monkeypatch):
    monkeypatch.setattr(slabs, "SLAB_BYTES", 5 * 32 * 40)
    monkeypatch.setattr(scratch_array.shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    found = Slabs(deep.volume)
    for z in range(40):
        np.testing.assert_array_equal(found.read(z, np.s_[0:32, 0:40]), deep.values[z])
    assert deep.most == 4  # slices 0-4, 5-9, 10-14 and 15


@pytest.mark.parametrize("place", ["scratch_array.ScratchArray.put", "scratch_array.tempfile.gettempdir"])
def test_a_disk_that_fills_up_or_cannot_be_used_costs_time_only(deep, monkeypatch, place):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(slabs, "SLAB_BYTES", 5 * 32 * 40)
    monkeypatch.setattr(f"emseg_napari.io.{place}", fail)
    np.testing.assert_array_equal(Slabs(deep.volume).read(7, np.s_[0:32, 0:40]), deep.values[7])


@pytest.mark.parametrize("memory", [1 << 20, 5000])
def test_a_slab_that_cannot_be_read_is_tried_once_and_its_readable_parts_are_read(deep, monkeypatch, memory):
    monkeypatch.setattr(slabs, "SLAB_BYTES", memory)
    deep.broken = [(0, 1, 1)]
    found = Slabs(deep.volume)
    for z in range(16):
        with pytest.raises(BrokenChunk, match="is damaged"):
            found.read(z, np.s_[0:32, 0:40])
        np.testing.assert_array_equal(found.read(z, np.s_[0:16, 0:40]), deep.values[z, :16])
    assert deep.most <= 2
    np.testing.assert_array_equal(found.read(16, np.s_[0:32, 0:40]), deep.values[16])


def test_windows_that_are_read_of_every_slice_are_kept_together(deep, monkeypatch):
    monkeypatch.setattr(slabs, "SLAB_BYTES", 5000)
    windows = [np.s_[y : y + 8, x : x + 8] for y in (0, 16, 24) for x in (0, 16, 32)]
    found = Slabs(deep.volume, len(windows))
    for z in range(40):
        for window in windows:
            np.testing.assert_array_equal(found.read(z, window), deep.values[z][window])
    assert deep.most <= 2  # two of the windows lie in the same chunks


def test_kept_slices_are_read_once_and_the_others_when_they_are_asked_for(deep):
    stack = kept(deep.volume, [7, 3])
    once = deep.decoded.copy()
    for _ in range(3):
        np.testing.assert_array_equal(stack[[3, 7]], deep.values[[3, 7]])
    assert deep.decoded == once
    np.testing.assert_array_equal(stack[30, 3:, 4:], deep.values[30, 3:, 4:])


@pytest.mark.parametrize("memory", [1 << 20, 1000])
def test_labels_larger_than_memory(deep, monkeypatch, memory):
    monkeypatch.setattr(slabs, "SLAB_BYTES", memory)
    values = np.where(deep.values > 200, 255, 0).astype(np.uint8)
    stored = CountedChunks(values, deep.chunks)
    found = normalised(stored.volume, "L", "isbi")
    np.testing.assert_array_equal(found[:], np.where(values == 255, 2, 1))
    assert stored.most <= 2


def test_the_check_of_an_image_and_labels_as_they_are(deep):
    check_image(deep.volume, "V")
    assert deep.most == 1
    assert SparseStack.of(deep.volume).stored_slices == list(range(40))
    assert deep.most == 2


def test_a_prediction_in_memory_and_the_search_for_places(deep, tmp_path):
    run = tiny_network_run(tmp_path / "run")
    np.testing.assert_array_equal(predict(deep.volume, run, FAST), predict(deep.values, run, FAST))
    assert deep.most <= 2
    deep.decoded.clear()
    search_places(deep.volume, np.zeros(SHAPE, np.uint8), run, first=20)
    assert deep.most <= 2


@pytest.mark.parametrize("memory", [1 << 20, 1000])
def test_what_a_training_asks_for(deep, labels, monkeypatch, memory):
    monkeypatch.setattr(slabs, "SLAB_BYTES", memory)
    settings = TrainingSettings.recipe(slices=(0, 40))
    check_data(deep.volume, labels, settings)  # as the command line does first
    dataset = prepare(deep.volume, labels, settings)
    for _ in range(3):
        for z in dataset.record.trained_slices + dataset.record.held_out_slices:
            np.testing.assert_array_equal(dataset.image[z], deep.values[z])
    assert deep.most <= 2


def test_live_learning_of_labels_that_are_there(deep, labels):
    dataset, _ = prepare_live(deep.volume, labels, LiveSettings())
    for z in dataset.labels.stored_slices:
        for _ in range(3):
            np.testing.assert_array_equal(dataset.image[z], deep.values[z])
    assert deep.most <= 2


@pytest.mark.parametrize(
    "cut", [CUT, pytest.param(Cut(whole_px=400, tile_px=16, margin_px=0), marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("memory", [1 << 20, 1000])
def test_the_division_of_a_volume_into_cells(deep, tmp_path, monkeypatch, cut, memory):
    monkeypatch.setattr(slabs, "SLAB_BYTES", memory)
    settings = CellSettings(size_px=12, neck_px=1.0)
    for name, volume in (("deep", deep.volume), ("flat", CountedChunks(deep.values, (1, 16, 16)).volume)):
        segment_volume(Boundary(volume), Destination(tmp_path / f"{name}.zarr", {}, cut=cut), settings)
    files = [sorted((tmp_path / name / "0").rglob("c/*")) for name in ("deep.zarr", "flat.zarr")]
    assert files[0]
    for one, other in zip(*files, strict=True):
        assert one.is_dir() or one.read_bytes() == other.read_bytes()
    assert deep.most <= 2


@pytest.mark.parametrize("memory", [1 << 20, 1000])
def test_deep_tiles_that_cannot_be_read_are_tried_once_and_not_for_every_slice(
    deep, tmp_path, monkeypatch, memory
):
    monkeypatch.setattr(slabs, "SLAB_BYTES", memory)
    deep.broken = [(1, 0, 0)]
    cut = Cut(whole_px=400, tile_px=16, margin_px=0)
    found = segment_volume(
        Boundary(deep.volume),
        Destination(tmp_path / "c.zarr", {}, cut=cut),
        CellSettings(size_px=12, neck_px=1.0),
    )
    assert {failure.index for failure in found.failures} == {(z, 0, 0) for z in range(16, 32)}
    assert deep.most <= 2
