"""Volumes of all formats: read where they are asked for, with voxel sizes, and what is wrong said."""

import json
import pickle
import threading
import tracemalloc

import dask.array
import h5py
import imagecodecs
import mrcfile
import numpy as np
import pytest
import tensorstore
import tifffile
import zarr

from emseg_napari.core.jobs import UserError
from emseg_napari.io import stack_or_volume
from emseg_napari.io.datasets import SeveralVolumes
from emseg_napari.io.formats import chunk_files
from emseg_napari.io.formats.zarr import ZarrPixels
from emseg_napari.io.open import open_levels, open_volume, read_whole
from emseg_napari.io.stack_or_volume import open_labels, refuse_image
from emseg_napari.io.stacks import read_image, read_labels
from emseg_napari.io.volume import BrokenChunk, Voxel, volume_of

NM = Voxel((40.0, 5.0, 4.0), "nanometer")
CHUNK = (2, 16, 16)


def grey(dtype="uint16", shape=(5, 40, 50)):
    return np.random.default_rng(0).integers(1, 200, shape).astype(dtype)


def write_zarr(path, array, zarr_format=3, chunks=CHUNK, **options):
    zarr.create_array(path, data=array, chunks=chunks, zarr_format=zarr_format, **options)
    return path


def write_plain(path, array, zarr_format=3):
    root = zarr.create_group(path, zarr_format=zarr_format)
    raw = root.create_array("volumes/raw", data=array, chunks=CHUNK)
    raw.attrs["resolution"] = NM.size
    root.create_array("volumes/other", data=array, chunks=CHUNK)
    return path


def write_ome(path, array, version="0.5", leading=0, units=("nanometer",) * 3):
    """An OME-Zarr of two levels, with axes of length 1 before z."""
    root = zarr.create_group(path, zarr_format=3 if version == "0.5" else 2)
    axes = [{"name": name} for name in "tc"[:leading]]
    axes += [{"name": n, "type": "space", "unit": u} for n, u in zip("zyx", units, strict=True)]
    scales = [[1.0] * leading + [40.0, 5.0 * 2**level, 4.0 * 2**level] for level in range(2)]
    levels = [
        {"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": scale}]}
        for level, scale in enumerate(scales)
    ]
    image = [{"axes": axes, "datasets": levels, "version": version}]
    root.attrs.update(
        {"ome": {"version": version, "multiscales": image}} if version == "0.5" else {"multiscales": image}
    )
    for level in range(2):
        data = array[(None,) * leading + (..., slice(None, None, 2**level), slice(None, None, 2**level))]
        ones = (1,) * leading
        root.create_array(
            str(level),
            data=data,
            chunks=(*ones, *CHUNK),
            shards=(*ones, 2, 32, 32) if version == "0.5" else None,
        )
    return path


def write_n5(path, array, dataset="volumes/raw", **attributes):
    folder = path / dataset
    spec = {"driver": "n5", "kvstore": {"driver": "file", "path": str(folder)}}
    layout = tensorstore.ChunkLayout(read_chunk_shape=CHUNK[::-1])
    shape = array.shape[::-1]
    made = tensorstore.open(spec, create=True, dtype=array.dtype, shape=shape, chunk_layout=layout)
    made.result()[...] = array.T
    add_attributes(folder, **attributes)
    return path


def add_attributes(folder, **attributes):
    file = folder / "attributes.json"
    known = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    file.write_text(json.dumps(known | attributes), "utf-8")


def write_cremi(path, array):
    with h5py.File(path, "w") as file:
        raw = file.create_dataset("volumes/raw", data=array, chunks=CHUNK, compression="gzip")
        raw.attrs["resolution"] = NM.size
        labels = file.create_dataset("volumes/labels/neuron_ids", data=array.astype(np.uint64))
        labels.attrs["resolution"] = NM.size
    return path


def write_mrc(path, array):
    with mrcfile.new(path) as file:
        file.set_data(array)
        file.voxel_size = (40.0, 50.0, 400.0)  # angstrom, x first
    return path


def write_tiff(path, array, **options):
    tifffile.imwrite(path, array, photometric="minisblack", **options)
    return path


def write_pngs(folder, array):
    folder.mkdir()
    for z, plane in enumerate(array):
        (folder / f"slice{z}.png").write_bytes(imagecodecs.png_encode(plane))
    return folder


IMAGEJ = {
    "imagej": True,
    "resolution": (1 / 4, 1 / 5),
    "metadata": {"axes": "ZYX", "spacing": 40, "unit": "nm"},
}
SIZES = {f"PhysicalSize{axis}": size for axis, size in zip("ZYX", NM.size, strict=True)}
OME = {"ome": True, "metadata": {"axes": "ZYX", **SIZES, **{f"PhysicalSize{a}Unit": "nm" for a in "ZYX"}}}

