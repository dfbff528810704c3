"""A Zarr array that is written block by block, each block one file, or one object of a store.

What exists is complete: see `output_place`. An empty file, as a crash or a full disk may leave one, counts as
missing. A store's list says nothing of sizes: there an empty object is found when it is read, and removed.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.abc.store import Store
from zarr.codecs import BloscCodec
from zarr.errors import ContainsArrayError, ContainsGroupError
from zarr.storage import MemoryStore

from emseg_napari.core import files, owned_output
from emseg_napari.core.jobs import UserError
from emseg_napari.core.lazy_property import lazy_property
from emseg_napari.io import object_store
from emseg_napari.io.address import Address, Location
from emseg_napari.io.axes import Size, VolumeWindow
from emseg_napari.io.blocks_there import blocks_in
from emseg_napari.io.chosen_blocks import ChosenBlocks
from emseg_napari.io.layout import Block, Blocks, Layout
from emseg_napari.io.output_place import is_begun, output_store
from emseg_napari.io.store_errors import StoreError, Taken
from emseg_napari.io.zarr_store import failing

# Fast before small: writing must not delay prediction.
_COMPRESSION: Any = {"cname": "zstd", "clevel": 1}
# Without this a block of zeros would have no file, and be done again when the output is resumed.
_CONFIG: Any = {"write_empty_chunks": True}
IN_USE_S = 60.0  # younger temporary files may be of a writer that is still running


class BlockFiles:
    """One level of an output.

    Parameters
    ----------
    folder : Path or Address
        The output, also an attribute.
    level : int
        0 for full resolution; the name of the array in the folder.
    """

    def __init__(self, folder: Location, level: int = 0) -> None:
        self.folder, self._level = folder, level

    def __reduce__(self) -> tuple[type[BlockFiles], tuple[Location, int]]:
        return BlockFiles, (self.folder, self._level)

    @lazy_property
    def array(self) -> zarr.Array:
        """The Zarr array, opened for reading and writing."""
        if not is_begun(self.folder):  # Zarr would create it
            raise UserError(
                f"{self.folder} is not there; every process that works on it needs it under this name."
            )
        with failing():
            array = zarr.open_array(store=output_store(self.folder), path=str(self._level), mode="r+")
        return array.with_config(_CONFIG)  # open_array takes a configuration too, and forgets it

    @lazy_property
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
        with failing():
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
        except StoreError:
            raise
        except Exception:  # decoders raise anything at all
            for block in self.blocks.over(window):
                self._check(block)
            raise

    def _check(self, block: Block) -> None:
        try:
            self[block.window]
        except Exception as error:
            file = self.file(block)
            if isinstance(file, Address) and object_store.read(file) == b"":
                object_store.remove(file)
                raise UserError(
                    f"{file} was empty (0 bytes) and is removed; start again, which writes it again."
                ) from error
            raise UserError(
                f"{file} is damaged; remove this file and start again, which writes it again."
            ) from error

    def file(self, block: Block) -> Location:
        """Return where the block is, or is going to be."""
        return self.folder / str(self._level) / self.array.metadata.encode_chunk_key(block.index)

    def holds(self, block: Block) -> bool:
        """Say whether a block is there."""
        file = self.file(block)
        return file.is_file() if isinstance(file, Address) else files.is_filled(file)

    def missing(self) -> ChosenBlocks:
        """Return the blocks that are not there; folders are listed, which takes less than to ask for each."""
        place = self.file(self.blocks.at((0, 0, 0))).parents[2]  # of layers, which are folders of rows
        return ChosenBlocks(self.blocks, ~blocks_in(place, self.blocks.grid))

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
        if isinstance(self.folder, Path) and not self.holds(block):
            self.remove(block)  # Zarr would read an empty file first
        with failing():
            self.array[block.window] = values

    def remove(self, block: Block) -> None:
        """Remove one block, if it is there.

        Raises
        ------
        UserError
            If it cannot be removed, or a link leads out of the output.
        """
        path = self.file(block)
        if isinstance(path, Address):
            object_store.remove(path)
            return
        owned_output.refuse_outside(str(self.folder), path.parent)
        with files.explained(path, path, "removed"):
            path.unlink(missing_ok=True)

    def remove_all(self) -> None:
        """Remove all blocks, and nothing else; a killed removal leaves some of them, whole."""
        if isinstance(self.folder, Address):
            for block in self.blocks:
                self.remove(block)
            return
        top = self.folder / str(self._level)
        first = self.file(self.blocks.at((0, 0, 0))).relative_to(top).parts[0]
        layers = [first] if first == "c" else [str(k) for k in range(self.blocks.grid[0])]
        for name in layers:
            owned_output.refuse_outside(self.folder, top)
            files.remove(top / name)

    def remove_leftovers(self) -> None:
        """Remove the temporary files of killed writers, of which a store has none."""
        if isinstance(self.folder, Address):
            return
        level = self.folder / str(self._level)
        with suppress(UserError):  # what lies outside is not ours
            owned_output.refuse_outside(self.folder, level)
            for folder, folders, names in os.walk(level):
                if any(files.is_temporary(name) for name in (*folders, *names)):
                    files.remove_leftovers(folder, IN_USE_S)


def create_level(folder: Location, level: int, layout: Layout, shape: Size) -> BlockFiles:
    """Create an array without blocks, whole or not at all, unless it is there."""
    place = folder / str(level)
    if is_begun(place):
        return BlockFiles(folder, level)
    if isinstance(place, Address):
        with suppress(Taken):  # of two that begin at the same moment, the layout is that of the first
            _create_array(output_store(place, is_new=True), layout, shape)
    else:
        owned_output.refuse_outside(str(folder), place)
        with owned_output.replacing_folder(place) as temporary:
            _create_array(output_store(temporary), layout, shape)
    return BlockFiles(folder, level)


def _create_array(store: Store, layout: Layout, shape: Size) -> zarr.Array:
    with failing():
        return zarr.create_array(store, shape=shape, dtype=layout.dtype, fill_value=0, **_cut(layout))


def create_output(path: Location, layout: Layout, attributes: dict[str, Any]) -> None:
    """Create the group of an output with its level 0, whole or not at all."""
    if isinstance(path, Address):
        try:
            _create_group(path, layout, attributes)
        except (ContainsArrayError, ContainsGroupError, Taken):
            raise UserError(
                f"At the same moment another program began an output at {path}; start again, which resumes "
                "it if all choices are the same."
            ) from None
        return
    with owned_output.replacing_folder(path) as temporary:
        _create_group(temporary, layout, attributes)


def _create_group(folder: Location, layout: Layout, attributes: dict[str, Any]) -> None:
    """Create the group of an output with its level 0 in an empty folder."""
    format_: Any = 3 if layout.version == "0.5" else 2
    create_level(folder, 0, layout, layout.shape)
    if isinstance(folder, Address):  # where it may be from a beginning that was killed
        _check_level(folder, layout)
    # The last: in a store, where nothing is renamed, an output without its group counts as none.
    with failing():
        zarr.create_group(store=output_store(folder, is_new=True), zarr_format=format_, attributes=attributes)


def _check_level(folder: Address, layout: Layout) -> None:
    """Raise `UserError` if level 0 of an output without its group has not the wanted layout."""
    with failing():
        found = zarr.open_array(output_store(folder / "0"), mode="r")
    if found.metadata.to_dict() != _create_array(MemoryStore(), layout, layout.shape).metadata.to_dict():
        raise UserError(
            f"An output at {folder} was begun with another layout, and then killed, or is just being begun; "
            "choose another name, or remove it if no other process works on it."
        )


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
