import imagecodecs
import numpy as np
import pytest
import tifffile

from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import AmbiguousLabels, UnknownLabels
from emseg_napari.io import stacks
from emseg_napari.io.records import read_description
from helpers.odd_arrays import odd_arrays
from helpers.paths import ISBI, TEST_DATA


def noise(shape=(5, 37, 53), dtype=np.uint8):
    numbers = np.random.default_rng(0)
    if np.dtype(dtype).kind == "f":
        return numbers.normal(size=shape).astype(dtype)
    return numbers.integers(0, min(np.iinfo(dtype).max, 60_000), shape, dtype, endpoint=True)


def write_png(path, pixels):
    path.write_bytes(imagecodecs.png_encode(pixels))


def same(read, written):
    return read.dtype == written.dtype and read.dtype.isnative and np.array_equal(read, written)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "lzw", "deflate", "zstd", "packbits"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_tiff_stack_is_read_bit_for_bit(tmp_path, dtype, compression, byteorder):
    image = noise(dtype=dtype)
    options = {"byteorder": byteorder, "compression": compression, "photometric": "minisblack"}
    tifffile.imwrite(tmp_path / "a.tif", image, **options)
    assert same(stacks.read_image(tmp_path / "a.tif"), image)


@pytest.mark.parametrize(
    "options",
    [
        {"imagej": True, "metadata": {"axes": "ZYX"}},
        {"imagej": True, "metadata": {"axes": "TYX"}},
        {"imagej": True},  # Python programs call the slices channels when they do not know better
        {"ome": True, "metadata": {"axes": "ZYX"}},
        {"metadata": None},
        {"tile": (16, 16)},
        {"bigtiff": True},
        {"compression": "lzw", "predictor": True},
    ],
    ids=str,
)
def test_all_dialects_of_tiff_stacks_are_read(tmp_path, options):
    image = noise(dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="minisblack", **options)
    assert same(stacks.read_image(tmp_path / "a.tif"), image)


def test_an_ome_tiff_with_one_channel_of_five_axes_is_read(tmp_path):
    image = noise()
    metadata = {"axes": "TCZYX"}
    tifffile.imwrite(tmp_path / "a.ome.tif", image[None, None], photometric="minisblack", metadata=metadata)
    assert same(stacks.read_image(tmp_path / "a.ome.tif"), image)


def test_a_stack_written_page_by_page_is_read(tmp_path):
    image = noise()
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for page in image:
            writer.write(page, contiguous=False, metadata=None)
    assert same(stacks.read_image(tmp_path / "a.tif"), image)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (33, 3)])
def test_a_single_page_is_a_stack_of_one(tmp_path, shape):
    image = noise(shape)
    tifffile.imwrite(tmp_path / "a.TIFF", image)
    write_png(tmp_path / "a.png", image)
    assert same(stacks.read_image(tmp_path / "a.TIFF"), image[None])
    assert same(stacks.read_image(tmp_path / "a.png"), image[None])


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (np.array([[0, 60_000]], np.uint32), np.uint16),
        (np.array([[0, 70_000]], np.uint32), np.float32),
        (np.array([[0, 65_535]], np.int32), np.uint16),
        (np.array([[0, 65_536]], np.int32), np.float32),
        (np.array([[-32_768, 32_767]], np.int16), np.float32),
        (np.array([[0, 32_767]], np.int16), np.uint16),
        (np.array([[0.5, -1]], np.float64), np.float32),
        (np.array([[0.5, -1]], np.float16), np.float32),
        (np.array([[True, False]]), np.uint8),
    ],
    ids=lambda v: str(getattr(v, "dtype", v)),
)
def test_other_data_types_keep_their_values(tmp_path, values, dtype):
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="minisblack")
    image = stacks.read_image(tmp_path / "a.tif")
    assert image.dtype == dtype
    assert np.array_equal(image[0], values)


