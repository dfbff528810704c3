"""Volumes of any size: windows, blocks, going on, and what is broken."""

import hashlib
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import tifffile
import zarr

from emseg_napari.core.blockwise import Scheduler, dask_client
from emseg_napari.core.jobs import BlockDone, BlockFailed, Cancelled, JobContext, Message, Progress, UserError
from emseg_napari.core.locks import OutputLock
from emseg_napari.inference import block_work, load_predictor, plan, predict
from emseg_napari.inference.backends import stoppable
from emseg_napari.inference.block_work import encoded
from emseg_napari.inference.volume import VolumeTask, predict_volume
from emseg_napari.io import slabs
from emseg_napari.io.ome_zarr_writer import VolumeOutput
from emseg_napari.io.open import open_volume
from emseg_napari.io.volume import BrokenChunk, Volume, Voxel, volume_of
from emseg_napari.models import normalisation
from emseg_napari.models.run import Run
from emseg_napari.settings import PredictionSettings
from helpers.counted_chunks import ChunksOfWorkers, CountedChunks
from helpers.faults import another_process
from helpers.odd_arrays import ODD
from helpers.slow import slow_case
from helpers.timing import PATIENCE_S
from helpers.tiny_runs import tiny_network_run

SHAPE = (4, 150, 200)
PLAIN = PredictionSettings(close_gaps=False)
FAST = PredictionSettings(close_gaps=False, orientations=1)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return tiny_network_run(tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, SHAPE).astype(np.uint8)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """3 x 4 blocks in a slice of 150 x 200."""
    monkeypatch.setattr(plan, "_CHUNK_PX", 32)
    monkeypatch.setattr(plan, "_BLOCK_PX", 64)


def bytes_of(output: Path) -> dict[str, str]:
    """Every file of an output by its name, less what is said of it."""
    return {
        path.relative_to(output).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(output.rglob("*"))
        if path.is_file()
    }


@dataclass(frozen=True)
class Pixels:
    """A volume on a disk some of whose parts are broken, and which says what is read of it."""

    values: np.ndarray
    broken: tuple[tuple[int, int, int], ...] = ()
    read_sizes: list[int] | None = None
    chunks = (1, 32, 32)

    @property
    def shape(self):
        return self.values.shape

    @property
    def dtype(self):
        return self.values.dtype

    def read(self, window):
        for index in self.broken:
            corner = [n * size for n, size in zip(index, self.chunks, strict=True)]
            if all(
                part.start < c + size and c < part.stop
                for part, c, size in zip(window, corner, self.chunks, strict=True)
            ):
                raise BrokenChunk(f"Chunk {index} is damaged.", index)
        values = self.values[window]
        if self.read_sizes is not None:
            self.read_sizes.append(values.size)
        return values


# What comes out


@pytest.mark.parametrize("settings", [PLAIN, FAST, PredictionSettings(close_gaps=False, slices=(1, 3))])
def test_blocks_hold_what_a_prediction_in_memory_gives(run, image, tmp_path, settings):
    found = predict_volume(image, run, VolumeTask(tmp_path / "out.zarr", settings))
    expected = predict(image, run, settings)
    output = VolumeOutput(tmp_path / "out.zarr")
    assert (output.shape, output.dtype) == (expected.shape, np.uint8)
    assert expected.std() > 0.05
    np.testing.assert_allclose(output[:] / 255, expected, atol=1.5 / 255)
    assert (found.done, found.skipped, found.failures) == (12 * len(expected), 0, ())
    assert found.voxels == expected.size


@pytest.mark.parametrize(("network", "scale"), [("compact", (1.0, 1.0)), ("reference", (0.5, 0.4))])
@pytest.mark.parametrize("settings", [slow_case(PLAIN), PredictionSettings(threshold=0.4)])
def test_beside_constant_borders_a_picture_is_predicted_as_without_them(
    image, tmp_path, network, scale, settings
):
    """By tiles and in memory, whatever the border's width is in each slice."""
    run, image = tiny_network_run(tmp_path / "run", network, scale), image.clip(1, 254)
    stack = np.stack([np.full((230, 301), value, np.uint8) for value in (0, 255, 0)])
    places = [(7, 0), (0, 33), (80, 101)]
    for slice_, one, (y, x) in zip(stack, image, places, strict=False):
        slice_[y : y + 150, x : x + 200] = one
    predicted = predict(stack, run, settings)
    predict_volume(volume_of(stack), run, VolumeTask(tmp_path / "out.zarr", settings))
    if not settings.close_gaps:
        np.testing.assert_allclose(VolumeOutput(tmp_path / "out.zarr")[:] / 255, predicted, atol=1.5 / 255)
    for found, expected, (y, x) in zip(predicted, predict(image, run, settings), places, strict=False):
        np.testing.assert_array_equal(found[y : y + 150, x : x + 200], expected)
        outside = np.pad(found, 1)
        outside[y + 1 : y + 151, x + 1 : x + 201] = 0
        # A line around it, so that no cell goes on into the border.
        assert set(np.unique(outside)) == {0, 1}
        assert outside[y : y + 152, x : x + 202].sum() == outside.sum()


def test_reference_is_predicted_at_its_own_scale(image, tmp_path):
    run = tiny_network_run(tmp_path / "run", "reference", (0.5, 0.5))
    predict_volume(image, run, VolumeTask(tmp_path / "out.zarr", PLAIN))
    np.testing.assert_allclose(
        VolumeOutput(tmp_path / "out.zarr")[:] / 255, predict(image, run, PLAIN), atol=1 / 255
    )


