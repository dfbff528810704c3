import errno
import itertools
import os
import pickle
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorstore
import yaozarrs
import zarr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from emseg_napari.core import files
from emseg_napari.core.jobs import Cancelled, JobContext, Progress, UserError
from emseg_napari.core.locks import OutputLock
from emseg_napari.io.ome_zarr_writer import Blocks, Layout, VolumeOutput
from emseg_napari.io.pyramid import level_factors, reduced
from emseg_napari.io.resume_check import LATER, MARKS
from emseg_napari.io.source_id import STATE
from emseg_napari.io.volume import Voxel
from helpers.faults import another_process, kills, needs_fork
from helpers.odd_arrays import odd_arrays

EM = Voxel((50.0, 4.0, 4.0), "nanometer")
IMAGE = Layout((3, 513, 300), "uint8", (1, 128, 128), (1, 256, 256), EM)
LAYOUTS = {
    "image 0.5": IMAGE,
    "labels 0.5": replace(IMAGE, dtype="int32", labels=True),
    "image 0.4": replace(IMAGE, shard=None, version="0.4"),
    "labels 0.4": replace(IMAGE, shard=None, version="0.4", labels=True),
    "no voxel size, no shards": replace(IMAGE, shard=None, voxel=None, dtype="float32"),
}
RECORD = {"run": "c3", "tile": (256, 256), "threshold": 0.5}


def values_of(layout: Layout) -> np.ndarray:
    values = np.random.default_rng(0).integers(0, 4, layout.shape)
    values[:, :300] = 0  # some blocks hold nothing but 0
    return values.astype(layout.dtype)


def write_missing(output: VolumeOutput) -> None:
    values = values_of(output.layout)
    for block in output.missing():
        output.write(block, values[block.window])


@pytest.fixture(scope="module", params=LAYOUTS.values(), ids=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> Layout:
    return request.param


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, layout: Layout) -> Path:
    """A whole output, to copy."""
    output = VolumeOutput.prepare(tmp_path_factory.mktemp("finished") / "out.zarr", layout, RECORD)
    write_missing(output)
    output.finish()
    return output.path


