"""One mark for one picture."""

from hashlib import sha256

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from emseg_napari.io import fingerprint as module
from emseg_napari.io.fingerprint import fingerprint, known_as, seen
from emseg_napari.io.open import open_volume
from emseg_napari.io.stacks import read_image, supported
from emseg_napari.io.volume import volume_of

PICTURE = np.random.default_rng(0).integers(0, 256, (40, 50)).astype(np.uint8)
DEEP = PICTURE.astype(np.uint16) * 200
ALL_DTYPES = ("u1", "<u2", ">u2", "<i2", ">i2", "<i4", ">u4", "<i8", "<f4", ">f4", "<f8", ">f8")


def earlier_mark(slice_: np.ndarray) -> str:
    """What was recorded until November 2026."""
    return sha256(supported(slice_).tobytes()).hexdigest()[:16]


@pytest.mark.parametrize("picture", [PICTURE, DEEP, PICTURE > 99], ids=["8 bit", "16 bit", "bool"])
def test_the_mark_does_not_depend_on_dtype_byte_order_or_memory_order(picture):
    fits = [one for one in ALL_DTYPES if picture.max() <= (np.iinfo(one).max if one[-2] != "f" else 1e9)]
    copies = [picture.astype(one) for one in fits]
    copies += [np.asfortranarray(picture), np.repeat(picture, 2, axis=1)[:, ::2], picture.T.copy().T]
    locked = picture.copy()
    locked.flags.writeable = False
    assert {fingerprint(one) for one in [*copies, locked]} == {fingerprint(picture)}
    assert fingerprint(picture) != fingerprint(picture[::-1])


def test_a_mark_is_the_one_of_before_for_pictures_of_8_bits_and_real_ones_of_16_bits_and_floats():
    floats = PICTURE.astype(np.float32) / 7 - 3
    for picture in (PICTURE, DEEP, floats):
        assert fingerprint(picture) == earlier_mark(picture)


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "i4", "f4", "f8", ">u2", ">f4"])
@pytest.mark.parametrize("now", ["u1", "u2", "f4"])
def test_a_slice_is_recognised_by_the_mark_of_an_earlier_version(dtype, now):
    known = [earlier_mark(PICTURE.astype(dtype)), "0123456789abcdef"]
    assert seen(PICTURE.astype(now), known)
    assert known_as(PICTURE.astype(now), known) == known[0]
    assert not seen(255 - PICTURE, known)
    assert not seen(PICTURE, [])


def test_minus_zero_is_zero_and_all_nan_are_one_but_a_mark_of_before_is_recognised():
    zeros = np.array([[0.0, 1.5, np.nan, -3]], np.float32)
    other = np.array([[-0.0, 1.5, -np.nan, -3]], np.float32)
    assert earlier_mark(zeros) != earlier_mark(other)
    assert fingerprint(zeros) == fingerprint(other) == fingerprint(other.astype(np.float64))
    assert seen(other, [earlier_mark(other)])
    assert fingerprint(np.array([[-0.0, 255]])) == fingerprint(np.array([[0, 255]], np.uint8))


def test_one_negative_pixel_changes_the_mark_of_its_own_slice_only():
    stack = np.stack([DEEP, DEEP[::-1]]).astype(np.int16) // 2
    marks = [fingerprint(one) for one in stack]
    stack[1, 0, 0] = -1
    assert fingerprint(supported(stack)[0]) == fingerprint(supported(stack[0])) == marks[0]
    assert fingerprint(stack[1]) == fingerprint(supported(stack)[1]) != marks[1]


def test_what_comes_in_bands_has_the_mark_of_the_whole(monkeypatch):
    late = PICTURE.astype(np.float64)
    late[-1, -1] = -0.5
    pictures = [PICTURE, DEEP, late, -late, PICTURE[:0]]
    whole = [(fingerprint(one), known_as(one, [earlier_mark(one)])) for one in pictures]
    monkeypatch.setattr(module, "_BAND_PX", 120)
    assert [(fingerprint(one), known_as(one, [earlier_mark(one)])) for one in pictures] == whole


def test_the_container_does_not_matter(tmp_path):
    stack = np.stack([PICTURE, PICTURE[::-1], PICTURE.T.copy().reshape(PICTURE.shape)])
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack")
    tifffile.imwrite(
        tmp_path / "b.tif", stack.astype(">u2"), byteorder=">", compression="zlib", photometric="minisblack"
    )
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["raw"] = stack.astype(np.float64)
    zarr.create_array(tmp_path / "d.zarr", data=stack.astype(np.int32), chunks=(2, 16, 16))
    expected = [fingerprint(one) for one in stack]
    for name in ("a.tif", "b.tif", "c.h5", "d.zarr"):
        volume = open_volume(tmp_path / name)
        assert [fingerprint(volume[z]) for z in range(3)] == expected, name
        assert [fingerprint(one) for one in read_image(tmp_path / name)] == expected, name
    wide = np.pad(stack, ((0, 0), (3, 5), (7, 2)))
    cropped = volume_of(wide)[:, 3:-5, 7:-2]
    assert [fingerprint(one) for one in cropped] == expected


@given(arrays.arrays(arrays.scalar_dtypes().filter(lambda one: one.kind in "buif"), (3, 4)))
def test_every_array_has_one_mark_by_whichever_way_it_is_held(values):
    mark = fingerprint(values)
    assert fingerprint(np.asfortranarray(values[::-1])[::-1]) == mark
    with np.errstate(all="ignore"):
        assert fingerprint(supported(values)) == mark
        assert seen(values, [earlier_mark(values)])


@given(arrays.arrays(np.uint8, (3, 4)), st.sampled_from(ALL_DTYPES[1:]))
def test_a_copy_of_wider_dtype_has_the_same_mark(values, dtype):
    assert fingerprint(values.astype(dtype)) == fingerprint(values)
