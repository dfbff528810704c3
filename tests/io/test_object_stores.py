"""Volumes in object stores and on web servers: the same as files, and every failure a sentence."""

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore
import zarr

from emseg_napari.core.jobs import UserError
from emseg_napari.io import object_store
from emseg_napari.io.address import location_of
from emseg_napari.io.chunk_errors import MissingChunk
from emseg_napari.io.ome_zarr_writer import Layout, VolumeOutput
from emseg_napari.io.open import describe, display_name, open_levels, open_volume
from emseg_napari.io.records import record_of_path, record_of_volume
from emseg_napari.io.source_id import is_changed, state_of
from emseg_napari.io.stack_or_volume import open_prediction, same_source
from emseg_napari.io.store_errors import StoreError
from emseg_napari.io.volume import Voxel
from helpers.stores import Store

SHAPE = (3, 70, 90)
VALUES = np.random.default_rng(0).integers(1, 255, SHAPE).astype(np.uint8)
NM = Voxel((40.0, 4.0, 4.0), "nanometer")


def write_ome_zarr(folder: Path, version: Any = "0.5", shard: Any = None) -> Path:
    layout = Layout(SHAPE, "uint8", chunk=(1, 32, 32), shard=shard, voxel=NM, version=version)
    output = VolumeOutput.prepare(folder, layout, {"software": "emseg-napari predict", "kind": "probability"})
    for block in output.blocks:
        output.write(block, VALUES[block.window])
    output.finish()
    return folder


def write_zarr(folder: Path) -> Path:
    group = zarr.open_group(folder, mode="w", zarr_format=2)
    array = group.create_array("volumes/raw", shape=SHAPE, chunks=(1, 32, 32), dtype="uint8")
    array[...] = VALUES
    array.attrs.update(resolution=[40.0, 4.0, 4.0])
    zarr.consolidate_metadata(folder)
    return folder


def write_n5(folder: Path) -> Path:
    metadata = {
        "dimensions": list(SHAPE[::-1]),
        "blockSize": [32, 32, 1],
        "dataType": "uint8",
        "compression": {"type": "gzip"},
        "resolution": [4.0, 4.0, 40.0],
    }
    spec = {"driver": "n5", "kvstore": {"driver": "file", "path": f"{folder}/raw/"}, "metadata": metadata}
    tensorstore.open(spec, create=True).result()[...] = VALUES.T
    (folder / "attributes.json").write_text('{"n5": "2.0.0"}')
    return folder


def write_precomputed(folder: Path, sharded: bool = False, offset: Any = (0, 0, 0)) -> Path:
    sharding = {
        "@type": "neuroglancer_uint64_sharded_v1",
        "preshift_bits": 1,
        "minishard_bits": 1,
        "shard_bits": 1,
        "hash": "identity",
    }
    scale = {
        "size": list(SHAPE[::-1]),
        "chunk_size": [32, 32, 1],
        "resolution": [4, 4, 40],
        "encoding": "raw",
        "voxel_offset": list(offset),
    }
    spec = {
        "driver": "neuroglancer_precomputed",
        "kvstore": {"driver": "file", "path": f"{folder}/"},
        "multiscale_metadata": {"type": "image", "data_type": "uint8", "num_channels": 1},
        "scale_metadata": scale | ({"sharding": sharding} if sharded else {}),
    }
    tensorstore.open(spec, create=True).result()[..., 0] = VALUES.T
    return folder


Written = Callable[[Path], Path]
FORMATS: dict[str, tuple[Written, str]] = {
    "ome-zarr 0.4": (lambda folder: write_ome_zarr(folder, "0.4"), "a.zarr"),
    "ome-zarr 0.5": (write_ome_zarr, "a.zarr"),
    "sharded": (lambda folder: write_ome_zarr(folder, shard=(1, 64, 64)), "a.zarr"),
    "zarr 2": (write_zarr, "a.zarr"),
    "n5": (write_n5, "a.n5"),
    "precomputed": (write_precomputed, "a"),
}


