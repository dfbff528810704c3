"""Plan of the prediction of a volume: blocks, source, order and record.

Nothing is written before all of it is known to be possible.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from emseg_napari.core.blockwise import LOCAL, Scheduler
from emseg_napari.core.jobs import UserError
from emseg_napari.inference.block_work import PredictionWork
from emseg_napari.inference.execution import PROCESSOR, Execution
from emseg_napari.inference.prediction_record import record_of
from emseg_napari.inference.stack import check_prediction_scale
from emseg_napari.io.address import Location, location_of
from emseg_napari.io.chosen_blocks import ChosenBlocks, layers_of
from emseg_napari.io.layout import CHUNK_PX, SHARD_PX, Block, Blocks, Layout, flat_shard, shard_of
from emseg_napari.io.placing import shifted
from emseg_napari.io.records import Kind
from emseg_napari.io.stacks import check_range
from emseg_napari.io.volume import Volume, with_fill_value
from emseg_napari.models.run import Run
from emseg_napari.settings import PredictionSettings

_CHUNK_PX, _BLOCK_PX = CHUNK_PX, SHARD_PX


@dataclass(frozen=True)
class VolumeTask:
    """What is to be predicted of a volume, and how.

    Attributes
    ----------
    output : Path, Address or str
        The folder or the address in an object store to write, usually NAME.zarr: a new one, or one that the
        same prediction began.
    settings : PredictionSettings
    kind : str
        "probability" of the boundary or of the "interior", uint8 0 to 255, or "labels", 0 = boundary and
        255 = interior.
    near : int or None
        The slice of the volume that comes first, with a quick look at it; the others follow by their
        distance.
    scheduler : Scheduler
        Which processes predict.
    execution : Execution or None
        What the network of a new output is computed on; None = what is best here.
    """

    output: Location | str
    settings: PredictionSettings = field(default_factory=PredictionSettings)
    kind: Kind = "probability"
    near: int | None = None
    scheduler: Scheduler = LOCAL
    execution: Execution | None = None


@dataclass(frozen=True)
class Plan:
    """What makes an output.

    Attributes
    ----------
    work : PredictionWork
        Done to each of its blocks.
    layout : Layout
        How it lies on disk.
    record : dict
        Its record.
    near : int or None
        The slice of the volume that comes first; None = the first one, without a quick look.
    """

    work: PredictionWork
    layout: Layout
    record: dict[str, Any]
    near: int | None

    @property
    def slices(self) -> range:
        """The slices of the volume that are predicted."""
        return range(self.work.first, self.work.first + self.layout.shape[0])


def planned(volume: Volume, run: Run, task: VolumeTask, execution: Execution = PROCESSOR) -> Plan:
    """Plan a prediction, computed on something; nothing is written.

    Raises
    ------
    UserError
        If the volume has no grey values or no such slices, they cannot be predicted at this scale, or cannot
        be cut into such shards.
    """
    settings = task.settings
    volume = with_fill_value(volume, settings.missing_is_empty)
    if volume.dtype.kind not in "uif":
        raise UserError(
            f"{volume.name} holds {volume.dtype} values; an image of plain grey values is needed."
        )
    check_prediction_scale(run, settings, volume.shape[1:], at_once_px(volume.shape))
    first, end = check_range(settings.slices, len(volume), volume.name)
    threads = settings.threads or task.scheduler.threads
    settings = settings.model_copy(update={"threads": threads})
    output = location_of(task.output).absolute()
    work = PredictionWork(
        volume, run.folder.resolve(), output, settings, task.kind, first, execution=execution
    )
    return Plan(work, _layout(work, end - first), record_of(work, run, end - first), task.near)


def at_once_px(shape: tuple[int, ...]) -> int:
    """Return how many pixels of a slice of a volume (z, y, x) are predicted at once."""
    return math.prod(min(n, _BLOCK_PX) for n in shape[1:])


def _layout(work: PredictionWork, depth: int) -> Layout:
    height, width = work.volume.shape[1:]
    shape, chunk = (depth, height, width), (1, _CHUNK_PX, _CHUNK_PX)
    return Layout(
        shape,
        "uint8",
        chunk=chunk,
        shard=shard_of(shape, work.settings.shards, chunk, flat_shard(shape, chunk, _BLOCK_PX)),
        voxel=work.volume.voxel,
        labels=work.kind == "labels",
        origin=shifted(work.volume.origin, work.first, work.volume.voxel),
    )


def outward(missing: ChosenBlocks, work: PredictionWork, blocks: Blocks, near: int | None) -> ChosenBlocks:
    """Order blocks: those of slice `near` of the volume first, then others by their distance from it.

    Slices that lie in the same chunks go together, column by column, so that each chunk is decoded once for
    all blocks of a column; for slice `near` once more. None is the first slice, without a turn of its own.
    """
    is_in_view, near = near is not None, work.first if near is None else near

    def key(block: Block) -> tuple[int, ...]:
        slices, together = work.slices(block), work.together(block)
        away = -1 if is_in_view and near in slices else _distance(together, near)
        return away, together.start, _distance(slices, near)

    return missing.ordered(layers_of(key(blocks.at((k, 0, 0))) for k in range(blocks.grid[0])))


def _distance(slices: range, near: int) -> int:
    """Return how many slices lie between some slices and slice `near`; 0 if it is one of them."""
    return max(slices.start - near, near + 1 - slices.stop, 0)
