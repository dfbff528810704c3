"""Segmentation of a volume of any size, block by block, in one process or many.

1. Every slice is divided into cells, or every tile of a large slice into fragments.
2. The fragments of a large slice are joined to cells.
3. Cells of slices that follow each other are compared, if they are to be linked.
4. All cells get their numbers: the one step in which slices wait for each other. It sees tables only.
5. Every block of the output is written with these numbers.

The result is that of `emseg_napari.segmentation.stack.segment_stack`, pixel by pixel, wherever and however
often it was interrupted: there, too, slices of more than 4096 x 4096 pixels are cut into tiles of 2048 with
margins of 128 px. Their cells equal those of the slice divided at once wherever the margins show what
shapes them: on mosaics of 2048 x 2048 px made of ISBI 2012 slices (4 nm pixels, cells of some 50 px), cut
into tiles of 300 and 500 px, all of 3721 cells did with margins of 96 and 128 px, and all but 2 with 64; so
did cells enlarged three and six times, of up to 600 px.

Memory: about 95 bytes a pixel of the slice or tile at work, 1.6 GB at most, and tables of two slices, some
hundred bytes a cell; of a slice that was cut, about 1 KB a fragment while they are joined.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from emseg_napari.core import files
from emseg_napari.core.blockwise import LOCAL, Scheduler, connected
from emseg_napari.core.jobs import BlockFailed, JobContext, Message, UserError
from emseg_napari.core.owned_output import owned, refuse_outside
from emseg_napari.io.address import local_path
from emseg_napari.io.layout import CHUNK_PX, SHARD_PX, Layout, Version, shard_of
from emseg_napari.io.ome_zarr_writer import VolumeOutput
from emseg_napari.io.records import record_of_path
from emseg_napari.io.resume_check import LATER, check_unchanged
from emseg_napari.io.source_id import STATE, state_of
from emseg_napari.io.volume import Size, with_fill_value
from emseg_napari.segmentation.block_work import (
    JoinStep,
    NumberStep,
    OverlapStep,
    SegmentationStep,
    WatershedStep,
)
from emseg_napari.segmentation.boundary import Boundary, waiting_in
from emseg_napari.segmentation.intermediate import IntermediateFiles
from emseg_napari.segmentation.linking import Chain
from emseg_napari.segmentation.stages import FINISH, FLOOD, JOIN, NUMBER, OVERLAP, Stages
from emseg_napari.segmentation.tiles import CUT, Cut
from emseg_napari.settings import CellSettings

_MOST = np.iinfo(np.int32).max


@dataclass(frozen=True)
class VolumeCells:
    """What became of a volume.

    Attributes
    ----------
    output : VolumeOutput
        int32 (z, y, x).
    cells : int or None
        How many numbers there are; None if all were written before.
    failures : tuple of BlockFailed
        The tiles, (z, y, x), that have no cells, and why.
    """

    output: VolumeOutput
    cells: int | None
    failures: tuple[BlockFailed, ...]


@dataclass(frozen=True)
class Destination:
    """Where the cells of a volume go.

    Attributes
    ----------
    path : str or Path
        The folder, NAME.zarr.
    record : mapping
        JSON values to be kept with the output, beside the settings.
    version : "0.5" or "0.4"
        Of OME-Zarr.
    cut : Cut
        Which slices are cut into tiles, and how; meanwhile every tile is a file.
    """

    path: str | Path
    record: Mapping[str, Any]
    version: Version = "0.5"
    cut: Cut = CUT


def segment_volume(
    boundary: Boundary,
    destination: Destination,
    settings: CellSettings | None = None,
    context: JobContext | None = None,
    scheduler: Scheduler = LOCAL,
) -> VolumeCells:
    """Divide the slices of a volume into cells, and write their numbers as OME-Zarr.

    An earlier output that was interrupted is resumed. Intermediate files lie in a hidden folder
    beside it, 4 bytes a voxel before compression, and goes at the end; where probabilities cannot be read
    it stays, so that starting again does only those.

    Parameters
    ----------
    boundary : Boundary
    destination : Destination
    settings : CellSettings, optional
    context : JobContext, optional
        Gets `Progress`, a `BlockDone` per written block, a `BlockFailed` for what could not be read, and
        a `Message` for slices that are one single cell. When it says stop, what was done stays done.
    scheduler : Scheduler

    Returns
    -------
    VolumeCells

    Raises
    ------
    UserError
        If the output is something else, was begun with other choices, or cannot be written.
    Cancelled
    """
    settings = settings or CellSettings()
    volume = with_fill_value(boundary.volume, settings.missing_is_empty)
    waiting = frozenset() if settings.missing_is_empty else waiting_in(volume)
    work = _Segmentation(replace(boundary, volume=volume, waiting=waiting), destination, settings)
    with owned(destination.path), connected(scheduler) as workers:
        return work.run(Stages(workers, context or JobContext()))


class _Segmentation:
    def __init__(self, boundary: Boundary, destination: Destination, settings: CellSettings) -> None:
        self._boundary, self._settings, self._cut = boundary, settings, destination.cut
        self._path, self._output = local_path(destination.path), self._layout_of(destination)
        # Shards are a part of the layout.
        self._record = {**destination.record, "settings": settings.model_dump(exclude={LATER, "shards"})}
        begun = record_of_path(self._path)
        self._record |= {LATER: settings.missing_is_empty, STATE: state_of(boundary.volume, begun.get(STATE))}
        self._folder = self._path.parent / f".{self._path.name}.cells"

    def run(self, stages: Stages) -> VolumeCells:
        """Do what is missing."""
        output = self._prepare()
        if not output.missing():
            return self._finished(VolumeCells(output, None, ()), stages)
        parts, failures = self._flood(stages)
        output = self._begin(output, parts)
        output.note_unread(bool(parts.broken))
        count = self._number(parts, stages)
        blocks = output.missing().without(_touched(parts, output))
        failures += stages.do(NUMBER, NumberStep(self._boundary, parts, self._settings, output), blocks)
        try:
            check_unchanged(self._path, self._boundary.volume, output.record)
        except UserError:
            files.remove(self._folder)  # of both contents, too
            raise
        return self._finished(VolumeCells(output, count, tuple(failures)), stages)

    def _finished(self, result: VolumeCells, stages: Stages) -> VolumeCells:
        result.output.finish(stages.context(FINISH), stages.scheduler)
        if not result.failures:
            files.remove(self._folder)
        return result

    def _layout_of(self, destination: Destination) -> Layout:
        volume, chosen = self._boundary.volume, self._settings.shards
        # Also of slices that are smaller, as in outputs that were begun by earlier versions.
        shard = shard_of(volume.shape, chosen, (1, CHUNK_PX, CHUNK_PX), (1, SHARD_PX, SHARD_PX))
        return Layout(
            volume.shape,
            "int32",
            shard=None if destination.version == "0.4" and chosen is None else shard,
            voxel=volume.voxel,
            version=destination.version,
            labels=True,
            origin=volume.origin,
        )

    def _prepare(self) -> VolumeOutput:
        return VolumeOutput.prepare(self._path, self._output, self._record)

    def _begin(self, output: VolumeOutput, parts: IntermediateFiles) -> VolumeOutput:
        """Empty the output if it was numbered while other tiles were broken."""
        mark, broken = self._folder / "numbered.json", [list(index) for index in sorted(parts.broken)]
        if mark.exists() and not (files.is_filled(mark) and files.read_json(mark) == broken):
            output.remove_blocks()
            output = self._prepare()
        files.write_json(mark, broken)
        return output

    def _flood(self, stages: Stages) -> tuple[IntermediateFiles, list[BlockFailed]]:
        layout = _layout(self._boundary.volume.shape, self._cut)
        refuse_outside(self._folder.parent, self._folder)  # it is ours, so no link to another place
        files.writable_folder(self._folder)
        fragments = VolumeOutput.prepare(self._folder / "fragments.zarr", layout, self._record)
        parts = IntermediateFiles(self._folder, self._cut, fragments)
        step = WatershedStep(self._boundary, parts, self._settings)
        tiles = parts.missing().ordered(self._boundary.layers())
        failures = stages.do(FLOOD, step, tiles)
        broken = [block.index for block in parts.missing()]
        fragments.note_unread(bool(broken))
        return parts.without_tiles(broken), failures

    def _number(self, parts: IntermediateFiles, stages: Stages) -> int:
        """Number the cells of all slices, and return how many numbers there are."""
        if not parts.whole:
            stages.must(JOIN, JoinStep(self._boundary, parts, self._settings), parts.without("cells"))
        stages.must(OVERLAP, OverlapStep(self._boundary, parts, self._settings), parts.without("overlaps"))
        chain = Chain(SegmentationStep(self._boundary, parts, self._settings).reach)
        for z in range(len(parts.fragments)):
            stages.check_stop()
            count, pairs = parts.overlaps(z)
            if count == 1:
                stages.report(Message(f"Slice {z} is one single cell: it has no boundary, or only boundary."))
            numbers = chain.next(count, pairs)
            if chain.last > _MOST:
                raise UserError(
                    f"{self._boundary.volume.name} has more than {_MOST} cells; divide it into parts, or "
                    "link cells through the slices."
                )
            parts.save_numbers(z, np.concatenate([[0], numbers]).astype(np.int32))
        return chain.last


def _layout(shape: Size, cut: Cut) -> Layout:
    """Return the layout in which every tile is one file."""
    tile = cut.size(shape[1:])
    if cut.grid(shape[1:]) != (1, 1) and any(side % CHUNK_PX for side in tile):
        return Layout(shape, "int32", chunk=(1, *tile), shard=None)
    height, width = (-(-side // CHUNK_PX) * CHUNK_PX for side in tile)
    return Layout(shape, "int32", chunk=(1, CHUNK_PX, CHUNK_PX), shard=(1, height, width))


def _touched(parts: IntermediateFiles, output: VolumeOutput) -> set[Size]:
    """Return the indices of the blocks that have voxels in tiles without fragments."""
    tiles = (parts.fragments.blocks.at(index) for index in parts.broken)
    return {block.index for tile in tiles for block in output.blocks.over(tile.window)}