@pytest.fixture
def output(tmp_path: Path, finished: Path) -> VolumeOutput:
    return VolumeOutput(shutil.copytree(finished, tmp_path / "out.zarr"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def block_files(folder: Path, level: int = 0) -> list[Path]:
    return [p for p in (folder / str(level)).rglob("*") if p.is_file() and p.name.isdecimal()]


def test_an_output_is_valid_ome_zarr(output):
    group = yaozarrs.validate_zarr_store(str(output.path))
    assert group.ome_version() == output.layout.version


def test_an_output_without_its_coarser_levels_is_valid_too(tmp_path, layout):
    output = VolumeOutput.prepare(tmp_path / "out.zarr", layout, RECORD)
    yaozarrs.validate_zarr_store(str(output.path))


def test_zarr_reads_what_was_written(output):
    group = zarr.open_group(output.path, mode="r")
    assert group.metadata.zarr_format == (3 if output.layout.version == "0.5" else 2)
    np.testing.assert_array_equal(group["0"][:], values_of(output.layout))


def test_another_implementation_reads_what_was_written(output):
    driver = {"0.5": "zarr3", "0.4": "zarr"}[output.layout.version]
    store = {"driver": "file", "path": str(output.path / "0")}
    array = tensorstore.open({"driver": driver, "kvstore": store}, read=True).result()
    np.testing.assert_array_equal(array.read().result(), values_of(output.layout))


def test_an_output_knows_what_it_was_prepared_with(output, layout):
    again = pickle.loads(pickle.dumps(output))
    assert again.layout == layout
    assert again.record == {"run": "c3", "tile": [256, 256], "threshold": 0.5}
    assert (again.shape, again.dtype, again.voxel) == (layout.shape, np.dtype(layout.dtype), layout.voxel)
    assert (again.ndim, len(again)) == (3, 3)
    assert len(pickle.dumps(output)) < 300


def test_levels_lie_on_each_other(output):
    """The middle of a level's first voxel is the middle of those that it stands for."""
    group = zarr.open_group(output.path, mode="r")
    attributes = group.attrs.asdict()
    datasets = attributes.get("ome", attributes)["multiscales"][0]["datasets"]
    assert [d["path"] for d in datasets] == ["0", "1", "2", "3"]
    shapes = [group[d["path"]].shape for d in datasets]
    assert shapes == [(3, 513, 300), (3, 257, 150), (3, 129, 75), (3, 65, 38)]
    y = 4.0 if output.voxel else 1.0
    for level, dataset in enumerate(datasets):
        scale, *shift = dataset["coordinateTransformations"]
        assert scale["scale"][1] == y * 2**level
        first = shift[0]["translation"][1] if shift else 0.0
        assert first == (2**level - 1) / 2 * y


def test_units_and_contrast_are_told(tmp_path):
    output = VolumeOutput.prepare(tmp_path / "out.zarr", IMAGE, RECORD)
    ome = zarr.open_group(output.path, mode="r").attrs.asdict()["ome"]
    assert ome["multiscales"][0]["axes"] == [
        {"name": axis, "type": "space", "unit": "nanometer"} for axis in "zyx"
    ]
    assert ome["omero"]["channels"][0]["window"] == {"min": 0.0, "start": 0.0, "end": 255.0, "max": 255.0}


def test_labels_are_told_from_images(tmp_path):
    labels = VolumeOutput.prepare(tmp_path / "labels.zarr", LAYOUTS["labels 0.5"], RECORD)
    image = VolumeOutput.prepare(tmp_path / "image.zarr", IMAGE, RECORD)
    told = [zarr.open_group(o.path, mode="r").attrs.asdict()["ome"] for o in (labels, image)]
    assert ["image-label" in t for t in told] == [True, False]


@pytest.mark.parametrize(
    ("voxel", "factors"),
    [
        (EM, [(1, 1, 1), (1, 2, 2), (1, 4, 4), (1, 8, 8), (1, 16, 16), (2, 32, 32), (4, 64, 64)]),
        (Voxel((8.0, 8.0, 8.0), "nanometer"), [(n, n, n) for n in (1, 2, 4, 8, 16, 32, 64)]),
        (None, [(1, n, n) for n in (1, 2, 4, 8, 16, 32, 64)]),
    ],
    ids=["anisotropic", "isotropic", "unknown"],
)
def test_slices_are_blended_once_voxels_are_about_isotropic(voxel, factors):
    assert level_factors(Layout((1000, 32768, 30000), "uint8", voxel=voxel)) == factors


def test_a_single_slice_is_never_halved_along_z():
    layout = Layout((1, 2000, 2000), "uint8", voxel=Voxel((1.0, 4.0, 4.0), "nanometer"))
    assert level_factors(layout) == [(1, 1, 1), (1, 2, 2), (1, 4, 4)]


small = arrays(np.uint8, st.tuples(*[st.integers(1, 5)] * 3), elements=st.integers(0, 3))
steps = st.tuples(*[st.integers(1, 2)] * 3)


def cells_of(values: np.ndarray, step: tuple[int, int, int]):
    """Every coarse voxel's place, and what it stands for."""
    for place in itertools.product(*(range(-(-n // s)) for n, s in zip(values.shape, step, strict=True))):
        window = tuple(slice(p * s, (p + 1) * s) for p, s in zip(place, step, strict=True))
        yield place, values[window].ravel()


@given(small, steps)
def test_coarser_images_hold_the_mean(values, step):
    coarse, exact = (
        reduced(values, step, labels=False),
        reduced(values.astype(np.float32), step, labels=False),
    )
    assert (coarse.dtype, exact.dtype) == (np.uint8, np.float32)
    for place, cell in cells_of(values, step):
        assert exact[place] == pytest.approx(cell.mean())
        assert coarse[place] == np.floor(cell.mean() + 0.5)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "int32"])
def test_coarser_images_hold_the_mean_of_the_brightest_and_darkest_values_too(dtype):
    limits = np.iinfo(dtype)
    for value in (limits.min, limits.max):
        coarse = reduced(np.full((2, 2, 2), value, dtype), (2, 2, 2), labels=False)
        assert coarse.dtype == dtype
        assert coarse.tolist() == [[[value]]]


@given(small, steps)
def test_coarser_labels_hold_the_most_frequent(values, step):
    coarse = reduced(values, step, labels=True)
    assert coarse.dtype == values.dtype
    for place, cell in cells_of(values, step):
        counts = Counter(cell.tolist())
        assert counts[int(coarse[place])] == max(counts.values())


def test_every_level_comes_from_the_one_before(output):
    group = zarr.open_group(output.path, mode="r")
    levels = [group[str(n)][:] for n in range(4)]
    for fine, coarse in itertools.pairwise(levels):
        np.testing.assert_array_equal(coarse, reduced(fine, (1, 2, 2), output.layout.labels))


def test_thick_shards_are_reduced_along_z_as_well(tmp_path):
    voxel = Voxel((8.0, 8.0, 8.0), "nanometer")
    layout = Layout((37, 45, 70), "uint16", (8, 16, 16), (16, 32, 32), voxel)
    output = VolumeOutput.prepare(tmp_path / "out.zarr", layout, {})
    write_missing(output)
    output.finish()
    coarse = zarr.open_group(output.path, mode="r")["1"][:]
    np.testing.assert_array_equal(coarse, reduced(values_of(layout), (2, 2, 2), labels=False))


def test_blocks_cover_the_volume_once(output, layout):
    covered = np.zeros(layout.shape, np.uint8)
    for block in output.blocks:
        covered[block.window] += 1
        assert covered[block.window].shape == block.shape
    assert covered.min() == covered.max() == 1
    assert list(output.blocks) == [output.blocks[n] for n in range(len(output.blocks))]
    assert output.blocks[-1] == list(output.blocks)[-1]


def test_blocks_can_be_counted_by_hand():
    blocks = Blocks((3, 5, 7), (2, 3, 4))
    assert (blocks.grid, len(blocks)) == ((2, 2, 2), 8)
    assert blocks[5] == blocks[-3] == blocks.at((1, 0, 1))
    assert blocks[5].window == np.s_[2:3, 0:3, 4:7]
    assert blocks[5].shape == (1, 3, 3)
    assert blocks[2:7:4] == [blocks.at((0, 1, 0)), blocks.at((1, 1, 0))]
    over = [block.index for block in blocks.over(np.s_[1:3, 3:4, 0:4])]
    assert over == [(0, 1, 0), (1, 1, 0)]
    assert len(blocks.over(np.s_[0:2, 2:4, 3:5])) == 4


def test_the_blocks_of_a_huge_volume_cost_nothing():
    blocks = Blocks((10**5, 10**5, 10**5), (1, 2048, 2048))
    assert len(blocks) == 10**5 * 49 * 49
    assert blocks[len(blocks) - 1].index == (10**5 - 1, 48, 48)
    assert blocks[-1].window[2] == slice(48 * 2048, 10**5)


def test_every_block_is_one_file_also_where_all_is_zero(output):
    assert len(block_files(output.path)) == len(output.blocks)
    assert not np.any(output[:, :256])
    assert not output.missing()


def test_a_block_is_written_with_one_write_also_at_the_end_of_the_volume(tmp_path, layout, monkeypatch):
    output = VolumeOutput.prepare(tmp_path / "out.zarr", layout, RECORD)
    written = []
    monkeypatch.setattr("emseg_napari.io.output_place._put", lambda path, content: written.append(path))
    for block in (output.blocks[0], output.blocks[-1]):
        output.write(block, values_of(layout)[block.window])
    assert len(written) == 2


def test_other_shapes_and_types_than_a_block_has_are_refused(output, layout):
    block = output.blocks[-1]
    values = values_of(layout)[block.window]
    with pytest.raises(ValueError, match="but the values are"):
        output.write(block, values[:, 1:])
    with pytest.raises(ValueError, match="but the values are"):
        output.write(block, values.astype(np.float64))


def test_writing_a_block_again_gives_the_same_bytes(output, layout):
    before = contents(output.path)
    values = values_of(layout)
    for block in output.blocks:
        output.write(block, values[block.window])
    assert contents(output.path) == before


@pytest.mark.parametrize("levels", [(0,), (1, 2), (0, 1, 3)], ids=str)
def test_going_on_gives_the_same_bytes_as_never_having_stopped(output, layout, levels):
    before = contents(output.path)
    for level in levels:
        for path in block_files(output.path, level)[::2]:
            path.unlink()
    again = VolumeOutput.prepare(output.path, layout, RECORD)
    write_missing(again)
    again.finish()
    assert contents(output.path) == before


def test_coarser_levels_made_over_a_gap_are_made_again(output, layout):
    before = contents(output.path)
    broken = output._files.file(output.blocks[-1])
    for path in [broken, *(p for level in (1, 2, 3) for p in block_files(output.path, level))]:
        path.unlink()
    output.finish()  # as after a run with one block that could not be read
    assert contents(output.path) != before
    again = VolumeOutput.prepare(output.path, layout, RECORD)
    write_missing(again)
    again.finish()
    assert contents(output.path) == before


def test_viewers_are_told_of_coarser_levels_only_when_they_are_there(output, layout):
    def told() -> int:
        attributes = zarr.open_group(output.path, mode="r").attrs.asdict()
        return len(attributes.get("ome", attributes)["multiscales"][0]["datasets"])

    assert told() == 4
    block_files(output.path)[0].unlink()
    again = VolumeOutput.prepare(output.path, layout, RECORD)
    assert told() == 1
    again.finish()
    assert told() == 4


def test_finishing_tells_how_far_it_is_and_stops_when_asked(tmp_path):
    output = VolumeOutput.prepare(tmp_path / "out.zarr", IMAGE, RECORD)
    write_missing(output)
    told: list[Progress] = []
    with pytest.raises(Cancelled):
        output.finish(JobContext(told.append, lambda: len(told) >= 2))
    assert 2 <= len(block_files(output.path, 1)) < 9
    assert not block_files(output.path, 2)
    output.finish(JobContext(told.append))
    fractions = [event.fraction for event in told]
    assert fractions == sorted(fractions)
    every = sum(len(block_files(output.path, level)) for level in (1, 2, 3))
    counted = [round(fraction * every, 6) for fraction in fractions]
    first = every - len(counted) + 3  # what was being written as it stopped is done too
    assert counted == [1, 2, *range(first, every + 1)]
    assert all(event.seconds_left >= 0 for event in told)
    assert told[-1].text.startswith("coarser level 3: ")


@pytest.mark.parametrize("content", [b"no block", b""], ids=["other", "empty"])
def test_a_damaged_block_is_named_and_can_be_written_anew(output, layout, content):
    before = contents(output.path)
    path = output._files.file(output.blocks[0])
    for damaged in [path, *(p for level in (1, 2, 3) for p in block_files(output.path, level))]:
        damaged.unlink()
    path.write_bytes(content)
    with pytest.raises(
        UserError, match=f"{re.escape(str(path))} is damaged; remove this file and start again"
    ):
        output.finish()
    path.unlink()
    again = VolumeOutput.prepare(output.path, layout, RECORD)
    write_missing(again)
    again.finish()
    assert contents(output.path) == before


@pytest.mark.parametrize("level", [0, 1])
def test_an_empty_file_as_a_crash_leaves_it_counts_as_missing(output, layout, level):
    before = contents(output.path)
    emptied = min(block_files(output.path, level))
    emptied.write_bytes(b"")
    assert output.holds_slice(0) is (level > 0)
    again = VolumeOutput.prepare(output.path, layout, RECORD)
    assert len(again.missing()) == (level == 0)
    write_missing(again)
    again.finish()
    assert contents(output.path) == before


def test_coarser_levels_take_no_more_memory_than_a_block_needs(tmp_path, monkeypatch):
    output = VolumeOutput.prepare(tmp_path / "out.zarr", replace(IMAGE, shape=(2, 1100, 1100)), RECORD)
    write_missing(output)
    read = []
    original = zarr.Array.__getitem__
    monkeypatch.setattr(
        zarr.Array, "__getitem__", lambda self, key: read.append(original(self, key)) or read[-1]
    )
    output.finish()
    assert max(values.size for values in read) == 512 * 512


def test_whoever_opened_it_before_sees_each_block_once_it_is_there(tmp_path, layout):
    output = VolumeOutput.prepare(tmp_path / "out.zarr", layout, RECORD)
    other = pickle.loads(pickle.dumps(output))
    expected = other[:, :, :].astype(int).sum()
    assert expected == 0
    for block in (output.blocks[-1], output.blocks[3]):
        values = np.full(block.shape, 3, layout.dtype)
        output.write(block, values)
        expected += 3 * values.size
        assert other[:, :, :].astype(int).sum() == expected


KEEPS_WRITING = """
import sys, numpy as np
from emseg_napari.io.ome_zarr_writer import VolumeOutput
output = VolumeOutput(sys.argv[1])
values = np.random.default_rng(0).integers(0, 255, output.shape).astype(output.dtype)
print("ready", flush=True)
while True:
    for block in output.blocks:
        output.write(block, values[block.window])
"""


def test_a_killed_writer_leaves_no_unreadable_file(tmp_path):
    layout = Layout((2, 1500, 1100), "uint8", (1, 256, 256), (1, 512, 512))
    path = tmp_path / "out.zarr"
    VolumeOutput.prepare(path, layout)
    expected = np.random.default_rng(0).integers(0, 255, layout.shape).astype(layout.dtype)
    for wait_s in (0.011, 0.037):
        command = [sys.executable, "-c", KEEPS_WRITING, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout.readline() == "ready\n"
            time.sleep(wait_s)
            writer.kill()
        output = VolumeOutput.prepare(path, layout)
        missing = output.missing()
        for block in output.blocks:
            values = output[block.window]
            np.testing.assert_array_equal(values, 0 if block in missing else expected[block.window])
        shutil.rmtree(path / "0" / "c", ignore_errors=True)


def test_leftovers_of_killed_writers_are_removed_and_those_of_living_ones_are_not(output, layout):
    folder = block_files(output.path)[0].parent
    old, new = folder / f"{files._PREFIX}old", folder / f"{files._PREFIX}new"
    for path in (old, new):
        path.write_bytes(b"half a block")
    os.utime(old, (time.time() - 3600,) * 2)
    VolumeOutput.prepare(output.path, layout, RECORD)
    assert not old.exists()
    assert new.exists()


def test_an_empty_folder_becomes_an_output(tmp_path):
    (tmp_path / "out.zarr").mkdir()
    assert VolumeOutput.prepare(tmp_path / "out.zarr", IMAGE, RECORD).layout == IMAGE


def test_workers_find_an_output_whose_path_was_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pickled = pickle.dumps(VolumeOutput.prepare("out.zarr", IMAGE, RECORD))
    monkeypatch.chdir(tmp_path.parent)
    assert pickle.loads(pickled).layout == IMAGE


def test_folders_on_the_way_are_made(tmp_path):
    assert VolumeOutput.prepare(tmp_path / "a" / "b" / "out.zarr", IMAGE, RECORD).layout == IMAGE


def test_what_is_not_ours_is_refused_and_stays(tmp_path):
    theirs = tmp_path / "theirs.zarr"
    zarr.create_group(theirs).create_array("0", shape=(3, 5, 5), dtype="uint8", chunks=(1, 5, 5))
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "cat.tif").write_bytes(b"meow")
    array = tmp_path / "array.zarr"
    zarr.create_array(array, shape=(3, 5, 5), dtype="uint8", chunks=(1, 5, 5))
    damaged = tmp_path / "damaged.zarr"
    damaged.mkdir()
    (damaged / "zarr.json").write_text("{")
    for path in (theirs, photos, array, damaged):
        before = contents(path)
        with pytest.raises(UserError, match=f"{path.name} exists and is not an earlier output"):
            VolumeOutput.prepare(path, IMAGE, RECORD)
        assert contents(path) == before


def test_a_file_in_the_place_of_the_output_is_refused(tmp_path):
    (tmp_path / "out.zarr").write_bytes(b"")
    with pytest.raises(UserError, match=r"out\.zarr is a file"):
        VolumeOutput.prepare(tmp_path / "out.zarr", IMAGE, RECORD)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"shape": (3, 513, 301)}, "the image was 3 x 513 x 300 and is 3 x 513 x 301"),
        ({"dtype": "float32"}, r"what is written was uint8 and is float32"),
        ({"voxel": None}, "the image was 50 x 4 x 4 nanometer and is none"),
        ({"labels": True}, r"what is written was off and is on"),
        ({"version": "0.4", "shard": None}, r"version of OME-Zarr was 0\.5 and is 0\.4"),
    ],
)
def test_going_on_with_another_layout_is_refused(tmp_path, change, said):
    VolumeOutput.prepare(tmp_path / "out.zarr", IMAGE, RECORD)
    with pytest.raises(UserError, match=said):
        VolumeOutput.prepare(tmp_path / "out.zarr", replace(IMAGE, **change), RECORD)


