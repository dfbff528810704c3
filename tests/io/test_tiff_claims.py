"""What a TIFF file claims, compared with what lies in it, and its size of a voxel."""

import struct

import numpy as np
import pytest
import tifffile

from emseg_napari.core.jobs import UserError
from emseg_napari.io import stack_or_volume
from emseg_napari.io.axes import Voxel
from emseg_napari.io.open import describe, open_volume
from emseg_napari.io.records import read_description
from emseg_napari.io.stack_or_volume import open_image, open_labels
from emseg_napari.io.stacks import read_image, read_labels, write_stack

GREY = np.random.default_rng(0).integers(20, 200, (6, 40, 50), np.uint8)
IMAGEJ = "ImageJ=1.54f\nimages=6\nslices=6\nloop=false\n"
READERS = [read_image, lambda path: read_labels(path, "isbi"), open_image, open_volume, describe]


def imagej_above_4_gb(path, stack=GREY, description=IMAGEJ, byteorder=">", cut=0):
    """Write one page and the other slices behind it, as ImageJ does above 4 GB."""
    with tifffile.TiffWriter(path, byteorder=byteorder) as file:
        file.write(stack[0], description=description, metadata=None, photometric="minisblack")
    rest = stack[1:].astype(stack.dtype.newbyteorder(byteorder)).tobytes()
    with path.open("ab") as file:
        file.write(rest[: len(rest) - cut])


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_stack_of_imagej_behind_one_page_is_read(tmp_path, byteorder, dtype):
    stack = GREY.astype(dtype) * (257 if dtype == np.uint16 else 1)
    imagej_above_4_gb(tmp_path / "a.tif", stack, byteorder=byteorder)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), stack)
    np.testing.assert_array_equal(open_volume(tmp_path / "a.tif")[4], stack[4])


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("description", "whole", "claimed"),
    [
        (IMAGEJ, 5, 6),
        ("ImageJ=1.54f\nimages=6\n", 5, 6),
        ("ImageJ=1.54f\nimages=6\nframes=6\n", 5, 6),
        ("ImageJ=1.54f\nimages=900\nslices=900\n", 5, 900),
        ('{"shape": [6, 40, 50]}', 5, 6),
        ('{"shape": [6, 40, 50], "truncated": true}', 5, 6),
    ],
)
def test_a_stack_of_which_slices_are_missing_behind_one_page_is_cut_off(
    tmp_path, read, description, whole, claimed
):
    imagej_above_4_gb(tmp_path / "b.tif", description=description, cut=100)
    with pytest.raises(UserError, match=rf"^b\.tif is cut off: {whole} of {claimed} slices are whole"):
        read(tmp_path / "b.tif")


def pages(path, count, description, **options):
    with tifffile.TiffWriter(path) as file:
        for z, plane in enumerate(GREY[:count]):
            text = description if z == 0 else None
            file.write(
                plane, description=text, metadata=None, photometric="minisblack", contiguous=False, **options
            )


def ome(**sizes):
    stated = {"SizeZ": 6, "SizeC": 1, "SizeT": 1} | sizes
    words = " ".join(f'{name}="{value}"' for name, value in stated.items())
    return (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        '<Image ID="Image:0">'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="50" SizeY="40" {words}>'
        "<TiffData/></Pixels></Image></OME>"
    )


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    "description", [IMAGEJ, '{"shape": [6, 40, 50]}', ome()], ids=["ImageJ", "shape", "OME"]
)
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}], ids=str)
def test_fewer_pages_than_the_file_claims_are_a_stack_that_is_cut_off(tmp_path, read, description, options):
    pages(tmp_path / "c.tif", 5, description, **options)
    with pytest.raises(UserError, match=r"^c\.tif is cut off: 5 of 6 slices are whole"):
        read(tmp_path / "c.tif")


@pytest.mark.parametrize(
    "description", [IMAGEJ, '{"shape": [6, 40, 50]}', ome()], ids=["ImageJ", "shape", "OME"]
)
def test_as_many_pages_as_the_file_claims_are_read(tmp_path, description):
    pages(tmp_path / "c.tif", 6, description)
    np.testing.assert_array_equal(read_image(tmp_path / "c.tif"), GREY)
    assert describe(tmp_path / "c.tif").notes == ()


@pytest.mark.parametrize("large", [False, True])
def test_more_pages_than_imagej_counts_are_read_and_said(tmp_path, monkeypatch, large):
    monkeypatch.setattr(stack_or_volume, "LARGE_BYTES", 10 if large else 10**9)
    pages(tmp_path / "c.tif", 6, "ImageJ=1.54f\nimages=3\nslices=3\n", compression="zlib")
    np.testing.assert_array_equal(np.asarray(open_image(tmp_path / "c.tif")), GREY)
    assert describe(tmp_path / "c.tif").sentence() == (
        "6 slices of 40 x 50, 8 bit; its description counts 3 slices, but it holds 6, which are all read"
    )


