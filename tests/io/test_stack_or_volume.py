"""Images and labels of any size from files."""

import pickle
import threading

import dask.array
import h5py
import numpy as np
import pytest
import tensorstore
import tifffile
import zarr

from emseg_napari.api import _labelled, _stack
from emseg_napari.cli.inputs import open_pair
from emseg_napari.core.jobs import UserError
from emseg_napari.engine.protocol import Packed, packed, unpacked
from emseg_napari.io import stack_or_volume
from emseg_napari.io.datasets import SeveralVolumes
from emseg_napari.io.export import export_training_labels
from emseg_napari.io.sparse_stack import SparseStack
from emseg_napari.io.stack_or_volume import open_image, open_labels, open_prediction, place_of_file
from emseg_napari.io.volume import BrokenChunk, Volume, Voxel, volume_of
from emseg_napari.settings import ExportSettings, TrainingSettings
from emseg_napari.training.dataset import check_data, prepare

SHAPE = (9, 32, 40)


@pytest.fixture
def files(tmp_path):
    """An image and labels with labels in slices 2, 5 and 6, as Zarr."""
    image = np.random.default_rng(0).integers(0, 255, SHAPE, np.uint8)
    labels = np.zeros(SHAPE, np.uint8)
    labels[[2, 5, 6]] = 2
    labels[[2, 5, 6], ::8] = 1
    for name, array in (("image", image), ("labels", labels)):
        stored = zarr.create_array(tmp_path / f"{name}.zarr", shape=SHAPE, chunks=(1, 32, 40), dtype="uint8")
        stored[:] = array
    return tmp_path, image, labels


@pytest.fixture
def all_is_large(monkeypatch):
    monkeypatch.setattr(stack_or_volume, "LARGE_BYTES", 1000)


def test_what_is_small_is_in_memory(files):
    folder, _, labels = files
    assert isinstance(open_image(folder / "image.zarr"), np.ndarray)
    np.testing.assert_array_equal(open_labels(folder / "labels.zarr")[:], labels)


def test_what_is_large_is_read_slice_by_slice(files, all_is_large):
    folder, image, labels = files
    opened = open_image(folder / "image.zarr")
    assert isinstance(opened, Volume)
    np.testing.assert_array_equal(opened[3], image[3])
    found = open_labels(folder / "labels.zarr")
    assert found.stored_slices == [2, 5, 6]
    np.testing.assert_array_equal(found[:], labels)


@pytest.mark.parametrize("limit", [1000, 2**30])
def test_a_chunk_without_a_file_is_an_error_of_small_and_large_images_alike(files, monkeypatch, limit):
    monkeypatch.setattr(stack_or_volume, "LARGE_BYTES", limit)
    folder, image, _ = files
    (folder / "image.zarr" / "c/3/0/0").unlink()
    with pytest.raises(BrokenChunk, match=r"chunk \(3, 0, 0\) of image.zarr is missing .*'Missing chunks"):
        open_image(folder / "image.zarr")[3]
    taken_for_empty = open_image(folder / "image.zarr", fills=True)
    assert not taken_for_empty[3].any()
    np.testing.assert_array_equal(taken_for_empty[4], image[4])


def test_a_tiff_larger_than_memory_is_read_slice_by_slice(files, all_is_large):
    folder, image, _ = files
    tifffile.imwrite(folder / "image.tif", image, photometric="minisblack")
    opened = open_image(folder / "image.tif")
    assert isinstance(opened, Volume)
    np.testing.assert_array_equal(opened[8], image[8])


def test_a_tiff_is_large_by_what_it_unfolds_to(tmp_path, monkeypatch):
    monkeypatch.setattr(stack_or_volume, "LARGE_BYTES", 100_000)
    path = tmp_path / "folded.tif"
    tifffile.imwrite(path, np.zeros((30, 64, 64), np.uint8), compression="zlib", photometric="minisblack")
    assert path.stat().st_size < 50_000
    assert isinstance(open_image(path), Volume)
    assert open_labels(path, "isbi").stored_slices == list(range(30))


