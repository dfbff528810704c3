"""What the numbers in a TIFF or PNG file mean: the same in each reader, for images and labels."""

import pickle
import struct
import zlib

import h5py
import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from emseg_napari.core.jobs import UserError
from emseg_napari.io import stack_or_volume
from emseg_napari.io.open import describe, open_volume, read_whole
from emseg_napari.io.stack_or_volume import open_image, open_labels
from emseg_napari.io.stacks import read_image, read_labels, write_stack
from emseg_napari.io.volume import Volume

GREY = np.random.default_rng(0).integers(20, 200, (6, 40, 50), np.uint8)
MASK = np.where(GREY > 90, 255, 0).astype(np.uint8)
BOUNDARY = np.where(MASK == 0, 1, 2)

WRITERS = {
    "mapped": {"metadata": None},
    "big-endian": {"byteorder": ">"},
    "strips": {"compression": "zlib", "rowsperstrip": 7},
    "tiles": {"tile": (16, 32)},
    "tiles, compressed": {"tile": (16, 32), "compression": "lzw"},
    "ImageJ": {"imagej": True, "metadata": {"axes": "ZYX"}},
    "OME": {"ome": True, "metadata": {"axes": "ZYX"}},
    "BigTIFF": {"bigtiff": True},
    "folder": None,
}


def write(folder, stored, photometric, writer, **options):
    """Write a stack in one of the ways of `WRITERS`."""
    options |= {"photometric": photometric}
    if WRITERS[writer] is None:
        path = folder / "slices"
        path.mkdir()
        for z, plane in enumerate(stored):
            tifffile.imwrite(path / f"s{z}.tif", plane, **options)
        return path
    path = folder / ("a.ome.tif" if writer == "OME" else "a.tif")
    tifffile.imwrite(path, stored, **options, **WRITERS[writer])
    return path


def every_reading(path, labels=False):
    """Read a stack in each way that there is: whole, opened, in parts, by another process."""
    volume = open_volume(path, labels=labels)
    there = pickle.loads(pickle.dumps(volume))
    parts = np.concatenate([there[:2], np.stack([there[z] for z in range(2, len(there))])])
    tiles = np.concatenate([volume[:, :, :20], volume[:, :, 20:]], axis=2)
    return [read_whole(volume), parts, tiles]


@pytest.fixture(params=[False, True], ids=["small", "large"])
def _size(request, monkeypatch):
    if request.param:
        monkeypatch.setattr(stack_or_volume, "LARGE_BYTES", 100)


@pytest.mark.usefixtures("_size")
@pytest.mark.parametrize("writer", WRITERS)
def test_an_image_that_counts_from_white_equals_its_twin(tmp_path, writer):
    path = write(tmp_path, 255 - GREY, "miniswhite", writer)
    for read in (np.asarray(open_image(path)), read_image(path), *every_reading(path)):
        assert read.dtype == np.uint8
        np.testing.assert_array_equal(read, GREY)
    assert "0 = white in the file, shown inverted back" in describe(path).sentence()


@pytest.mark.usefixtures("_size")
@pytest.mark.parametrize("writer", WRITERS)
def test_labels_that_count_from_white_equal_their_twin(tmp_path, writer):
    path = write(tmp_path, 255 - MASK, "miniswhite", writer)
    np.testing.assert_array_equal(open_labels(path)[:], BOUNDARY)
    np.testing.assert_array_equal(read_labels(path), BOUNDARY)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize(("bits", "dtype"), [(16, np.uint16), (32, np.uint32)])
def test_more_bits_that_count_from_white_equal_their_twin(tmp_path, bits, dtype, byteorder):
    twin = GREY.astype(dtype) * 257
    stored = np.iinfo(dtype).max - twin
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="miniswhite", byteorder=byteorder)
    for read in every_reading(tmp_path / "a.tif"):
        assert read.dtype == dtype
        np.testing.assert_array_equal(read, twin)


