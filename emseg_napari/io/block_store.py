"""A Zarr array on disk that is written block by block, each block one file.

Zarr's own `LocalStore` already writes under a temporary name and renames, so a killed writer leaves
no half of a block. `DurableStore` adds that the bytes are on the disk before the name is, since a file
that exists counts as complete, and that a full disk is reported in a sentence.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import BloscCodec
from zarr.core.buffer import Buffer
from zarr.storage import LocalStore

from emseg_napari.core import files, owned_output
from emseg_napari.core.jobs import UserError
from emseg_napari.io.axes import Size, VolumeWindow
from emseg_napari.io.chosen_blocks import ChosenBlocks
from emseg_napari.io.layout import Block, Blocks, Layout

# Fast before small: writing must not delay prediction.
_COMPRESSION: Any = {"cname": "zstd", "clevel": 1}
# Without this a block of zeros would have no file, and be done again when the output is resumed.
_CONFIG: Any = {"write_empty_chunks": True}
IN_USE_S = 60.0  # younger temporary files may be of a writer that is still running


class DurableStore(LocalStore):
    """A folder whose files are written whole or not at all, and outlive a power cut."""

    async def set(self, key: str, value: Buffer) -> None:
        """Write one file.

        Raises
        ------
        UserError
            If the folder is not writable, the disk is full, or a link leads out of the folder.
        """
        self._check_writable()
        owned_output.refuse_outside(self.root, self.root / key)
        await asyncio.to_thread(_put, self.root / key, value.to_bytes())


def _put(path: Path, content: bytes) -> None:
    if not path.parent.is_dir():
        files.writable_folder(path.parent)
    with files.atomic_write(path) as temporary:
        temporary.write_bytes(content)


class BlockFiles:
    """One level of an output.

    Parameters
    ----------
    folder : Path
        The output, also an attribute.
    level : int
        0 for full resolution; the name of the array in the folder.
    """

    def __init__(self, folder: Path, level: int = 0) -> None:
        self.folder, self._level = folder, level

    def __reduce__(self) -> tuple[type[BlockFiles], tuple[Path, int]]:
        return BlockFiles, (self.folder, self._level)

    @cached_property
    def array(self) -> zarr.Array:
        """The Zarr array, opened for reading and writing."""
        if not self.folder.is_dir():  # Zarr would create it
            raise UserError(
                f"{self.folder} is not there; every process that works on it needs it under this name."
            )
        store = DurableStore(self.folder)
        array = zarr.open_array(store=store, path=str(self._level), mode="r+")
        return array.with_config(_CONFIG)  # open_array takes a configuration too, and forgets it

    @cached_property
    def blocks(self) -> Blocks:
        """The parts that are one file each, x fastest."""
        z, y, x = self.array.shards or self.array.chunks
        return Blocks(self.shape, (z, y, x))

    @property
    def shape(self) -> Size:
        """Voxels along z, y, x."""
        z, y, x = self.array.shape
        return z, y, x

    def __getitem__(self, key: Any) -> np.ndarray:
        return np.asarray(self.array[key])

    def read(self, window: VolumeWindow) -> np.ndarray:
        """Read a window that lies inside the shape.

        Raises
        ------
        UserError
            If a block of it is damaged.
        """
        try:
            return self[window]
        except Exception:  # decoders raise anything at all
            for block in self.blocks.over(window):
                self._check(block)
            raise

    def _check(self, block: Block) -> None:
        try:
            self[block.window]
        except Exception as error:
            raise UserError(
                f"{self.file(block)} is damaged; remove this file and start again, which writes it again."
            ) from error

    def file(self, block: Block) -> Path:
        """Return where the block is, or is going to be."""
        return self.folder / str(self._level) / self.array.metadata.encode_chunk_key(block.index)

    def missing(self) -> ChosenBlocks:
        """Return the blocks whose file is not there, asking for folders and not for files, which are many."""
        layers, rows, columns = self.blocks.grid
        place = str(self.file(self.blocks.at((0, 0, 0))).parents[2])  # of layers, which are folders of rows
        missing = np.ones((layers, rows, columns), bool)
        for k in _numbers(place, layers):
            for j in range(rows):
                missing[k, j, _numbers(os.path.join(place, str(k), str(j)), columns)] = False
        return ChosenBlocks(self.blocks, missing)

    def write(self, block: Block, values: np.ndarray) -> None:
        """Write one block, whole or not at all; the same values give the same bytes.

        Parameters
        ----------
        block : Block
            One of `blocks`.
        values : numpy.ndarray
            Of the block's shape (z, y, x) and the output's dtype.

        Raises
        ------
        UserError
            If it cannot be written.
        """
        if values.shape != block.shape or values.dtype != self.array.dtype:
            raise ValueError(
                f"block {block.index} is {block.shape} of {self.array.dtype}, "
                f"but the values are {values.shape} of {values.dtype}"
            )
        self.array[block.window] = values

    def remove(self, block: Block) -> None:
        """Remove one block, if it is there.

        Raises
        ------
        UserError
            If it cannot be removed, or a link leads out of the output.
        """
        path = self.file(block)
        owned_output.refuse_outside(self.folder, path.parent)
        with files.explained(path, path, "removed"):
            path.unlink(missing_ok=True)

    def remove_all(self) -> None:
        """Remove all blocks, and nothing else; a killed removal leaves some of them, whole."""
        top = self.folder / str(self._level)
        first = self.file(self.blocks.at((0, 0, 0))).relative_to(top).parts[0]
        layers = [first] if first == "c" else [str(k) for k in range(self.blocks.grid[0])]
        for name in layers:
            owned_output.refuse_outside(self.folder, top)
            files.remove(top / name)

    def remove_leftovers(self) -> None:
        """Remove the temporary files of killed writers."""
        with suppress(UserError):  # what lies outside is not ours
            owned_output.refuse_outside(self.folder, self.folder / str(self._level))
            self._remove_leftovers()

    def _remove_leftovers(self) -> None:
        for folder, folders, names in os.walk(self.folder / str(self._level)):
            if any(files.is_temporary(name) for name in (*folders, *names)):
                files.remove_leftovers(folder, IN_USE_S)


def create_level(folder: Path, level: int, layout: Layout, shape: Size) -> BlockFiles:
    """Create an array without blocks, whole or not at all, unless it is there."""
    place = folder / str(level)
    if not place.is_dir():
        owned_output.refuse_outside(folder, place)
        with owned_output.replacing_folder(place) as temporary:
            store = DurableStore(temporary)
            zarr.create_array(store, shape=shape, dtype=layout.dtype, fill_value=0, **_cut(layout))
    return BlockFiles(folder, level)


def create_group(folder: Path, layout: Layout, attributes: dict[str, Any]) -> None:
    """Create the group of an output with its level 0 in an empty folder."""
    format_: Any = 3 if layout.version == "0.5" else 2
    zarr.create_group(store=DurableStore(folder), zarr_format=format_, attributes=attributes)
    create_level(folder, 0, layout, layout.shape)


def _cut(layout: Layout) -> dict[str, Any]:
    """Return the arguments by which zarr cuts and compresses, for either format."""
    shuffled = np.dtype(layout.dtype).itemsize > 1  # bytes of like weight lie together
    if layout.version == "0.4":
        return {
            "zarr_format": 2,
            "chunks": layout.chunk,
            "compressors": {"id": "blosc", **_COMPRESSION, "shuffle": int(shuffled)},
            "chunk_key_encoding": {"name": "v2", "separator": "/"},
        }
    return {
        "zarr_format": 3,
        "chunks": layout.chunk,
        "shards": layout.shard,
        "compressors": BloscCodec(**_COMPRESSION, shuffle="shuffle" if shuffled else "noshuffle"),
        "dimension_names": ("z", "y", "x"),
    }


def _numbers(folder: str, end: int) -> list[int]:
    """Return the numbers below `end` that are names of files or folders in a folder."""
    try:
        names = [name for name in os.listdir(folder) if name.isdecimal() and str(int(name)) == name]
    except FileNotFoundError:
        return []
    return [number for number in map(int, names) if number < end]