@pytest.fixture(params=FORMATS)
def uploaded(request: pytest.FixtureRequest, store: Store, tmp_path: Path) -> tuple[Path, str]:
    """A container on the disk, and its name in the store."""
    write, name = FORMATS[request.param]
    folder = write(tmp_path / name)
    store.upload(folder, f"em/{name}")
    return folder, f"em/{name}"


@pytest.fixture
def address(store: Store, tmp_path: Path) -> str:
    """An OME-Zarr on a web server."""
    store.upload(write_ome_zarr(tmp_path / "a.zarr"), "a.zarr")
    return f"{store.web}/a.zarr"


def test_a_volume_at_an_address_is_that_of_its_files(store: Store, uploaded: tuple[Path, str]) -> None:
    folder, name = uploaded
    here = open_volume(folder / "raw" if folder.suffix == ".n5" else folder)
    inner = here.name.partition("/")[2]
    for base in (store.web, store.s3):
        there = open_volume(f"{base}/{name}/{inner}")
        assert (there.name, there.shape, there.dtype, there.voxel) == (here.name, SHAPE, np.uint8, NM)
        assert there.source == f"{base}/{name}/{inner}"
        np.testing.assert_array_equal(there[...], VALUES)
        np.testing.assert_array_equal(there[1, 5:40, 30:70], VALUES[1, 5:40, 30:70])
        assert describe(there.source) == describe(here.source)


def test_a_container_in_a_bucket_need_not_be_told_its_dataset(
    store: Store, uploaded: tuple[Path, str]
) -> None:
    _, name = uploaded
    np.testing.assert_array_equal(open_volume(f"{store.s3}/{name}")[...], VALUES)


def test_consolidated_metadata_tell_what_a_web_server_does_not_list(store: Store, tmp_path: Path) -> None:
    store.upload(write_zarr(tmp_path / "a.zarr"), "a.zarr")
    assert open_volume(f"{store.web}/a.zarr").name == "a.zarr/volumes/raw"
    del store.objects["em-images/a.zarr/.zmetadata"]
    with pytest.raises(UserError, match="does not list what it has; append the path"):
        open_volume(f"{store.web}/a.zarr")


def test_all_resolutions_are_opened(store: Store, address: str) -> None:
    assert [level.shape for level in open_levels(address)] == [SHAPE, (3, 35, 45), (3, 18, 23)]


def test_only_the_chunks_that_are_wanted_are_fetched(store: Store, address: str) -> None:
    volume = open_volume(address)
    volume[0, :2, :2]  # opens the array
    store.requests.clear()
    volume[1, 40:50, 40:50]
    assert store.requests == [("GET", "em-images/a.zarr/0/c/1/1/1")]


def test_of_a_shard_only_parts_are_fetched(store: Store, tmp_path: Path) -> None:
    store.upload(write_ome_zarr(tmp_path / "a.zarr", shard=(1, 64, 64)), "a.zarr")
    volume = open_volume(f"{store.s3}/a.zarr")
    ranges: list[Any] = []
    store.on_range = ranges.append
    np.testing.assert_array_equal(volume[1, :10, :10], VALUES[1, :10, :10])
    assert len(ranges) == 2  # the index of the shard, and one of its chunks


def test_a_server_that_gives_whole_objects_only_will_do(store: Store, tmp_path: Path) -> None:
    store.knows_ranges = False
    store.upload(write_ome_zarr(tmp_path / "a.zarr", shard=(1, 64, 64)), "a.zarr")
    np.testing.assert_array_equal(open_volume(f"{store.web}/a.zarr")[...], VALUES)


def test_a_missing_chunk_is_an_error_or_the_fill_value(store: Store, uploaded: tuple[Path, str]) -> None:
    _, name = uploaded
    inner = "/raw" if name.endswith(".n5") else ""
    chunks = [key for key in store.below(name) if re.search(r"\d[/.]\d[/.]\d$|\d-\d", key)]
    lost = next(key for key in sorted(chunks) if not key.startswith(("1/", "2/")))
    del store.objects[f"em-images/{name}/{lost}"]
    for base in (store.web, store.s3):
        with pytest.raises(MissingChunk, match="is missing"):
            open_volume(f"{base}/{name}{inner}")[...]
        filled = open_volume(f"{base}/{name}{inner}", fills=True)[...]
        assert 0 < (filled == 0).sum() < filled.size / 2
        np.testing.assert_array_equal(filled[filled > 0], VALUES[filled > 0])


