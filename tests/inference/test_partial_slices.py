"""What becomes of a slice of which a part cannot be read."""

from dataclasses import replace

import numpy as np
import pytest
import zarr

from emseg_napari.core.jobs import BlockFailed, JobContext, Message
from emseg_napari.inference import block_work, plan, predict
from emseg_napari.inference.partial_slices import noted_in
from emseg_napari.inference.volume import VolumeTask, predict_volume
from emseg_napari.io.nan_holes import holed
from emseg_napari.io.ome_zarr_writer import VolumeOutput
from emseg_napari.io.open import open_volume
from emseg_napari.models.normalisation import Normalisation
from emseg_napari.settings import PredictionSettings
from helpers.counted_chunks import CountedChunks
from helpers.slow import slow_case
from helpers.tiny_runs import tiny_network_run

FAST = PredictionSettings(orientations=1, close_gaps=False)
SHAPE = (2, 260, 300)
ALL = 2 * 5 * 5  # blocks


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tiny_network_run(tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(plan, "_CHUNK_PX", 32)
    monkeypatch.setattr(plan, "_BLOCK_PX", 64)


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    """Slices that grow brighter along y, so that each part has grey levels of its own."""
    noise = np.random.default_rng(0).integers(0, 100, SHAPE)
    return (noise + np.linspace(0, 155, SHAPE[1])[:, np.newaxis]).astype(np.uint8)


class Disk:
    """A Zarr volume with chunks of 1 x 50 x 60, some of which are spoilt for a while."""

    def __init__(self, folder, values):
        self._array = zarr.create_array(folder / "in.zarr", shape=SHAPE, chunks=(1, 50, 60), dtype="uint8")
        self._values = values
        self.mend()

    def mend(self):
        self._array[:] = self._values

    def spoil(self, *index):
        (self._array.store.root / "c" / "/".join(map(str, index))).write_bytes(b"no chunk")

    def lose(self, *index):
        (self._array.store.root / "c" / "/".join(map(str, index))).unlink()

    @property
    def volume(self):
        return open_volume(self._array.store.root)


@pytest.fixture
def disk(tmp_path, values) -> Disk:
    return Disk(tmp_path, values)


@pytest.fixture
def task(tmp_path) -> VolumeTask:
    return VolumeTask(tmp_path / "out.zarr", FAST)


def failed(found) -> set[tuple[int, int, int]]:
    return {failure.index for failure in found.failures}


def test_what_cannot_be_read_is_nan_and_all_else_is_itself(disk, values):
    disk.spoil(1, 0, 0)
    disk.lose(1, 4, 2)
    read = holed(disk.volume)[1]
    wanted = values[1].astype(np.float32)
    wanted[:50, :60] = wanted[200:250, 120:180] = np.nan
    np.testing.assert_array_equal(read, wanted)
    np.testing.assert_array_equal(holed(disk.volume)[0, 7:90, 13:200], values[0, 7:90, 13:200])


@pytest.mark.parametrize("break_", [Disk.spoil, slow_case(Disk.lose)])
def test_only_blocks_that_see_the_broken_chunk_fail(run, disk, values, task, break_):
    break_(disk, 1, 0, 0)
    told = []
    found = predict_volume(disk.volume, run, task, context=JobContext(report=told.append))
    assert (1, 0, 0) in failed(found)
    assert {index[0] for index in failed(found)} == {1}
    assert len(failed(found)) <= 9  # the tiny network sees less than two blocks around
    assert found.done == ALL - len(failed(found))
    assert [event for event in told if isinstance(event, BlockFailed)] == list(found.failures)
    assert found.warning.startswith("Slice 1 cannot be read as a whole and has the grey levels of the rest")
    assert noted_in(found.record) == [1]


def test_grey_levels_are_those_of_what_can_be_read(run, disk, values, task):
    disk.spoil(1, 0, 0)
    predict_volume(disk.volume, run, task)
    readable = values[1].astype(np.float32)
    readable[:50, :60] = np.nan
    levels = Normalisation().levels(readable)
    assert levels != Normalisation().levels(values[1])
    assert VolumeOutput(task.output).record["levels_of_a_part"] == {
        "1": {"middle": levels.middle, "scale": levels.scale}
    }
    # As if the network had been shown the slice with these levels.
    whole = block_work.load_predictor(run, FAST).window(values[1], (slice(0, 260), slice(0, 300)), levels)
    found = VolumeOutput(task.output)[1, 192:, 192:]
    np.testing.assert_allclose(found / 255, whole[192:, 192:], atol=1.5 / 255)


def test_the_same_command_again_goes_on_with_the_same_levels(run, disk, task):
    disk.spoil(1, 0, 0)
    first = predict_volume(disk.volume, run, task)
    (task.output / "0" / "c" / "1" / "4" / "4").unlink()
    again = predict_volume(disk.volume, run, task)
    assert (again.done, again.skipped) == (1, first.done - 1)
    assert again.record == first.record


def test_a_mended_slice_is_predicted_anew_as_if_it_had_never_been_broken(run, disk, values, task, tmp_path):
    disk.spoil(1, 0, 0)
    first, told = predict_volume(disk.volume, run, task), []
    disk.mend()
    mended = predict_volume(disk.volume, run, task, context=JobContext(report=told.append))
    assert (mended.done, mended.skipped, mended.failures) == (25, ALL - 25, ())
    assert first.done > mended.skipped
    assert noted_in(mended.record) == []
    assert any(
        "Predicted again, because the volume has changed: Slice 1." in one.text
        for one in told
        if isinstance(one, Message)
    )
    written = VolumeOutput(task.output)[:]
    unbroken = VolumeTask(tmp_path / "unbroken.zarr", FAST)
    predict_volume(disk.volume, run, unbroken)
    np.testing.assert_array_equal(written, VolumeOutput(unbroken.output)[:])
    np.testing.assert_allclose(written / 255, predict(values, run, FAST), atol=1.5 / 255)


@pytest.mark.slow
def test_of_a_part_of_the_stack_its_own_mended_slices_are_predicted_anew(run, values, tmp_path):
    values = np.concatenate([values, 255 - values])
    array = zarr.create_array(tmp_path / "in.zarr", data=values, chunks=(1, 50, 60))
    settings = FAST.model_copy(update={"slices": (1, 3)})
    task = VolumeTask(tmp_path / "out.zarr", settings)
    (tmp_path / "in.zarr" / "c" / "2" / "0" / "0").write_bytes(b"no chunk")
    predict_volume(open_volume(tmp_path / "in.zarr"), run, task)
    assert noted_in(VolumeOutput(task.output).record) == [2]
    array[:] = values
    mended = predict_volume(open_volume(tmp_path / "in.zarr"), run, task)
    assert (mended.done, mended.skipped, mended.failures) == (25, 25, ())
    predict_volume(open_volume(tmp_path / "in.zarr"), run, VolumeTask(tmp_path / "unbroken.zarr", settings))
    np.testing.assert_array_equal(VolumeOutput(task.output)[:], VolumeOutput(tmp_path / "unbroken.zarr")[:])


@pytest.mark.slow
def test_a_slice_that_is_mended_in_part_has_the_levels_of_one_occasion(run, disk, values, task):
    disk.spoil(1, 0, 0)
    disk.spoil(1, 5, 0)
    predict_volume(disk.volume, run, task)
    far = (1, slice(128, 192), slice(256, 300))
    before = VolumeOutput(task.output)[far]
    disk.mend()
    disk.spoil(1, 0, 0)
    found = predict_volume(disk.volume, run, task)
    assert found.done == 25 - len(failed(found))
    assert noted_in(found.record) == [1]
    assert (VolumeOutput(task.output)[far] != before).any()


@pytest.mark.slow
def test_a_slice_that_broke_after_it_was_begun_waits(run, disk, values, task):
    predict_volume(disk.volume, run, task)
    for block in (1, 0, 0), (1, 4, 4):
        (task.output / "0" / "c" / "/".join(map(str, block))).unlink()
    disk.spoil(1, 0, 0)
    found = predict_volume(disk.volume, run, task)
    assert failed(found) == {(1, 0, 0), (1, 4, 4)}
    assert noted_in(found.record) == []


def test_a_slice_of_which_nothing_can_be_read_fails(run, disk, task):
    for j, i in np.ndindex(6, 5):
        disk.lose(1, int(j), int(i))
    found = predict_volume(disk.volume, run, task)
    assert len(failed(found)) == 25
    assert noted_in(found.record) == []


def test_the_readable_rest_of_a_window_costs_few_looks_at_each_chunk_however_many_are_broken():
    values = np.zeros((1, 160, 160), np.uint8)
    indices = [(0, int(j), int(i)) for j, i in np.ndindex(16, 16)]
    for broken in (indices, indices[::2], indices[-1:]):
        pixels = CountedChunks(values, (1, 10, 10), broken)
        read = holed(pixels.volume)[0]
        assert np.isnan(read).sum() == 100 * len(broken)
        assert pixels.most <= 2


def test_blocks_of_a_slice_that_cannot_be_read_cost_time_by_their_number(run, tmp_path):
    """And not by its square: the grey levels of the slice are tried once, not once for every block."""
    decoded = {}
    for columns in (8, 16):
        values = np.random.default_rng(0).integers(0, 255, (1, 64, 64 * columns)).astype(np.uint8)
        pixels = CountedChunks(values, (1, 32, 32), [(0, 0, 0)])
        volume = replace(pixels.volume, source="v.zarr")
        found = predict_volume(volume, run, VolumeTask(tmp_path / f"{columns}.zarr", FAST))
        assert 0 < len(found.failures) <= 3
        decoded[columns] = sum(pixels.decoded.values())
    assert decoded[16] <= 2.2 * decoded[8]
