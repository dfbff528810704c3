"""Metadata of containers with anything at all in them: a right reading, or a sentence that names the file."""

import copy
import json
import math
import os

import h5py
import numpy as np
import pytest
import tensorstore
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emseg_napari.core.jobs import UserError
from emseg_napari.io.open import open_levels

STACK = np.random.default_rng(0).integers(1, 250, (4, 6, 7), np.uint8)
FEW = settings(
    max_examples=int(os.environ.get("EMSEG_FUZZ_EXAMPLES", 60)),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)

WORDS = [
    "z",
    "y",
    "x",
    "c",
    "t",
    "scale",
    "identity",
    "space",
    "nm",
    "\u00b5m",
    "../a",
    "0",
    "s0",
    "",
    "{",
    "zyx",
]
NUMBERS = st.one_of(st.integers(-3, 9), st.integers(-(2**70), 2**70), st.floats(), st.just(1e308))
PLAIN = st.one_of(st.none(), st.booleans(), NUMBERS, st.sampled_from(WORDS), st.text(max_size=5))
JSON = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3),
)

IMAGE = {
    "version": "0.5",
    "multiscales": [
        {
            "axes": [{"name": axis, "type": "space", "unit": "nanometer"} for axis in "zyx"],
            "datasets": [
                {
                    "path": "0",
                    "coordinateTransformations": [
                        {"type": "scale", "scale": [40, 5, 4]},
                        {"type": "translation", "translation": [400, 50, -8]},
                    ],
                }
            ],
            "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 1]}],
        }
    ],
    "image-label": {},
    "omero": {"channels": [{"inverted": True}]},
}
ATTRIBUTES = {
    "axistags": json.dumps({"axes": [{"key": axis, "resolution": 4} for axis in "zyx"]}),
    "axis_units": json.dumps({"z": "nm", "y": "nm", "x": "nm"}),
    "_ARRAY_DIMENSIONS": ["z", "y", "x"],
    "DIMENSION_LABELS": ["z", "y", "x"],
    "axes": ["z", "y", "x"],
    "axis_names": ["z", "y", "x"],
    "resolution": [40, 5, 4],
    "voxel_size": [40, 5, 4],
    "units": ["nm", "nm", "nm"],
    "offset": [1, 2, 3],
    "element_size_um": [1, 2, 3],
}