def test_closed_gaps_are_those_of_the_whole_slice_where_it_is_one_tile(run, tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "_BLOCK_PX", 256)
    walls = np.full((1, 150, 200), 200, np.uint8)
    walls[:, ::30], walls[:, 1::30], walls[:, :, ::40], walls[:, :, 1::40] = 40, 40, 40, 40
    walls[0, 60:62, 55:61] = 200  # a gap
    settings = PredictionSettings(threshold=0.7)
    predict_volume(walls, run, VolumeTask(tmp_path / "out.zarr", settings))
    boundary = predict(walls, run, settings) >= 0.7
    np.testing.assert_array_equal(VolumeOutput(tmp_path / "out.zarr")[:] / 255 >= 0.7, boundary)
    open_ = predict(walls, run, settings.model_copy(update={"close_gaps": False})) < 0.7
    assert (boundary & open_)[0, 58:64, 55:61].any(0).all()


def test_number_of_threads_changes_no_byte(run, image, tmp_path, monkeypatch):
    monkeypatch.setattr(block_work, "_GAPS_TILE_PX", 48)
    for threads in (1, 4):
        settings = PredictionSettings(orientations=1, threads=threads)
        predict_volume(image[:1, :100, :100], run, VolumeTask(tmp_path / f"{threads}" / "out.zarr", settings))
    assert bytes_of(tmp_path / "1" / "out.zarr") == bytes_of(tmp_path / "4" / "out.zarr")


@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.6, 0.75, 1.0])
def test_values_are_parted_at_the_threshold_as_the_probability_is(threshold):
    probability = np.linspace(0, 1, 100_001, dtype=np.float32)
    amounts = encoded(probability, "probability", threshold)
    np.testing.assert_array_equal(amounts / 255 >= threshold, probability >= threshold)
    interior = (255 - amounts) / np.float32(255) > np.float64(1 - threshold)
    np.testing.assert_array_equal(interior[1:-1], (probability < threshold)[1:-1])
    assert abs(amounts / 255 - probability).max() <= 1.5 / 255
    np.testing.assert_array_equal(encoded(probability, "interior", threshold), 255 - amounts)
    labels = encoded(probability, "labels", threshold)
    np.testing.assert_array_equal(labels, np.where(probability >= threshold, 0, 255))


def test_values_beyond_0_and_1_are_written_as_the_nearest():
    beyond = np.array([[-0.13, 1.15]], np.float32)
    np.testing.assert_array_equal(encoded(beyond, "probability", 0.5), [[0, 255]])
    np.testing.assert_array_equal(encoded(beyond, "interior", 0.5), [[255, 0]])


@pytest.mark.parametrize("kind", ["labels", "interior"])
def test_labels_and_interior_are_written_when_asked_for(run, image, tmp_path, kind):
    predict_volume(image, run, VolumeTask(tmp_path / "out.zarr", FAST, kind=kind))
    expected = encoded(predict(image, run, FAST), kind, 0.6)
    assert abs(VolumeOutput(tmp_path / "out.zarr")[:].astype(int) - expected).max() <= (kind == "interior")


def test_voxel_size_and_origin_of_the_values_stand_in_the_output(run, image, tmp_path):
    voxel = Voxel((50.0, 4.0, 4.0), "nanometer")
    predict_volume(
        volume_of(image, "Ventral nerve cord", voxel), run, VolumeTask(tmp_path / "out.zarr", FAST)
    )
    output = VolumeOutput(tmp_path / "out.zarr")
    assert output.voxel == voxel
    told = output.record
    assert (told["run"], told["image"], told["slices"]) == ("tiny", "Ventral nerve cord", [0, 4])
    assert (told["threshold"], told["kind"], told["orientations"]) == (0.6, "probability", 1)


@pytest.mark.slow
def test_constant_parts_are_predicted_as_any_other(run, image, tmp_path):
    image = image.copy()
    image[1], image[2, :100] = 7, 7
    assert predict_volume(image, run, VolumeTask(tmp_path / "out.zarr", FAST)).failures == ()


# Order, progress, and no more in memory than is needed


def test_slice_in_view_comes_first_and_the_others_by_their_distance(run, image, tmp_path):
    told = []
    predict_volume(
        image, run, VolumeTask(tmp_path / "out.zarr", FAST, near=2), context=JobContext(report=told.append)
    )
    order = [event.block.index[0] for event in told if isinstance(event, BlockDone)]
    assert order == [2] * 12 + [1] * 6 + order[18:]
    assert sorted(order[12:36]) == [1] * 12 + [3] * 12
    assert order[36:] == [0] * 12
    fractions = [event.fraction for event in told if isinstance(event, Progress)]
    assert fractions[-1] == 1


def test_near_counts_in_slices_of_the_volume(run, image, tmp_path):
    told = []
    settings = PredictionSettings(slices=(2, 4), close_gaps=False, orientations=1)
    predict_volume(
        image,
        run,
        VolumeTask(tmp_path / "out.zarr", settings, near=3),
        context=JobContext(report=told.append),
    )
    assert next(event.block.index[0] for event in told if isinstance(event, BlockDone)) == 1