# What writes a file, its name, and the voxel that is to be found in it.
FORMATS = {
    "OME-Zarr 0.4": (lambda p, a: write_ome(p, a, "0.4"), "a.ome.zarr", NM),
    "OME-Zarr 0.5, sharded": (write_ome, "a.zarr", NM),
    "OME-Zarr with t and c": (lambda p, a: write_ome(p, a, leading=2), "a.zarr", NM),
    "Zarr 2 array": (lambda p, a: write_zarr(p, a, 2), "a.zarr", None),
    "Zarr 3 array": (write_zarr, "a.zarr", None),
    "Zarr group": (write_plain, "a.zarr", NM),
    "N5": (lambda p, a: write_n5(p, a, resolution=NM.size[::-1]), "a.n5", NM),
    "HDF5": (write_cremi, "a.h5", NM),
    "MRC": (write_mrc, "a.mrc", NM),
    "TIFF": (write_tiff, "a.tif", None),
    "TIFF, big-endian": (lambda p, a: write_tiff(p, a, byteorder=">"), "a.tif", None),
    "TIFF, compressed": (lambda p, a: write_tiff(p, a, compression="zlib", rowsperstrip=7), "a.tif", None),
    "TIFF, tiled": (lambda p, a: write_tiff(p, a, tile=(32, 32), compression="zlib"), "a.tif", None),
    "TIFF by ImageJ": (lambda p, a: write_tiff(p, a, **IMAGEJ), "a.tif", NM),
    "TIFF by ImageJ, one page": (lambda p, a: write_tiff(p, a, truncate=True, **IMAGEJ), "a.tif", NM),
    "OME-TIFF": (lambda p, a: write_tiff(p, a, **OME), "a.ome.tif", NM),
    "slices": (write_pngs, "a", None),
}


@pytest.fixture(params=FORMATS)
def written(request, tmp_path):
    """Path, array and voxel of a volume in one of the formats."""
    write, name, voxel = FORMATS[request.param]
    array = grey()
    return write(tmp_path / name, array), array, voxel


def test_every_format_is_read_bit_for_bit_with_its_voxel(written):
    path, array, voxel = written
    volume = open_volume(path)
    assert volume.shape == array.shape
    assert volume.dtype == array.dtype
    assert volume.dtype.isnative
    assert volume.voxel == (None if voxel is None else Voxel(pytest.approx(voxel.size), voxel.unit))
    assert np.array_equal(volume[...], array)
    assert volume[1:3, 5:33, 7:50].dtype == array.dtype
    assert np.array_equal(volume[1:3, 5:33, 7:50], array[1:3, 5:33, 7:50])


def test_every_format_is_read_again_where_its_source_says(written):
    path, array, _ = written
    volume = open_volume(path)
    assert volume.source.startswith(str(path))
    assert open_volume(volume.source).name == volume.name
    assert np.array_equal(open_volume(volume.source)[2], array[2])


def test_every_format_is_pickled_without_its_pixels_also_after_reading(written):
    path, array, _ = written
    volume = open_volume(path)
    volume[0]
    pickled = pickle.dumps(volume)
    assert len(pickled) < array.nbytes / 4
    assert np.array_equal(pickle.loads(pickled)[3], array[3])


