"""Neuroglancer's precomputed format, whose axes are x, y, z and channel; read by TensorStore.

Specification: https://github.com/google/neuroglancer/tree/master/src/datasource/precomputed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emseg_napari.core.jobs import UserError
from emseg_napari.core.lazy_property import lazy_property
from emseg_napari.io.address import Address, Location
from emseg_napari.io.axes import Size, VolumeWindow, name_of
from emseg_napari.io.containers import precomputed_info
from emseg_napari.io.description import FileDescription, StackAxes, stack_axes
from emseg_napari.io.formats.chunk_files import ChunkFilePixels, check_chunks, common, shifted
from emseg_napari.io.formats.precomputed_shards import Sharding
from emseg_napari.io.layout import ceil_divided
from emseg_napari.io.object_store import import_tensorstore, open_array, read_array
from emseg_napari.io.placing import along_zyx, placed
from emseg_napari.io.volume import Volume

_AXES = ("c", "z", "y", "x")
_COMPRESSED = (".gz", ".br", ".zstd", ".bz2", ".xz")
_SHOWN = 200  # characters of what is wrong


@dataclass(frozen=True)
class PrecomputedPixels(ChunkFilePixels):
    """One scale of a precomputed volume.

    Attributes
    ----------
    scale : int
        Its number.
    key : str
        Its folder.
    offset, size : (int, int, int)
        Of the scale along x, y, z, in its voxels.
    sharding : Sharding or None
        How chunks lie in files, if many lie in one. What such a file lacks is 0, as it states itself.
    """

    scale: int = 0
    key: str = ""
    offset: Size = (0, 0, 0)
    size: Size = (0, 0, 0)
    sharding: Sharding | None = None

    _fill_value = 0
    _metadata = ("info",)

    @lazy_property
    def _array(self) -> Any:
        return _open(self.folder, self.scale, self.fills or self.sharding is not None)

    @property
    def _in_a_file(self) -> Size:
        return self.chunks

    def _file(self, place: tuple[int, ...]) -> str:
        (z, y, x), chunks = place[1:], _xyz(self.chunks)
        if self.sharding:
            return f"{self.key}/{self.sharding.file((x, y, z), ceil_divided(self.size, chunks))}"
        spans = (
            f"{n * chunk + shift}-{min((n + 1) * chunk, size) + shift}"
            for n, chunk, size, shift in zip((x, y, z), chunks, self.size, self.offset, strict=True)
        )
        return f"{self.key}/{'_'.join(spans)}"

    def _read_of_store(self, window: VolumeWindow) -> np.ndarray:
        values = super()._read_of_store(window)
        if self.sharding and not self.fills:  # TensorStore returns 0 of a lost shard, too
            parts = {file: common(part, window) for part, file in reversed(list(self._files(window)))}
            for part in parts.values():
                if not values[shifted(part, window)].any():
                    self._check_files(part)
        return values

    def _values(self, window: tuple[int | slice, ...]) -> Any:
        return read_array(self.folder, self._array[window])


def open_precomputed(root: Location, key: str = "", fills: bool = False) -> Volume:
    """Open a scale of a precomputed volume.

    Parameters
    ----------
    root : Path or Address
        Where its file ``info`` lies.
    key : str
        Of the scale; the finest when not given.
    fills : bool
        Whether chunks without a file are 0, and no error.

    Raises
    ------
    UserError
        If there is no such scale, it is damaged, it has several channels, or its chunks are compressed files.
    """
    info = precomputed_info(root) or {}
    scales = {str(scale.get("key")): scale for scale in _scales(info, root.name)}
    if key and key not in scales:
        raise UserError(f"{root.name} has no scale {key}; it has {', '.join(scales)}.")
    number = list(scales).index(key) if key else 0
    key = list(scales)[number]
    name = name_of(root, key)
    _refuse_compressed(root / key, name)
    try:
        array = _open(root, number, fills)
    except ValueError as error:
        reason = " ".join(str(error).split()).partition(" [")[0][-_SHOWN:]
        raise UserError(
            f"{name} is damaged or not a precomputed volume ({reason}); copy it again."
        ) from error
    file = FileDescription(name, "Neuroglancer precomputed", _AXES, array.shape, array.dtype.numpy_dtype)
    axes = stack_axes(file)
    is_labels = info.get("type") == "segmentation"
    file = replace(_placed(file, axes, list(scales.values()), number), is_labels=is_labels)
    chunks = axes.size(array.chunk_layout.read_chunk.shape)
    check_chunks(chunks, file.dtype, name)
    scale, size = scales[key], axes.size(array.shape)
    pixels = PrecomputedPixels(
        *(root, name, size, file.dtype, chunks, axes, fills),
        scale=number,
        key=key,
        offset=_offset(scale),
        size=_xyz(size),
        sharding=Sharding.stated(scale),
    )
    return Volume.described(file, str(root / key), pixels)


def _refuse_compressed(folder: Location, name: str) -> None:
    """Refuse chunks that CloudVolume compressed on a disk: by their names TensorStore finds none of them."""
    if isinstance(folder, Address):
        return
    found = None
    with suppress(OSError), os.scandir(folder) as files:  # which may be read without being listed
        found = next((one.name for one in files if one.name.endswith(_COMPRESSED)), None)
    if found:
        how = f", as 'gunzip -r {folder}' does" if found.endswith(".gz") else ""
        raise UserError(
            f"{name} has chunks that are compressed as files (such as {found}), which cannot be read; unpack "
            f"them all{how}, or write the volume without that compression."
        )


def precomputed_levels(root: Location) -> list[Location]:
    """Return all scales, the finest first."""
    return [root / str(scale.get("key")) for scale in _scales(precomputed_info(root) or {}, root.name)]


def _open(root: Location, number: int, fills: bool) -> Any:
    driver = {
        "driver": "neuroglancer_precomputed",
        "scale_index": number,
        "fill_missing_data_reads": fills,
    }
    return open_array(root, driver).T[import_tensorstore().d[:].translate_to[0]]


def _scales(info: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    scales = info.get("scales")
    if not isinstance(scales, list) or not scales or not all(isinstance(one, Mapping) for one in scales):
        raise UserError(f"{name} states no scales in its file info; copy it again.")
    return scales


def _xyz(size: Size) -> Size:
    z, y, x = size
    return x, y, z


def _offset(scale: Mapping[str, Any]) -> Size:
    x, y, z = scale.get("voxel_offset") or (0, 0, 0)
    return int(x), int(y), int(z)


def _placed(
    file: FileDescription, axes: StackAxes, scales: list[Mapping[str, Any]], number: int
) -> FileDescription:
    """Add size and place of the voxels, in nm; voxels of all scales begin at the same corner."""
    sizes, finest = (list(scales[n].get("resolution") or ()) for n in (number, 0))
    if len(sizes) != 3 or len(finest) != 3:
        return file
    shifts = [
        first * size + (size - fine) / 2
        for first, size, fine in zip(_offset(scales[number]), sizes, finest, strict=True)
    ]
    own, centres = ([1.0, *reversed(one)] for one in (sizes, shifts))
    return placed(file, along_zyx(axes, own, 1.0), "nanometer", along_zyx(axes, centres, 0.0))