def test_more_pages_than_ome_describes_are_refused(tmp_path):
    pages(tmp_path / "c.tif", 6, ome(SizeZ=3))
    with pytest.raises(UserError, match=r"c\.tif holds more slices than the 3 that its OME-XML describes"):
        read_image(tmp_path / "c.tif")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (ome(SizeZ=10**12), "claims more slices than can be"),
        (ome(SizeZ=-6), "claims more slices than can be"),
        (ome().replace("<TiffData/>", '<TiffData IFD="0" PlaneCount="99999999999"/>'), "claims more slices"),
        (ome().replace("<TiffData/>", '<TiffData/><TiffData IFD="1"/>'), "names a page for two slices"),
        (ome(SizeX=60), "describes its pages|does not fit its pages|malformed"),
        (ome()[:-9] + "</OME>", "malformed or does not fit"),
        (ome().replace("SizeZ", "SizeQ"), "describes its pages in a way that cannot be read"),
        (ome().replace("XYZCT", "XY"), "describes|cut off|more slices|does not fit"),
        ('<!DOCTYPE x [<!ENTITY a "b">]>' + ome(), "declares entities"),
    ],
)
def test_ome_that_cannot_be_true_is_refused_in_a_sentence(tmp_path, text, words):
    pages(tmp_path / "c.tif", 6, text)
    with pytest.raises(UserError, match=rf"^c\.tif .*({words})"):
        describe(tmp_path / "c.tif")


def test_ome_of_a_single_page_that_does_not_fit_is_left_aside(tmp_path):
    pages(tmp_path / "c.tif", 1, ome()[:-9] + "</OME>")
    np.testing.assert_array_equal(read_image(tmp_path / "c.tif"), GREY[:1])
    assert "its OME-XML is malformed or does not fit, and is not used" in describe(tmp_path / "c.tif").notes


@pytest.mark.parametrize("planes", [None, "contig", "separate"])
def test_the_last_rows_of_a_page_that_are_missing_are_missed(tmp_path, planes):
    shape = {None: (40, 50), "contig": (40, 50, 3), "separate": (3, 40, 50)}[planes]
    page, photometric = np.full(shape, 9, np.uint8), "rgb" if planes else "minisblack"
    tifffile.imwrite(tmp_path / "a.tif", page, photometric=photometric, planarconfig=planes, metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        tag = file.pages.first.tags["StripByteCounts"]
        tag.overwrite((*tag.value[:-1], tag.value[-1] - 50))
    with pytest.raises(UserError, match=r"a\.tif is cut off"):
        read_image(tmp_path / "a.tif")


def test_a_place_that_is_no_whole_number_is_refused_and_not_mapped(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREY[0], photometric="minisblack", metadata=None)
    content = (tmp_path / "a.tif").read_bytes()
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        tag = file.pages.first.tags["StripOffsets"]
    place = len(content)
    entry = struct.pack("<HHII", tag.code, 12, 1, place)  # a double
    changed = content[: tag.offset] + entry + content[tag.offset + 12 :] + struct.pack("<d", tag.value[0])
    (tmp_path / "a.tif").write_bytes(changed)
    for read in READERS:
        with pytest.raises(UserError, match=r"^a\.tif is cut off|^a\.tif is damaged"):
            read(tmp_path / "a.tif")


# -- size of a voxel ---------------------------------------------------------------------------


def with_imagej_units(path, **stated):
    text = IMAGEJ + "".join(f"{key}={value}\n" for key, value in stated.items())
    with tifffile.TiffWriter(path, byteorder=">") as file:
        for z, plane in enumerate(GREY):
            options = {"description": text if z == 0 else None, "metadata": None, "contiguous": False}
            file.write(plane, resolution=(250, 200), photometric="minisblack", resolutionunit=1, **options)


@pytest.mark.parametrize(
    ("stated", "size"),
    [
        ({"unit": "micron", "zunit": "nm", "spacing": "50"}, (0.05, 0.005, 0.004)),
        ({"unit": "micron", "spacing": "0.05"}, (0.05, 0.005, 0.004)),
        ({"unit": "\\u00B5m", "spacing": "-0.05"}, (0.05, 0.005, 0.004)),
        ({"unit": "\\u03BCm", "spacing": "0.05"}, (0.05, 0.005, 0.004)),
        ({"unit": "micrometers", "yunit": "nm", "spacing": "0.05"}, (0.05, 5e-6, 0.004)),
        ({"unit": "micron", "zunit": "\\u00C5", "spacing": "500"}, (0.05, 0.005, 0.004)),
        ({"unit": "micron", "zunit": "angstrom", "spacing": "500"}, (0.05, 0.005, 0.004)),
    ],
)
def test_each_axis_of_imagej_has_its_own_unit(tmp_path, stated, size):
    with_imagej_units(tmp_path / "a.tif", **stated)
    assert open_volume(tmp_path / "a.tif").voxel == Voxel(pytest.approx(size), "micrometer")
    assert describe(tmp_path / "a.tif").notes == ()


@pytest.mark.parametrize(
    "stated",
    [
        {"unit": "furlong", "spacing": "50"},
        {"unit": "nm", "zunit": "furlong", "spacing": "50"},
        {"unit": "nm", "spacing": "much"},
    ],
)
def test_a_unit_that_is_not_understood_is_said(tmp_path, stated):
    with_imagej_units(tmp_path / "a.tif", **stated)
    file = describe(tmp_path / "a.tif")
    assert file.voxel is None
    assert any("no size of a voxel is known" in note for note in file.notes)


UNKNOWN = "no size of a voxel is known, since "
PLAIN = {"metadata": None, "photometric": "minisblack"}
OF_IMAGEJ = {"imagej": True, "metadata": {"axes": "ZYX"}}


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (OF_IMAGEJ | {"metadata": {"axes": "ZYX", "spacing": 50}}, "50 x 1 x 1 is stated in no unit, "),
        (OF_IMAGEJ | {"resolution": (0.25, 0.25)}, "1 x 4 x 4 is stated in no unit, "),
        (
            PLAIN | {"resolution": (2.5e6, 2e6), "resolutionunit": 3},
            "only that of a pixel is stated (5 x 4 nm)",
        ),
        (
            PLAIN | {"resolution": (6.35e6, 6.35e6), "resolutionunit": 2},
            "only that of a pixel is stated (4 x 4",
        ),
        (
            PLAIN | {"resolution": (0.25, 0.25), "resolutionunit": 1},
            "only that of a pixel is stated (4 x 4 with",
        ),
        (PLAIN | {"extratags": [(34682, 2, 0, "[Scan]\nPixelWidth=4e-9\n", True)]}, "none is stated for z"),
        (
            {"ome": True, "metadata": {"axes": "ZYX", "PhysicalSizeX": 4, "PhysicalSizeY": 4}},
            "none is stated for z",
        ),
    ],
)
def test_a_size_of_which_a_part_is_missing_is_said(tmp_path, options, why):
    tifffile.imwrite(tmp_path / "a.tif", GREY, **options)
    file = describe(tmp_path / "a.tif")
    assert file.voxel is None
    assert [note.startswith(UNKNOWN + why) for note in file.notes] == [True]


