"""Precomputed volumes: what is lost or cannot be read is not taken for black, and a change is noticed."""

import gzip
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore

from emseg_napari.core.jobs import UserError
from emseg_napari.io.chunk_errors import MissingChunk
from emseg_napari.io.open import open_volume
from emseg_napari.io.source_id import is_changed, state_of
from helpers.stores import BUCKET, Store

SHAPE = (5, 70, 90)
VALUES = np.random.default_rng(0).integers(1, 255, SHAPE).astype(np.uint8)
FIRST = (slice(0, 2), slice(0, 32), slice(0, 16))  # the first chunk
SHARDING = {"preshift_bits": 1, "minishard_bits": 1, "shard_bits": 2, "hash": "identity"}
SHARDINGS = [
    SHARDING,
    SHARDING | {"hash": "murmurhash3_x86_128"},
    SHARDING | {"hash": "murmurhash3_x86_128", "shard_bits": 5, "preshift_bits": 0},
    SHARDING | {"shard_bits": 0},
]


def write(folder: Path, sharding: Any = None, values: np.ndarray = VALUES) -> Path:
    scale = {"size": list(SHAPE[::-1]), "chunk_size": [16, 32, 2], "resolution": [4, 4, 40]}
    scale |= {"encoding": "raw", "voxel_offset": [3, 0, 1]}
    if sharding:
        scale["sharding"] = {"@type": "neuroglancer_uint64_sharded_v1", **sharding}
    spec = {
        "driver": "neuroglancer_precomputed",
        "kvstore": {"driver": "file", "path": f"{folder}/"},
        "multiscale_metadata": {"type": "image", "data_type": "uint8", "num_channels": 1},
        "scale_metadata": scale,
    }
    tensorstore.open(spec, create=True).result()[..., 0] = values.T
    return folder


def shards_of(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.shard"))


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    return write(tmp_path / "a", SHARDING)


def kept_files(folder: Path) -> Iterator[tuple[Path, np.ndarray]]:
    """Give each shard, and the volume as it is read without it, what is missing being 0."""
    for file in shards_of(folder):
        content = file.read_bytes()
        file.unlink()
        yield file, open_volume(folder, fills=True)[...]
        file.write_bytes(content)


@pytest.mark.parametrize("sharding", SHARDINGS)
def test_the_chunks_of_a_lost_shard_are_named_and_all_others_are_read(tmp_path: Path, sharding: Any) -> None:
    folder = write(tmp_path / "a", sharding)
    lost = 0
    for file, left in kept_files(folder):
        volume = open_volume(folder)
        for z, y, x in np.ndindex(3, 3, 6):
            part = np.s_[2 * z : 2 * z + 2, 32 * y : 32 * y + 32, 16 * x : 16 * x + 16]
            if left[part].any():
                np.testing.assert_array_equal(volume[part], VALUES[part])
                continue
            lost += 1
            with pytest.raises(MissingChunk, match=rf"chunk \({z}, {y}, {x}\) of a/.*/{file.name}\)"):
                volume[part]
    assert lost == 3 * 3 * 6


def test_a_lost_shard_of_a_store_is_named(store: Store, sharded: Path) -> None:
    store.upload(sharded, "a")
    del store.objects[f"{BUCKET}/a/4_4_40/0.shard"]
    left = open_volume(f"{store.s3}/a", fills=True)[...]
    assert 0 < (left == 0).mean() < 1
    for base in (store.web, store.s3):
        with pytest.raises(MissingChunk, match=r"chunk \(0, 0, 0\) of a/.* 4_4_40/0\.shard\)"):
            open_volume(f"{base}/a")[...]


def test_what_a_shard_leaves_out_is_empty(store: Store, tmp_path: Path) -> None:
    values = VALUES.copy()
    values[FIRST] = 0  # TensorStore writes no chunk that is 0
    store.upload(write(tmp_path / "a", SHARDING, values), "a")
    for place in (tmp_path / "a", f"{store.s3}/a"):
        np.testing.assert_array_equal(open_volume(place)[...], values)


@pytest.mark.parametrize("sharding", SHARDINGS)
def test_another_content_of_any_shard_is_noticed(store: Store, tmp_path: Path, sharding: Any) -> None:
    folder = write(tmp_path / "a", sharding)
    store.upload(folder, "a")
    here, there = state_of(open_volume(folder)), state_of(open_volume(f"{store.s3}/a"))
    assert here["bytes"] == sum(file.stat().st_size for file in shards_of(folder))
    other = write(tmp_path / "other", sharding, 255 - VALUES)
    for file in shards_of(folder):
        content = file.read_bytes()
        file.write_bytes((other / file.relative_to(folder)).read_bytes())
        assert is_changed(here, state_of(open_volume(folder)))
        store.upload(folder, "a")
        assert is_changed(there, state_of(open_volume(f"{store.s3}/a")))
        file.write_bytes(content)
    assert not is_changed(here, state_of(open_volume(folder)))


def test_the_middle_of_a_large_shard_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emseg_napari.io.source_id._WHOLE_BYTES", 1)
    folder = write(tmp_path / "a", SHARDING | {"shard_bits": 0})
    (file,) = shards_of(folder)
    then, content = state_of(open_volume(folder)), bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert is_changed(then, state_of(open_volume(folder)))


def test_marks_of_a_store_are_asked_once_for_each_shard(store: Store, sharded: Path) -> None:
    store.upload(sharded, "a")
    volume = open_volume(f"{store.s3}/a")
    store.requests.clear()
    state_of(volume)
    assert len(store.requests) == len(shards_of(sharded))


@pytest.mark.parametrize("suffix", [".gz", ".br", ".zstd"])
@pytest.mark.parametrize("fills", [False, True])
def test_chunks_that_were_compressed_as_files_are_never_taken_for_missing(
    tmp_path: Path, suffix: str, fills: bool
) -> None:
    """CloudVolume writes them to a disk."""
    folder = write(tmp_path / "a")
    last = max((folder / "4_4_40").iterdir())
    last.with_name(last.name + suffix).write_bytes(gzip.compress(last.read_bytes()))
    os.remove(last)
    with pytest.raises(UserError, match=rf"as files \(.*{suffix}\), which cannot be read; unpack") as raised:
        open_volume(folder, fills=fills)
    assert ("gunzip" in str(raised.value)) == (suffix == ".gz")