def test_sixteen_bit_png_is_read_bit_for_bit(tmp_path):
    image = noise((20, 30), np.uint16)
    write_png(tmp_path / "a.png", image)
    assert same(stacks.read_image(tmp_path / "a.png"), image[None])


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_colour_whose_channels_are_equal_counts_as_grey(tmp_path, channels):
    image = noise((20, 30))
    colour = np.stack([image] * channels, -1)
    if channels in (2, 4):
        colour[..., -1] = 255
    write_png(tmp_path / "a.png", colour)
    assert same(stacks.read_image(tmp_path / "a.png"), image[None])


def test_a_grey_palette_counts_as_grey(tmp_path):
    from PIL import Image

    image = noise((20, 30))
    Image.fromarray(image).convert("P").save(tmp_path / "a.png")
    assert same(stacks.read_image(tmp_path / "a.png"), image[None])


@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_a_tiff_stack_of_grey_colour_counts_as_grey(tmp_path, planes):
    image = noise((20, 30))
    colour = np.stack([image] * 3, -1 if planes == "contig" else 0)
    tifffile.imwrite(tmp_path / "a.tif", colour, photometric="rgb", planarconfig=planes)
    assert same(stacks.read_image(tmp_path / "a.tif"), image[None])


def test_a_folder_is_read_in_the_order_of_its_numbers_and_other_files_are_ignored(tmp_path):
    image = noise((12, 9, 7), np.uint16)
    for z, page in enumerate(image):
        if z % 2:
            write_png(tmp_path / f"s{z}.png", page)
        else:
            tifffile.imwrite(tmp_path / f"s{z}.tif", page)
    for other in ("Thumbs.db", "notes.txt", ".DS_Store", "._s1.png"):
        (tmp_path / other).write_bytes(b"something")
    assert same(stacks.read_image(tmp_path), image)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_what_is_wrong_with_a_folder_is_said_with_the_odd_file(tmp_path, dtype):
    for z in range(3):
        tifffile.imwrite(tmp_path / f"{z}.tif", noise((8, 9), dtype))
    tifffile.imwrite(tmp_path / "1.tif", noise((8, 10), dtype))
    with pytest.raises(UserError, match=r"1\.tif \(8 x 10 pixels.* unlike the other slices .*8 x 9"):
        stacks.read_image(tmp_path)
    tifffile.imwrite(tmp_path / "1.tif", noise((8, 9), np.uint16))
    with pytest.raises(UserError, match=r"1\.tif .*uint16.* is unlike"):
        stacks.read_image(tmp_path)
    tifffile.imwrite(tmp_path / "1.tif", noise((5, 8, 9), dtype), photometric="minisblack")
    with pytest.raises(UserError, match=r"1\.tif is a stack of 5 slices; choose that file"):
        stacks.read_image(tmp_path)
    (tmp_path / "1.tif").write_bytes(b"")
    with pytest.raises(UserError, match=r"1\.tif is empty"):
        stacks.read_image(tmp_path)


def test_a_folder_without_slices_is_refused(tmp_path):
    (tmp_path / "readme.txt").write_text("nothing here")
    with pytest.raises(UserError, match="has no TIFF or PNG files"):
        stacks.read_image(tmp_path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"gone\.tif does not exist"):
        stacks.read_image(tmp_path / "gone.tif")


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
def test_files_that_are_no_images_are_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(UserError, match=r"^a\.\w+ is empty \(0 bytes\)"):
        stacks.read_image(tmp_path / name)
    for content in (b"I am a letter to my aunt" * 20, b"II*\0", b"\x89PNG\r\n\x1a\nIEND"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=r"^a\.\w+ is .*not an? (PNG )?image.*; save or copy it again"):
            stacks.read_image(tmp_path / name)


def test_other_formats_are_named(tmp_path):
    (tmp_path / "a.xyz").write_bytes(b"something")
    with pytest.raises(UserError, match=r"a\.xyz has a format that cannot be read; save it as"):
        stacks.read_image(tmp_path / "a.xyz")


