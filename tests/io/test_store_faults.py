"""What is wrong with the content of a store: damage, missing chunks, and no signature in a sentence."""

import json
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore
import zarr

from emseg_napari.core.jobs import UserError
from emseg_napari.io.chunk_errors import BrokenChunk, read_or_find_broken
from emseg_napari.io.open import open_volume
from emseg_napari.io.source_id import state_of
from emseg_napari.io.store_errors import Refused, StoreError
from helpers.stores import BUCKET, Store

SHAPE = (4, 64, 64)
VALUES = np.random.default_rng(0).integers(1, 255, SHAPE).astype(np.uint8)
QUERY = "X-Signature=sec%2Fret+1==&more=a'b"


def with_tensorstore(folder: Path, driver: str, **more: Any) -> None:
    spec = {"driver": driver, "kvstore": {"driver": "file", "path": f"{folder}/"}, **more}
    array = tensorstore.open(spec, create=True).result()
    array[...] = VALUES.T.reshape(array.shape)


@pytest.fixture
def filled(store: Store, tmp_path: Path) -> Store:
    """A store with one volume of each format, whose chunks are 32 x 32 voxels of a slice."""
    n5 = {
        "dimensions": [64, 64, 4],
        "blockSize": [32, 32, 1],
        "dataType": "uint8",
        "compression": {"type": "gzip"},
    }
    with_tensorstore(tmp_path / "a.n5", "n5", metadata=n5)
    scale = {"size": [64, 64, 4], "encoding": "raw", "chunk_size": [32, 32, 1], "resolution": [4, 4, 40]}
    image = {"type": "image", "data_type": "uint8", "num_channels": 1}
    precomputed = {"multiscale_metadata": image, "scale_metadata": scale}
    with_tensorstore(tmp_path / "pre", "neuroglancer_precomputed", **precomputed)
    cut: dict[str, Any] = {"shape": SHAPE, "chunks": (1, 32, 32), "dtype": "uint8"}
    zarr.create_array(tmp_path / "plain.zarr", **cut)[...] = VALUES
    zarr.create_array(tmp_path / "sharded.zarr", shards=(1, 64, 64), **cut)[...] = VALUES
    for name in ("a.n5", "pre", "plain.zarr", "sharded.zarr"):
        store.upload(tmp_path / name, name)
    return store


def changed_info(content: bytes) -> bytes:
    info = json.loads(content)
    info["scales"][0]["encoding"] = "funny"
    return json.dumps(info).encode()


@pytest.mark.parametrize(
    ("damaged", "content"),
    [
        ("a.n5/attributes.json", b'{"dimensions":'),
        ("a.n5/attributes.json", b'{"dimensions": [64, 64, 4], "blockSize": [0, 1, 1], "dataType": "uint8"}'),
        ("a.n5/0/0/0", b"garbage"),
        ("a.n5/0/0/0", b""),
        ("pre/info", None),
        ("pre/4_4_40/0-32_0-32_0-1", b"garbage"),
        ("plain.zarr/zarr.json", b"{garbage"),
        ("plain.zarr/c/0/0/0", b"garbage"),
        ("sharded.zarr/c/0/0/0", b"garbage"),
    ],
)
def test_nothing_of_a_signature_is_in_a_sentence_about_damage(
    filled: Store, damaged: str, content: bytes | None
) -> None:
    key = f"{BUCKET}/{damaged}"
    filled.objects[key] = changed_info(filled.objects[key]) if content is None else content
    with pytest.raises(UserError) as raised:
        open_volume(f"{filled.web}/{damaged.partition('/')[0]}?{QUERY}")[...]
    assert str(raised.value).endswith("copy it again.") or "copy the volume again" in str(raised.value)
    shown = "".join(traceback.format_exception(raised.value))
    assert not any(part in shown for part in ("sec%2F", "sec/", "ret+1", "more=", "Signature="))


@pytest.mark.parametrize("length", [0, 7, 50, 2500])
@pytest.mark.parametrize("window", [(0, 0, 0), (0, slice(0, 64), slice(0, 64))])
def test_a_truncated_shard_is_damage_and_the_rest_is_read(filled: Store, length: int, window: Any) -> None:
    key = f"{BUCKET}/sharded.zarr/c/0/0/0"
    filled.objects[key] = filled.objects[key][:length]
    for base in (filled.web, filled.s3):
        volume = open_volume(f"{base}/sharded.zarr")
        with pytest.raises(BrokenChunk, match=r"chunk \(0, 0, 0\) of sharded\.zarr is damaged") as raised:
            volume[window]
        assert not isinstance(raised.value, StoreError)
        np.testing.assert_array_equal(volume[1], VALUES[1])


def test_a_store_that_fails_while_a_damaged_chunk_is_looked_for_is_no_damage() -> None:
    def read(window: Any) -> np.ndarray:
        raise ValueError("garbage") if window[2].stop > 1 else StoreError("the store is away.")

    with pytest.raises(StoreError, match="away"):
        read_or_find_broken(read, (slice(0, 1), slice(0, 1), slice(0, 2)), (1, 1, 2), (1, 1, 1), "a.zarr")


def without_lists(store: Store) -> None:
    """Refuse what is missing, as a bucket does that does not let be listed what it has."""
    store.fault = lambda method, key: None if key in store.objects else 403


def remove_first_chunks(store: Store) -> None:
    for chunk in ("a.n5/0/0/0", "pre/4_4_40/0-32_0-32_0-1", "plain.zarr/c/0/0/0", "sharded.zarr/c/0/0/0"):
        del store.objects[f"{BUCKET}/{chunk}"]


@pytest.mark.parametrize("name", ["a.n5", "pre", "plain.zarr", "sharded.zarr"])
def test_missing_chunks_are_empty_in_a_bucket_that_refuses_what_is_missing(filled: Store, name: str) -> None:
    remove_first_chunks(filled)
    without_lists(filled)
    part = 64 if name == "sharded.zarr" else 32
    expected = VALUES.copy()
    expected[0, :part, :part] = 0
    for base in (filled.web, filled.s3):
        volume = open_volume(f"{base}/{name}", fills=True)
        np.testing.assert_array_equal(volume[...], expected)
        np.testing.assert_array_equal(volume[0, 10:50, 20:60], expected[0, 10:50, 20:60])
        states = [state_of(volume)]
        filled.fault = lambda method, key: None
        assert [state_of(volume)] == states
        without_lists(filled)


@pytest.mark.parametrize("name", ["a.n5", "pre", "plain.zarr", "sharded.zarr"])
def test_a_chunk_that_is_refused_may_be_missing_as_the_sentence_says(filled: Store, name: str) -> None:
    remove_first_chunks(filled)
    without_lists(filled)
    with pytest.raises(Refused, match="refuses what is missing, too") as raised:
        open_volume(f"{filled.web}/{name}")[...]
    assert "'Missing chunks are empty'" in str(raised.value)
    assert raised.value.settings == ("missing_is_empty",)


@pytest.mark.parametrize("name", ["a.n5", "pre", "plain.zarr", "sharded.zarr"])
def test_a_store_that_refuses_all_has_no_empty_chunks(filled: Store, name: str) -> None:
    volume = open_volume(f"{filled.web}/{name}", fills=True)
    volume[0]
    filled.fault = lambda method, key: 403
    with pytest.raises(Refused, match=r"may not be read \(403\)") as raised:
        volume[1]
    assert "too" not in str(raised.value)
    with pytest.raises(Refused):
        state_of(volume)
