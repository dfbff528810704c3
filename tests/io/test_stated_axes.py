"""Axes that containers state, in any order: each is read as z, y, x, or refused with its axes."""

import json
import pickle

import h5py
import mrcfile
import numpy as np
import pytest
import tensorstore
import zarr

from emseg_napari.core.jobs import UserError
from emseg_napari.io import stack_or_volume
from emseg_napari.io.open import open_levels, open_volume
from emseg_napari.io.stack_or_volume import open_image, open_labels
from emseg_napari.io.stacks import read_image, read_labels
from emseg_napari.io.volume import BrokenChunk, Voxel

STACK = np.random.default_rng(3).integers(1, 250, (6, 14, 17), np.uint8)
LABELS = np.where(STACK > 120, 255, 0).astype(np.uint8)
ORDERS = ["zyx", "xyz", "yxz", "zyxc", "czyx", "tczyx", "cxyz", "yzxt"]
CHUNKS = {"z": 2, "y": 5, "x": 4}


def arranged(order, stack=STACK):
    """Return a stack with its axes in an order, others of length 1."""
    longer = [axis for axis in order if axis in "zyx"]
    turned = stack.transpose(["zyx".index(axis) for axis in longer])
    return turned.reshape([stack.shape["zyx".index(axis)] if axis in "zyx" else 1 for axis in order])


def chunks(order):
    return tuple(CHUNKS.get(axis, 1) for axis in order)


def hdf5(path, order, stack, **attributes):
    with h5py.File(path, "w") as file:
        made = file.create_dataset("exported_data", data=arranged(order, stack), chunks=chunks(order))
        made.attrs.update(attributes)
    return path


def tags(order):
    return json.dumps({"axes": [{"key": axis, "typeFlags": 2, "resolution": 0} for axis in order]})


def labelled_dimensions(path, order, stack):
    with h5py.File(path, "w") as file:
        made = file.create_dataset("data", data=arranged(order, stack), chunks=chunks(order))
        for dimension, axis in zip(made.dims, order, strict=True):
            dimension.label = axis
    return path


def zarr_array(path, order, stack, zarr_format=2, names=None, **attributes):
    made = zarr.create_array(
        path,
        data=arranged(order, stack),
        chunks=chunks(order),
        zarr_format=zarr_format,
        dimension_names=names,
    )
    made.attrs.update(attributes)
    return path


def ome_zarr(path, order, stack, version="0.5", named=dict):
    axes = [named(axis) if named is str else {"name": axis} for axis in order]
    levels = [{"path": name} for name in ("s0", "s1")]
    image = {"multiscales": [{"axes": axes, "datasets": levels, "version": version}]}
    root = zarr.create_group(path, zarr_format=3 if version == "0.5" else 2)
    root.attrs.update({"ome": {"version": version, **image}} if version == "0.5" else image)
    for name, step in (("s0", 1), ("s1", 2)):
        root.create_array(name, data=arranged(order, stack[:, ::step, ::step]), chunks=chunks(order))
    return path


def n5(path, order, stack, **attributes):
    """Write a stack whose axes are `order` in Python, so the reverse of it in the file."""
    array = arranged(order, stack)
    spec = {"driver": "n5", "kvstore": {"driver": "file", "path": str(path / "data")}}
    layout = tensorstore.ChunkLayout(read_chunk_shape=chunks(order)[::-1])
    made = tensorstore.open(
        spec, create=True, dtype=array.dtype, shape=array.shape[::-1], chunk_layout=layout
    )
    made.result()[...] = array.T
    file = path / "data/attributes.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | attributes))
    return path


WRITERS = {
    "ilastik in HDF5": ("a.h5", lambda p, o, s: hdf5(p, o, s, axistags=tags(o))),
    "ilastik in HDF5, as bytes": ("a.h5", lambda p, o, s: hdf5(p, o, s, axistags=np.bytes_(tags(o)))),
    "words in HDF5": ("a.h5", lambda p, o, s: hdf5(p, o, s, AXES=o.upper())),
    "list in HDF5": ("a.h5", lambda p, o, s: hdf5(p, o, s, axes=list(o))),
    "labels of dimensions in HDF5": ("a.h5", labelled_dimensions),
    "xarray in Zarr": ("a.zarr", lambda p, o, s: zarr_array(p, o, s, _ARRAY_DIMENSIONS=list(o))),
    "ilastik in Zarr": ("a.zarr", lambda p, o, s: zarr_array(p, o, s, axistags=tags(o))),
    "names in Zarr 3": ("a.zarr", lambda p, o, s: zarr_array(p, o, s, 3, names=tuple(o))),
    "OME-Zarr 0.5": ("a.zarr", ome_zarr),
    "OME-Zarr 0.4": ("a.zarr", lambda p, o, s: ome_zarr(p, o, s, "0.4")),
    "OME-Zarr 0.3": ("a.zarr", lambda p, o, s: ome_zarr(p, o, s, "0.3", str)),
    "axes of N5": ("a.n5", lambda p, o, s: n5(p, o, s, axes=list(o[::-1]))),
    "ilastik in N5": ("a.n5", lambda p, o, s: n5(p, o, s, axistags=tags(o))),
    "COSEM in N5": ("a.n5", lambda p, o, s: n5(p, o, s, transform={"axes": list(o)})),
}