def layouts():
    plain = {"photometric": "minisblack"}
    return [
        plain,
        plain | {"metadata": None},
        plain | {"imagej": True},
        plain | {"compression": "lzw", "metadata": None},
        plain | {"compression": "deflate"},
        plain | {"tile": (16, 16)},
        plain | {"bigtiff": True, "metadata": None},
        plain | {"byteorder": ">", "metadata": None},
    ]


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.5, 0.7, 0.97])
@pytest.mark.parametrize("options", layouts(), ids=str)
def test_a_truncated_tiff_is_an_error_and_not_a_shorter_stack(tmp_path, options, kept):
    tifffile.imwrite(tmp_path / "a.tif", noise(), **options)
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(content[: int(kept * len(content))])
    with pytest.raises(UserError, match=r"^cut\.tif is (cut off|damaged).*; save or copy it again"):
        stacks.read_image(tmp_path / "cut.tif")


def test_a_tiff_cut_between_its_pages_is_an_error(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for page in noise():
            writer.write(page, contiguous=False, metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        third = file.pages[2].offset
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(content[:third])
    with pytest.raises(UserError, match="cut off"):
        stacks.read_image(tmp_path / "cut.tif")


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_a_truncated_png_is_an_error(tmp_path, kept):
    write_png(tmp_path / "a.png", noise((40, 50)))
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[: int(kept * len(content))])
    with pytest.raises(UserError, match=r"a\.png is cut off"):
        stacks.read_image(tmp_path / "a.png")


def test_a_png_with_damaged_pixels_is_an_error(tmp_path):
    write_png(tmp_path / "a.png", noise((40, 50)))
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[200:300] = bytes(100)
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.png is damaged"):
        stacks.read_image(tmp_path / "a.png")


@pytest.mark.parametrize("channels", [3, 4])
def test_colour_images_are_refused(tmp_path, channels):
    colour = noise((20, 30, channels))
    write_png(tmp_path / "a.png", colour)
    tifffile.imwrite(tmp_path / "a.tif", colour, photometric="rgb")
    tifffile.imwrite(tmp_path / "b.tif", noise((2, 20, 30, channels)), photometric="rgb")
    for name in ("a.png", "a.tif", "b.tif"):
        with pytest.raises(UserError, match=rf"{name} is a colour image \({channels} channels\); .* grey"):
            stacks.read_image(tmp_path / name)


def test_an_alpha_channel_that_hides_pixels_is_refused(tmp_path):
    grey = noise((20, 30))
    write_png(tmp_path / "a.png", np.stack([grey, grey, grey, grey], -1))
    with pytest.raises(UserError, match="colour image"):
        stacks.read_image(tmp_path / "a.png")


@pytest.mark.parametrize(("shape", "axes"), [((5, 2, 8, 9), "ZCYX"), ((3, 8, 9), "CYX")])
@pytest.mark.parametrize("dialect", ["imagej", "ome"])
def test_several_channels_are_refused(tmp_path, shape, axes, dialect):
    options = {dialect: True, "metadata": {"axes": axes}, "photometric": "minisblack"}
    tifffile.imwrite(tmp_path / "a.tif", noise(shape), **options)
    with pytest.raises(
        UserError, match=r"a\.tif has [23] channels; .* greyscale, or, if they are slices, .* z, y, x"
    ):
        stacks.read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("axes", ["TZYX", None])
def test_four_axes_are_refused(tmp_path, axes):
    metadata = {"axes": axes} if axes else {}
    tifffile.imwrite(tmp_path / "a.tif", noise((2, 5, 8, 9)), photometric="minisblack", metadata=metadata)
    with pytest.raises(
        UserError,
        match=r"a\.tif has 4 axes, (2 x 5|t \(2\), z \(5\)).*; save one channel",
    ):
        stacks.read_image(tmp_path / "a.tif")


def test_pages_of_different_sizes_are_refused(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(noise((8, 9)), metadata=None)
        writer.write(noise((8, 10)), metadata=None)
    with pytest.raises(UserError, match=r"different sizes \(8 x 9, 8 x 10\)"):
        stacks.read_image(tmp_path / "a.tif")


def test_complex_values_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.ones((8, 9), np.complex64))
    with pytest.raises(UserError, match=r"a\.tif holds complex64 values"):
        stacks.read_image(tmp_path / "a.tif")


def test_labels_of_any_convention_become_the_projects_own(tmp_path):
    write_png(tmp_path / "isbi.png", np.array([[0, 128, 255]], np.uint8))
    write_png(tmp_path / "napari.png", np.array([[1, 0, 2]], np.uint8))
    for name in ("isbi.png", "napari.png"):
        read = stacks.read_labels(tmp_path / name)
        assert same(read, np.array([[[1, 0, 2]]], np.uint8))


def test_labels_that_only_the_user_understands_are_asked_for_by_name(tmp_path):
    write_png(tmp_path / "mask.png", np.array([[0, 1]], np.uint8))
    with pytest.raises(AmbiguousLabels, match=r"^mask\.png holds only 0 and 1"):
        stacks.read_labels(tmp_path / "mask.png")
    assert stacks.read_labels(tmp_path / "mask.png", "binary").tolist() == [[[1, 2]]]
    tifffile.imwrite(tmp_path / "p.tif", np.array([[0.5, 1]], np.float32))
    with pytest.raises(UnknownLabels, match=r"^p\.tif holds float32"):
        stacks.read_labels(tmp_path / "p.tif")


def test_cell_numbers_beyond_sixteen_bits_are_not_rounded(tmp_path):
    cells = np.array([[16_777_216, 16_777_217]], np.uint32)  # equal as float32
    tifffile.imwrite(tmp_path / "cells.tif", cells)
    assert stacks.read_labels(tmp_path / "cells.tif", "instances").tolist() == [[[1, 2]]]


def test_a_recorded_convention_decides_what_values_mean(tmp_path):
    boundary = np.zeros((1, 4, 5), np.uint8)
    stacks.write_stack(tmp_path / "a.tif", boundary, {"convention": "isbi"})
    assert (stacks.read_labels(tmp_path / "a.tif") == 1).all()
    assert (stacks.read_labels(tmp_path / "a.tif", "napari") == 0).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", [(3, 11, 13), (1, 5, 4), (4, 9, 3), (3, 4, 4)])
def test_a_written_stack_is_read_back_with_its_description(tmp_path, dtype, shape):
    image = noise(shape, dtype)
    description = {"threshold": 0.5, "run": "Küste", "shape": [1, 2], "slices": [0, 3]}
    stacks.write_stack(tmp_path / "a.tif", image, description)
    assert same(stacks.read_image(tmp_path / "a.tif"), image)
    assert read_description(tmp_path / "a.tif") == description
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.pages[0].compression == tifffile.COMPRESSION.ADOBE_DEFLATE
        assert not file.is_bigtiff
    assert [p.name for p in tmp_path.iterdir()] == ["a.tif"]


def test_a_large_stack_becomes_a_bigtiff(tmp_path, monkeypatch):
    monkeypatch.setattr(stacks, "BIGTIFF_BYTES", 1000)
    stacks.write_stack(tmp_path / "a.tif", noise())
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.is_bigtiff
    assert same(stacks.read_image(tmp_path / "a.tif"), noise())


def test_files_of_other_origin_have_an_empty_description(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", noise(), photometric="minisblack")
    write_png(tmp_path / "a.png", noise((8, 9)))
    assert read_description(tmp_path / "a.tif") == {}
    assert read_description(tmp_path / "a.png") == {}


def test_a_stack_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    stacks.write_stack(tmp_path / "a.tif", noise())

    def full(path, *_args, **_options):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(tifffile, "imwrite", full)
    with pytest.raises(UserError, match=r"a\.tif cannot be written: the disk is full"):
        stacks.write_stack(tmp_path / "a.tif", noise() + 1)
    assert same(stacks.read_image(tmp_path / "a.tif"), noise())
    assert [p.name for p in tmp_path.iterdir()] == ["a.tif"]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32])