@pytest.mark.parametrize("bits", [1, 4, 12])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_fewer_bits_than_the_type_are_inverted_by_their_own_white(tmp_path, bits, photometric):
    most = 2**bits - 1
    twin = (GREY.astype(int) % (most + 1)).astype(np.uint16 if bits > 8 else np.uint8)
    stored = most - twin if photometric == "miniswhite" else twin
    write_bits(tmp_path / "a.tif", stored, bits, 0 if photometric == "miniswhite" else 1)
    for read in every_reading(tmp_path / "a.tif"):
        np.testing.assert_array_equal(read, twin)


def write_bits(path, stack, bits, photometric):
    """Write a TIFF of so many bits a pixel, each page as one strip."""
    content, pages = bytearray(b"II*\0\0\0\0\0"), []
    link = 4
    for plane in stack:
        spread = (plane[..., None] >> np.arange(bits - 1, -1, -1)) & 1
        rows = np.packbits(spread.reshape(len(plane), -1).astype(np.uint8), axis=1)
        offset = len(content)
        content += rows.tobytes() + b"\0" * (rows.size % 2)
        struct.pack_into("<I", content, link, len(content))
        height, width = plane.shape
        tags = {
            256: width,
            257: height,
            258: bits,
            259: 1,
            262: photometric,
            273: offset,
            277: 1,
            278: height,
        }
        tags[279] = rows.size
        content += struct.pack("<H", len(tags))
        for tag, value in sorted(tags.items()):
            content += struct.pack("<HHII", tag, 4, 1, value)
        link = len(content)
        content += bytes(4)
        pages.append(offset)
    path.write_bytes(content)


INVERTED = np.tile(np.arange(255, -1, -1, dtype=np.uint8), (3, 1))


def shown_by_imagej(path, values, table, **options):
    """Write a stack with the table by which ImageJ shows it among its metadata only."""
    metadata = {"axes": "ZYX", "LUTs": [table]}
    tifffile.imwrite(path, values, imagej=True, metadata=metadata, **options)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}], ids=["mapped", "compressed"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_an_image_that_imagej_shows_by_an_inverted_table_equals_its_twin(tmp_path, options, dtype):
    path, white = tmp_path / "a.tif", dtype(np.iinfo(dtype).max)
    shown_by_imagej(path, white - GREY, INVERTED, **options)
    assert all(np.array_equal(one, GREY) for one in every_reading(path))
    assert describe(path).notes == ("0 = white in the file, shown inverted back",)


def test_masks_that_imagej_shows_by_an_inverted_table_equal_their_twins(tmp_path):
    shown_by_imagej(tmp_path / "a.tif", 255 - MASK, INVERTED)
    assert np.array_equal(open_labels(tmp_path / "a.tif")[:], BOUNDARY)


def test_a_table_by_which_imagej_shows_numbers_of_cells_or_floats_changes_no_value(tmp_path):
    cells = GREY.astype(np.uint16)
    shown_by_imagej(tmp_path / "cells.tif", cells, INVERTED)
    assert np.array_equal(open_volume(tmp_path / "cells.tif", labels=True)[...], cells)
    shown_by_imagej(tmp_path / "floats.tif", GREY.astype(np.float32), INVERTED)
    assert all(np.array_equal(one, GREY) for one in every_reading(tmp_path / "floats.tif"))


@pytest.mark.parametrize("dtype", ["uint8", ">u2"])
def test_an_image_of_hdf5_that_counts_from_white_equals_its_twin(tmp_path, dtype):
    path, white = tmp_path / "a.h5", np.iinfo(dtype).max
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=(white - GREY.astype(dtype))).attrs["IMAGE_WHITE_IS_ZERO"] = np.uint8(1)
        file.create_dataset("labels/x", data=255 - MASK).attrs["IMAGE_WHITE_IS_ZERO"] = np.uint8(1)
    image = path / "x"
    assert all(np.array_equal(one, GREY) for one in every_reading(image))
    assert describe(image).notes == ("0 = white in the file, shown inverted back",)
    assert np.array_equal(open_labels(path)[:], BOUNDARY)