@pytest.mark.parametrize("settings", [FAST, PredictionSettings(orientations=1)])
def test_no_more_is_read_than_a_block_and_its_halo(run, tmp_path, settings, monkeypatch):
    monkeypatch.setattr(plan, "_BLOCK_PX", 128)
    read = []
    values = np.full((1, 640, 600), 7, np.uint8)  # nothing whose gaps are to be closed
    predict_volume(
        Volume("V", "v.zarr", Pixels(values, (), read)), run, VolumeTask(tmp_path / "out.zarr", settings)
    )
    margin = 96 + 16 + (96 if settings.close_gaps else 0)
    sizes = sorted(read)[:-2]  # two more, for the grey levels of the slice and for its mark
    assert len(sizes) == 5 * 5
    assert max(sizes) <= (128 + 2 * margin) ** 2


@dataclass(frozen=True)
class DeepPixels(Pixels):
    chunks = (3, 32, 32)


@pytest.mark.parametrize("memory", [slabs.SLAB_BYTES, 1000])
@pytest.mark.parametrize("settings", [FAST, FAST.model_copy(update={"shards": (3, 64, 64)})])
def test_chunks_are_decoded_twice_however_deep_they_are_and_into_however_many_blocks(
    run, tmp_path, monkeypatch, memory, settings
):
    """Once for the blocks of all slices, and once for the marks of the slices."""
    monkeypatch.setattr(slabs, "SLAB_BYTES", memory)
    values = np.random.default_rng(0).integers(0, 256, (12, 150, 200)).astype(np.uint8)
    pixels = CountedChunks(values, (12, 64, 64))
    volume = replace(pixels.volume, source="v.zarr")  # else parts of it are read to know it again
    predict_volume(volume, run, VolumeTask(tmp_path / "deep.zarr", settings))
    assert pixels.most <= 2
    predict_volume(values, run, VolumeTask(tmp_path / "flat.zarr", settings))
    assert bytes_of(tmp_path / "deep.zarr" / "0") == bytes_of(tmp_path / "flat.zarr" / "0")


@pytest.mark.slow
def test_worker_processes_decode_deep_chunks_no_more_often_than_one_process(run, tmp_path):
    (tmp_path / "noted").mkdir()
    values = np.random.default_rng(0).integers(0, 256, (48, 150, 200)).astype(np.uint8)
    pixels = ChunksOfWorkers(values, (8, 64, 64), tmp_path / "noted")
    volume = replace(pixels.volume, source="v.zarr")
    task = VolumeTask(tmp_path / "out.zarr", FAST, scheduler=Scheduler("local", 3))
    assert predict_volume(volume, run, task).failures == ()
    assert list(pixels.in_all().values()) == [2] * 6 * 12


@pytest.mark.parametrize("memory", [slabs.SLAB_BYTES, 1000])
def test_deep_chunks_of_large_slices_are_decoded_no_more_often_than_flat_ones(
    run, tmp_path, monkeypatch, memory
):
    """Whose grey levels come from windows; neighbouring blocks see each other's edges."""
    monkeypatch.setattr(slabs, "SLAB_BYTES", memory)
    monkeypatch.setattr(normalisation, "_WHOLE_PIXELS", 1000)
    monkeypatch.setattr(normalisation, "_WINDOW_PX", 16)
    values = np.random.default_rng(0).integers(0, 256, (8, 150, 400)).astype(np.uint8)
    most = {}
    for depth in (8, 1):
        pixels = CountedChunks(values, (depth, 32, 32))
        volume = replace(pixels.volume, source="v.zarr")
        predict_volume(volume, run, VolumeTask(tmp_path / f"{depth}.zarr", FAST))
        most[depth] = pixels.most
    assert most[8] <= most[1]
    assert bytes_of(tmp_path / "8.zarr" / "0") == bytes_of(tmp_path / "1.zarr" / "0")


@pytest.mark.slow
def test_slices_that_share_chunks_are_read_together(run, image, tmp_path):
    read = []
    volume = Volume("V", "v.zarr", DeepPixels(np.concatenate([image, 255 - image]), (), read))
    told = []
    predict_volume(
        volume, run, VolumeTask(tmp_path / "deep.zarr", FAST, near=4), context=JobContext(report=told.append)
    )
    order = [e.block.index[0] for e in told if isinstance(e, BlockDone)]
    assert order[:12] == [4] * 12
    assert order[12:36] == [3, 5] * 12
    assert order[36:72] == [2, 1, 0] * 12
    assert order[72:] == [6, 7] * 12
    assert len(read) <= 3 * 12 + 12 + 3  # columns of three slabs, those of slice 4 twice, and grey levels
    values = np.concatenate([image, 255 - image])
    predict_volume(values, run, VolumeTask(tmp_path / "flat.zarr", FAST))
    assert bytes_of(tmp_path / "deep.zarr" / "0") == bytes_of(tmp_path / "flat.zarr" / "0")