@pytest.fixture(params=[(w, o) for n, w in enumerate(WRITERS) for o in {ORDERS[1], ORDERS[n % len(ORDERS)]}])
def written(request, tmp_path):
    """Path of an image, and of labels, with the axes in some order."""
    writer, order = request.param
    name, write = WRITERS[writer]
    (tmp_path / "labels").mkdir()
    return write(tmp_path / name, order, STACK), write(tmp_path / "labels" / name, order, LABELS)


def test_axes_that_a_container_states_are_put_in_order(written, monkeypatch):
    path, labels = written
    volume = open_volume(path)
    assert volume.shape == STACK.shape
    assert volume.chunks == (2, 5, 4)
    assert np.array_equal(volume[...], STACK)
    assert volume[...].flags.c_contiguous
    assert np.array_equal(volume[1:5, 3:11, 2:9], STACK[1:5, 3:11, 2:9])
    assert np.array_equal(volume[5, 4, 3:], STACK[5, 4, 3:])
    assert np.array_equal(pickle.loads(pickle.dumps(volume))[[4, 1]], STACK[[4, 1]])
    for limit in (2**30, 100):
        monkeypatch.setattr(stack_or_volume, "LARGE_BYTES", limit)
        assert np.array_equal(open_image(path)[...], STACK)
        assert np.array_equal(open_labels(labels)[:], np.where(LABELS, 2, 1))
    assert np.array_equal(read_image(path), STACK)
    assert np.array_equal(read_labels(labels, "isbi"), np.where(LABELS, 2, 1))


def test_all_levels_of_an_image_have_their_axes_in_order(tmp_path):
    levels = open_levels(ome_zarr(tmp_path / "a.zarr", "cxyz", STACK))
    assert [level.shape for level in levels] == [(6, 14, 17), (6, 7, 9)]
    assert np.array_equal(levels[1][...], STACK[:, ::2, ::2])


@pytest.mark.parametrize("name", ["a.zarr", "a.n5"])
def test_a_missing_chunk_is_named_by_its_place_along_z_y_x(tmp_path, name):
    if name == "a.zarr":
        path = zarr_array(tmp_path / name, "xyzc", STACK, _ARRAY_DIMENSIONS=list("xyzc"))
        (path / "3.1.2.0").unlink()
    else:
        path = n5(tmp_path / name, "xyz", STACK, axes=list("zyx"))
        (path / "data/2/1/3").unlink()
    with pytest.raises(BrokenChunk, match=r"chunk \(2, 1, 3\)") as caught:
        open_volume(path)[...]
    assert caught.value.index == (2, 1, 3)
    filled = open_volume(path, fills=True)[...]
    assert not filled[4:6, 5:10, 12:16].any()
    assert np.array_equal(filled[:4], STACK[:4])


def test_a_damaged_chunk_is_named_by_its_place_along_z_y_x(tmp_path):
    path = zarr_array(tmp_path / "a.zarr", "xyz", STACK, _ARRAY_DIMENSIONS=list("xyz"))
    (path / "3.1.2").write_bytes(b"?")
    with pytest.raises(BrokenChunk, match=r"chunk \(2, 1, 3\) of a.zarr is damaged"):
        open_volume(path)[...]