@pytest.mark.parametrize("convention", ["isbi", None])
def test_labels_of_other_conventions_are_converted_slice_by_slice(files, all_is_large, convention):
    folder, _, labels = files
    stored = zarr.open_array(folder / "labels.zarr")
    stored[:] = np.array([128, 0, 255], np.uint8)[labels]
    np.testing.assert_array_equal(open_labels(folder / "labels.zarr", convention)[:], labels)


def test_large_labels_that_could_mean_two_things_name_the_option(files, all_is_large):
    folder, _, labels = files
    zarr.open_array(folder / "labels.zarr")[:] = labels == 1
    with pytest.raises(UserError, match="add --convention binary"):
        open_pair(folder / "image.zarr", folder / "labels.zarr", None)


def test_a_training_of_files_holds_only_what_has_labels(files, all_is_large):
    folder, image, labels = files
    opened, known = open_pair(folder / "image.zarr", folder / "labels.zarr", None)
    prepared = prepare(opened, known, TrainingSettings.recipe())
    assert prepared.record == prepare(image, labels, TrainingSettings.recipe()).record
    assert prepared.labels.stored_slices == [2, 5, 6]


def test_settings_say_that_missing_chunks_are_empty(files, all_is_large):
    folder, _, _ = files
    (folder / "image.zarr" / "c/5/0/0").unlink()
    opened, known = open_pair(folder / "image.zarr", folder / "labels.zarr", None)
    with pytest.raises(BrokenChunk):
        prepare(opened, known, TrainingSettings.recipe())
    prepared = prepare(opened, known, TrainingSettings.recipe(missing_is_empty=True))
    assert not prepared.image[5].any()
    assert prepared.image[6].any()
    in_the_window = check_data(opened, known, TrainingSettings.recipe(missing_is_empty=True))
    assert not in_the_window.image[5].any()


def test_exported_files_state_the_size_of_a_voxel(files):
    folder, image, labels = files
    voxel = Voxel((50.0, 4.0, 8.0), "nanometer")
    settings = ExportSettings(which="labelled")
    record = export_training_labels(image, SparseStack.of(labels), [2, 5], settings, folder / "out", voxel)
    assert record["voxel"] == {"size": (50.0, 4.0, 8.0), "unit": "nanometer"}
    for name in ("images.tif", "labels.tif"):
        assert place_of_file(folder / "out" / name)[0] == voxel
        with tifffile.TiffFile(folder / "out" / name) as file:
            page = file.pages.first
            assert page.get_resolution("centimeter") == pytest.approx((1 / 8e-7, 1 / 4e-7))
    np.testing.assert_array_equal(tifffile.imread(folder / "out" / "images.tif"), image[[2, 5]])
    assert place_of_file(folder / "image.zarr")[0] is None


def test_grey_values_saved_as_colours_state_no_voxel(files):
    folder, image, _ = files
    tifffile.imwrite(folder / "rgb.tif", np.repeat(image[0, ..., np.newaxis], 3, axis=-1), photometric="rgb")
    assert place_of_file(folder / "rgb.tif")[0] is None


class Made:
    """A stack that is made where it is asked for."""

    shape, dtype, ndim, chunks = SHAPE, np.dtype(np.uint8), 3, (1, 32, 40)

    def __init__(self, held=None):
        self.held = held

    def __getitem__(self, key):
        return np.full(SHAPE, 7, np.uint8)[key]


RAW, CELLS, MASK, BOUNDARY = "volumes/raw", "volumes/labels/ids", "volumes/labels/mask", "predictions/b"


