"""MRC files with headers as many programs write them: what has one meaning is read, and said."""

import mrcfile
import numpy as np
import pytest

from emseg_napari.core.jobs import UserError
from emseg_napari.io import stack_or_volume
from emseg_napari.io.open import open_volume
from emseg_napari.io.stack_or_volume import open_image
from emseg_napari.io.stacks import read_image

STACK = np.random.default_rng(0).integers(1, 120, (5, 12, 14)).astype(np.int16)
STAMP_AT, MAP_AT = 212, 208


def written(path, array=STACK, order="<", extended=0, **header):
    """Write a file, in either byte order, with some fields changed behind the back of mrcfile."""
    with mrcfile.new(path) as file:
        file.set_data(array)
        if extended:
            file.set_extended_header(np.zeros(extended, np.uint8))
        fields = file.header
        for name, value in header.items():
            fields[name] = value
        raw = np.array(fields)
        data = file.data.astype(file.data.dtype.newbyteorder(order)).tobytes()
        extra = bytes(file.extended_header)
    turned = raw.astype(raw.dtype.newbyteorder(order))
    if order == ">":
        turned["machst"] = (0x11, 0x11, 0, 0)
    path.write_bytes(turned.tobytes() + extra + data)
    return path


def patched(path, place, content):
    raw = bytearray(path.read_bytes())
    raw[place : place + len(content)] = content
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "float16", "float32"])
def test_every_mode_is_read_in_either_byte_order_behind_an_extended_header(tmp_path, order, dtype):
    path = written(tmp_path / "a.mrc", STACK.astype(dtype), order, extended=96)
    volume = open_volume(path)
    assert volume.dtype == dtype
    assert volume.description.notes == ()
    assert np.array_equal(volume[...], STACK.astype(dtype))
    assert np.array_equal(read_image(path), STACK)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("stamp", [b"\x44\0\0\0", b"\0\0\0\0", b"DA\0\0", b"\x11\x11\0\0", b"????"])
def test_a_wrong_machine_stamp_is_said_and_the_file_read(tmp_path, monkeypatch, order, stamp):
    path = patched(written(tmp_path / "a.st", order=order), STAMP_AT, stamp)
    right = (order == "<" and stamp == b"DA\0\0") or (order == ">" and stamp == b"\x11\x11\0\0")
    for limit in (2**30, 100):
        monkeypatch.setattr(stack_or_volume, "LARGE_BYTES", limit)
        assert np.array_equal(open_image(path)[...], STACK)
    notes = open_volume(path).description.notes
    assert bool(notes) != right
    assert right or "machine stamp is wrong" in notes[0]


def test_a_file_without_the_word_map_is_read_if_its_size_fits(tmp_path):
    path = patched(written(tmp_path / "a.rec"), MAP_AT, bytes(8))
    assert np.array_equal(open_volume(path)[...], STACK)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"a.rec is damaged or not an MRC file"):
        open_volume(path)


@pytest.mark.parametrize("stamp", [b"\x44\x44\0\0", b"\x44\0\0\0"])
def test_a_short_file_is_refused_with_the_slices_that_are_whole(tmp_path, stamp):
    path = patched(written(tmp_path / "a.mrc", extended=10), STAMP_AT, stamp)
    path.write_bytes(path.read_bytes()[: -2 * 12 * 14 * 2 - 1])
    with pytest.raises(UserError, match=r"a.mrc is cut off: 2 of 5 slices are whole; copy it again"):
        open_volume(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"a.mrc is damaged .*: it has 1000 bytes"):
        open_volume(path)


def test_slices_behind_those_that_the_header_states_are_said(tmp_path):
    path = written(tmp_path / "a.mrc", nz=3)
    volume = open_volume(path)
    assert np.array_equal(volume[...], STACK[:3])
    assert volume.description.notes == (
        "it has room for 5 slices, of which its header states 3; those are read",
    )


@pytest.mark.parametrize(
    ("mode", "words"), [(3, "complex"), (4, "complex64"), (16, "colours"), (101, "4 bits")]
)
def test_modes_that_are_not_grey_are_refused(tmp_path, mode, words):
    path = written(tmp_path / "a.mrc", np.zeros((2, 9, 9), np.complex64), mode=mode)
    with pytest.raises(UserError, match=rf"a.mrc holds .*{words}"):
        open_volume(path)


def test_several_volumes_in_one_file_are_refused_and_one_is_read(tmp_path):
    path = written(tmp_path / "a.map", STACK[:4], ispg=401, mz=2)
    with pytest.raises(UserError, match=r"a.map has 4 axes, volume \(2\), z \(2\)"):
        open_volume(path)
    assert np.array_equal(open_volume(written(tmp_path / "b.map", STACK[:4], ispg=401, mz=4))[...], STACK[:4])


@pytest.mark.parametrize("suffix", [".ali", ".preali", ".map", ".ccp4", ".mrcs", ".ST"])
def test_other_names_of_mrc_are_known(tmp_path, suffix):
    path = written(tmp_path / f"a{suffix}", ispg=0)
    assert np.array_equal(read_image(path), STACK)


def test_bytes_above_127_by_their_header_are_unsigned(tmp_path):
    array = STACK.astype(np.uint8) * 2
    path = written(tmp_path / "a.mrc", array.view(np.int8), dmin=array.min(), dmax=array.max())
    volume = open_volume(path)
    assert np.array_equal(volume[...], array)
    assert "unsigned" in volume.description.notes[0]


def test_an_origin_and_strange_axes_are_said(tmp_path):
    path = written(tmp_path / "a.mrc", mapc=1, mapr=1, maps=1)
    patched(path, 196, np.array([10, 20, 30], "<f4").tobytes())
    volume = open_volume(path)
    assert volume.origin == (0, 0, 0)
    strange, origin = volume.description.notes
    assert strange == "its axes are stated as 1, 1, 1 and read as x, y, z"
    assert "10, 20, 30" in origin


@pytest.mark.parametrize("cell", [(1, 1, 0), (float("nan"), 1, 1), (-4, 1, 1)])
def test_a_cell_that_is_no_size_is_said(tmp_path, cell):
    path = written(tmp_path / "a.mrc")
    patched(path, 40, np.array(cell, "<f4").tobytes())
    volume = open_volume(path)
    assert volume.voxel is None
    assert "no size of a voxel is known" in volume.description.notes[0]