def places_in(value, path=()):
    """Give the path of every value in nested lists and mappings."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places_in(one, (*path, key))


@st.composite
def changed(draw, valid):
    """Valid metadata of which some values are replaced, taken away or repeated."""
    content = copy.deepcopy(valid)
    for _ in range(draw(st.integers(1, 3))):
        *path, last = draw(st.sampled_from([path for path in places_in(content) if path]))
        owner = content
        for key in path:
            owner = owner[key]
        change = draw(st.sampled_from(["replace", "remove", "repeat"]))
        if change == "replace":
            owner[last] = draw(JSON)
        elif change == "repeat" and isinstance(owner, list):
            owner.append(copy.deepcopy(owner[last]))
        else:
            del owner[last]
        if not content:
            break
    return content


def check(path, stored=None):
    """Open what can be opened; its numbers must be those that are stored."""
    said = opened(path, stored)
    assert not said or path.stem in said


def opened(path, stored):
    """Return the sentence by which a file is refused."""
    try:
        for level in open_levels(path):
            assert len(level.shape) == 3
            assert all(math.isfinite(one) for one in level.origin)
            assert level.voxel is None or all(math.isfinite(one) and one > 0 for one in level.voxel.size)
            assert all(isinstance(note, str) for note in level.description.notes)
            part = level[...] if stored is not None or level.size < 10**6 else level[0, :3, :3]
            assert stored is None or np.array_equal(np.sort(part, None), np.sort(stored, None))
    except UserError as error:
        return str(error)
    return ""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("strange")
    group = zarr.create_group(root / "image.zarr")
    group.create_array("0", data=STACK, chunks=(2, 4, 4))
    zarr.create_array(root / "array.zarr", data=STACK, chunks=(2, 4, 4))
    zarr.create_array(root / "old.zarr", data=STACK, chunks=(2, 4, 4), zarr_format=2)
    spec = {"driver": "n5", "kvstore": {"driver": "file", "path": str(root / "a.n5/raw/s0")}}
    tensorstore.open(spec, create=True, dtype="uint8", shape=STACK.shape[::-1]).result()[...] = STACK.T
    return root


@given(ome=changed(IMAGE))
@FEW
def test_any_metadata_of_ome_zarr(folder, ome):
    path = folder / "image.zarr"
    attributes = {"ome": ome} if ome.get("version") == "0.5" else ome
    described = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    (path / "zarr.json").write_text(json.dumps(described))
    check(path, STACK)


@given(attributes=changed(ATTRIBUTES))
@FEW
def test_any_attributes_of_zarr(folder, attributes):
    (folder / "old.zarr/.zattrs").write_text(json.dumps(attributes))
    check(folder / "old.zarr", STACK)
    file = folder / "array.zarr/zarr.json"
    described = json.loads(file.read_text())
    file.write_text(json.dumps(described | {"attributes": attributes}))
    check(folder / "array.zarr", STACK)


ARRAY = {
    "zarr_format": 3,
    "node_type": "array",
    "shape": [4, 6, 7],
    "data_type": "uint8",
    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2, 4, 4]}},
    "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
    "fill_value": 0,
    "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
    "dimension_names": ["z", "y", "x"],
    "attributes": {},
}


@given(described=changed(ARRAY))
@FEW
def test_any_description_of_a_zarr_array(tmp_path_factory, described):
    path = tmp_path_factory.getbasetemp() / "described.zarr"
    path.mkdir(exist_ok=True)
    (path / "zarr.json").write_text(json.dumps(described))
    check(path)


N5 = {
    "dimensions": [7, 6, 4],
    "blockSize": [7, 6, 4],
    "dataType": "uint8",
    "compression": {"type": "raw"},
    "pixelResolution": {"unit": "nm", "dimensions": [4, 5, 40]},
    "resolution": [4, 5, 40],
    "units": ["nm", "nm", "nm"],
    "axes": ["x", "y", "z"],
    "offset": [1, 2, 3],
    "downsamplingFactors": [2, 2, 1],
    "transform": {"axes": ["z", "y", "x"], "scale": [1, 2, 3], "translate": [1, 2, 3], "units": ["nm"] * 3},
    "axistags": ATTRIBUTES["axistags"],
}


@given(attributes=changed(N5), group=changed({**N5, "scales": [[1, 1, 1], [2, 2, 1]]}))
@FEW
def test_any_attributes_of_n5(folder, attributes, group):
    for name in ("dimensions", "blockSize", "dataType", "compression"):
        group.pop(name, None)
    (folder / "a.n5/raw/s0/attributes.json").write_text(json.dumps(attributes))
    (folder / "a.n5/raw/attributes.json").write_text(json.dumps(group))
    check(folder / "a.n5")


HDF5 = st.one_of(
    st.text(max_size=5),
    st.binary(min_size=1, max_size=5).map(np.void),
    st.binary(max_size=5).map(lambda content: np.bytes_(content.replace(b"\0", b"") or b"?")),
    st.integers(-(2**60), 2**60),
    st.floats(),
    st.lists(st.floats(), max_size=4),
    st.lists(st.sampled_from(["z", "y", "x", "c", "", "\u03bc"]), min_size=1, max_size=4),
    JSON.map(json.dumps),
    changed({"axes": [{"key": axis, "resolution": 4} for axis in "zyx"]}).map(json.dumps),
    st.just(h5py.Empty("f4")),
)


@given(attributes=st.dictionaries(st.sampled_from([*ATTRIBUTES, "AXES"]), HDF5, max_size=3))
@FEW
def test_any_attributes_of_hdf5(folder, attributes):
    with h5py.File(folder / "a.h5", "w") as file:
        made = file.create_dataset("x", data=STACK)
        for name, value in attributes.items():
            made.attrs[name] = value
    check(folder / "a.h5", STACK)


CHANGES = st.lists(
    st.tuples(
        st.sampled_from([*range(0, 64, 4), *range(64, 112, 4), 152, 156, 196, 208, 212]),
        st.one_of(
            st.integers(-2, 20).map(lambda n: np.array(n, "<i4").tobytes()),
            st.integers(-2, 20).map(lambda n: np.array(n, ">i4").tobytes()),
            st.binary(min_size=4, max_size=4),
        ),
    ),
    max_size=4,
)


@given(changes=CHANGES, length=st.one_of(st.none(), st.integers(0, 1400)), order=st.sampled_from("<>"))
@FEW
def test_any_header_of_mrc(folder, changes, length, order):
    header = np.zeros(256, f"{order}i4")
    header[:10] = 7, 6, 4, 0, 0, 0, 0, 7, 6, 4
    raw = bytearray(header.tobytes())
    raw[208:214] = b"MAP DD" if order == "<" else b"MAP \x11\x11"
    raw += STACK.tobytes()
    for place, content in changes:
        raw[place : place + 4] = content
    (folder / "a.mrc").write_bytes(raw[:length])
    check(folder / "a.mrc")


def test_chunks_that_do_not_fit_into_memory_are_refused_before_they_are_read(tmp_path):
    zarr.create_array(tmp_path / "a.zarr", shape=(4, 6, 7), chunks=(10**4, 10**4, 10**5), dtype="uint8")
    assert "a.zarr has chunks of 10000 x 10000 x 100000 voxels" in opened(tmp_path / "a.zarr", None)


@pytest.mark.parametrize("changes", [{"attributes": "z"}, {"attributes": 3.5}, {"chunks": 0}])
def test_a_zarr_array_with_no_mapping_or_empty_chunks_is_refused(tmp_path, changes):
    described = copy.deepcopy(ARRAY) | changes
    if described.pop("chunks", 1) == 0:
        described["chunk_grid"]["configuration"]["chunk_shape"][0] = 0
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr/zarr.json").write_text(json.dumps(described))
    assert opened(tmp_path / "a.zarr", None).startswith("a.zarr is damaged or not a Zarr folder")


def test_what_is_wrong_with_an_n5_dataset_is_said_in_a_few_words(tmp_path):
    (tmp_path / "a.n5/raw").mkdir(parents=True)
    (tmp_path / "a.n5/attributes.json").write_text('{"n5": "2.5.0"}')
    described = {**N5, "compression": {"type": "lzma9"}}
    (tmp_path / "a.n5/raw/attributes.json").write_text(json.dumps(described))
    with pytest.raises(UserError, match='"lzma9" is not registered\\); copy it again') as caught:
        open_levels(tmp_path / "a.n5")
    assert str(tmp_path) not in str(caught.value)
    assert "tensorstore" not in str(caught.value)