@pytest.mark.parametrize("memory", [slabs.SLAB_BYTES, 1000])
def test_deep_chunks_of_slices_with_other_borders_are_read_together(run, tmp_path, monkeypatch, memory):
    monkeypatch.setattr(plan, "_BLOCK_PX", 512)  # a slice is a block
    monkeypatch.setattr(slabs, "SLAB_BYTES", memory)
    stack = np.random.default_rng(0).integers(1, 255, (24, 150, 200)).astype(np.uint8)
    for z, slice_ in enumerate(stack):
        slice_[: 10 + z], slice_[:, 180 - z :] = 0, 0
    pixels = CountedChunks(stack, (12, 64, 64))
    volume = replace(pixels.volume, source="v.zarr")  # else parts of it are read to know it again
    predict_volume(volume, run, VolumeTask(tmp_path / "deep.zarr", FAST))
    assert pixels.most <= 2
    predict_volume(stack, run, VolumeTask(tmp_path / "flat.zarr", FAST))
    assert bytes_of(tmp_path / "deep.zarr" / "0") == bytes_of(tmp_path / "flat.zarr" / "0")


class SlowPixels(DeepPixels):
    def read(self, window):
        time.sleep(0.01)
        return super().read(window)


def test_threads_share_slabs(image, monkeypatch):
    monkeypatch.setattr(slabs, "SLAB_BYTES", 3 * 150 * 200)
    read = []
    found = slabs.Slabs(Volume("V", "v.zarr", SlowPixels(np.concatenate([image] * 3), (), read)))
    whole = (slice(0, 150), slice(0, 200))
    with ThreadPoolExecutor(8) as pool:
        for z, values in enumerate(pool.map(lambda z: found.read(z, whole), range(12))):
            np.testing.assert_array_equal(values, image[z % 4])
    assert len(read) < 12
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(found)).read(5, whole), image[1])


# Deep shards

DEEP = FAST.model_copy(update={"shards": (3, 64, 64)})


def test_deep_shards_hold_the_same_voxels_in_fewer_files(run, image, tmp_path):
    for name, settings in (("deep", DEEP), ("flat", FAST)):
        predict_volume(image, run, VolumeTask(tmp_path / f"{name}.zarr", settings))
    deep, flat = (VolumeOutput(tmp_path / f"{name}.zarr") for name in ("deep", "flat"))
    np.testing.assert_array_equal(deep[:], flat[:])
    for one, other in zip(deep.levels, flat.levels, strict=True):
        np.testing.assert_array_equal(one[:], other[:])
    assert (deep.layout.shard, len(deep.blocks), len(flat.blocks)) == ((3, 64, 64), 24, 48)
    assert len(list((tmp_path / "deep.zarr" / "0" / "c").rglob("*/*/*"))) == 24


def test_a_deep_block_is_predicted_slice_by_slice(run, tmp_path, monkeypatch):
    """So a block needs the memory of one slice, and its result."""
    monkeypatch.setattr(plan, "_BLOCK_PX", 256)
    stack = np.random.default_rng(0).integers(0, 256, (16, 150, 200)).astype(np.uint8)
    told, waiting, most = [], [], []
    read, compute = block_work.PredictionWork.read, block_work.PredictionWork.compute

    def counted_read(work, block):
        waiting.append(block)
        most.append(len(waiting))
        assert len(block.slices) == 1
        return read(work, block)

    def counted_compute(work, block, given, should_stop):
        result = compute(work, block, given, should_stop)
        waiting.pop()
        return result

    monkeypatch.setattr(block_work.PredictionWork, "read", counted_read)
    monkeypatch.setattr(block_work.PredictionWork, "compute", counted_compute)
    settings = FAST.model_copy(update={"shards": (16, 160, 224)})
    predict_volume(stack, run, VolumeTask(tmp_path / "o.zarr", settings), JobContext(report=told.append))
    assert max(most) <= 4
    fractions = [event.fraction for event in told if isinstance(event, Progress)]
    assert fractions[:16] == [n / 16 for n in range(1, 17)]


@pytest.mark.slow
def test_worker_processes_write_deep_blocks_with_the_same_bytes(run, image, tmp_path):
    tifffile.imwrite(tmp_path / "in.tif", image, photometric="minisblack")
    volume = open_volume(tmp_path / "in.tif")
    for name, scheduler in (("here", Scheduler()), ("there", Scheduler("local", 2))):
        task = VolumeTask(tmp_path / name / "out.zarr", DEEP, scheduler=scheduler)
        assert predict_volume(volume, run, task).done == 24
    assert bytes_of(tmp_path / "here" / "out.zarr" / "0") == bytes_of(tmp_path / "there" / "out.zarr" / "0")


def test_the_deep_block_of_the_slice_in_view_comes_first(run, image, tmp_path):
    told = []
    stack = np.concatenate([image, image])
    settings = FAST.model_copy(update={"shards": (2, 64, 64)})
    task = VolumeTask(tmp_path / "out.zarr", settings, near=5)
    predict_volume(stack, run, task, JobContext(report=told.append))
    order = [event.block.index[0] for event in told if isinstance(event, BlockDone)]
    assert order[:12] == [2] * 12
    assert set(order[12:36]) == {1, 3}
    assert order[36:] == [0] * 12


def test_deep_blocks_are_resumed_with_the_same_bytes(run, image, tmp_path):
    told = []

    def enough() -> bool:
        return sum(isinstance(event, Progress) for event in told) >= 7  # in the middle of the third block

    task = VolumeTask(tmp_path / "out.zarr", DEEP)
    with pytest.raises(Cancelled):
        predict_volume(image, run, task, JobContext(report=told.append, should_stop=enough))
    assert 22 <= len(VolumeOutput(task.output).missing()) < 24
    predict_volume(image, run, task)
    predict_volume(image, run, VolumeTask(tmp_path / "whole" / "out.zarr", DEEP))
    assert bytes_of(tmp_path / "out.zarr") == bytes_of(tmp_path / "whole" / "out.zarr")