def test_every_format_is_read_by_threads_at_once(written):
    path, array, _ = written
    volume = open_volume(path)
    right = []

    def read(z):
        right.extend(np.array_equal(volume[z], array[z]) for _ in range(5))

    threads = [threading.Thread(target=read, args=(z,)) for z in range(len(array))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert right == [True] * 25


def test_commands_read_every_format_as_a_whole(written):
    path, array, _ = written
    image = read_image(path)
    assert image.dtype == np.uint16
    assert np.array_equal(image, array)


KEYS = [
    0,
    -1,
    np.int64(2),
    slice(None),
    slice(1, 3),
    slice(3, 3),
    slice(None, None, -2),
    [3, 1],
    np.array([True, False, True, False, False]),
    (slice(None), 2),
    (..., -1),
    (slice(0, 5, 2), slice(1, 30, 3), slice(40, None, -7)),
    (1, 2, 3),
    (),
]


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_a_volume_is_indexed_as_an_array(key):
    array = grey(">u2")
    found = volume_of(array)[key]
    assert found.dtype == np.uint16
    assert np.array_equal(found, array[key])
    assert found.shape == array[key].shape


@pytest.mark.parametrize("key", [5, -6, (0, 40), (0, 0, 0, 0), (0, [1, 2])], ids=repr)
def test_a_key_outside_of_a_volume_is_an_index_error(key):
    with pytest.raises(IndexError):
        volume_of(grey())[key]


def test_a_volume_stands_for_an_array():
    array = grey()
    volume = volume_of(array)
    assert (len(volume), volume.ndim, volume.size, volume.nbytes) == (5, 3, array.size, array.nbytes)
    assert np.array_equal(np.stack(list(volume)), array)
    assert np.array_equal(np.asarray(volume), array)


@pytest.mark.parametrize("wrap", [np.asarray, lambda a: dask.array.from_array(a, 9), zarr.array])
@pytest.mark.parametrize("leading", [-1, 0, 2])
def test_arrays_in_memory_or_lazy_become_volumes_without_being_read(wrap, leading):
    array = grey()
    given = wrap(array[0] if leading < 0 else array[(None,) * leading])
    volume = volume_of(given, "The layer", NM)
    expected = array[:1] if leading < 0 else array
    assert (volume.shape, volume.voxel, volume.name) == (expected.shape, NM, "The layer")
    assert np.array_equal(volume[...], expected)
    assert volume_of(volume) is volume
    assert np.array_equal(pickle.loads(pickle.dumps(volume_of(np.asarray(given))))[0], array[0])


# -- where containers go on ---------------------------------------------------------------


@pytest.mark.parametrize("part", [np.s_[:], np.s_[3:7], np.s_[4]])
@pytest.mark.parametrize("mode", ["r", "r+"])
def test_an_array_over_a_file_is_pickled_without_its_pixels(tmp_path, part, mode):
    array = grey(">u2", (9, 64, 65))
    (tmp_path / "raw.bin").write_bytes(b"x" * 5001 + array.tobytes())
    mapped = np.memmap(tmp_path / "raw.bin", ">u2", mode, 5001, array.shape)[part]
    pickled = pickle.dumps(volume_of(mapped, "Mapped"))
    assert len(pickled) < 2000
    there = pickle.loads(pickled)
    assert (there.name, there.dtype) == ("Mapped", np.uint16)
    np.testing.assert_array_equal(there[:], volume_of(array[part])[:])


def test_an_array_whose_pixels_no_file_holds_is_pickled_with_them(tmp_path):
    array = grey("uint8", (3, 8, 9))
    array.tofile(tmp_path / "raw.bin")
    changed = np.memmap(tmp_path / "raw.bin", "uint8", "c", 0, array.shape)
    changed[1] = 7
    (tmp_path / "gone.bin").write_bytes(array.tobytes())
    gone = np.memmap(tmp_path / "gone.bin", "uint8", "r", 0, array.shape)
    (tmp_path / "gone.bin").unlink()
    strided = np.memmap(tmp_path / "raw.bin", "uint8", "r", 0, array.shape)[:, ::2]
    for one in (changed, gone, strided, changed + 1):
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(volume_of(one)))[:], one)


def test_datasets_are_addressed_by_going_on_with_the_path(tmp_path):
    array = grey()
    write_cremi(tmp_path / "a.h5", array)
    write_plain(tmp_path / "b.zarr", array)
    write_n5(tmp_path / "c.n5", array)
    write_ome(tmp_path / "d.zarr", array)
    for path in ("a.h5/volumes/labels/neuron_ids", "b.zarr/volumes/other", "c.n5/volumes/raw", "d.zarr/1"):
        volume = open_volume(tmp_path / path)
        assert (volume.name, volume.source) == (path, str(tmp_path / path))
    assert open_volume(tmp_path / "d.zarr/1").voxel == Voxel((40.0, 10.0, 8.0), "nanometer")
    assert open_volume(tmp_path / "a.h5", "/volumes/raw").name == "a.h5/volumes/raw"


def test_full_resolution_is_the_default_and_all_levels_can_be_opened(tmp_path):
    array = grey()
    write_ome(tmp_path / "a.zarr", array)
    for level in range(2):
        write_n5(tmp_path / "b.n5", array[:, :: 2**level, :: 2**level], f"volumes/raw/s{level}")
    add_attributes(tmp_path / "b.n5/volumes/raw", pixelResolution={"unit": "nm", "dimensions": [4, 5, 40]})
    add_attributes(tmp_path / "b.n5/volumes/raw/s1", downsamplingFactors=[2, 2, 1])
    for name in ("a.zarr", "b.n5"):
        levels = open_levels(tmp_path / name)
        assert [level.shape for level in levels] == [(5, 40, 50), (5, 20, 25)]
        assert [level.voxel.size for level in levels] == [(40, 5, 4), (40, 10, 8)]
        assert np.array_equal(levels[1][2], array[2, ::2, ::2])
        assert len(open_levels(levels[0].source)) == 1


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_the_scale_of_an_image_as_a_whole_counts_for_each_of_its_levels(tmp_path, version):
    root = zarr.open_group(write_ome(tmp_path / "a.zarr", grey(), version))
    attributes = root.attrs.asdict()
    (image,) = attributes.get("ome", attributes)["multiscales"]
    image["coordinateTransformations"] = [{"type": "scale", "scale": [2.0, 2.0, 3.0]}]
    root.attrs.update(attributes)
    levels = open_levels(tmp_path / "a.zarr")
    assert [level.voxel.size for level in levels] == [(80, 10, 12), (80, 20, 24)]


def test_units_that_differ_become_that_of_x(tmp_path):
    path = write_ome(tmp_path / "a.zarr", grey(), units=("micrometer", "nanometer", "nanometer"))
    assert open_volume(path).voxel.size == pytest.approx((40_000, 5, 4))


@pytest.mark.parametrize("units", [("parsec",) * 3, (None,) * 3])
def test_a_voxel_whose_unit_is_not_known_is_none(tmp_path, units):
    assert open_volume(write_ome(tmp_path / "a.zarr", grey(), units=units)).voxel is None