def test_going_on_with_another_record_is_refused(tmp_path):
    VolumeOutput.prepare(tmp_path / "out.zarr", IMAGE, RECORD)
    with pytest.raises(UserError, match=r"'Threshold' was 0\.5 and is 0\.6; flips was none"):
        VolumeOutput.prepare(tmp_path / "out.zarr", IMAGE, {**RECORD, "threshold": 0.6, "flips": True})


THEN, NOW = ({"content": ["mark"], "bytes": 1, "modified": time} for time in ("then", "now"))


@pytest.mark.parametrize(
    ("old", "new", "recorded"),
    [
        ({}, {LATER: True}, {LATER: True}),
        ({LATER: True}, {LATER: True}, {LATER: True}),
        ({STATE: THEN}, {STATE: NOW}, {STATE: NOW}),
        ({}, {STATE: NOW}, {}),
        ({STATE: THEN}, {}, {STATE: THEN}),
        ({}, {MARKS: {"0": "mark"}}, {MARKS: {"0": "mark"}}),
        ({MARKS: {"0": "old"}}, {MARKS: {"0": "new"}}, {MARKS: {"0": "new"}}),
        ({MARKS: {"0": "old"}}, {}, {MARKS: {"0": "old"}}),
    ],
)
def test_an_output_that_is_resumed_records_what_may_be_otherwise(tmp_path, old, new, recorded):
    VolumeOutput.prepare(tmp_path / "out.zarr", IMAGE, {**RECORD, **old})
    resumed = VolumeOutput.prepare(tmp_path / "out.zarr", IMAGE, {**RECORD, **new})
    assert resumed.record == {**RECORD, "tile": [256, 256], **recorded}