def test_the_record_of_a_prediction_is_read(store: Store, address: str) -> None:
    assert record_of_path(location_of(address))["kind"] == "probability"
    assert record_of_volume(open_volume(address))["kind"] == "probability"


def test_one_address_is_recognised(address: str) -> None:
    assert display_name(f"{address}/0") == "a.zarr/0"
    assert same_source(address, f"{address}/0")
    assert not same_source(f"{address}/1", address)


@pytest.mark.parametrize("has_marks", [True, False])
def test_another_content_is_noticed(store: Store, address: str, has_marks: bool) -> None:
    store.has_marks = has_marks
    then = state_of(open_volume(address))
    assert not is_changed(then, state_of(open_volume(address)))
    store.objects["em-images/a.zarr/0/c/2/2/2"] = store.objects["em-images/a.zarr/0/c/2/2/1"]
    assert is_changed(then, state_of(open_volume(address)))


def test_a_precomputed_volume_has_size_and_place_and_says_whether_it_is_labels(tmp_path: Path) -> None:
    volume = open_volume(write_precomputed(tmp_path / "a", offset=(5, 6, 7)))
    np.testing.assert_array_equal(volume[...], VALUES)
    assert (volume.name, volume.voxel, volume.origin) == ("a/4_4_40", NM, (280.0, 24.0, 20.0))
    assert not volume.is_labels
    assert [level.shape for level in open_levels(tmp_path / "a")] == [SHAPE]
    assert open_volume(tmp_path / "a" / "4_4_40").source == volume.source
    with pytest.raises(UserError, match="a has no scale 9; it has 4_4_40"):
        open_volume(tmp_path / "a" / "9")


def test_a_sharded_precomputed_volume_is_read(store: Store, tmp_path: Path) -> None:
    store.upload(write_precomputed(tmp_path / "a", sharded=True), "a")
    for place in (tmp_path / "a", f"{store.web}/a", f"{store.s3}/a"):
        np.testing.assert_array_equal(open_volume(place)[...], VALUES)


def test_a_file_called_info_makes_no_precomputed_volume(tmp_path: Path) -> None:
    (tmp_path / "info").write_text('{"made": "by hand"}')
    with pytest.raises(UserError) as raised:
        open_volume(tmp_path)
    assert "precomputed" not in str(raised.value)


# -- failures -------------------------------------------------------------------------------


def sentence_of_opening(address: str) -> str:
    with pytest.raises(UserError) as raised:
        open_volume(address)[...]
    assert raised.value.__cause__ is None  # which would hold what was asked for, with its signature
    assert str(raised.value).endswith(".")
    return str(raised.value)


def test_nothing_at_an_address_is_said(store: Store) -> None:
    for base in (store.web, store.s3):
        assert f"At {base}/none.zarr there is no OME-Zarr" in sentence_of_opening(f"{base}/none.zarr")


@pytest.mark.parametrize("code", [401, 403])
def test_a_store_that_refuses_is_asked_once_and_named(store: Store, address: str, code: int) -> None:
    store.fault = lambda method, key: code if method == "GET" and key.endswith("zarr.json") else None
    sentence = sentence_of_opening(f"{address}?sig=secret")
    assert "a.zarr/zarr.json may not be read" in sentence
    assert "signature" in sentence
    assert "secret" not in sentence
    sentence = sentence_of_opening(f"{store.s3}/a.zarr")
    assert "AWS_ACCESS_KEY_ID" in sentence
    assert "a-secret" not in sentence
    assert "a-name" not in sentence