@pytest.mark.parametrize("write", [write_ome, write_plain, write_cremi], ids=lambda write: write.__name__)
def test_a_dataset_that_is_not_there_is_answered_with_those_that_are(tmp_path, write):
    path = write(tmp_path / ("a.h5" if write is write_cremi else "a.zarr"), grey())
    with pytest.raises(UserError, match=rf"{path.name} has no dataset nope; it has .*\(5 x 40 x 50\)"):
        open_volume(path / "nope")


def several_in_hdf5(path, array):
    with h5py.File(path, "w") as file:
        file["a/x"], file["b"] = array, array


def several_in_zarr(path, array):
    root = zarr.create_group(path)
    root.create_array("a/x", data=array)
    root.create_array("b", data=array)


def several_in_n5(path, array):
    write_n5(path, array, "a/x")
    write_n5(path, array, "b")


@pytest.mark.parametrize(
    ("write", "name"), [(several_in_hdf5, "a.h5"), (several_in_zarr, "a.zarr"), (several_in_n5, "a.n5")]
)
def test_of_several_volumes_the_user_is_asked_for_one(tmp_path, write, name):
    write(tmp_path / name, grey())
    with pytest.raises(UserError) as caught:
        open_volume(tmp_path / name)
    assert str(caught.value) == (
        f"{name} has 2 volumes, a/x (5 x 40 x 50), b (5 x 40 x 50); "
        f"append the path of the one to open, such as {name}/a/x."
    )


def test_labels_are_known_as_such(tmp_path):
    path = write_cremi(tmp_path / "a.h5", grey())
    assert open_volume(path / "volumes/labels/neuron_ids").is_labels
    assert not open_volume(path).is_labels
    write_ome(tmp_path / "b.zarr", grey())
    group = zarr.open_group(tmp_path / "b.zarr")
    group.attrs["ome"] = group.attrs["ome"] | {"image-label": {}}
    assert open_volume(tmp_path / "b.zarr").is_labels


def cells():
    """An instance map in which the halves of each slice are cells, and 0 lies between them."""
    array = np.zeros((5, 40, 50), np.uint64)
    array[:, :, :24], array[:, :, 26:] = 10**9, 3
    return array


def both_in_hdf5(path, raw, labels):
    with h5py.File(path, "w") as file:
        file[raw], file[labels] = grey("uint8"), cells()


def both_in_zarr(path, raw, labels):
    root = zarr.create_group(path)
    root.create_array(raw, data=grey("uint8"))
    root.create_array(labels, data=cells())


def both_in_n5(path, raw, labels):
    write_n5(path, grey("uint8"), raw)
    write_n5(path, cells(), labels)


def both_in_ome(path, raw, labels):
    """Labels beside the levels of an image, as OME-Zarr has them."""
    write_ome(path, grey("uint8"))
    zarr.open_group(path).create_array("labels/cells/0", data=cells())


BOTH = {
    "HDF5": (both_in_hdf5, "c.hdf"),
    "Zarr": (both_in_zarr, "c.zarr"),
    "N5": (both_in_n5, "c.n5"),
    "OME-Zarr": (both_in_ome, "c.ome.zarr"),
}


@pytest.mark.parametrize(("write", "name"), BOTH.values(), ids=BOTH)
@pytest.mark.parametrize("limit", [1000, 2**30])
def test_labels_of_a_container_are_never_its_image(tmp_path, monkeypatch, write, name, limit):
    monkeypatch.setattr(stack_or_volume, "LARGE_BYTES", limit)
    write(tmp_path / name, "volumes/raw", "volumes/labels/neuron_ids")
    expected = np.where(cells() == 0, 1, 2)
    np.testing.assert_array_equal(open_labels(tmp_path / name, "instances")[:], expected)
    np.testing.assert_array_equal(read_labels(tmp_path / name, "instances"), expected)
    np.testing.assert_array_equal(open_volume(tmp_path / name)[:], grey("uint8"))
    refuse_image(tmp_path / name, tmp_path / name)  # they are two datasets


@pytest.mark.parametrize(("write", "name"), list(BOTH.values())[:3], ids=list(BOTH)[:3])
def test_labels_of_a_group_and_beside_what_is_raw_are_found(tmp_path, write, name):
    path = tmp_path / name
    write(path, "a/raw", "a/b")
    write(path.with_stem("d"), "volumes/labels/clefts", "volumes/labels/neuron_ids")
    write(path.with_stem("e"), "volumes/raw/s0", "volumes/labels/neuron_ids/s0")
    assert open_volume(path, labels=True).name == f"{name}/a/b"
    assert open_volume(path / "a", labels=True).name == f"{name}/a/b"
    for group in ("", "volumes", "volumes/labels"):
        found = open_volume(path.with_stem("d") / group, labels=True)
        assert found.name.endswith("volumes/labels/neuron_ids")
    for group in ("", "volumes"):
        assert open_volume(path.with_stem("e") / group, labels=True).name.endswith("neuron_ids/s0")
        assert open_volume(path.with_stem("e") / group).name.endswith("raw/s0")