@pytest.mark.parametrize(("first", "then"), [(DEEP, FAST), (FAST, DEEP)])
def test_an_output_with_other_shards_is_not_resumed(run, image, tmp_path, first, then):
    predict_volume(image, run, VolumeTask(tmp_path / "out.zarr", first))
    before = bytes_of(tmp_path / "out.zarr")
    with pytest.raises(UserError, match=r"use the former as 'Shards \(voxels\)', or choose") as error:
        predict_volume(image, run, VolumeTask(tmp_path / "out.zarr", then))
    assert error.value.settings == ("shards",)
    assert bytes_of(tmp_path / "out.zarr") == before


@pytest.mark.parametrize("shards", [(3, 60, 64), (5, 64, 64), (1, 192, 64)])
def test_shards_that_do_not_fit_are_refused_and_nothing_is_written(run, image, tmp_path, shards):
    settings = FAST.model_copy(update={"shards": shards})
    with pytest.raises(UserError, match=r"not a multiple|larger than the output"):
        predict_volume(image, run, VolumeTask(tmp_path / "out.zarr", settings))
    assert list(tmp_path.iterdir()) == []


def test_a_broken_slice_costs_the_deep_blocks_that_hold_it_until_it_is_repaired(run, image, tmp_path):
    broken, task = Volume("V", "", Pixels(image, ((1, 0, 0),))), VolumeTask(tmp_path / "out.zarr", DEEP)
    failed = predict_volume(broken, run, task).failures
    assert failed
    assert {failure.index[0] for failure in failed} == {0}
    predict_volume(Volume("V", "", Pixels(image)), run, task)
    predict_volume(Volume("V", "", Pixels(image)), run, VolumeTask(tmp_path / "whole.zarr", DEEP))
    assert bytes_of(tmp_path / "out.zarr" / "0") == bytes_of(tmp_path / "whole.zarr" / "0")


# Going on


def test_what_is_done_is_not_done_again(run, image, tmp_path):
    first = predict_volume(image, run, VolumeTask(tmp_path / "out.zarr", FAST))
    before = bytes_of(tmp_path / "out.zarr")
    again = predict_volume(image, run, VolumeTask(tmp_path / "out.zarr", FAST))
    assert (first.done, again.done, again.skipped) == (48, 0, 48)
    assert bytes_of(tmp_path / "out.zarr") == before


@pytest.mark.parametrize("least", [slow_case(1), 20, slow_case(40)])
def test_cancelled_prediction_goes_on_and_ends_with_the_same_bytes(run, image, tmp_path, least):
    told = []

    def enough() -> bool:
        return sum(isinstance(event, BlockDone) for event in told) >= least

    with pytest.raises(Cancelled):
        predict_volume(
            image,
            run,
            VolumeTask(tmp_path / "out.zarr", FAST, near=1),
            context=JobContext(report=told.append, should_stop=enough),
        )
    there = 48 - len(VolumeOutput(tmp_path / "out.zarr").missing())
    assert least <= there < 48
    told.clear()
    found = predict_volume(
        image, run, VolumeTask(tmp_path / "out.zarr", FAST), context=JobContext(report=told.append)
    )
    assert (found.done, found.skipped) == (48 - there, there)
    assert any(isinstance(e, Message) and f"{there} of 48 blocks" in e.text for e in told)
    predict_volume(image, run, VolumeTask(tmp_path / "whole" / "out.zarr", FAST, near=3))
    assert bytes_of(tmp_path / "out.zarr") == bytes_of(tmp_path / "whole" / "out.zarr")


SCRIPT = """
    import sys, time
    import numpy as np
    from emseg_napari.core.jobs import BlockDone, JobContext
    from emseg_napari.inference import plan
    from emseg_napari.inference.volume import VolumeTask, predict_volume
    from emseg_napari.settings import PredictionSettings

    plan._CHUNK_PX, plan._BLOCK_PX = 32, 64
    image = np.load(sys.argv[1])

    def told(event):
        if isinstance(event, BlockDone):
            print("done", flush=True)
            time.sleep(float(sys.argv[4]))

    settings = PredictionSettings(close_gaps=False, orientations=1)
    predict_volume(image, sys.argv[2], VolumeTask(sys.argv[3], settings), JobContext(told))
"""


def start(*arguments: object) -> subprocess.Popen:
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_killed_prediction_goes_on_and_ends_with_the_same_bytes(run, image, tmp_path):
    np.save(tmp_path / "image.npy", image)
    output = tmp_path / "out.zarr"
    with start(tmp_path / "image.npy", run.folder, output, 0.1) as process:
        for _ in range(6):
            process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
    missing = len(VolumeOutput(output).missing())
    assert 0 < missing <= 48 - 6
    found = predict_volume(image, run, VolumeTask(output, FAST))
    assert found.done == missing
    predict_volume(image, run, VolumeTask(tmp_path / "whole" / "out.zarr", FAST))
    whole = bytes_of(tmp_path / "whole" / "out.zarr")
    there = bytes_of(output)
    assert {name: there[name] for name in whole} == whole


