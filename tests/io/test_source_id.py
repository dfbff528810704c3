"""The state of a volume, by which another content under the same name is noticed."""

import json
import os
import shutil
from pathlib import Path

import h5py
import mrcfile
import numpy as np
import pytest
import tensorstore
import tifffile
import zarr

from emseg_napari.io import source_id
from emseg_napari.io.open import open_volume
from emseg_napari.io.source_id import is_changed, state_of, state_text
from emseg_napari.io.volume import volume_of

VALUES = np.random.default_rng(0).integers(0, 256, (6, 64, 80)).astype(np.uint8)
OTHER = VALUES.copy()
OTHER[4] = 255 - OTHER[4]


def write_folder(path: Path, values: np.ndarray) -> None:
    path.mkdir(exist_ok=True)
    for z, one in enumerate(values):
        tifffile.imwrite(path / f"{z}.tif", one)


def write_hdf5(path: Path, values: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("raw", data=values, chunks=(2, 32, 32), compression="gzip")


def write_mrc(path: Path, values: np.ndarray) -> None:
    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(values.astype(np.float32))


def write_n5(path: Path, values: np.ndarray) -> None:
    (path / "raw").mkdir(parents=True, exist_ok=True)
    (path / "attributes.json").write_text(json.dumps({"n5": "2.0.0"}))
    spec = {"driver": "n5", "kvstore": {"driver": "file", "path": str(path / "raw")}}
    spec["metadata"] = {"dimensions": values.T.shape, "dataType": "uint8", "blockSize": [32, 32, 2]}
    spec["metadata"]["compression"] = {"type": "gzip"}
    tensorstore.open(spec, create=True, delete_existing=True).result().write(values.T).result()


def write_zarr(path: Path, values: np.ndarray) -> None:
    zarr.create_array(path, data=values, chunks=(2, 32, 32), overwrite=True)


WRITERS = {
    "a.tif": lambda path, values: tifffile.imwrite(path, values, photometric="minisblack"),
    "deflated.tif": lambda path, values: tifffile.imwrite(
        path, values, photometric="minisblack", compression="zlib"
    ),
    "slices": write_folder,
    "a.zarr": write_zarr,
    "a.n5": write_n5,
    "a.h5": write_hdf5,
    "a.mrc": write_mrc,
}


@pytest.mark.parametrize("sampled", [False, True], ids=["whole", "sampled"])
@pytest.mark.parametrize("name", WRITERS)
def test_a_copied_or_touched_file_is_the_same_and_another_content_is_not(
    tmp_path, name, sampled, monkeypatch
):
    if sampled:
        monkeypatch.setattr(source_id, "_WHOLE_BYTES", 0)
        monkeypatch.setattr(source_id, "_PART_BYTES", 64)
    path, spare = tmp_path / name, tmp_path / "spare"
    WRITERS[name](path, VALUES)
    then = state_of(open_volume(path))
    assert then["bytes"] > 0
    assert state_text(then).endswith("+00:00")
    (shutil.copytree if path.is_dir() else shutil.copy)(path, spare)
    (shutil.rmtree if path.is_dir() else os.unlink)(path)
    shutil.move(spare, path)
    for file in [path, *path.rglob("*")]:
        os.utime(file, (1, 1))
    now = json.loads(json.dumps(state_of(open_volume(path), then)))
    assert now["modified"] != then["modified"]
    assert not is_changed(then, now)
    WRITERS[name](path, OTHER)
    assert is_changed(then, state_of(open_volume(path), then))


@pytest.mark.parametrize("whole_bytes", [1 << 28, 0])
def test_one_other_slice_of_an_array_in_memory_is_noticed(monkeypatch, whole_bytes):
    monkeypatch.setattr(source_id, "_WHOLE_BYTES", whole_bytes)
    then = state_of(volume_of(VALUES))
    assert not is_changed(then, state_of(volume_of(np.asfortranarray(VALUES))))
    assert is_changed(then, state_of(volume_of(OTHER)))


@pytest.mark.parametrize("name", ["a.zarr", "a.n5"])
def test_chunks_that_come_later_or_are_damaged_are_no_other_content(tmp_path, name):
    path = tmp_path / name
    WRITERS[name](path, VALUES)
    chunks = sorted(p for p in path.rglob("*") if p.is_file() and p.suffix != ".json")
    kept = chunks[5].read_bytes()
    whole = state_of(open_volume(path))
    chunks[5].unlink()
    lost = state_of(open_volume(path))
    assert not is_changed(whole, lost)
    assert not is_changed(lost, whole)
    assert is_changed(state_of(open_volume(path, fills=True)), whole)  # it was taken for empty
    chunks[5].write_bytes(b"no chunk")
    assert not is_changed(whole, state_of(open_volume(path), whole))
    damaged = state_of(open_volume(path))
    chunks[5].write_bytes(kept)
    assert is_changed(damaged, whole)
    assert not is_changed(damaged, whole, repaired=True)
    WRITERS[name](path, 255 - VALUES)
    assert is_changed(damaged, state_of(open_volume(path)), repaired=True)


def test_many_parts_are_few_marks(monkeypatch, tmp_path):
    monkeypatch.setattr(source_id, "_PART_BYTES", 16)
    tifffile.imwrite(tmp_path / "a.tif", VALUES, photometric="minisblack")
    assert 100 < len(state_of(open_volume(tmp_path / "a.tif"))["content"]) <= 128


@pytest.mark.parametrize("kind", ["chunk", "slice"])
def test_the_only_file_of_an_array_or_folder_is_compared_part_by_part(tmp_path, kind):
    values = np.random.default_rng(0).integers(20, 200, (1, 160, 160), np.uint8)
    file = tmp_path / ("a.zarr/c/0/0/0" if kind == "chunk" else "s1.tif")
    if kind == "chunk":
        zarr.create_array(tmp_path / "a.zarr", data=values, chunks=values.shape, compressors=None)
    else:
        tifffile.imwrite(file, values[0], photometric="minisblack")
    path = tmp_path / "a.zarr" if kind == "chunk" else tmp_path
    then = state_of(open_volume(path))
    before = file.read_bytes()
    file.write_bytes(before[:-9] + b"another 9")
    assert is_changed(then, state_of(open_volume(path), then))
    if kind == "chunk":  # which is missing, and comes again
        file.unlink()
        without = state_of(open_volume(path), then)
        file.write_bytes(before)
        assert not is_changed(without, state_of(open_volume(path), without), repaired=True)
        assert is_changed(without, state_of(open_volume(path), without))


def test_of_a_lazy_array_some_slices_that_lie_evenly_are_marked():
    array = zarr.create_array({}, data=np.arange(20, dtype=np.uint8)[:, None, None], chunks=(1, 1, 1))
    marks = state_of(volume_of(array))["content"]
    assert len(marks) == 8
    array[1] = 99
    assert state_of(volume_of(array))["content"] == marks
    array[19] = 99
    assert state_of(volume_of(array))["content"][:-1] == marks[:-1]
    assert state_of(volume_of(array))["content"] != marks