@pytest.mark.parametrize(("write", "name"), list(BOTH.values())[:3], ids=list(BOTH)[:3])
def test_where_labels_are_not_clear_the_user_is_asked(tmp_path, write, name):
    path = tmp_path / name
    write(path, "labels/one", "labels/two")
    with pytest.raises(SeveralVolumes, match=r"labels/one .* labels/two .*append the path") as caught:
        open_labels(path, "instances")
    assert caught.value.datasets == ("labels/one", "labels/two")


def test_a_raw_image_alone_is_no_labels(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["volumes/raw"] = grey()
    with pytest.raises(UserError, match=r"a.h5 has volumes/raw \(.*\), but labels are needed"):
        open_labels(tmp_path / "a.h5", "instances")
    with pytest.raises(UserError, match=r"a.h5/volumes/raw is the image itself; choose the labels"):
        refuse_image(tmp_path / "a.h5/volumes/raw", tmp_path / "a.h5")
    (tmp_path / "b.h5").symlink_to(tmp_path / "a.h5")
    with pytest.raises(UserError, match="is the image itself"):
        refuse_image(tmp_path / "b.h5/volumes/raw", tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["volumes/labels/neuron_ids"] = np.ones((2, 20, 20), np.uint64)
    with pytest.raises(UserError, match=r"a.h5/volumes/labels/neuron_ids is the image itself"):
        refuse_image(tmp_path / "a.h5", tmp_path / "a.h5/volumes/labels/neuron_ids")


def test_labels_of_cremi_are_instances(tmp_path):
    cells = np.zeros((2, 20, 20), np.uint64)
    cells[:, :9], cells[:, 10:15], cells[:, 16:] = 10**9, 10**9 + 256, 7
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["volumes/labels/neuron_ids"] = cells
    path = tmp_path / "a.h5/volumes/labels/neuron_ids"
    with pytest.raises(UserError, match="instances"):
        read_labels(path)
    labels = read_labels(path, "instances")
    assert labels.dtype == np.uint8
    assert np.all(labels[:, 9] == 1)
    assert np.all(labels[:, 3] == 2)


# -- what bad input gets ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("write", "gone"),
    [
        (lambda p: write_zarr(p, grey(), 2), "1.2.0"),
        (lambda p: write_zarr(p, grey(), 3), "c/1/2/0"),
        (lambda p: write_n5(p, grey(), ""), "0/2/1"),
    ],
    ids=["Zarr 2", "Zarr 3", "N5"],
)
def test_a_missing_chunk_is_named_and_the_rest_is_read(tmp_path, write, gone):
    path = write(tmp_path / ("a.n5" if gone == "0/2/1" else "a.zarr"))
    (path / gone).unlink()
    volume, array = open_volume(path), grey()
    with pytest.raises(BrokenChunk, match=rf"chunk \(1, 2, 0\) of {path.name}.* is missing") as caught:
        volume[...]
    assert caught.value.index == (1, 2, 0)
    assert pickle.loads(pickle.dumps(caught.value)).index == (1, 2, 0)
    assert np.array_equal(volume[2:4, :32], array[2:4, :32])
    filled = open_volume(path, fills=True)[...]
    assert not filled[2:4, 32:, :16].any()
    assert np.array_equal(filled[:, :32], array[:, :32])


@pytest.mark.parametrize(("zarr_format", "shards"), [(2, None), (3, None), (3, (1, 32, 64))])
def test_slices_without_a_file_are_made_and_not_read(tmp_path, monkeypatch, zarr_format, shards):
    array = zarr.create_array(
        tmp_path / "a.zarr",
        shape=(4, 32, 64),
        chunks=(1, 16, 32),
        shards=shards,
        dtype="uint8",
        fill_value=3,
        zarr_format=zarr_format,
    )
    array[2, 20:24] = 7
    found = open_volume(tmp_path / "a.zarr", fills=True)
    np.testing.assert_array_equal(found[...], array[:])
    monkeypatch.delattr(ZarrPixels, "_values")
    assert (found[0] == 3).all()
    assert found[3].dtype == np.uint8
    with pytest.raises(UserError):  # it would have been read
        found[2]


def test_a_missing_shard_is_named_by_the_first_chunk_that_is_wanted_of_it(tmp_path):
    path = write_ome(tmp_path / "a.zarr", grey(), leading=1)
    (path / "0/c/0/1/0/1").unlink()
    with pytest.raises(BrokenChunk, match=r"no file c/0/1/0/1") as caught:
        open_volume(path)[3, 20:, 33:]
    assert caught.value.index == (1, 1, 2)


def cut(path):
    path.write_bytes(path.read_bytes()[:-7])


def spoil_hdf5(path):
    with h5py.File(path) as file:
        place = file["volumes/raw"].id.get_chunk_info_by_coord((2, 32, 16)).byte_offset
    spoil(path, place)


def spoil_tiff(path, strip):
    with tifffile.TiffFile(path) as file:
        place = file.pages[2].dataoffsets[strip]
    spoil(path, place)


def spoil(path, place):
    content = bytearray(path.read_bytes())
    content[place : place + 20] = b"\xff" * 20
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "write", "damage", "index"),
    [
        ("a.zarr", lambda p: write_zarr(p, grey(), 2), lambda p: cut(p / "1.2.1"), (1, 2, 1)),
        ("a.zarr", lambda p: write_zarr(p, grey(), 3), lambda p: cut(p / "c/1/2/1"), (1, 2, 1)),
        ("a.n5", lambda p: write_n5(p, grey(), ""), lambda p: cut(p / "1/2/1"), (1, 2, 1)),
        ("a.h5", lambda p: write_cremi(p, grey()), spoil_hdf5, (1, 2, 1)),
        ("a.tif", lambda p: FORMATS["TIFF, compressed"][0](p, grey()), lambda p: spoil_tiff(p, 3), (2, 0, 0)),
        ("a.tif", lambda p: FORMATS["TIFF, tiled"][0](p, grey()), lambda p: spoil_tiff(p, 3), (2, 1, 1)),
    ],
    ids=["Zarr 2", "Zarr 3", "N5", "HDF5", "TIFF strips", "TIFF tiles"],
)
def test_a_damaged_chunk_is_named_and_the_rest_is_read(tmp_path, name, write, damage, index):
    path = tmp_path / name
    write(path)
    damage(path)
    volume = open_volume(path)
    with pytest.raises(
        BrokenChunk, match=rf"chunk \({', '.join(map(str, index))}\) of a\S+ is damaged"
    ) as caught:
        volume[...]
    assert caught.value.index == index
    assert np.array_equal(volume[:2], grey()[:2])


