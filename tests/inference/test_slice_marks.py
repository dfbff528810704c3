"""A prediction on disk knows the marks of the slices that it shows."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import tifffile
import zarr

from emseg_napari.core.jobs import BlockDone, Cancelled, JobContext, Progress
from emseg_napari.inference import plan, slice_marks
from emseg_napari.inference.volume import VolumeTask, predict_volume
from emseg_napari.io.fingerprint import SliceMarker, fingerprint
from emseg_napari.io.ome_zarr_writer import VolumeOutput
from emseg_napari.io.open import open_volume
from emseg_napari.io.volume import Volume
from emseg_napari.settings import PredictionSettings
from helpers.thread_workers import thread_workers
from helpers.tiny_runs import tiny_network_run

FAST = PredictionSettings(close_gaps=False, orientations=1)
IMAGE = np.random.default_rng(0).integers(0, 256, (5, 70, 80)).astype(np.uint8)
MARKS = [fingerprint(one) for one in IMAGE]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tiny_network_run(tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture
def several_blocks(monkeypatch):
    monkeypatch.setattr(plan, "_CHUNK_PX", 32)
    monkeypatch.setattr(plan, "_BLOCK_PX", 64)


def marks_of(output) -> list[str]:
    return VolumeOutput(output).record["fingerprints"]


@dataclass(frozen=True)
class Pixels:
    """Counts how often each chunk is decoded."""

    values: np.ndarray
    chunks: tuple[int, int, int]
    decoded: dict[tuple[int, ...], int] = field(default_factory=dict)

    @property
    def shape(self):
        return self.values.shape

    @property
    def dtype(self):
        return self.values.dtype

    def read(self, window):
        ranges = [range(w.start // c, -(-w.stop // c)) for w, c in zip(window, self.chunks, strict=True)]
        for index in np.ndindex(*map(len, ranges)):
            place = tuple(r[n] for r, n in zip(ranges, index, strict=True))
            self.decoded[place] = self.decoded.get(place, 0) + 1
        return self.values[window]


@pytest.mark.parametrize("chunks", [(4, 32, 32), (1, 70, 80)])
@pytest.mark.parametrize("dtype", ["u1", ">u2", "f8"])
def test_marks_are_those_of_the_slices_and_no_chunk_is_decoded_more_than_twice(run, tmp_path, chunks, dtype):
    pixels, told = Pixels(IMAGE.astype(dtype), chunks), []
    volume, task = Volume("V", "no file", pixels), VolumeTask(tmp_path / "out.zarr", FAST)
    predict_volume(volume, run, task, context=JobContext(report=told.append))
    assert marks_of(task.output) == MARKS
    assert max(pixels.decoded.values()) == 2
    assert any(isinstance(e, Progress) and e.text.startswith("marks of slices") for e in told)
    assert sum(isinstance(e, BlockDone) for e in told) == 5


def test_of_a_part_only_its_own_slices_are_marked(run, tmp_path):
    settings = FAST.model_copy(update={"slices": (1, 3)})
    predict_volume(IMAGE, run, VolumeTask(tmp_path / "out.zarr", settings))
    assert marks_of(tmp_path / "out.zarr") == MARKS[1:3]


def test_workers_of_a_scheduler_make_the_marks(run, tmp_path, monkeypatch):
    monkeypatch.setattr(slice_marks, "_FEW", 1)
    monkeypatch.setattr(slice_marks, "LOCAL", None)  # nothing of it is done here
    tifffile.imwrite(tmp_path / "in.tif", IMAGE, photometric="minisblack")
    settings = FAST.model_copy(update={"slices": (1, 4)})
    with thread_workers(2) as scheduler:
        task = VolumeTask(tmp_path / "out.zarr", settings, scheduler=scheduler)
        assert predict_volume(open_volume(tmp_path / "in.tif"), run, task).failures == ()
    assert marks_of(task.output) == MARKS[1:4]


def test_rows_of_wide_slices_come_in_bands_and_deep_chunks_in_parts(run, tmp_path, monkeypatch):
    monkeypatch.setattr(slice_marks, "_BAND_BYTES", 3 * 80 * 32)
    monkeypatch.setattr(slice_marks, "_MOST_BYTES", 3 * 80 * 32)
    volume = Volume("V", "no file", Pixels(IMAGE, (4, 32, 32)))
    predict_volume(volume, run, VolumeTask(tmp_path / "out.zarr", FAST))
    assert marks_of(tmp_path / "out.zarr") == MARKS


@pytest.mark.parametrize("trained", [{"image_shape": IMAGE.shape}, {"start": "another run, of other images"}])
def test_slices_are_known_by_the_marks_that_an_earlier_run_has_of_them(tmp_path, trained):
    from hashlib import sha256

    run = tiny_network_run(tmp_path / "run")
    old = sha256(IMAGE[2].astype(np.uint16).tobytes()).hexdigest()[:16]
    run.update(fingerprints=[old], **trained)
    predict_volume(IMAGE, run, VolumeTask(tmp_path / "out.zarr", FAST))
    assert marks_of(tmp_path / "out.zarr") == [*MARKS[:2], old, *MARKS[3:]]


def test_marks_of_an_earlier_version_are_not_made_for_slices_of_another_size(tmp_path, monkeypatch):
    run, made = tiny_network_run(tmp_path / "run"), []
    run.update(fingerprints=["of another image"])
    monkeypatch.setattr(
        slice_marks, "SliceMarker", lambda earlier: made.append(earlier) or SliceMarker(earlier)
    )
    predict_volume(IMAGE, run, VolumeTask(tmp_path / "out.zarr", FAST))
    assert made == [False] * 5


@pytest.mark.usefixtures("several_blocks")
def test_marks_are_made_up_for_where_a_prediction_was_cancelled(run, tmp_path):
    told = []

    def report(event) -> None:
        told.append(event)

    def marking() -> bool:
        return any(isinstance(e, Progress) and e.text.startswith("marks") for e in told)

    task = VolumeTask(tmp_path / "out.zarr", FAST)
    with pytest.raises(Cancelled):
        predict_volume(IMAGE, run, task, context=JobContext(report=report, should_stop=marking))
    assert not VolumeOutput(task.output).missing()
    assert "fingerprints" not in VolumeOutput(task.output).record
    assert predict_volume(IMAGE, run, task).done == 0
    assert marks_of(task.output) == MARKS


@pytest.mark.usefixtures("several_blocks")
def test_a_slice_that_cannot_be_read_has_no_mark_until_it_is_mended(run, tmp_path):
    array = zarr.create_array(tmp_path / "in.zarr", data=IMAGE, chunks=(1, 35, 40))
    (tmp_path / "in.zarr" / "c" / "3" / "0" / "0").write_bytes(b"no chunk")
    task = VolumeTask(tmp_path / "out.zarr", FAST)
    assert predict_volume(open_volume(tmp_path / "in.zarr"), run, task).failures
    assert marks_of(task.output) == [*MARKS[:3], "", MARKS[4]]
    array[:] = IMAGE
    assert predict_volume(open_volume(tmp_path / "in.zarr"), run, task).failures == ()
    assert marks_of(task.output) == MARKS


@pytest.mark.usefixtures("several_blocks")
def test_of_an_output_of_before_only_slices_that_are_predicted_now_are_marked(run, tmp_path):
    task = VolumeTask(tmp_path / "out.zarr", FAST)
    predict_volume(IMAGE, run, task)
    output = VolumeOutput(task.output)
    old = {name: one for name, one in output.record.items() if name not in ("fingerprints", "source_state")}
    output._group.update_attributes({"emseg": old})
    predict_volume(IMAGE, run, task)
    assert "fingerprints" not in VolumeOutput(task.output).record
    output.remove_slices([2])
    predict_volume(IMAGE, run, task)
    assert marks_of(task.output) == ["", "", MARKS[2], "", ""]