@pytest.mark.parametrize(
    ("other", "named"),
    [
        slow_case({"threshold": 0.4}, r"'Threshold' was 0.6 and is 0.4\. To resume"),
        slow_case({"orientations": 2}, r"'Orientations' was 1 and is 2\. To"),
        ({"tile_px": 64}, r"'Tile size \(px\)' was 2304 and is 64\. To"),
        slow_case({"close_gaps": True}, r"'Close gaps' was off and is on\. To"),
        ({"slices": (0, 2)}, r"other choices: 'Slices' was 0:4 and is 0:2\. To"),
    ],
)
def test_prediction_with_other_settings_is_refused_with_what_differs(run, image, tmp_path, other, named):
    predict_volume(image, run, VolumeTask(tmp_path / "out.zarr", FAST))
    with pytest.raises(UserError, match=named):
        predict_volume(image, run, VolumeTask(tmp_path / "out.zarr", FAST.model_copy(update=other)))


def test_a_prediction_goes_on_only_with_the_content_that_it_began_with(run, image, tmp_path):
    path, task = tmp_path / "in.tif", VolumeTask(tmp_path / "out.zarr", FAST)
    other = image.copy()
    other[2] = 255 - other[2]
    tifffile.imwrite(path, image, photometric="minisblack")
    predict_volume(open_volume(path), run, task)
    (task.output / "0" / "c" / "1" / "0" / "0").unlink()
    then = path.stat()
    tifffile.imwrite(path, other, photometric="minisblack")
    os.utime(path, ns=(then.st_atime_ns, then.st_mtime_ns))
    with pytest.raises(UserError, match="the image has other values than then, under the same name"):
        predict_volume(open_volume(path), run, task)
    os.utime(path, (9**10, 9**10))
    said = r"the image was changed since under the same name \(then \d+ bytes of 2.*, now \d+ bytes of 2"
    with pytest.raises(UserError, match=said):
        predict_volume(open_volume(path), run, task)
    tifffile.imwrite(path, image, photometric="minisblack")
    os.utime(path, (1, 1))
    again = predict_volume(open_volume(path), run, task)
    assert (again.done, again.skipped) == (1, 47)
    assert again.record["source_state"]["modified"].startswith("1970")
    output = VolumeOutput(task.output)
    output._group.update_attributes({"emseg": {**output.record, "source_state": None}})
    tifffile.imwrite(path, other, photometric="minisblack")
    assert predict_volume(open_volume(path), run, task).skipped == 48  # an earlier version began it


def test_an_image_that_is_changed_while_it_is_predicted_is_reported_and_nothing_goes_on_with_it(
    run, image, tmp_path
):
    array = zarr.create_array(tmp_path / "in.zarr", data=image, chunks=(1, 150, 200))

    def report(event) -> None:
        if isinstance(event, BlockDone) and event.block.index == (1, 0, 0):
            array[:] = 255 - image

    task = VolumeTask(tmp_path / "out.zarr", FAST)
    with pytest.raises(UserError, match=r"in.zarr was changed while it was read, so that .*out.zarr is made"):
        predict_volume(open_volume(tmp_path / "in.zarr"), run, task, JobContext(report=report))
    assert "fingerprints" not in VolumeOutput(task.output).record
    with pytest.raises(UserError, match=r"the image was changed since|the image has other values than then"):
        predict_volume(open_volume(tmp_path / "in.zarr"), run, task)


def test_prediction_of_another_image_or_by_another_run_is_refused(run, image, tmp_path):
    predict_volume(image, run, VolumeTask(tmp_path / "out.zarr", FAST))
    with pytest.raises(UserError, match="other choices: the image is another, or was changed since"):
        predict_volume(255 - image, run, VolumeTask(tmp_path / "out.zarr", FAST))
    other = tiny_network_run(tmp_path / "tiny", scale=(0.5, 0.5))
    with pytest.raises(UserError, match=r"other choices: the run was .* and is "):
        predict_volume(image, other, VolumeTask(tmp_path / "out.zarr", FAST))
    with pytest.raises(UserError, match=r"what is written was probability and is interior\. To"):
        predict_volume(image, run, VolumeTask(tmp_path / "out.zarr", FAST, kind="interior"))


def test_run_that_was_moved_goes_on(run, image, tmp_path):
    predict_volume(image, run, VolumeTask(tmp_path / "out.zarr", FAST))
    shutil.copytree(run.folder, tmp_path / "elsewhere")
    assert (
        predict_volume(image, tmp_path / "elsewhere", VolumeTask(tmp_path / "out.zarr", FAST)).skipped == 48
    )
    assert VolumeOutput(tmp_path / "out.zarr").record["run_folder"] == str(run.folder)


def test_image_that_is_called_otherwise_goes_on(run, image, tmp_path):
    predict_volume(image, run, VolumeTask(tmp_path / "out.zarr", FAST))
    assert (
        predict_volume(volume_of(image, "Other"), run, VolumeTask(tmp_path / "out.zarr", FAST)).skipped == 48
    )
    assert VolumeOutput(tmp_path / "out.zarr").record["image"] == "The image"
    with pytest.raises(UserError, match=r"other choices: the image was The image and is Other\. To"):
        predict_volume(
            volume_of(image.astype(np.uint16), "Other"), run, VolumeTask(tmp_path / "out.zarr", FAST)
        )


# What is broken