def test_an_image_of_hdf5_says_that_it_counts_from_black_and_fractions_from_white_are_refused(tmp_path):
    for values, flag in ((GREY, 0), (GREY.astype(np.float32), 1)):
        with h5py.File(tmp_path / f"{flag}.h5", "w") as file:
            file.create_dataset("x", data=values).attrs["IMAGE_WHITE_IS_ZERO"] = np.uint8(flag)
    assert np.array_equal(read_image(tmp_path / "0.h5"), GREY)
    with pytest.raises(UserError, match=r"1\.h5/x counts grey values from white"):
        read_image(tmp_path / "1.h5")


def test_an_inverted_display_of_omero_changes_no_value_and_is_said(tmp_path):
    image = {"axes": [{"name": axis} for axis in "zyx"], "datasets": [{"path": "0"}]}
    group = zarr.create_group(tmp_path / "a.zarr", zarr_format=2)
    group.create_array("0", data=GREY)
    group.attrs.update({"multiscales": [image], "omero": {"channels": [{"inverted": True}]}})
    assert np.array_equal(read_image(tmp_path / "a.zarr"), GREY)
    assert "OMERO shows it inverted" in describe(tmp_path / "a.zarr").notes[0]


def test_other_tables_of_imagej_colour_the_same_values(tmp_path):
    path, fire = tmp_path / "a.tif", np.vstack([INVERTED[:2], 0 * INVERTED[:1]])
    for table in (fire, INVERTED[:, ::-1]):
        shown_by_imagej(path, GREY, table)
        assert np.array_equal(read_image(path), GREY)


def test_a_stack_that_says_twice_that_it_is_inverted_is_inverted_once(tmp_path):
    shown_by_imagej(tmp_path / "a.tif", 255 - GREY, INVERTED, photometric="miniswhite")
    assert np.array_equal(read_image(tmp_path / "a.tif"), GREY)


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
@pytest.mark.parametrize("read", [read_image, lambda path: read_labels(path, "isbi"), describe])
def test_signs_and_fractions_that_count_from_white_are_refused(tmp_path, dtype, read):
    tifffile.imwrite(tmp_path / "a.tif", GREY.astype(dtype), photometric="miniswhite")
    with pytest.raises(UserError, match=r"a\.tif counts grey values from white .*; save it with 0 = black"):
        read(tmp_path / "a.tif")


def test_a_folder_may_mix_slices_that_count_from_white_and_from_black(tmp_path):
    for z, plane in enumerate(GREY):
        stored, meaning = (255 - plane, "miniswhite") if z % 2 else (plane, "minisblack")
        tifffile.imwrite(tmp_path / f"{z}.tif", stored, photometric=meaning)
    for read in every_reading(tmp_path):
        np.testing.assert_array_equal(read, GREY)


def test_a_file_that_does_not_say_what_it_counts_from_counts_from_black(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREY, photometric="miniswhite", metadata=None, byteorder="<")
    content = (tmp_path / "a.tif").read_bytes()
    tag = struct.pack("<HHI", 262, 3, 1)
    assert content.count(tag) == len(GREY)
    (tmp_path / "a.tif").write_bytes(content.replace(tag, struct.pack("<HHI", 261, 3, 1)))
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), GREY)


# -- tables of colours --------------------------------------------------------------------

RAMP = np.arange(256, dtype=np.uint16)
COLOURS = np.random.default_rng(1).integers(0, 65536, (3, 256), np.uint16)


def table(grey):
    return np.stack([grey] * 3)


@pytest.mark.parametrize("writer", ["mapped", "strips", "tiles", "folder"])
@pytest.mark.parametrize("spread", [257, 256, 1])
def test_an_image_with_a_table_of_greys_is_read_as_it_is_shown(tmp_path, writer, spread):
    inverted = table((255 - RAMP) * spread)
    path = write(tmp_path, 255 - GREY, "palette", writer, colormap=inverted)
    for read in (read_image(path), *every_reading(path)):
        assert read.dtype == np.uint8
        np.testing.assert_array_equal(read, GREY)
    assert "the grey values in its table of colours are read" in describe(path).notes