def test_a_bucket_that_refuses_what_is_missing_can_be_read(store: Store, address: str) -> None:
    store.fault = lambda method, key: None if key in store.objects else 403
    np.testing.assert_array_equal(open_volume(f"{store.s3}/a.zarr")[...], VALUES)


@pytest.mark.parametrize(("write", "name"), [(write_n5, "a.n5/raw"), (write_precomputed, "a")])
def test_a_volume_of_other_origin_has_no_record_in_a_bucket_that_refuses_what_is_missing(
    store: Store, tmp_path: Path, write: Written, name: str
) -> None:
    store.upload(write(tmp_path / name.partition("/")[0]), name.partition("/")[0])
    store.fault = lambda method, key: None if key in store.objects else 403
    volume = open_volume(f"{store.s3}/{name}")
    assert record_of_volume(volume) == record_of_path(f"{store.s3}/{name}") == {}
    assert open_prediction(volume.source, "interior")[0].shape == SHAPE


@pytest.mark.parametrize(
    ("places", "opened"),
    [
        (["a.n5"], "a.n5"),
        (["a.n5/raw"], "a.n5/raw"),
        (["a.n5/raw/s0", "a.n5/raw/s1"], "a.n5/raw"),
        (["a.n5/raw/s0", "a.n5/raw/s1"], "a.n5/raw/s0"),
    ],
)
def test_nothing_is_listed_to_open_n5_by_the_name_of_its_image(
    store: Store, tmp_path: Path, places: list[str], opened: str
) -> None:
    image = write_n5(tmp_path / "a.n5") / "raw"
    for place in places:
        store.upload(image, place)
    store.objects.setdefault("em-images/a.n5/raw/attributes.json", b"{}")  # of the group
    store.fault = lambda method, key: None if key in store.objects else 403  # GET is allowed, to list is not
    levels = open_levels(f"{store.s3}/{opened}")
    assert len(levels) == (1 if opened in places else len(places))
    for volume in (open_volume(f"{store.s3}/{opened}"), *levels):
        np.testing.assert_array_equal(volume[...], VALUES)
    assert not [key for _, key in store.requests if "list-type" in key]


@pytest.mark.parametrize("fault", [500, 503, 429, "break off"])
def test_what_fails_for_a_moment_is_tried_again(store: Store, address: str, fault: Any) -> None:
    failed: set[str] = set()

    def once(method: str, key: str) -> Any:
        if key in failed:
            return None
        failed.add(key)
        return fault

    store.fault = once
    np.testing.assert_array_equal(open_volume(address)[...], VALUES)
    assert failed


@pytest.mark.parametrize(
    ("fault", "words"), [(500, "the server answers with the error 500"), ("break off", "broke off")]
)
def test_what_goes_on_failing_is_given_up(store: Store, address: str, fault: Any, words: str) -> None:
    volume = open_volume(f"{address}?sig=secret")
    volume[0]
    lost = "em-images/a.zarr/0/c/1/0/0"
    store.fault = lambda method, key: fault if key == lost else None
    store.requests.clear()
    with pytest.raises(StoreError, match=words) as raised:
        volume[1, :10, :10]
    assert "a.zarr/0/c/1/0/0" in str(raised.value)
    assert "secret" not in str(raised.value)
    assert len(store.requests) == 1 + 2  # and two tries more


def test_a_silent_server_is_given_up(store: Store, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_store, "PATIENCE_S", 0.3)
    store.fault = lambda method, key: "silent"
    assert "does not answer in time" in sentence_of_opening(address)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("http://127.0.0.1:1/a.zarr", "the server cannot be reached"),
        ("https://127.0.0.1:{port}/a.zarr", "no secure connection can be made"),
    ],
)
def test_a_server_that_is_not_there_is_named(store: Store, wrong: str, words: str) -> None:
    wrong = wrong.format(port=store.endpoint.rpartition(":")[2])
    sentence = sentence_of_opening(wrong)
    assert wrong in sentence
    assert words in sentence