def test_broken_chunks_cost_the_blocks_that_see_them_and_are_named(run, image, tmp_path):
    told = []
    volume = Volume("V", "", Pixels(image, ((1, 0, 0), (3, 4, 6))))
    found = predict_volume(
        volume, run, VolumeTask(tmp_path / "out.zarr", FAST), context=JobContext(report=told.append)
    )
    failed = {failure.index for failure in found.failures}
    assert (1, 0, 0) in failed
    assert (3, 2, 3) in failed
    assert not {index for index in failed if index[0] in (0, 2)}
    assert all("is damaged" in failure.text for failure in found.failures)
    assert [event for event in told if isinstance(event, BlockFailed)] == list(found.failures)
    assert {block.index for block in VolumeOutput(tmp_path / "out.zarr").missing()} == failed
    assert found.done == 48 - len(failed)
    assert not VolumeOutput(tmp_path / "out.zarr")[1, :64, :64].any()


def test_mended_chunks_are_all_that_is_done_again(run, image, tmp_path):
    broken = Volume("V", "", Pixels(image, ((1, 0, 0),)))
    failed = len(predict_volume(broken, run, VolumeTask(tmp_path / "out.zarr", FAST)).failures)
    mended = predict_volume(Volume("V", "", Pixels(image)), run, VolumeTask(tmp_path / "out.zarr", FAST))
    assert (mended.done, mended.skipped) == (failed, 48 - failed)
    predict_volume(Volume("V", "", Pixels(image)), run, VolumeTask(tmp_path / "unbroken.zarr", FAST))
    assert bytes_of(tmp_path / "out.zarr" / "0") == bytes_of(tmp_path / "unbroken.zarr" / "0")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_blocks_with_pixels_that_are_no_numbers_are_named_and_the_others_are_done(
    run, image, tmp_path, value
):
    image = image.astype(np.float32)
    image[2, 10, 20] = value
    found = predict_volume(image, run, VolumeTask(tmp_path / "out.zarr", FAST))
    assert {failure.index[0] for failure in found.failures} == {2}
    assert (2, 0, 0) in {failure.index for failure in found.failures}
    assert "not finite numbers" in found.failures[0].text
    assert "slice 2 at y 10, x 20" in found.failures[0].text
    expected = predict(image[[0, 1, 3]], run, FAST)
    written = VolumeOutput(tmp_path / "out.zarr")[:][[0, 1, 3]]
    np.testing.assert_allclose(written / 255, expected, atol=1.5 / 255)


@pytest.mark.parametrize(
    ("values", "settings", "sentence"),
    [
        (np.zeros((2, 20, 20), bool), {}, "bool"),
        (np.zeros((2, 20, 20), np.complex64), {}, "complex64"),
        (np.zeros((0, 20, 20), np.uint8), {}, "no pixels"),
        (np.zeros((2, 2, 20, 20), np.uint8), {}, "4 axes"),
        (np.zeros((2, 20, 20), np.uint8), {"slices": (1, 3)}, "1:3 does not lie inside the stack"),
    ],
)
def test_what_cannot_be_predicted_gets_a_sentence_and_leaves_nothing(
    run, tmp_path, values, settings, sentence
):
    with pytest.raises(UserError, match=sentence):
        predict_volume(values, run, VolumeTask(tmp_path / "out.zarr", PredictionSettings(**settings)))
    assert not (tmp_path / "out.zarr").exists()


def test_unfinished_run_leaves_nothing(run, image, tmp_path):
    unfinished = tiny_network_run(tmp_path / "run")
    unfinished.network_file.unlink()
    with pytest.raises(UserError, match="no finished network"):
        predict_volume(image, unfinished, VolumeTask(tmp_path / "out.zarr"))
    assert not (tmp_path / "out.zarr").exists()


def test_full_disk_ends_at_once_and_what_is_done_stays(run, image, tmp_path, monkeypatch):
    written = VolumeOutput.write

    def full(self, block, values):
        if block.index[0] == 1:
            raise UserError(f"{self.path} cannot be written: the disk is full; free some space.")
        written(self, block, values)

    monkeypatch.setattr(VolumeOutput, "write", full)
    with pytest.raises(UserError, match="disk is full"):
        predict_volume(image, run, VolumeTask(tmp_path / "out.zarr", FAST))
    monkeypatch.undo()
    assert {block.index[0] for block in VolumeOutput(tmp_path / "out.zarr").missing()} == {1, 2, 3}