def test_an_image_that_varies_passes(dtype):
    stacks.check_image(noise(dtype=dtype), "cells")
    stacks.check_image(noise((8, 9), dtype), "cells")


def broken(value, count=3):
    image = noise(dtype=np.float32)
    image[2, 4, :count] = value
    return image


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (np.full((2, 8, 9), 7, np.uint8), r"same value \(7\) in every pixel"),
        (broken(np.nan), r"3 pixels that are not finite numbers .*first in slice 2"),
        (broken(-np.inf, 1), r"1 pixels that are not finite numbers .*first in slice 2"),
        (noise((20, 30, 3)), r"looks like a colour image \(shape 20 x 30 x 3\)"),
        (noise((2, 2, 8, 9)), r"has 4 axes; .*\(z, y, x\)"),
        (noise((8,)), r"has 1 axes"),
        (np.zeros((0, 8, 9), np.uint8), r"has no pixels"),
        (np.ones((8, 9), complex), r"holds complex128 values"),
        (np.ones((8, 9), bool), r"holds bool values"),
        (np.array([["a"]]), r"holds <U1 values"),
    ],
)
def test_what_is_wrong_with_an_image_is_said(image, sentence):
    with pytest.raises(UserError, match=f"^cells .*{sentence}"):
        stacks.check_image(image, "cells")