@pytest.mark.parametrize("fills", [False, True])
@pytest.mark.parametrize("window", [np.s_[:], np.s_[:, 70:80, :8]], ids=["whole shards", "a part of one"])
def test_a_shard_that_is_an_empty_file_is_damaged_and_not_black(tmp_path, fills, window):
    array = zarr.create_array(
        tmp_path / "a.zarr", shape=(4, 128, 128), chunks=(1, 32, 32), shards=(1, 64, 64), dtype="uint8"
    )
    array[...] = 7
    (tmp_path / "a.zarr/c/2/1/0").write_bytes(b"")
    volume = open_volume(tmp_path / "a.zarr", fills=fills)
    with pytest.raises(BrokenChunk, match=r"chunk \(2, 2, 0\) of a.zarr is damaged \(.* is empty") as caught:
        volume[window]
    assert caught.value.index == (2, 2, 0)
    assert (volume[:2] == 7).all()


def test_a_slice_unlike_the_first_is_named_when_it_is_read(tmp_path):
    folder = write_pngs(tmp_path / "slices", grey(shape=(12, 20, 30)))
    assert np.array_equal(open_volume(folder)[:], grey(shape=(12, 20, 30)))  # 2 comes before 10
    (folder / "slice3.png").write_bytes(imagecodecs.png_encode(grey(shape=(20, 31))))
    (folder / "slice4.png").write_bytes(b"no PNG")
    volume = open_volume(folder)
    with pytest.raises(
        BrokenChunk, match=r"slices/slice3.png \(20 x 31 pixels, uint16\) is unlike"
    ) as caught:
        volume[1:]
    assert caught.value.index == (3, 0, 0)
    with pytest.raises(BrokenChunk, match=r"slice4.png"):
        volume[4]
    assert volume[5:].shape == (7, 20, 30)


def array_in_hdf5(path, array):
    with h5py.File(path, "w") as file:
        file["x"] = array


@pytest.mark.parametrize(
    ("array", "sentence"),
    [
        (np.zeros((2, 3, 20, 20)), "has 4 axes"),
        (np.zeros((20, 20, 3), np.uint8), "colour"),
        (np.zeros((2, 20, 20), complex), "complex128"),
        (np.zeros((2, 0, 20)), "no pixels"),
        (np.zeros(7), "axes|shape 7"),
        (np.zeros((2, 20, 20), "S3"), "S3"),
    ],
    ids=["four axes", "colour", "complex", "empty", "a row", "texts"],
)
def test_what_is_no_grey_stack_is_refused_in_a_sentence(tmp_path, array, sentence):
    array_in_hdf5(tmp_path / "a.h5", array)
    with pytest.raises(UserError, match=sentence) as caught:
        open_volume(tmp_path / "a.h5/x")
    assert str(caught.value).startswith("a.h5/x ")
    with pytest.raises(UserError):
        open_volume(tmp_path / "a.h5")
    with pytest.raises(UserError, match=rf"^The layer .*({sentence})"):
        volume_of(array, "The layer")