def test_a_table_of_sixteen_bits_keeps_them(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREY, photometric="palette", colormap=table(RAMP * 200 + 1))
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), GREY.astype(np.uint16) * 200 + 1)


def test_a_table_that_says_what_the_numbers_say_is_not_worth_a_note(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREY, photometric="palette", colormap=table(RAMP * 257))
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), GREY)
    assert describe(tmp_path / "a.tif").notes == ()


@pytest.mark.usefixtures("_size")
@pytest.mark.parametrize("writer", ["mapped", "strips", "tiles", "folder"])
def test_labels_with_a_table_of_colours_are_the_numbers_and_the_image_is_refused(tmp_path, writer):
    path = write(tmp_path, BOUNDARY.astype(np.uint8), "palette", writer, colormap=COLOURS)
    np.testing.assert_array_equal(open_labels(path)[:], BOUNDARY)
    assert "the numbers in its table of colours are read as labels" in describe(path, labels=True).sentence()
    for read in (read_image, open_image, open_volume):
        with pytest.raises(UserError, match=r"is a colour image .*; an image with one grey channel"):
            read(path)


def png_with_table(path, numbers, colours, bits=8, **options):
    image = Image.fromarray(numbers, "P")
    image.putpalette(np.asarray(colours, np.uint8).tobytes())
    image.save(path, bits=bits, **options)


@pytest.mark.parametrize(("bits", "most"), [(1, 1), (2, 2), (4, 9), (8, 200)])
@pytest.mark.parametrize("hidden", [{}, {"transparency": 0}], ids=["opaque", "transparent"])
def test_labels_of_a_png_with_a_table_are_the_numbers(tmp_path, bits, most, hidden):
    numbers = np.arange(40 * 50).reshape(40, 50).astype(np.uint8) % (most + 1)
    colours = COLOURS.T[: 2**bits] % 256
    png_with_table(tmp_path / "s0.png", numbers, colours, bits, **hidden)
    assert np.array_equal(read_whole(open_volume(tmp_path, labels=True)), numbers[None])
    assert np.array_equal(read_whole(open_volume(tmp_path / "s0.png", labels=True)), numbers[None])
    with pytest.raises(UserError, match=r"s0\.png is a colour image .*or open it as labels"):
        read_image(tmp_path / "s0.png")


def test_labels_of_a_png_with_a_table_of_greys_are_the_numbers_and_the_image_what_is_shown(tmp_path):
    png_with_table(tmp_path / "a.png", BOUNDARY[0].astype(np.uint8), [[0] * 3, [255] * 3, [7] * 3])
    np.testing.assert_array_equal(read_labels(tmp_path / "a.png")[0], BOUNDARY[0])
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[0], np.where(BOUNDARY[0] == 1, 255, 7))


def png(width, height, bits, colour, rows, *chunks, interlace=0):
    def chunk(kind, content):
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlace)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(kind, content)
        for kind, content in ((b"IHDR", header), *chunks, (b"IDAT", pixels), (b"IEND", b""))
    )


@pytest.mark.parametrize(
    "chunk",
    [(b"tRNS", struct.pack(">H", 90)), (b"gAMA", struct.pack(">I", 90_000)), (b"sBIT", b"\5")],
    ids=["tRNS", "gAMA", "sBIT"],
)
def test_what_a_png_says_of_screens_and_transparency_changes_no_value(tmp_path, chunk):
    (tmp_path / "a.png").write_bytes(png(50, 40, 8, 0, [row.tobytes() for row in GREY[0]], chunk))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[0], GREY[0])


