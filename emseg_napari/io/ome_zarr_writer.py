"""Outputs of any size: multiscale OME-Zarr that is written block by block and can be resumed.

A block is one file, or one object of a store, written whole or not at all: what exists is done, no matter
which process wrote it. So writers need no list of what is done, and a killed one loses one block.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from emseg_napari.core import files
from emseg_napari.core.blockwise import LOCAL, Scheduler
from emseg_napari.core.jobs import JobContext, UserError
from emseg_napari.core.lazy_property import lazy_property
from emseg_napari.io import ome_zarr_metadata, pyramid
from emseg_napari.io.address import Address, Location, location_of
from emseg_napari.io.axes import Size, VolumeWindow
from emseg_napari.io.block_store import IN_USE_S, BlockFiles, create_output
from emseg_napari.io.chosen_blocks import ChosenBlocks
from emseg_napari.io.layout import Block, Blocks, Layout
from emseg_napari.io.multiscale import Multiscale
from emseg_napari.io.output_place import is_begun, is_free, output_store, owned
from emseg_napari.io.resume_check import (
    EQUAL_VERSIONS,
    LATER,
    MARKS,
    UNREAD,
    VERSION,
    OutputState,
    check_resumable,
)
from emseg_napari.io.source_id import STATE
from emseg_napari.io.store_errors import StoreError
from emseg_napari.io.volume import Voxel
from emseg_napari.io.zarr_store import failing

__all__ = ["Block", "Blocks", "Layout", "VolumeOutput"]
_RECORD = "emseg"  # the attribute that holds the record


class VolumeOutput:
    """An output on disk, to write and to read, also while other processes write.

    Parameters
    ----------
    path : str, Path or Address
        Of an output that `prepare` made. Nothing is opened before it is needed, and only the path is
        pickled.

    Attributes
    ----------
    path : Path or Address
    ndim : int
        3.
    """

    ndim = 3

    def __init__(self, path: str | Location) -> None:
        self.path = location_of(path).absolute()  # workers may have another working folder
        self._files = BlockFiles(self.path)

    def __reduce__(self) -> tuple[type[VolumeOutput], tuple[Location]]:
        return VolumeOutput, (self.path,)

    def __repr__(self) -> str:
        return f"VolumeOutput({str(self.path)!r})"

    @classmethod
    def prepare(
        cls, path: str | Location, layout: Layout, record: Mapping[str, Any] | None = None
    ) -> VolumeOutput:
        """Create an output, or open one to resume, as `create_or_open` does, and `prepare_missing`."""
        output = cls.create_or_open(path, layout, record)
        output.prepare_missing()
        return output

    @classmethod
    def create_or_open(
        cls, path: str | Location, layout: Layout, record: Mapping[str, Any] | None = None
    ) -> VolumeOutput:
        """Create an output, whole or not at all, or open an earlier one.

        Parameters
        ----------
        path : str, Path or Address
            The folder, or the address in an object store, usually NAME.zarr; none, an empty one, or an
            earlier output.
        layout : Layout
            What it holds and how it is cut into files.
        record : mapping
            JSON values that say how the voxels come about; an earlier output must have the same.

        Raises
        ------
        UserError
            If something else is there, layout or record differ, or it cannot be written.
        """
        output = cls(path)
        with owned(output.path):
            if is_free(output.path):
                attributes = _attributes(layout, record or {}, output.path.name, levels=1)
                create_output(output.path, layout, attributes)
            else:
                _check_earlier_output(output)
                found = OutputState(output.layout, output.record)
                check_resumable(output.path, found, OutputState(layout, output._as_begun(record or {})))
                output._record_changes(record or {})
        return output

    def prepare_missing(self) -> ChosenBlocks:
        """Prepare the output for writing what is missing of level 0; takes a while if it is large.

        Returns
        -------
        ChosenBlocks
            Those that are `missing`.

        Raises
        ------
        UserError
            If it cannot be written.
        """
        missing = self.missing()
        if missing:
            if isinstance(self.path, Path):
                files.writable_folder(self.path)
            pyramid.remove_coarser(self.path, self.layout, missing)
            self._publish_levels(1)  # coarser ones are listed when they are complete
        self._remove_leftovers()
        return missing

    @lazy_property
    def _group(self) -> zarr.Group:
        if not is_begun(self.path):  # Zarr would create it
            raise FileNotFoundError(f"{self.path} is not there")
        with failing():
            return zarr.open_group(store=output_store(self.path), mode="r+")

    @lazy_property
    def layout(self) -> Layout:
        """What it holds and how it is cut into files."""
        return ome_zarr_metadata.layout_of(self._group, self._files.array)

    @property
    def record(self) -> dict[str, Any]:
        """How its voxels come about, as given to `prepare`."""
        record: Any = self._group.attrs[_RECORD]
        return dict(record)

    def update_record(self, changes: Mapping[str, Any]) -> None:
        """Change values of the record as it is now; see `output_place` for several writers in a store."""
        self.__dict__.pop("_group", None)  # which holds the record as it was read first
        self._update_attributes({_RECORD: {**self.record, **changes}})

    def note_unread(self, is_so: bool) -> None:
        """Record whether a part of the input could not be read: when it is repaired the input is another."""
        if self.record.get(UNREAD, False) != is_so:
            self.update_record({UNREAD: is_so})

    @property
    def shape(self) -> Size:
        """Voxels along z, y, x."""
        return self._files.shape

    @property
    def dtype(self) -> np.dtype:
        """Of the voxels."""
        return np.dtype(self._files.array.dtype)

    @property
    def voxel(self) -> Voxel | None:
        """Size of a voxel where it is known."""
        return self.layout.voxel

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        """Read full resolution; what has not been written yet is 0."""
        return self._files[key]

    @property
    def blocks(self) -> Blocks:
        """The parts that are one file each, x fastest."""
        return self._files.blocks

    def missing(self) -> ChosenBlocks:
        """Return the blocks that are still to write, in the order of `blocks`."""
        return self._files.missing()

    def holds(self, window: VolumeWindow) -> bool:
        """Say whether all blocks that have voxels in a window (z, y, x) of slices are there."""
        return all(map(self._files.holds, self.blocks.over(window)))

    def holds_slice(self, z: int) -> bool:
        """Say whether all blocks that have voxels in slice `z` are there."""
        return all(map(self._files.holds, self._over_slice(z)))

    def holds_any(self, z: int) -> bool:
        """Say whether a block that has voxels in slice `z` is there."""
        return any(map(self._files.holds, self._over_slice(z)))

    def remove_slices(self, slices: Iterable[int]) -> None:
        """Remove all blocks that have voxels in some slices; call `prepare_missing` after it."""
        for z in slices:
            for block in self._over_slice(z):
                self._files.remove(block)

    def remove_blocks(self) -> None:
        """Remove all blocks of all levels, and nothing else; call `prepare_missing` after it."""
        self._publish_levels(1)
        for level in reversed(range(len(pyramid.level_factors(self.layout)))):
            if is_begun(self.path / str(level)):
                BlockFiles(self.path, level).remove_all()

    def _over_slice(self, z: int) -> list[Block]:
        _, height, width = self.shape
        return self.blocks.over((slice(z, z + 1), slice(0, height), slice(0, width)))

    @property
    def levels(self) -> list[zarr.Array]:
        """The resolutions that viewers see, to read: full first, each next one coarser."""
        return [BlockFiles(self.path, level).array for level in range(self._level_count())]

    def write(self, block: Block, values: np.ndarray) -> None:
        """Write one block, whole or not at all; see `BlockFiles.write`. What was written before stays."""
        self._files.write(block, values)

    def finish(self, context: JobContext | None = None, scheduler: Scheduler = LOCAL) -> None:
        """Write the coarser levels that are not there, and list them for viewers.

        Parameters
        ----------
        context : JobContext, optional
            Gets `Progress` and `Message` only.
        scheduler : Scheduler
            Which processes do it.

        Raises
        ------
        Cancelled
            If it was asked to stop; what is written stays.
        UserError
            If they cannot be written, or a block is damaged.
        """
        pyramid.write_levels(self.path, self.layout, context or JobContext(), scheduler)
        self._publish_levels(len(pyramid.level_factors(self.layout)))
        self._remove_leftovers()

    def _as_begun(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a record with the version that began the output where this one may go on.

        As it may if it computes the same, or nothing is left to compute.
        """
        then, now = self.record.get(VERSION), record.get(VERSION)
        if None in (then, now) or then == now:
            return record
        may_go_on = {then, now} <= EQUAL_VERSIONS or not self.missing()
        return {**record, VERSION: then} if may_go_on else record

    def _record_changes(self, record: Mapping[str, Any]) -> None:
        """Record what may be otherwise when it is resumed: choices, and what became of the input."""
        found = self.record
        changes: dict[str, Any] = {LATER: True} if record.get(LATER) and not found.get(LATER) else {}
        changes |= {name: record[name] for name in (STATE,) if record.get(name) and found.get(name)}
        changes |= {name: record[name] for name in (MARKS,) if record.get(name)}
        if changes and not changes.items() <= found.items():
            self.update_record(changes)

    def _remove_leftovers(self) -> None:
        if isinstance(self.path, Address):
            return
        files.remove_leftovers(self.path, IN_USE_S)
        for level in range(len(pyramid.level_factors(self.layout))):
            BlockFiles(self.path, level).remove_leftovers()

    def _level_count(self) -> int:
        return len(Multiscale(self._group.attrs.asdict()).paths)

    def _update_attributes(self, changes: dict[str, Any]) -> None:
        with failing():
            self._group.update_attributes(changes)

    def _publish_levels(self, levels: int) -> None:
        self.__dict__.pop("_group", None)
        if self._level_count() != levels:
            self._update_attributes(_attributes(self.layout, self.record, self.path.name, levels))


def _attributes(layout: Layout, record: Mapping[str, Any], name: str, levels: int) -> dict[str, Any]:
    factors = pyramid.level_factors(layout)[:levels]
    return {
        **ome_zarr_metadata.attributes(layout, factors, name.removesuffix(".zarr")),
        _RECORD: dict(record),
    }


def _check_earlier_output(output: VolumeOutput) -> None:
    try:
        written_here = _RECORD in output._group.attrs and bool(output.layout)
    except StoreError:
        raise
    except (OSError, ValueError, LookupError, TypeError, UserError):
        written_here = False
    if not written_here:
        raise UserError(
            f"{output.path} exists and is not an earlier output of emseg; choose another name or remove it."
        )