@pytest.mark.parametrize(
    "name", ["a.h5", "a.mrc", "a.tif", "a.png", "a.zarr/zarr.json", "a.n5/attributes.json"]
)
@pytest.mark.parametrize(
    "content", [b"", b"{", b"not what the name says" * 99], ids=["empty", "cut", "other"]
)
def test_a_damaged_file_is_named(tmp_path, name, content):
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    with pytest.raises(UserError, match=name.split("/")[0]):
        open_volume(tmp_path / name.split("/")[0])


@pytest.mark.parametrize("suffix", [".mrc", ".tif"])
def test_a_file_that_was_cut_off_is_refused(tmp_path, suffix):
    path = (write_mrc if suffix == ".mrc" else write_tiff)(tmp_path / f"a{suffix}", grey())
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(UserError, match=path.name):
        open_volume(path)


@pytest.mark.parametrize("path", ["nope.h5", "nope.zarr/0", "no/folder/a.tif", "a.tif/0", "a.abc"])
def test_what_is_not_there_or_of_no_known_format_is_named(tmp_path, path):
    write_tiff(tmp_path / "a.tif", grey())
    (tmp_path / "a.abc").write_text("?")
    with pytest.raises(UserError, match=r"does not exist|format that cannot be read"):
        open_volume(tmp_path / path)


def test_a_container_without_a_volume_is_said(tmp_path):
    zarr.create_group(tmp_path / "a.zarr")
    with pytest.raises(
        UserError, match=r"a.zarr has no dataset, but an image with the axes z, y, x is needed"
    ):
        open_volume(tmp_path / "a.zarr")


def test_what_does_not_fit_into_memory_is_not_read_as_a_whole(tmp_path):
    zarr.create_array(tmp_path / "a.zarr", shape=(10**5, 10**5, 10**4), chunks=(1, 512, 512), dtype="uint8")
    volume = open_volume(tmp_path / "a.zarr")
    with pytest.raises(UserError, match=r"a.zarr takes 93132.3 GiB of memory"):
        read_whole(volume)
    with pytest.raises(UserError, match=r"a.zarr takes 93132.3 GiB of memory"):
        read_image(tmp_path / "a.zarr")