@pytest.mark.parametrize(
    "options",
    [
        PLAIN,
        OF_IMAGEJ,
        OF_IMAGEJ | {"resolution": (72, 72), "resolutionunit": 2},
        OF_IMAGEJ | {"metadata": {"axes": "ZYX", "unit": "pixel", "spacing": 1}},
        *(PLAIN | {"resolution": (dpi, dpi), "resolutionunit": 2} for dpi in (72, 96, 300, 1200)),
        PLAIN | {"resolution": (72, 72), "resolutionunit": 1},
        PLAIN | {"extratags": [(282, 3, 1, 7, True), (283, 3, 1, 7, True)]},
        {"ome": True, "metadata": {"axes": "ZYX"}},
    ],
)
def test_of_a_size_that_nobody_stated_nothing_is_said(tmp_path, options):
    tifffile.imwrite(tmp_path / "a.tif", GREY, **options)
    assert (describe(tmp_path / "a.tif").voxel, describe(tmp_path / "a.tif").notes) == (None, ())


def test_the_size_of_a_voxel_that_this_package_wrote_is_found_by_every_opening(tmp_path):
    voxel = Voxel((50.0, 4.0, 8.0), "nanometer")
    write_stack(tmp_path / "a.tif", GREY, {"convention": "isbi"}, voxel)
    assert open_volume(tmp_path / "a.tif").voxel == voxel
    assert describe(tmp_path / "a.tif").sentence() == "6 slices of 40 x 50, 8 bit, 50 x 4 x 8 nm (z, y, x)"


@pytest.mark.parametrize("record", ["{broken", "[1]", "{" * 5000, '{"voxel": 7}', '{"voxel": {"size": 1}}'])
def test_a_damaged_record_is_said_and_never_taken_for_none(tmp_path, record):
    pages(tmp_path / "a.tif", 6, f"emseg-napari {record}")
    np.testing.assert_array_equal(open_volume(tmp_path / "a.tif")[...], GREY)
    assert describe(tmp_path / "a.tif").voxel is None
    if record.endswith("}"):
        return
    for read in (read_description, read_labels, open_labels):
        with pytest.raises(UserError, match=r"a\.tif has a damaged record of emseg-napari"):
            read(tmp_path / "a.tif")


def test_pages_beyond_those_of_several_axes_are_refused(tmp_path):
    text = "ImageJ=1.54f\nimages=6\nchannels=2\nslices=3\nhyperstack=true\n"
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for n in range(7):
            described = {"description": text} if n == 0 else {}
            file.write(GREY[n % 6], metadata=None, photometric="minisblack", contiguous=False, **described)
    with pytest.raises(UserError, match=r"counts 6 pages \(2 channels x 3 slices\), but holds 7"):
        open_volume(tmp_path / "a.tif")