def test_nothing_is_printed_of_requests_that_nobody_waits_for(
    store: Store, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    volume = open_volume(address)
    volume[0]
    store.fault = lambda method, key: 403
    with caplog.at_level(logging.DEBUG, "asyncio"), pytest.raises(StoreError):
        volume[...]
    assert not [one for one in caplog.records if "never retrieved" in one.message]


# -- writing --------------------------------------------------------------------------------

LAYOUT = Layout(SHAPE, "uint8", chunk=(1, 32, 32), shard=(1, 64, 64), voxel=NM)


def written(path: Any) -> VolumeOutput:
    output = VolumeOutput.prepare(path, LAYOUT, {"software": "me"})
    for block in output.missing():
        output.write(block, VALUES[block.window])
    output.finish()
    return output


def test_an_output_in_a_bucket_has_the_bytes_of_one_on_a_disk(store: Store, tmp_path: Path) -> None:
    output = written(f"{store.s3}/out.zarr")
    folder = written(tmp_path / "out.zarr").path
    assert isinstance(folder, Path)
    there = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    assert store.below("out.zarr") == {name: path.read_bytes() for name, path in there.items()}
    np.testing.assert_array_equal(output[...], VALUES)
    assert output.holds_slice(1)


def test_an_output_in_a_bucket_is_resumed_with_what_is_missing(store: Store) -> None:
    written(f"{store.s3}/out.zarr")
    whole = store.below("out.zarr")
    lost = "em-images/out.zarr/0/c/1/0/1"
    del store.objects[lost]
    store.requests.clear()
    written(f"{store.s3}/out.zarr")
    assert store.below("out.zarr") == whole
    blocks = [key for method, key in store.requests if method == "PUT" and "/0/c/" in key]
    assert blocks == [lost]


def test_an_output_that_was_begun_otherwise_is_refused(store: Store, address: str) -> None:
    written(f"{store.s3}/out.zarr")
    with pytest.raises(UserError, match=r"s3://em-images/out\.zarr was written by me"):
        VolumeOutput.prepare(f"{store.s3}/out.zarr", LAYOUT, {"software": "you"})
    store.objects["em-images/other.zarr/zarr.json"] = store.objects["em-images/a.zarr/0/zarr.json"]
    with pytest.raises(UserError, match="is not an earlier output of emseg"):
        VolumeOutput.prepare(f"{store.s3}/other.zarr", LAYOUT, {"software": "me"})


def test_a_bucket_that_may_not_be_written_is_said_and_stays_as_it_was(store: Store) -> None:
    store.fault = lambda method, key: 403 if method == "PUT" else None
    with pytest.raises(StoreError, match=r"may not be written \(403\)"):
        written(f"{store.s3}/out.zarr")
    assert not store.objects


def test_a_bucket_that_may_be_written_but_not_read_is_said(store: Store) -> None:
    store.fault = lambda method, key: None if method == "PUT" else 403
    with pytest.raises(StoreError, match=r"may not be read \(403\)"):
        written(f"{store.s3}/out.zarr")


def test_a_bucket_that_is_not_there_is_named(store: Store) -> None:
    with pytest.raises(StoreError, match="there is no bucket s3://no-images"):
        written("s3://no-images/out.zarr")


def test_a_web_server_is_not_written_to(store: Store) -> None:
    with pytest.raises(StoreError, match="is on a web server, where nothing is written"):
        written(f"{store.web}/out.zarr")


def test_writing_that_was_interrupted_leaves_whole_blocks_and_is_resumed(store: Store) -> None:
    left = iter(range(5))
    store.fault = lambda m, key: 403 if m == "PUT" and "/0/c/" in key and next(left, None) is None else None
    with pytest.raises(StoreError):
        written(f"{store.s3}/out.zarr")
    begun = store.below("out.zarr")
    assert sum(name.startswith("0/c/") for name in begun) == 5
    store.fault = lambda method, key: None
    output = written(f"{store.s3}/out.zarr")
    assert begun.items() - {"zarr.json": b""}.items()
    again = store.below("out.zarr")
    assert all(again[name] == one for name, one in begun.items() if name.startswith("0/"))
    np.testing.assert_array_equal(output[...], VALUES)