@pytest.mark.parametrize(
    ("pixels", "said"),
    [((250_000_000, 200_000_000, 1), 1), ((11811, 11811, 1), 0), ((2, 1, 0), 0), ((0, 0, 1), 0)],
    ids=["nm", "300 dpi", "ratio", "none"],
)
def test_the_size_of_a_pixel_in_a_png_is_said_not_to_be_that_of_a_voxel(tmp_path, pixels, said):
    chunk = b"pHYs", struct.pack(">IIB", *pixels)
    (tmp_path / "a.png").write_bytes(png(50, 40, 8, 0, [row.tobytes() for row in GREY[0]], chunk))
    note = "no size of a voxel is known, since only that of a pixel is stated (5 x 4 nm)"
    assert describe(tmp_path / "a.png").notes == (note,) * said


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_png_of_fewer_bits_is_the_same_picture_with_eight(tmp_path, bits):
    few = GREY[0] % 2**bits
    spread = ((few[..., None] >> np.arange(bits - 1, -1, -1)) & 1).reshape(40, -1)
    rows = [row.tobytes() for row in np.packbits(spread.astype(np.uint8), axis=1)]
    (tmp_path / "a.png").write_bytes(png(50, 40, bits, 0, rows))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[0], few * (255 // (2**bits - 1)))


def test_sixteen_bits_of_a_png_are_read_high_byte_first(tmp_path):
    deep = GREY[0].astype(np.uint16) * 251
    (tmp_path / "a.png").write_bytes(png(50, 40, 16, 0, [row.astype(">u2").tobytes() for row in deep]))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[0], deep)


def test_a_png_that_claims_more_pixels_than_can_be_in_it_is_refused_before_room_is_made(tmp_path):
    (tmp_path / "a.png").write_bytes(png(2**31 - 1, 2**31 - 1, 8, 0, [b"abc"]))
    with pytest.raises(UserError, match=r"a\.png is cut off"):
        read_image(tmp_path / "a.png")


# -- grey as colour, and planes that are slices ---------------------------------------------


@pytest.mark.usefixtures("_size")
@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"tile": (16, 32)}], ids=str)
def test_a_stack_of_equal_colours_is_grey(tmp_path, planes, options):
    colour = np.stack([GREY] * 3, -1 if planes == "contig" else 1)
    tifffile.imwrite(tmp_path / "a.tif", colour, photometric="rgb", planarconfig=planes, **options)
    for read in (np.asarray(open_image(tmp_path / "a.tif")), *every_reading(tmp_path / "a.tif")):
        np.testing.assert_array_equal(read, GREY)
    assert "its equal colour channels are read as one grey channel" in describe(tmp_path / "a.tif").notes


def test_a_colour_in_a_later_slice_is_refused_where_it_is_read(tmp_path):
    colour = np.stack([GREY] * 3, -1)
    colour[4, 7, 7, 1] = 0
    tifffile.imwrite(tmp_path / "a.tif", colour, photometric="rgb")
    volume = open_volume(tmp_path / "a.tif")
    np.testing.assert_array_equal(volume[3], GREY[3])
    for read in (lambda: volume[4], lambda: volume[...], lambda: read_image(tmp_path / "a.tif")):
        with pytest.raises(UserError, match=r"a\.tif is a colour image \(3 channels\)"):
            read()


@pytest.mark.usefixtures("_size")
@pytest.mark.parametrize("count", [3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_three_or_four_slices_that_were_written_as_an_array_are_slices(tmp_path, count, dtype):
    stack = GREY[:count].astype(dtype)
    apart = {"planarconfig": "separate", "photometric": "rgb"}  # what tifffile takes where nothing is said
    tifffile.imwrite(tmp_path / "a.tif", stack, **apart)
    tifffile.imwrite(tmp_path / "b.tif", stack, compression="zlib", **apart)
    for name in ("a.tif", "b.tif"):
        with tifffile.TiffFile(tmp_path / name) as file:
            assert file.pages.first.planarconfig == 2
        opened = open_image(tmp_path / name)
        for read in (np.asarray(opened), *every_reading(tmp_path / name)):
            np.testing.assert_array_equal(read, stack)
        assert f"its {count} planes, stored as those of a colour image, are read as slices" in (
            describe(tmp_path / name).notes
        )
    assert isinstance(opened, Volume) == (stack_or_volume.LARGE_BYTES == 100)


def test_labels_of_three_slices_that_were_written_as_an_array_are_slices(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", MASK[:3], photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif"), BOUNDARY[:3])


@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_colours_that_count_from_white_are_inverted_once(tmp_path, planes):
    stack = np.stack([255 - GREY[0]] * 3, -1) if planes == "contig" else 255 - GREY[:3]
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="miniswhite", planarconfig=planes)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), GREY[: 1 if planes == "contig" else 3])