def container(path, *datasets):
    """Write a container with some datasets, each of a value of its own."""
    arrays = {name: np.full((2, 8, 9), n, np.uint8) for n, name in enumerate(datasets, 1)}
    if path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                file[name] = array
    for name, array in arrays.items():
        if path.suffix == ".zarr":
            zarr.open_group(path, mode="a").create_array(name, data=array)
        if path.suffix == ".n5":
            spec = {"driver": "n5", "kvstore": {"driver": "file", "path": str(path / name)}}
            tensorstore.open(spec, create=True, dtype="uint8", shape=(9, 8, 2)).result()[...] = array.T
    return path


@pytest.mark.parametrize("name", ["a.h5", "a.zarr", "a.n5"])
@pytest.mark.parametrize("kind", [None, "labels", "probability", "interior"])
def test_a_prediction_beside_an_image_and_labels_is_neither_of_them(tmp_path, name, kind):
    path = container(tmp_path / name, RAW, CELLS, BOUNDARY, MASK)
    found, record = open_prediction(path, kind)
    assert (found.name, int(found[...].max()), record) == (f"{name}/{BOUNDARY}", 3, {})
    named, _ = open_prediction(path / RAW, kind)
    assert named.name == f"{name}/{RAW}"


@pytest.mark.parametrize("name", ["a.h5", "a.zarr", "a.n5"])
@pytest.mark.parametrize("datasets", [(RAW,), (RAW, CELLS), (CELLS, MASK)])
def test_a_container_of_images_and_labels_only_is_no_prediction(tmp_path, name, datasets):
    path = container(tmp_path / name, *datasets)
    for kind in (None, "probability"):
        with pytest.raises(UserError, match="of which none is known to be a prediction; append") as refused:
            open_prediction(path, kind)
        assert all(f"{one} (2 x 8 x 9)" in str(refused.value) for one in datasets)


def test_of_several_predictions_none_is_taken(tmp_path):
    with pytest.raises(SeveralVolumes, match=r"a\.h5 has 2 volumes, predictions/b .*, predictions/c "):
        open_prediction(container(tmp_path / "a.h5", RAW, BOUNDARY, "predictions/c"))


def test_the_only_dataset_of_a_container_may_be_a_prediction_in_a_folder_of_labels(tmp_path):
    assert open_prediction(container(tmp_path / "a.h5", MASK))[0].name == f"a.h5/{MASK}"


def test_labels_that_were_added_to_a_prediction_are_not_the_prediction(tmp_path):
    path = container(tmp_path / "p.zarr", "0", "labels/proofread")
    image = {"axes": [{"name": axis} for axis in "zyx"], "datasets": [{"path": "0"}]}
    zarr.open_group(path).attrs["multiscales"] = [image]
    assert open_prediction(path)[0].name == "p.zarr/0"


def test_a_volume_goes_to_another_process_and_is_asked_for_its_slices_there():
    sent = packed({"image": volume_of(Made(), "cells"), "z": 3})
    assert len(pickle.dumps(sent)) < 2000
    there = unpacked(pickle.loads(pickle.dumps(sent)))
    assert there["z"] == 3
    assert (there["image"][2] == 7).all()


def test_a_volume_that_cannot_go_to_another_process_is_named():
    with pytest.raises(UserError, match="cells cannot be read by another process"):
        packed({"image": volume_of(Made(threading.Lock()), "cells")})


def test_a_volume_that_cannot_be_opened_there_is_named():
    with pytest.raises(UserError, match="cells cannot be opened in the engine process"):
        unpacked({"image": Packed("cells", b"no pickle")})


def test_a_script_gives_arrays_that_read_themselves():
    lazy = dask.array.from_array(Made(), chunks=(1, 32, 40), name=False, meta=np.empty((0, 0, 0), np.uint8))
    assert isinstance(_stack(lazy, "The image"), Volume)
    labels = dask.array.zeros(SHAPE, dtype=np.uint8, chunks=(1, 32, 40))
    labels[4, 3] = 2
    assert _labelled(labels).stored_slices == [4]
    assert _labelled(labels.compute()).stored_slices == [4]
    assert isinstance(_stack([[1, 2], [3, 4]], "The image"), np.ndarray)
