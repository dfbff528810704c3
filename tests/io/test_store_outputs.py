"""Outputs in a store: they take nothing that is not their own, and two writers mix nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from emseg_napari.core.jobs import UserError
from emseg_napari.io import blocks_there, object_store, ome_zarr_writer
from emseg_napari.io.address import location_of
from emseg_napari.io.block_store import create_level
from emseg_napari.io.ome_zarr_writer import Layout, VolumeOutput
from emseg_napari.io.store_errors import StoreError, Taken
from helpers.stores import BUCKET, Store

SHAPE = (2, 70, 90)
LAYOUT = Layout(SHAPE, "uint8", chunk=(1, 32, 32), shard=(1, 64, 64))
DEEPER = Layout(SHAPE, "uint8", chunk=(1, 32, 32), shard=(2, 64, 64))


def prepared(store: Store, layout: Layout = LAYOUT, **record: Any) -> VolumeOutput:
    return VolumeOutput.prepare(f"{store.s3}/out.zarr", layout, {"software": "me", **record})


def refused(store: Store, words: str) -> None:
    """Whether an output is refused in a sentence, and nothing in the store has changed."""
    before = dict(store.objects)
    with pytest.raises(UserError, match=words):
        prepared(store)
    assert store.objects == before


def test_arrays_of_others_without_a_group_are_not_taken(store: Store, tmp_path: Path) -> None:
    array = zarr.create_array(tmp_path / "0", shape=SHAPE, chunks=(1, 64, 64), dtype="uint8")
    array[...] = 7
    store.upload(tmp_path, "out.zarr")
    refused(store, r"s3://em-images/out\.zarr exists and is not an earlier output of emseg")


def test_what_is_no_zarr_is_not_taken(store: Store) -> None:
    store.objects[f"{BUCKET}/out.zarr/info"] = b'{"scales": []}'
    refused(store, "is not an earlier output of emseg")


def test_what_lies_beside_an_output_does_not_hinder_it(store: Store) -> None:
    store.objects[f"{BUCKET}/out.zarr2/info"] = b"{}"
    assert prepared(store).shape == SHAPE


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_an_output_that_was_killed_while_it_was_begun_is_begun_again(store: Store, version: Any) -> None:
    layout = Layout(SHAPE, "uint8", chunk=(1, 32, 32), shard=None, version=version)
    create_level(location_of(f"{store.s3}/out.zarr"), 0, layout, SHAPE)
    assert prepared(store, layout).layout == layout


def test_an_output_that_was_killed_while_it_was_begun_otherwise_is_refused(store: Store) -> None:
    create_level(location_of(f"{store.s3}/out.zarr"), 0, DEEPER, SHAPE)
    refused(store, "was begun with another layout")


def test_an_output_whose_metadata_may_not_be_read_is_not_begun_anew(store: Store) -> None:
    prepared(store)
    store.fault = lambda method, key: 403 if method != "PUT" and key.endswith("zarr.json") else None
    with pytest.raises(StoreError, match=r"may not be read \(403\)"):
        prepared(store, threshold=2)
    store.fault = lambda method, key: None
    assert "threshold" not in prepared(store).record


def test_the_second_of_two_that_begin_at_the_same_moment_is_told(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ome_zarr_writer.is_free

    def free_until_another_begins(path: Any) -> bool:
        found = real(path)
        monkeypatch.setattr(ome_zarr_writer, "is_free", real)
        prepared(store, threshold=2)
        return found

    monkeypatch.setattr(ome_zarr_writer, "is_free", free_until_another_begins)
    with pytest.raises(UserError, match=r"another program began an output at s3://em-images/out\.zarr"):
        prepared(store, threshold=1)
    assert VolumeOutput(f"{store.s3}/out.zarr").record["threshold"] == 2


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_an_output_that_appears_just_before_it_is_written_is_not_replaced(store: Store, version: Any) -> None:
    layout = Layout(SHAPE, "uint8", chunk=(1, 32, 32), shard=None, version=version)
    mark = "zarr.json" if version == "0.5" else ".zattrs"

    def another_is_first(method: str, key: str) -> None:
        if method == "PUT" and key.endswith(f"out.zarr/{mark}"):
            store.fault = lambda method, key: None
            store.objects[key] = b"of another"

    store.fault = another_is_first
    with pytest.raises(UserError, match=r"another program began an output at s3://em-images/out\.zarr"):
        prepared(store, layout)
    assert store.objects[f"{BUCKET}/out.zarr/{mark}"] == b"of another"


def test_another_layout_that_appears_just_before_it_is_written_is_not_replaced(store: Store) -> None:
    def another_is_first(method: str, key: str) -> None:
        if method == "PUT":
            store.fault = lambda method, key: None
            create_level(location_of(f"{store.s3}/out.zarr"), 0, DEEPER, SHAPE)

    store.fault = another_is_first
    with pytest.raises(UserError, match="was begun with another layout"):
        prepared(store)


def test_a_store_that_knows_no_conditions_is_asked_before(store: Store) -> None:
    store.knows_conditions = False
    assert prepared(store, threshold=1).record["threshold"] == 1
    with pytest.raises(Taken, match=r"out\.zarr/zarr\.json is there already"):
        object_store.write(location_of(f"{store.s3}/out.zarr/zarr.json"), b"", is_new=True)


def test_what_another_writer_recorded_is_kept(store: Store) -> None:
    one, other = prepared(store), prepared(store)
    assert one.record == other.record
    one.update_record({"of one": 1})
    other.update_record({"of the other": 2})
    one.finish()
    assert VolumeOutput(one.path).record == {"software": "me", "of one": 1, "of the other": 2}


def test_an_empty_object_is_removed_when_it_is_read_and_then_counts_as_missing(store: Store) -> None:
    output = prepared(store)
    for block in output.blocks:
        output.write(block, np.full(block.shape, 9, np.uint8))
    store.objects[f"{BUCKET}/out.zarr/0/c/0/0/0"] = b""
    with pytest.raises(UserError, match=r"out\.zarr/0/c/0/0/0 was empty \(0 bytes\) and is removed"):
        output.finish()
    assert [block.index for block in prepared(store).missing()] == [(0, 0, 0)]


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize(("most", "lists"), [(8, 1), (4, 2), (2, 4)])
def test_what_is_there_of_a_large_output_is_listed_part_by_part(
    store: Store, monkeypatch: pytest.MonkeyPatch, version: Any, most: int, lists: int
) -> None:
    monkeypatch.setattr(blocks_there, "_MOST_LISTED", most)
    output = prepared(store, Layout(SHAPE, "uint8", chunk=(1, 64, 64), shard=None, version=version))
    for block in output.blocks[1::2]:
        output.write(block, np.zeros(block.shape, np.uint8))
    top = str(output._files.file(output.blocks[0])).removesuffix("/0/0/0")
    for foreign in ("9/9/9", "0/0", "0/0/0/0", "0/0/x"):
        object_store.write(location_of(f"{top}/{foreign}"), b"of another")
    store.requests.clear()
    assert [block.index for block in output.missing()] == [block.index for block in output.blocks[::2]]
    assert sum("list-type" in key for _, key in store.requests) == lists


def test_more_objects_than_a_store_lists_in_time_are_a_sentence(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, "PATIENCE_S", 0.5)
    store.objects[f"{BUCKET}/em/0/0/0"] = b"a chunk"
    store.fault = lambda method, key: "silent" if key.strip("/") == BUCKET else None
    with pytest.raises(
        StoreError, match=r"s3://em-images/em has more objects below it than the store lists in"
    ):
        list(object_store.keys_below(location_of(f"{store.s3}/em")))


def test_two_writers_of_one_output_leave_the_bytes_of_one(store: Store) -> None:
    one, other = prepared(store), prepared(store)
    for block in one.blocks:
        for writer in (one, other):
            writer.write(block, np.full(block.shape, 9, np.uint8))
    one.finish()
    twice = store.below("out.zarr")
    store.objects.clear()
    alone = prepared(store)
    for block in alone.blocks:
        alone.write(block, np.full(block.shape, 9, np.uint8))
    alone.finish()
    assert store.below("out.zarr") == twice