def test_planes_of_which_the_file_says_nothing_are_colours(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREY[:3], photometric="rgb", planarconfig="separate", metadata=None)
    with pytest.raises(UserError, match=r"a\.tif is a colour image \(3 channels\); .* grey"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("photometric", ["separated", "cielab"])
def test_other_colours_are_refused_by_their_name(tmp_path, photometric):
    planes = {"separated": 4, "cielab": 3}[photometric]
    colour = np.stack([GREY[0]] * planes, -1)
    tifffile.imwrite(tmp_path / "a.tif", colour, photometric=photometric, planarconfig="contig")
    with pytest.raises(UserError, match=r"a\.tif is a colour image"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("values", [MASK, GREY, GREY.astype(np.uint16) * 200, GREY / np.float32(255)])
@pytest.mark.parametrize("shape", [np.s_[:], np.s_[:3], np.s_[0], np.s_[:4, :4, :3]])
def test_what_this_package_writes_is_read_back_equal(tmp_path, values, shape):
    write_stack(tmp_path / "a.tif", values[shape])
    write_stack(tmp_path / "a.btf", values[shape])
    for name in ("a.tif", "a.btf"):
        read = read_image(tmp_path / name)
        np.testing.assert_array_equal(read, values[shape].reshape(read.shape))
        assert describe(tmp_path / name).notes == ()


def test_a_png_of_three_or_four_equal_channels_has_a_note(tmp_path):
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(np.stack([GREY[0]] * 3, -1)))
    assert describe(tmp_path / "a.png").sentence() == (
        "1 slice of 40 x 50, 8 bit; its equal colour channels are read as one grey channel"
    )


@pytest.mark.parametrize("writer", ["mapped", "strips", "tiles", "ImageJ", "OME", "BigTIFF"])
def test_a_stack_in_which_one_page_counts_from_white_is_refused(tmp_path, writer):
    path = write(tmp_path, GREY, "minisblack", writer)
    with tifffile.TiffFile(path) as file:
        if len(file.pages) == 1:
            pytest.skip("one page for all slices")
        tag = file.pages.get(2, aspage=True).tags["PhotometricInterpretation"]
    with path.open("r+b") as file:
        file.seek(tag.valueoffset)
        file.write(struct.pack("<H", 0))
    for labels in (False, True):
        with pytest.raises(UserError, match=r"has pages that .* \(the first and page 3\)|2 images"):
            open_volume(path, labels=labels)


def test_a_stack_of_pages_with_different_tables_of_colours_is_refused_as_an_image(tmp_path):
    up = np.tile(np.arange(256, dtype=np.uint16) * 257, (3, 1))
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for page, table in ((GREY[0], up), (GREY[1], up[:, ::-1])):
            file.write(page, photometric="palette", colormap=table, metadata=None)
    with pytest.raises(UserError, match=r"a\.tif has pages that .* otherwise \(the first and page 2\)"):
        read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(open_volume(tmp_path / "a.tif", labels=True)[...], GREY[:2])


@pytest.mark.parametrize("count", [3, 4])
def test_labels_of_three_or_four_slices_of_which_most_are_empty_are_slices(tmp_path, count):
    labels = np.zeros((count, 40, 50), np.uint8)
    labels[3:] = 2
    tifffile.imwrite(tmp_path / "a.tif", labels, photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif", "napari"), labels)
    np.testing.assert_array_equal(open_labels(tmp_path / "a.tif", "napari")[:], labels)