def test_a_plane_becomes_a_stack_of_one_without_a_copy():
    plane = noise((8, 9))
    assert stacks.as_stack(plane).shape == (1, 8, 9)
    assert np.shares_memory(stacks.as_stack(plane), plane)
    assert stacks.as_stack(noise()).shape == noise().shape


def test_labels_of_another_size_are_refused_with_both_sizes():
    image = noise()
    stacks.check_pair(image, np.zeros(image.shape, np.uint8), "cells", "truth")
    with pytest.raises(UserError, match=r"truth \(5 x 37 x 52\) and cells \(5 x 37 x 53\) differ in size"):
        stacks.check_pair(image, image[..., 1:], "cells", "truth")


def test_ranges_are_read_as_half_open():
    assert stacks.parse_range("0:20") == (0, 20)
    assert stacks.parse_range(" 3:4 ") == (3, 4)


@pytest.mark.parametrize(
    "text", ["", "5", "5:", ":5", "5:5", "6:5", "-1:5", "0:20:2", "a:b", "0-20", "1.0:2", "\u0663:\u0665"]
)
def test_other_spellings_of_ranges_are_refused(text):
    with pytest.raises(UserError, match="is not a range of slices; write FIRST:END"):
        stacks.parse_range(text)


def test_no_range_is_the_whole_stack():
    assert stacks.check_range(None, 7, "Slices") == (0, 7)
    assert stacks.check_range((2, 7), 7, "Slices") == (2, 7)


@pytest.mark.parametrize("chosen", [(0, 8), (7, 8), (3, 3), (4, 3), (-1, 3)])
def test_a_range_outside_the_stack_is_refused(chosen):
    with pytest.raises(
        UserError, match=r"^Held-out slices: .* does not lie inside the stack, which has 7 slices"
    ):
        stacks.check_range(chosen, 7, "Held-out slices")
    with pytest.raises(UserError, match=r"which has 1 slice;"):
        stacks.check_range((0, 2), 1, "Slices")


@pytest.mark.skipif(not ISBI.is_dir(), reason="the ISBI 2012 stack (../shared/data/isbi2012) is not here")
def test_the_isbi_files_are_read():
    image, truth = stacks.read_image(ISBI / "train-volume.tif"), stacks.read_labels(ISBI / "train-labels.tif")
    stacks.check_image(image, "train-volume.tif")
    stacks.check_pair(image, truth, "train-volume.tif", "train-labels.tif")
    assert np.unique(truth).tolist() == [1, 2]
    assert 0.1 < (truth == 1).mean() < 0.4


def test_real_tissue_and_its_cells_are_read():
    image = stacks.read_image(TEST_DATA / "medulla" / "image.tif")
    truth = stacks.read_labels(TEST_DATA / "medulla" / "cells.tif", "instances")
    stacks.check_image(image, "image.tif")
    stacks.check_pair(image, truth, "image.tif", "cells.tif")
    assert np.unique(truth).tolist() == [1, 2]
    assert 0.05 < (truth == 1).mean() < 0.4


@odd_arrays
@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "f4"])
def test_a_stack_is_written_however_it_lies_in_memory(tmp_path, odd, dtype):
    plain = noise().astype(dtype)
    for given, expected in (odd(plain), plain), (odd(plain)[1], plain[1:2]):
        stacks.write_stack(tmp_path / "a.tif", given)
        assert np.array_equal(tifffile.imread(tmp_path / "a.tif"), np.squeeze(expected))
