"""Prediction of volumes of any size, block by block, into an output on disk.

A block is one file of the output, and what is in it depends on the volume, the run and the settings alone:
not on who predicted it, when, or which other blocks there are. So what was interrupted is resumed, and
ends with the same bytes. Where a part of the volume cannot be read, see `partial_slices`.
"""

from __future__ import annotations

import time
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from emseg_napari.core.blockwise import Scheduler, connected
from emseg_napari.core.jobs import BlockFailed, JobContext, Message, UserError
from emseg_napari.inference.execution import PROCESSOR, Execution
from emseg_napari.inference.partial_slices import PartialLevels, sentence_on
from emseg_napari.inference.plan import Plan, VolumeTask, outward, planned
from emseg_napari.inference.prediction_record import begun_on
from emseg_napari.inference.quick_look import quick_look
from emseg_napari.inference.slice_marks import forget_marks, mark_slices
from emseg_napari.inference.slice_predictor import SlicePredictor
from emseg_napari.inference.stack import execution_for, load_predictor
from emseg_napari.io.address import location_of
from emseg_napari.io.chosen_blocks import indices_of
from emseg_napari.io.ome_zarr_writer import VolumeOutput
from emseg_napari.io.output_place import check_writable, is_begun, owned
from emseg_napari.io.resume_check import check_unchanged
from emseg_napari.io.volume import Volume, volume_of
from emseg_napari.models.run import Run, open_run

__all__ = ["VolumePrediction", "VolumeTask", "predict_volume"]


@dataclass(frozen=True)
class VolumePrediction:
    """What came of one prediction of a volume.

    Attributes
    ----------
    record : dict
        What the output says of itself.
    done, skipped : int
        Blocks that were predicted now, and those that had been before.
    failures : tuple of BlockFailed
        The blocks that are missing, and why.
    voxels : int
        Voxels predicted now.
    seconds : float
        It took, the coarser levels not counted.
    """

    record: dict[str, Any]
    done: int
    skipped: int
    failures: tuple[BlockFailed, ...]
    voxels: int
    seconds: float

    @property
    def warning(self) -> str:
        """Warning about slices of which a part cannot be read; "" if there are none."""
        return sentence_on(self.record)


def predict_volume(
    volume: Volume | np.ndarray,
    run: Run | Path | str,
    task: VolumeTask,
    context: JobContext | None = None,
) -> VolumePrediction:
    """Predict a volume of any size into an OME-Zarr, or resume one that was interrupted.

    No more is in memory than some blocks. Gaps in membranes are closed tile by tile, each seen with 96
    pixels around it, which may differ in single lines from what `predict` finds in a whole slice.

    Parameters
    ----------
    volume : Volume or array
        (z, y, x), grey values.
    run : Run, Path or str
        A finished run or its folder.
    task : VolumeTask
        Into what, and how.
    context : JobContext, optional
        Gets a `BlockDone` or `BlockFailed` and a `Progress` for each block, and before them a
        `QuickLookReady` for each part of a quick look. When it says stop, what is done stays.

    Returns
    -------
    VolumePrediction

    Raises
    ------
    UserError
        If run, volume or output cannot be used, or the output was begun with others.
    Cancelled
    """
    context = context or JobContext()
    check_writable(location_of(task.output))
    run = run if isinstance(run, Run) else open_run(run)
    # Errors that prevent prediction are raised before a new output is made.
    volume = volume_of(volume)
    execution = begun_on(location_of(task.output)) or task.execution or _chosen(volume, run, task, context)
    predictor = load_predictor(run, task.settings, execution)
    plan = planned(volume, run, task, execution)
    is_new = not is_begun(plan.work.output)
    # To resume what is complete takes no workers; a batch system's are submitted when there are blocks.
    early = is_new or task.scheduler.plan
    processes = connected(task.scheduler) if early else nullcontext(task.scheduler)
    with owned(plan.work.output), processes as scheduler:
        written = VolumeOutput.create_or_open(plan.work.output, plan.layout, plan.record)
        # At once: what is there of a large output takes a while to list.
        _look(predictor, plan, written, context)
        return _run(plan, written, scheduler, context)


def _chosen(volume: Volume, run: Run, task: VolumeTask, context: JobContext) -> Execution:
    """Workers may have other GPUs or none, and those of one machine would share the memory of its GPU."""
    if task.scheduler.address is not None:
        return PROCESSOR
    return execution_for(volume.shape, run, task.settings, context)


def _look(predictor: SlicePredictor, plan: Plan, written: VolumeOutput, context: JobContext) -> None:
    """Give a first look at the slice in view if it has not been predicted."""
    z = plan.near
    if z is None or z not in plan.slices or written.holds_slice(z - plan.work.first):
        return
    with suppress(UserError):  # an error of reading is reported with its block
        quick_look(predictor, plan.work.plane(z), z, context)


def _run(plan: Plan, written: VolumeOutput, scheduler: Scheduler, context: JobContext) -> VolumePrediction:
    """Do the blocks that are missing, then the coarser levels."""
    partial = PartialLevels(plan.work, written, context)
    work = replace(plan.work, levels=partial.still_valid())
    missing = written.prepare_missing()
    skipped = len(written.blocks) - len(missing)
    now = missing.slices
    forget_marks(written, now)
    if skipped and missing:
        context.report(
            Message(f"{work.output}: {skipped} of {len(written.blocks)} blocks are there already.")
        )
    began = time.monotonic()
    wanted = outward(missing, work, written.blocks, plan.near)
    failures = partial.done(work, wanted, scheduler)
    seconds = time.monotonic() - began
    if missing:
        check_unchanged(work.output, work.volume, written.record)
    written.note_unread(bool(failures))
    mark_slices(work, written, now, context, scheduler)
    written.finish(context, scheduler)
    done = missing.without(indices_of(failures))
    return VolumePrediction(written.record, len(done), skipped, failures, done.voxels, seconds)
