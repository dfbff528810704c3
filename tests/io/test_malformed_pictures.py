"""Whatever a TIFF file, OME-XML or a PNG says: the right picture, or a sentence; and no memory for claims.

`EMSEG_FUZZ_EXAMPLES` sets the number of examples of a longer run.
"""

import os
import struct
import tracemalloc

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emseg_napari.core.jobs import UserError
from emseg_napari.io.open import describe, open_volume
from emseg_napari.io.records import read_description
from emseg_napari.io.stack_or_volume import open_image, open_labels
from emseg_napari.io.stacks import read_image

GREY = np.random.default_rng(0).integers(20, 200, (4, 9, 11), np.uint8)
MOST_BYTES = 1 << 28
EXAMPLES = int(os.environ.get("EMSEG_FUZZ_EXAMPLES", "20"))
quick = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

odd_numbers = st.sampled_from([0, 1, 2, 3, 4, 5, 9, 11, 12, 36, 255, 256, 65535, 2**31 - 1, 2**32 - 1])
odd_words = st.one_of(
    st.integers(-2, 6).map(str),
    st.sampled_from(["", "-1", "1e9", "1e999", "nan", "9" * 20, "4.5", "abc", "XYZCT", "XYCZT"]),
    st.text(max_size=5),
)


def outcome(path):
    """Read a file in each way; return what came out, or None for a refusal in a sentence."""
    tracemalloc.start()
    try:
        whole, lazy, _ = (
            result_of(read, path)
            for read in (read_image, lambda one: np.asarray(open_volume(one)[...]), open_image)
        )
        for read in (describe, open_labels, read_description):
            result_of(read, path)
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()
    assert (whole is None) == (lazy is None)
    if whole is not None:
        np.testing.assert_array_equal(whole, lazy)
    return whole


def result_of(read, path):
    """Return what a function gives for a file, None for a refusal in a sentence; all else is raised."""
    try:
        return read(path)
    except UserError:
        return None


def is_right(read, stored=GREY):
    """Whether slices were read as they lie in the file, perhaps inverted or in another order of the axes."""
    return read is None or sorted(np.minimum(read, 255 - read).ravel()) == sorted(
        np.minimum(stored, 255 - stored).ravel()
    )


def write_pages(path, description, **options):
    with tifffile.TiffWriter(path) as file:
        for z, plane in enumerate(GREY):
            text = description if z == 0 else None
            file.write(plane, description=text, metadata=None, photometric="minisblack", contiguous=False)


# -- descriptions ----------------------------------------------------------------------------

imagej_keys = st.sampled_from(
    [
        "images",
        "slices",
        "frames",
        "channels",
        "hyperstack",
        "order",
        "unit",
        "zunit",
        "spacing",
        "mode",
        "loop",
    ]
)
imagej_texts = st.lists(st.tuples(imagej_keys, odd_words), max_size=6).map(
    lambda pairs: "ImageJ=1.54f\n" + "".join(f"{key}={value}\n" for key, value in pairs)
)
shape_texts = st.one_of(
    st.lists(st.one_of(odd_numbers, st.integers(-3, 12), st.none(), st.floats()), max_size=5).map(
        lambda shape: '{"shape": ' + str(shape).replace("None", "null") + "}"
    ),
    st.tuples(st.text("XYZCTSIQ?", max_size=5)).map(
        lambda axes: f'{{"shape": [4, 9, 11], "axes": "{axes[0]}"}}'
    ),
    st.sampled_from(['{"shape":', '{"shape": [4, 9, 11]', "shape=(4,9,11)", "shape=(4,9", '{"shape": 4}']),
)
own_texts = st.text(max_size=12).map(lambda text: f"emseg-napari {text}")


@given(st.one_of(imagej_texts, shape_texts, own_texts, st.text(max_size=30)))
@quick
def test_any_description_gives_the_slices_or_a_sentence(tmp_path, text):
    write_pages(tmp_path / "a.tif", text.encode("utf-8", "replace").replace(b"\0", b""))
    assert is_right(outcome(tmp_path / "a.tif"))