def test_what_is_somebody_elses_is_not_written_into(run, image, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("mine")
    with pytest.raises(UserError, match="not an earlier output"):
        predict_volume(image, run, VolumeTask(tmp_path / "notes", FAST))
    assert (tmp_path / "notes" / "a.txt").read_text() == "mine"


class Waiting:
    """A network that takes as long as it may."""

    def get_inputs(self):
        return [SimpleNamespace(name="image")]

    def get_providers(self):
        return ["CPUExecutionProvider"]

    def run(self, _, feeds, options):
        ends = time.monotonic() + PATIENCE_S
        while not options.terminate and time.monotonic() < ends:
            time.sleep(0.001)
        raise ValueError(feeds["image"])


def test_a_network_is_stopped_in_the_middle_of_a_tile():
    began = time.monotonic()
    with pytest.raises(Cancelled):
        stoppable(Waiting())(np.zeros(1), lambda: time.monotonic() > began + 0.1)
    assert 0.1 < time.monotonic() - began < PATIENCE_S / 2


# On a cluster


def test_work_travels_without_what_it_has_opened(run, image, tmp_path):
    work = plan.planned(volume_of(image), run, VolumeTask(tmp_path / "out.zarr", FAST)).work
    before = len(pickle.dumps(work))
    assert work._predictor is not None
    assert len(pickle.dumps(work)) == before
    assert work.paths == [run.folder.resolve(), tmp_path / "out.zarr"]


def test_a_part_of_a_volume_lies_where_it_was_cut_from(run, image, tmp_path):
    volume = volume_of(image, "brain", Voxel((50, 4, 4), "nanometer"))
    settings = FAST.model_copy(update={"slices": (2, 4)})
    predict_volume(volume, run, VolumeTask(tmp_path / "a.zarr", settings))
    attributes = json.loads((tmp_path / "a.zarr" / "zarr.json").read_text())["attributes"]["ome"]
    placed = attributes["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    assert placed[1]["translation"] == [100, 0, 0]
    assert predict_volume(volume, run, VolumeTask(tmp_path / "a.zarr", settings)).skipped == 24


@pytest.mark.slow
def test_chunks_without_a_file_are_empty_where_one_says_so(run, image, tmp_path):
    image = image.copy()
    image[:, :50, :50] = 0
    array = zarr.create_array(tmp_path / "in.zarr", shape=SHAPE, chunks=(1, 50, 50), dtype="uint8")
    array[:] = image
    settings = FAST.model_copy(update={"missing_is_empty": True})
    strict = predict_volume(open_volume(tmp_path / "in.zarr"), run, VolumeTask(tmp_path / "a.zarr", FAST))
    assert "'Missing chunks are empty'" in strict.failures[0].text
    assert strict.failures[0].settings == ("missing_is_empty",)
    assert not predict_volume(
        open_volume(tmp_path / "in.zarr"), run, VolumeTask(tmp_path / "b.zarr", settings)
    ).failures
    wanted = predict(image, run, FAST)
    assert np.abs(VolumeOutput(tmp_path / "b.zarr")[:] / 255 - wanted).max() < 1 / 255


def test_a_scheduler_that_is_not_there_leaves_no_output(run, image, tmp_path, monkeypatch):
    monkeypatch.setattr(dask_client, "SECONDS_TO_CONNECT", 0.3)
    with pytest.raises(UserError, match="No Dask scheduler answers"):
        predict_volume(
            image, run, VolumeTask(tmp_path / "a.zarr", FAST, scheduler=Scheduler("tcp://127.0.0.1:1"))
        )
    assert not (tmp_path / "a.zarr").exists()


def test_a_network_that_is_replaced_by_one_of_the_same_size_is_loaded_again(tmp_path, image):
    run = tiny_network_run(tmp_path / "run")
    held = load_predictor(run, FAST)  # as a window that stays open
    before = predict(image, run, FAST)
    model = onnx.load(run.network_file)
    (bias,) = (one for one in model.graph.initializer if one.name == "bias")
    bias.CopyFrom(onnx.numpy_helper.from_array(np.array([-0.5], np.float32), "bias"))
    size = run.network_file.stat().st_size
    run.network_file.write_bytes(model.SerializeToString())
    assert run.network_file.stat().st_size == size
    assert (predict(image, run, FAST) > before).all()
    assert held is not None


# -- one writer at a time -----------------------------------------------------------------


def test_a_second_prediction_into_the_same_output_is_refused_while_the_first_one_works(image, run, tmp_path):
    target, refused = tmp_path / "p.zarr", []

    def report(event):
        if isinstance(event, BlockDone) and not refused:
            with ThreadPoolExecutor(1) as pool:
                again = pool.submit(predict_volume, image, run, VolumeTask(target, FAST))
                refused.append(str(again.exception()))

    first = predict_volume(image, run, VolumeTask(target, FAST), JobContext(report))
    assert first.skipped == 0
    assert f"p.zarr is being written by another emseg (process {os.getpid()}); wait for it" in refused[0]
    assert [path.name for path in tmp_path.iterdir()] == ["p.zarr"]
    assert predict_volume(image, run, VolumeTask(target, FAST)).done == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")
def test_a_killed_prediction_locks_nobody_out(image, run, tmp_path):
    target = tmp_path / "p.zarr"
    with another_process(lambda: OutputLock(target)), pytest.raises(UserError, match="being written"):
        predict_volume(image, run, VolumeTask(target, FAST))
    assert predict_volume(image, run, VolumeTask(target, FAST)).failures == ()


@pytest.mark.parametrize(
    "odd", [odd if name == "transposed" else slow_case(odd, id=name) for name, odd in ODD.items()]
)
def test_an_image_is_predicted_however_it_lies_in_memory(image, run, tmp_path, odd):
    for dtype in ("u1", "u2"):
        plain = image[:2].astype(dtype)
        predict_volume(plain, run, VolumeTask(tmp_path / f"plain-{dtype}.zarr", FAST))
        predict_volume(odd(plain), run, VolumeTask(tmp_path / f"odd-{dtype}.zarr", FAST))
        expected, found = (VolumeOutput(tmp_path / f"{name}-{dtype}.zarr")[:] for name in ("plain", "odd"))
        assert np.array_equal(found, expected)
        assert np.array_equal(predict(odd(plain), run, FAST), predict(plain, run, FAST))