def test_a_slice_of_ilastik_with_the_channel_last_is_one_slice(tmp_path):
    """As (y, x, c) it was 14 slices, one pixel wide."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("exported_data", data=STACK[0][..., None]).attrs["axistags"] = tags("yxc")
    volume = open_volume(tmp_path / "a.h5")
    assert np.array_equal(volume[...], STACK[:1])
    assert volume.description.axes == ("y", "x", "c")


@pytest.mark.parametrize(
    ("order", "stack", "words"),
    [
        ("zyxc", np.zeros((3, 8, 9, 2)), "2 channels"),
        ("tzyx", np.zeros((2, 3, 8, 9)), r"t \(2\), z \(3\)"),
        ("yx", np.zeros((3, 8, 9)), r"names 2 axes \(y, x\), but has 3"),
        ("zy", np.zeros((8, 9)), "the axes z, y"),
        ("yyx", np.zeros((3, 8, 9)), "the axes y, y, x"),
    ],
)
def test_axes_that_are_no_single_stack_are_named(tmp_path, order, stack, words):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=stack).attrs["axistags"] = tags(order)
    with pytest.raises(UserError, match=rf"a.h5/x .*{words}"):
        open_volume(tmp_path / "a.h5/x")


def test_names_that_say_nothing_leave_z_y_x_last_and_are_said(tmp_path):
    path = zarr_array(tmp_path / "a.zarr", "zyx", STACK, _ARRAY_DIMENSIONS=["dim_0", "dim_1", "dim_2"])
    volume = open_volume(path)
    assert np.array_equal(volume[...], STACK)
    assert "dim_0, dim_1, dim_2" in volume.description.notes[0]


def test_axes_of_space_with_free_names_are_the_last_ones(tmp_path):
    path = ome_zarr(tmp_path / "a.zarr", "czyx", STACK)
    group = zarr.open_group(path)
    names = [("chan", "channel"), ("foot", "space"), ("nose", "space"), ("ear", "space")]
    ome = group.attrs["ome"]
    ome["multiscales"][0]["axes"] = [{"name": name, "type": kind} for name, kind in names]
    group.attrs["ome"] = ome
    assert np.array_equal(open_volume(path)[...], STACK)


def test_an_array_that_names_its_axes_otherwise_than_its_image_is_said(tmp_path):
    path = zarr.create_group(tmp_path / "a.zarr").store_path.store.root
    root = zarr.open_group(path)
    image = {"axes": [{"name": axis} for axis in "xyz"], "datasets": [{"path": "0"}]}
    root.attrs["ome"] = {"version": "0.5", "multiscales": [image]}
    root.create_array("0", data=arranged("xyz"), dimension_names=("z", "y", "x"))
    volume = open_volume(path)
    assert np.array_equal(volume[...], STACK)
    assert "named z, y, x by the array and x, y, z by its image" in volume.description.notes[0]


# -- BigDataViewer ------------------------------------------------------------------------


def big_data_viewer(path, stack, setups=("s00",)):
    with h5py.File(path, "w") as file:
        for setup in setups:
            file[f"{setup}/resolutions"], file[f"{setup}/subdivisions"] = np.ones((2, 3)), np.ones((2, 3))
            for level in range(2):
                file[f"t00000/{setup}/{level}/cells"] = stack[:, :: 2**level, :: 2**level]
    return path


def test_signed_values_of_big_data_viewer_are_read_as_unsigned(tmp_path, monkeypatch):
    unsigned = STACK.astype("<u2") * 257
    path = big_data_viewer(tmp_path / "a.h5", unsigned.view("<i2"))
    levels = open_levels(path)
    assert [level.name for level in levels] == [f"a.h5/t00000/s00/{n}/cells" for n in range(2)]
    assert [level.dtype for level in levels] == [np.uint16] * 2
    assert np.array_equal(levels[0][...], unsigned)
    assert np.array_equal(levels[1][2:4, 1:], unsigned[2:4, 2::2, ::2])
    assert any("unsigned" in note for note in levels[0].description.notes)
    assert np.array_equal(read_image(path), unsigned)
    monkeypatch.setattr(stack_or_volume, "LARGE_BYTES", 100)
    assert np.array_equal(open_image(path)[3], unsigned[3])


def test_of_several_setups_of_big_data_viewer_the_user_is_asked_for_one(tmp_path):
    path = big_data_viewer(tmp_path / "a.h5", STACK, ("s00", "s01"))
    with pytest.raises(UserError, match=r"has 2 volumes, t00000/s00/0/cells .*, t00000/s01/0/cells"):
        open_volume(path)
    assert open_volume(path / "t00000/s01/0/cells").dtype == np.uint8


def test_a_resolution_without_unit_of_big_data_viewer_in_n5_is_no_size(tmp_path):
    n5(tmp_path / "a.n5/setup0/timepoint0", "zyx", STACK)
    (tmp_path / "a.n5/setup0/timepoint0/data").rename(tmp_path / "a.n5/setup0/timepoint0/s0")
    (tmp_path / "a.n5/setup0/timepoint0/attributes.json").write_text('{"resolution": [1, 1, 9]}')
    volume = open_volume(tmp_path / "a.n5")
    assert volume.voxel is None
    assert "XML file of BigDataViewer" in volume.description.notes[0]


# -- MRC ----------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["zyx", "xyz", "yzx", "zxy"])
def test_axes_of_mrc_are_put_in_order_with_their_sizes(tmp_path, order):
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(STACK.transpose(["zyx".index(axis) for axis in order]).astype(np.int16))
        file.header.maps, file.header.mapr, file.header.mapc = ("xyz".index(axis) + 1 for axis in order)
        file.header.mx, file.header.my, file.header.mz = STACK.shape[::-1]
        file.header.cella = (17 * 40, 14 * 50, 6 * 400)
    volume = open_volume(tmp_path / "a.mrc")
    assert np.array_equal(volume[...], STACK)
    assert volume[...].flags.c_contiguous
    assert np.array_equal(pickle.loads(pickle.dumps(volume))[2:4, 3:, 5:9], STACK[2:4, 3:, 5:9])
    assert volume.voxel == Voxel((40, 5, 4), "nanometer")