sizes = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        [
            "DimensionOrder",
            "SizeX",
            "SizeY",
            "SizeZ",
            "SizeC",
            "SizeT",
            "Type",
            "PhysicalSizeZ",
            "PhysicalSizeXUnit",
        ],
        odd_words,
    ),
)
planes = st.lists(
    st.dictionaries(st.sampled_from(["IFD", "PlaneCount", "NumPlanes", "FirstZ", "FirstT"]), odd_words),
    max_size=4,
)
RIGHT = {"DimensionOrder": "XYZCT", "SizeX": "11", "SizeY": "9", "SizeZ": "4", "SizeC": "1", "SizeT": "1"}


def attributes(pairs):
    cleaned = {k: "".join(c for c in v if c.isprintable() and c not in '<&"') for k, v in pairs.items()}
    return " ".join(f'{key}="{value}"' for key, value in cleaned.items())


@given(
    sizes, planes, st.integers(0, 12), st.booleans(), st.sampled_from(["", "<!ENTITY a 'b'>", "<Channel/>"])
)
@quick
def test_any_ome_xml_gives_the_slices_or_a_sentence(tmp_path, stated, parts, cut, keeps, extra):
    known = (RIGHT if keeps else {}) | stated
    data = "".join(f"<TiffData {attributes(one)}/>" for one in parts)
    pixels = f"<Pixels {attributes(known)}>{extra}{data}</Pixels>"
    text = f'<?xml version="1.0"?><OME><Image ID="I">{pixels}</Image></OME>'
    text = text[: len(text) - 6 - cut] + "</OME>" if cut > 8 else text
    write_pages(tmp_path / "a.tif", text.encode("utf-8", "replace"))
    assert is_right(outcome(tmp_path / "a.tif"))


# Type of the values of a tag, how many there are, and the value or where the values lie.
numbers_of_values = st.one_of(st.just(1), odd_numbers)
tag_values = st.tuples(st.sampled_from([1, 2, 3, 4, 5, 12, 16]), numbers_of_values, odd_numbers)
names = st.sampled_from(["a.tif", "a.png"])

# -- tags ---------------------------------------------------------------------------------------

TAGS = [
    254,
    256,
    257,
    258,
    259,
    262,
    266,
    273,
    274,
    277,
    278,
    279,
    284,
    317,
    320,
    322,
    323,
    324,
    325,
    338,
    339,
]


@given(st.dictionaries(st.sampled_from(TAGS), tag_values, max_size=4), st.booleans(), st.binary(max_size=6))
@quick
def test_any_tags_give_a_picture_of_what_is_there_or_a_sentence(tmp_path, changed, link, tail):
    plane = GREY[0]
    right = {256: 11, 257: 9, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 9, 279: plane.size}
    stated = {tag: (4, 1, value) for tag, value in right.items()} | changed
    start = 8 + plane.size + plane.size % 2
    table = b"".join(struct.pack("<HHII", tag, *value) for tag, value in sorted(stated.items()))
    following = start if link else 0  # a chain of pages that goes round
    content = struct.pack("<2sHI", b"II", 42, start) + plane.tobytes() + b"\0" * (plane.size % 2)
    content += struct.pack("<H", len(stated)) + table + struct.pack("<I", following) + tail
    (tmp_path / "a.tif").write_bytes(content)
    read = outcome(tmp_path / "a.tif")
    if not changed and not link:
        assert is_right(read, plane)


@given(
    st.integers(0, 400),
    st.binary(min_size=1, max_size=3),
    st.integers(0, 30),
    st.sampled_from(["a.tif", "a.png"]),
)
@quick
def test_any_changed_byte_gives_a_picture_or_a_sentence(tmp_path, place, change, cut, name):
    if name == "a.png":
        content = bytearray(imagecodecs.png_encode(GREY[0]))
    else:
        tifffile.imwrite(tmp_path / name, GREY, compression="zlib", photometric="minisblack")
        content = bytearray((tmp_path / name).read_bytes())
    place %= len(content)
    content[place : place + len(change)] = change
    (tmp_path / name).write_bytes(content[: len(content) - cut])
    outcome(tmp_path / name)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "packbits"])
def test_no_room_is_made_for_what_a_header_claims(tmp_path, compression):
    tifffile.imwrite(
        tmp_path / "a.tif", GREY[0], compression=compression, metadata=None, photometric="minisblack"
    )
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        for tag in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            file.pages.first.tags[tag].overwrite(2**31 - 1)
    assert outcome(tmp_path / "a.tif") is None
