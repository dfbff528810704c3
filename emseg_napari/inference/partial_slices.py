"""Slices of which a part cannot be read.

The grey levels of such a slice are those of the pixels that can be read, and the output notes them. So what
is not broken is predicted, with the same levels in every process. Once the slice reads otherwise, such
as when it was repaired, its blocks are predicted again: no slice has grey levels of two different
readings, and in the end the bytes are those of a volume that never was broken.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, replace
from typing import Any

from emseg_napari.core.blockwise import Scheduler, run_blocks
from emseg_napari.core.jobs import BlockFailed, Event, JobContext, Message, UserError
from emseg_napari.inference.block_work import PredictionWork
from emseg_napari.io.chosen_blocks import ChosenBlocks, indices_of
from emseg_napari.io.nan_holes import holed
from emseg_napari.io.ome_zarr_writer import VolumeOutput
from emseg_napari.io.resume_check import PARTIAL
from emseg_napari.io.slabs import Plane, Slabs
from emseg_napari.models.normalisation import Levels, sample_windows
from emseg_napari.models.run import open_run

_MOST_LISTED = 8


class PartialLevels:
    """Finds and notes the grey levels of slices of which a part cannot be read.

    Parameters
    ----------
    work : PredictionWork
    output : VolumeOutput
    context : JobContext
    """

    def __init__(self, work: PredictionWork, output: VolumeOutput, context: JobContext) -> None:
        self._work, self._output, self._context = work, output, context
        self._normalisation = open_run(work.run).record.normalisation
        windows = sample_windows(work.volume.shape[1:])
        self._slabs, self._holed = Slabs(work.volume, windows), Slabs(holed(work.volume), windows)

    def still_valid(self) -> dict[int, Levels]:
        """Return the levels that an earlier prediction noted, by the volume's slices.

        Slices that read otherwise now lose their blocks and their note.
        """
        noted = self._noted
        whole = {z: self._all_read(z) for z in noted}
        changed = [z for z in noted if noted[z] != (whole[z] or self._readable(z))]
        if changed:
            self._output.remove_slices(z - self._work.first for z in changed)
            self._context.report(
                Message(f"Predicted again, because the volume has changed: {_listed(changed)}.")
            )
        return self._note({z: noted[z] for z in noted if z not in changed and whole[z] is None})

    def done(
        self, work: PredictionWork, blocks: ChosenBlocks, scheduler: Scheduler
    ) -> tuple[BlockFailed, ...]:
        """Predict blocks, those that fail once more if other grey levels than the slice's may help.

        Parameters
        ----------
        work : PredictionWork
            With the levels that are still valid.
        blocks : ChosenBlocks
            The most wanted first.
        scheduler : Scheduler
            What predicts.

        Returns
        -------
        tuple of BlockFailed
            The blocks that are missing now, and why.
        """
        failures = run_blocks(work, blocks, scheduler, self._context.reporting_to(self._held_back))
        again = list(blocks.only(indices_of(failures)))
        found = self._found({z for block in again for z in work.slices(block)} - set(work.levels))
        again = [block for block in again if found.keys() & set(work.slices(block))]
        waiting = {block.index for block in again}
        final = [failure for failure in failures if failure.index not in waiting]
        for failure in final:
            self._context.report(failure)
        if again:
            work = replace(work, levels={**work.levels, **found})
            final += run_blocks(work, again, scheduler, self._context)
            # Of some slices all blocks see what is broken.
            self._note({z: levels for z, levels in self._noted.items() if self._is_begun(z)})
        return tuple(final)

    def _held_back(self, event: Event) -> None:
        if isinstance(event, BlockFailed):
            self._output.note_unread(True)
        else:
            self._context.report(event)

    def _found(self, slices: set[int]) -> dict[int, Levels]:
        """Return, and note, the levels of those slices of the volume that cannot be read as a whole.

        Slices of which blocks are there already keep waiting: they were predicted when all could be read.
        """
        if self._output.blocks.grid[1:] == (1, 1):
            return {}  # a slice that is one block fails with its chunk
        waiting = [z for z in sorted(slices) if not self._is_begun(z) and not self._all_read(z)]
        found = {z: levels for z in waiting if (levels := self._readable(z))}
        if found:
            self._note(self._noted | found)
        return found

    def _note(self, levels: dict[int, Levels]) -> dict[int, Levels]:
        noted = {str(z): _as_json(one) for z, one in sorted(levels.items())}
        if levels != self._noted:
            self._output.update_record({PARTIAL: noted})
        return levels

    @property
    def _noted(self) -> dict[int, Levels]:
        return {int(z): _of_json(levels) for z, levels in self._output.record.get(PARTIAL, {}).items()}

    def _is_begun(self, z: int) -> bool:
        return self._output.holds_any(z - self._work.first)

    def _all_read(self, z: int) -> Levels | None:
        try:
            return self._levels(self._slabs, z)
        except UserError:
            return None

    def _readable(self, z: int) -> Levels | None:
        """Return the levels of what can be read; None if that is nothing, or all the same."""
        levels = self._levels(self._holed, z)
        return levels if levels.scale else None

    def _levels(self, slabs: Slabs, z: int) -> Levels:
        self._context.check_stop()
        _, height, width = self._work.volume.shape
        return self._normalisation.levels(Plane(slabs, (height, width), z))


def _as_json(levels: Levels) -> dict[str, Any]:
    return {name: value for name, value in asdict(levels).items() if value is not None}


def _of_json(noted: dict[str, Any]) -> Levels:
    box = noted.get("box")
    return Levels(noted["middle"], noted["scale"], tuple(box) if box else None)


def sentence_on(record: Mapping[str, Any]) -> str:
    """Return a sentence about the slices that a prediction could read in part only; "" if there are none."""
    slices = noted_in(record)
    if not slices:
        return ""
    has, them = ("has", "it") if len(slices) == 1 else ("have", "them")
    return (
        f"{_listed(slices)} cannot be read as a whole and {has} the grey levels of the rest; once the volume "
        f"is repaired, the same command predicts {them} again."
    )


def noted_in(record: Mapping[str, Any]) -> list[int]:
    """Return the slices of a volume that its prediction says to have the grey levels of a part."""
    return sorted(map(int, record.get(PARTIAL, {})))


def _listed(slices: Collection[int]) -> str:
    first, *others = sorted(slices)
    if not others:
        return f"Slice {first}"
    more = others[_MOST_LISTED:]
    listed = ", ".join(map(str, [first, *others[:_MOST_LISTED]]))
    return f"Slices {listed}" + (f" and {len(more)} more" if more else "")