@pytest.mark.parametrize(
    "change", [{"shard": (1, 128, 256)}, {"shard": None}, {"chunk": (1, 64, 64)}], ids=str
)
def test_blocks_that_would_share_a_file_are_refused_with_the_layout_to_use(tmp_path, change):
    VolumeOutput.prepare(tmp_path / "out.zarr", IMAGE, RECORD)
    wanted = "cut into shards of 1 x 256 x 256 voxels and chunks of 1 x 128 x 128, not into"
    with pytest.raises(UserError, match=f"{wanted}.* write one file; use the former"):
        VolumeOutput.prepare(tmp_path / "out.zarr", replace(IMAGE, **change), RECORD)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"shard": (1, 100, 256)},
            "1 x 100 x 256 voxels is not a multiple.*make it 1 x 128 x 256",
        ),
        ({"version": "0.4"}, "has no shards"),
        ({"shape": (0, 5, 5)}, "An output of 0 x 5 x 5 voxels is not possible"),
        ({"chunk": (1, 0, 5)}, "A chunk of 1 x 0 x 5 voxels is not possible"),
    ],
)
def test_layouts_that_cannot_be_cut_are_refused(change, said):
    with pytest.raises(UserError, match=said):
        replace(IMAGE, **change)


def test_a_full_disk_is_told_in_a_sentence_and_what_is_written_stays(output, layout, monkeypatch):
    before = contents(output.path)
    path = block_files(output.path)[0]
    path.unlink()
    again = VolumeOutput.prepare(output.path, layout, RECORD)

    def full(self: Path, content: bytes) -> None:
        self.touch()
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(UserError, match=f"{path.name} cannot be written: the disk is full"):
            write_missing(again)
    assert len(again.missing()) == 1
    write_missing(again)
    again.finish()
    assert contents(output.path) == before


