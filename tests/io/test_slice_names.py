"""Which files of a folder are its slices, and in which order."""

import numpy as np
import pytest
import tifffile

from emseg_napari.core.jobs import UserError
from emseg_napari.io.formats.slice_names import slice_files
from emseg_napari.io.open import describe, open_volume
from emseg_napari.io.stacks import read_image, read_labels

GAP = "no file has the number {}; the slices beside such a gap count as neighbours"


def folder_of(path, *names):
    for name in names:
        (path / name).write_bytes(b"?")
    return path


def ordered(path):
    return [one.name for one in slice_files(path)[0]]


@pytest.mark.parametrize(
    "names",
    [
        ["s1.tif", "s2.tif", "s10.tif"],
        ["s08.tif", "s9.tif", "s010.tif"],
        ["z-1.tif", "z+0.tif", "z+1.tif"],
        ["z-10.tif", "z-9.tif", "z0.tif", "z1.tif"],
        ["-002.tif", "-001.tif", "000.tif", "001.tif"],
        ["slice-1.tif", "slice-2.tif", "slice-10.tif"],
        ["2024-01-31_s1.tif", "2024-01-31_s2.tif", "2024-01-31_s10.tif"],
        ["20240131 s1 5nm.tif", "20240131 s2 5nm.tif"],
        ["s1_t100.tif", "s2_t200.tif", "s3_t300.tif"],
        ["s1 (1).tif", "s1 (2).tif", "s1 (10).tif"],
        ["S1.TIF", "s2.tiff", "s3.png", "s4.btf"],
        ["a1.tif", "a2.tif", "b3.tif"],
        ["only.tif"],
        ["s1_ok.png", "s2.png", "s3_ok.png"],
    ],
    ids=str,
)
def test_the_numbers_in_the_names_say_the_order(tmp_path, names):
    for other in (".s5.tif", "._s1.tif", "Thumbs.db", "notes.txt", ".DS_Store"):
        (tmp_path / other).write_bytes(b"")
    (tmp_path / "s99.tif").mkdir()
    assert ordered(folder_of(tmp_path, *reversed(names))) == names


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (
            ["s1.tif", "s2.tif", "s1.png", "s2.png"],
            r"s1\.png and s1\.tif, and only one can be the slice",
        ),
        (
            ["s1.png", "s1_mask.png", "s2.png", "s2_mask.png"],
            r"s1\.png and s1_mask\.png, which have the same",
        ),
        (["s1.tif", "s2.tif", "s2 (1).tif"], r"holds s2 \(1\)\.tif, which is named as a copy of s2\.tif"),
        (["s1.tif", "s2.tif", "s2 - Copy.tif"], r"holds s2 - Copy\.tif, which is named as a copy"),
        (["s1.tif", "s2.tif", "s2 copy.tif"], r"holds s2 copy\.tif, which is named as a copy"),
        (["s1.tif", "s01.tif", "s2.tif"], r"holds s01\.tif and s1\.tif, which have the same number"),
        (["s1.tif", "S1.TIFF"], "only one can be the slice"),
        (["s1.tif", "s2.tif", "average.tif"], r"holds average\.tif, which has no number"),
        (["left.tif", "right.tif"], r"holds left\.tif, which has no number"),
        (["r0_c0.tif", "r0_c1.tif", "r1_c0.tif", "r1_c1.tif"], "has several numbers in the names"),
        (["z1_ch0.tif", "z1_ch1.tif", "z2_ch0.tif", "z2_ch1.tif"], "has several numbers in the names"),
        (
            ["raw5.tif", "raw6.tif", "seg1.tif"],
            r"files of several kinds, such as raw5\.tif and seg1\.tif",
        ),
        (
            ["img-1.tif", "img-2.tif", "img3.tif"],
            r"holds img-1\.tif and img3\.tif, where a hyphen may be a minus \(name all alike\)",
        ),
    ],
    ids=str,
)
def test_what_is_more_than_one_stack_is_refused_with_the_names(tmp_path, names, words):
    folder_of(tmp_path, *names)
    for read in (slice_files, open_volume, read_image, read_labels, describe):
        with pytest.raises(UserError, match=words + r".*; keep the files of one stack in a folder"):
            read(tmp_path)


@pytest.mark.parametrize(
    "names", [["img1.tif", "img2.tif", "seg3.tif"], ["s1.tif", "s2.tif", "s3_mask.tif"]], ids=str
)
def test_files_that_are_named_in_different_ways_are_said(tmp_path, names):
    for name in names:
        tifffile.imwrite(tmp_path / name, np.zeros((8, 9), np.uint8))
    (note,) = describe(tmp_path).notes
    assert note.startswith(f"its files are named in different ways, such as {names[0]} and {names[2]}; they")


@pytest.mark.parametrize(
    ("numbers", "note"),
    [
        ([1, 2, 3], None),
        ([-1, 0, 1], None),
        ([1, 3], GAP.format("2")),
        (
            [1, 2, 5, 6, 8],
            GAP.format("3 to 4, 7"),
        ),
        ([0, 10, 20], "the numbers in the names of its files go up in steps of 10"),
    ],
    ids=str,
)
def test_gaps_in_the_numbers_are_said(tmp_path, numbers, note):
    for number in numbers:
        tifffile.imwrite(tmp_path / f"s{number:+d}.tif", np.full((8, 9), number + 1, np.uint8))
    file = describe(tmp_path)
    assert file.notes == (() if note is None else (note,))
    assert file.sentence().startswith(f"{len(numbers)} slices of 8 x 9, 8 bit")
    assert read_image(tmp_path)[:, 0, 0].tolist() == [number + 1 for number in numbers]