def test_a_compression_that_is_not_installed_is_named(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        unknown = {"compression": 32101, "allow_unknown_filter": True}
        file.create_dataset("x", shape=(2, 20, 20), chunks=(1, 20, 20), dtype=np.uint8, **unknown)
    with pytest.raises(UserError, match=r"a.h5/x is compressed by .*32101.*; save it again with gzip"):
        open_volume(tmp_path / "a.h5")


# -- special formats ----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int16", "float32"])
def test_modes_of_mrc_are_read(tmp_path, dtype):
    volume = open_volume(write_mrc(tmp_path / "a.rec", grey().astype(dtype)))
    assert volume.dtype == dtype
    assert np.array_equal(volume[...], grey().astype(dtype))


def test_bytes_of_imod_are_unsigned_unless_it_says_so(tmp_path):
    array = grey("uint8")
    for flags, dtype in ((0, np.uint8), (1, np.int8)):
        with mrcfile.new(tmp_path / f"{flags}.mrc") as file:
            file.set_data(array.view(np.int8))
            extra = bytearray(bytes(file.header.extra2))
            extra[40:48] = np.array([1146047817, flags], file.header.mode.dtype).tobytes()
            file.header.extra2 = np.void(bytes(extra))
        volume = open_volume(tmp_path / f"{flags}.mrc")
        assert volume.dtype == dtype
        assert np.array_equal(volume[...], array.view(dtype))


LARGE = {
    "Zarr": lambda p, a: write_zarr(p, a, chunks=(1, 256, 256), shards=(4, 512, 512)),
    "HDF5": lambda p, a: array_in_hdf5(p, a),
    "MRC": write_mrc,
    "TIFF": lambda p, a: write_tiff(p, a, compression="zlib", rowsperstrip=64),
    "TIFF, tiled": lambda p, a: write_tiff(p, a, tile=(256, 256), compression="zlib"),
}


@pytest.mark.parametrize("write", LARGE.values(), ids=LARGE)
def test_reading_slices_takes_the_memory_of_few(tmp_path, write):
    names = dict(zip(LARGE.values(), ("a.zarr", "a.h5", "a.mrc", "a.tif", "a.tif"), strict=True))
    path = tmp_path / names[write]
    write(path, np.ones((64, 512, 512), np.uint16))
    open_volume(path)[0, :9]  # imports, and what libraries set up once
    tracemalloc.start()
    volume = open_volume(path)
    sums = [volume[z].mean() for z in (0, 20, 63)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sums == [1, 1, 1]
    assert peak < 16 * 512 * 512 * 2


@pytest.mark.parametrize("name", ["a" * 300 + ".tif", "a\0b.tif"])
def test_names_that_no_file_can_have_are_refused_in_a_sentence(tmp_path, name):
    for read in (open_volume, read_image, read_labels):
        with pytest.raises(UserError, match=r"cannot be read .* check its name"):
            read(tmp_path / name)


@pytest.mark.parametrize("shape", [(5, 7, 1), (5, 1, 7), (1, 5, 1), (5, 1, 1), (1, 1, 1), (3, 1, 1)])
def test_a_tiff_of_slices_of_one_row_or_column_is_read_as_it_was_written(tmp_path, shape):
    stack = grey("uint8", shape)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack")
    np.testing.assert_array_equal(open_volume(tmp_path / "a.tif")[...], stack)


def test_a_mapped_file_that_became_shorter_is_said_and_does_not_end_the_process(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.ones((3, 64, 64), np.uint8), photometric="minisblack")
    volume = open_volume(path)
    path.write_bytes(path.read_bytes()[:6000])
    with pytest.raises(BrokenChunk, match=r"a\.tif is cut off"):
        volume[...]


@pytest.mark.parametrize("labels", [False, True])
def test_a_virtual_dataset_of_which_a_file_is_missing_is_refused(tmp_path, labels):
    layout = h5py.VirtualLayout((4, 6, 7), "u1")
    for n in range(2):
        with h5py.File(tmp_path / f"{n}.h5", "w") as file:
            file["d"] = grey("uint8", (2, 6, 7))
        layout[2 * n : 2 * n + 2] = h5py.VirtualSource(f"{n}.h5", "d", (2, 6, 7))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_virtual_dataset("x", layout)
    whole = np.concatenate([grey("uint8", (2, 6, 7))] * 2)
    np.testing.assert_array_equal(open_volume(tmp_path / "a.h5", labels=labels)[...], whole)
    (tmp_path / "1.h5").unlink()
    with pytest.raises(
        UserError, match=r"a\.h5/x is put together from 2 other files, of which 1 are missing"
    ):
        open_volume(tmp_path / "a.h5", labels=labels)


def test_sources_of_a_virtual_dataset_are_found_beside_it_after_all_were_moved(tmp_path):
    (tmp_path / "before").mkdir()
    with h5py.File(tmp_path / "before/0.h5", "w") as file:
        file["d"] = grey("uint8", (2, 6, 7))
    layout = h5py.VirtualLayout((2, 6, 7), "u1")
    layout[:] = h5py.VirtualSource(str(tmp_path / "before/0.h5"), "d", (2, 6, 7))
    with h5py.File(tmp_path / "before/a.h5", "w") as file:
        file.create_virtual_dataset("x", layout)
    (tmp_path / "before").rename(tmp_path / "after")
    np.testing.assert_array_equal(open_volume(tmp_path / "after/a.h5")[...], grey("uint8", (2, 6, 7)))


def test_a_tiff_that_states_x_before_y_is_turned(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.arange(12, dtype=np.uint8).reshape(4, 3), metadata={"axes": "XY"})
    turned = np.arange(12).reshape(4, 3).T
    assert open_volume(tmp_path / "a.tif")[0].tolist() == turned.tolist()
    assert read_image(tmp_path / "a.tif").tolist() == [turned.tolist()]


@pytest.mark.parametrize("odd", [0, 2, 4])
def test_a_folder_is_as_large_as_two_of_its_first_middle_and_last_slice(tmp_path, odd):
    for z in range(5):
        tifffile.imwrite(tmp_path / f"{z}.tif", np.full((7, 9 if z == odd else 8), z, np.uint8))
    volume = open_volume(tmp_path)
    assert volume.shape == (5, 7, 8)
    with pytest.raises(BrokenChunk, match=rf"slice {odd}: .*/{odd}\.tif .* is unlike the other slices"):
        volume[odd]
    assert volume[(odd + 1) % 5].max() == (odd + 1) % 5


@pytest.mark.parametrize(
    ("options", "written", "words"),
    [
        ({}, 0, ("none of it was ever written, so it is read as its fill value",)),
        ({}, 4, ()),
        ({"external": [("raw.bin", 0, 480)]}, 0, ()),
        (
            {"chunks": (1, 10, 12)},
            0,
            ("4 of its 4 chunks were never written, so they are read as its fill value",),
        ),
        (
            {"chunks": (1, 10, 12)},
            3,
            ("1 of its 4 chunks were never written, so they are read as its fill value",),
        ),
        ({"chunks": (1, 10, 12)}, 4, ()),
    ],
)
def test_how_much_of_an_hdf5_image_was_never_written_is_said(tmp_path, options, written, words):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        image = file.create_dataset("raw", (4, 10, 12), "uint8", **options)
        for z in range(written):
            image[z] = 7
    description = open_volume(tmp_path / "a.h5").description
    assert description is not None
    assert tuple(note for note in description.notes if "written" in note) == words


def test_chunks_that_do_not_fit_into_memory_are_told_in_gib(monkeypatch):
    monkeypatch.setattr(chunk_files, "free_memory", lambda: 1 << 30)
    chunk_files.check_chunks((1024, 1024, 1024), np.dtype("uint8"), "a.zarr")
    with pytest.raises(UserError, match=r"each of which takes 2\.0 GiB of memory, and 1\.0 GiB are free"):
        chunk_files.check_chunks((1024, 1024, 1024), np.dtype("uint16"), "a.zarr")