def test_nothing_is_left_of_an_output_that_could_not_be_created(tmp_path, monkeypatch):
    def full(self: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match=r"out\.zarr.* cannot be written: the disk is full"):
        VolumeOutput.prepare(tmp_path / "out.zarr", IMAGE, RECORD)
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_is_not_there_is_not_made_by_opening_it(tmp_path):
    with pytest.raises(UserError, match="is not there"):
        VolumeOutput(tmp_path / "out.zarr").missing()
    assert list(tmp_path.iterdir()) == []


def test_a_read_only_disk_is_told_in_a_sentence(output, monkeypatch):
    """There even removing what is not there is refused."""

    def refuse(self: Path, *args: object, **kwargs: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(self))

    block = output.blocks[0]
    values = output[block.window]
    monkeypatch.setattr(Path, "write_bytes", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(UserError, match="cannot be written: it is not writable"):
        output.write(block, values)


def test_an_output_says_which_slices_it_holds_and_reads_the_levels_that_viewers_know(tmp_path):
    output = VolumeOutput.prepare(tmp_path / "a.zarr", Layout((2, 300, 520), "uint8", shard=(1, 512, 512)))
    first = [block for block in output.blocks if block.index[0] == 0]
    for block in first:
        output.write(block, np.ones(block.shape, np.uint8))
    whole = (slice(0, 300), slice(0, 520))
    assert output.holds((slice(0, 1), *whole))
    assert not output.holds((slice(0, 2), *whole))
    assert [level.shape for level in output.levels] == [(2, 300, 520)]


# -- what is ours, and what is not --------------------------------------------------------


@odd_arrays
@pytest.mark.parametrize("dtype", ["uint8", "int32", "float32"])
def test_values_are_written_however_they_lie_in_memory(tmp_path, odd, dtype):
    layout = Layout((2, 48, 40), dtype, (1, 16, 16), (2, 32, 32))
    output, values = VolumeOutput.prepare(tmp_path / "out.zarr", layout, RECORD), values_of(layout)
    for block in output.missing():
        plain = values[block.window]
        given = odd(plain)
        output.write(block, given.astype(dtype) if given.dtype != plain.dtype else given)
    assert np.array_equal(output[:], values)


def foreign(output):
    """What another program keeps in an output."""
    place = output.path / "labels" / "proofread.json"
    place.parent.mkdir(exist_ok=True)
    place.write_text("mine")
    return place


def test_all_blocks_are_removed_and_nothing_else(output):
    place = foreign(output)
    metadata = {p.name for p in output.path.rglob("*") if p.is_file() and p not in block_files(output.path)}
    output.remove_blocks()
    assert place.read_text() == "mine"
    assert len(output.missing()) == len(output.blocks)
    left = {p.name for p in output.path.rglob("*") if p.is_file()}
    assert left == metadata - {str(n) for n in range(100)}
    write_missing(output)
    output.finish()
    assert np.array_equal(output[:], values_of(output.layout))
    yaozarrs.validate_zarr_store(str(output.path))


@pytest.mark.slow
@needs_fork
def test_a_removal_that_is_killed_between_any_two_calls_leaves_whole_blocks_and_what_is_not_ours(tmp_path):
    layout = Layout((3, 40, 30), "int32", (1, 16, 16), None, version="0.4", labels=True)
    output = VolumeOutput.prepare(tmp_path / "whole.zarr", layout, RECORD)
    write_missing(output)
    output.finish()
    place, counts = foreign(output), []
    copy = tmp_path / "copy.zarr"
    shutil.copytree(output.path, copy)
    for _ in kills(lambda: VolumeOutput(copy).remove_blocks()):
        left = VolumeOutput.prepare(copy, layout, RECORD)
        assert (copy / place.relative_to(output.path)).read_text() == "mine"
        missing, values = {block.index for block in left.missing()}, values_of(layout)
        there = [block for block in left.blocks if block.index not in missing]
        counts.append(len(there))
        assert all(np.array_equal(left[block.window], values[block.window]) for block in there)
        shutil.rmtree(copy)
        shutil.copytree(output.path, copy)
    assert counts[0] == len(output.blocks)
    assert counts[-1] == 0


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
@pytest.mark.parametrize("inner", ["0", "layer", "row", "block"])
def test_nothing_is_written_or_removed_through_a_link_in_an_output(output, tmp_path, inner):
    first = output.blocks.at((0, 0, 0))
    file = output._files.file(first)
    place = {"0": output.path / "0", "layer": file.parents[1], "row": file.parent, "block": file}[inner]
    outside = shutil.move(place, tmp_path / "outside")
    place.symlink_to(outside)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    again = VolumeOutput(output.path)
    with pytest.raises(UserError, match="leads by a link to"):
        again.write(first, np.ones(first.shape, output.dtype))
    if inner != "block":  # of which only the link would go
        with pytest.raises(UserError, match="leads by a link to"):
            again.remove_slices([0])
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@needs_fork
def test_an_output_that_another_process_makes_is_not_made_a_second_time(tmp_path):
    with (
        another_process(lambda: OutputLock(tmp_path / "out.zarr")),
        pytest.raises(UserError, match=r"out\.zarr is being written by another emseg"),
    ):
        VolumeOutput.prepare(tmp_path / "out.zarr", IMAGE, RECORD)
    VolumeOutput.prepare(tmp_path / "out.zarr", IMAGE, RECORD)
    assert [path.name for path in tmp_path.iterdir()] == ["out.zarr"]
