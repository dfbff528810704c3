"""Fingerprints of the slices that a volume's prediction shows, so that scores know them again anywhere.

Slices that share chunks are read together, band by band, so that each chunk is decoded once for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from emseg_napari.core.blockwise import LOCAL, Scheduler, run_blocks
from emseg_napari.core.jobs import BlockDone, Cancelled, Event, JobContext, Message, Progress, ShouldStop
from emseg_napari.core.lazy_property import lazy_property
from emseg_napari.inference.block_work import PredictionWork
from emseg_napari.io.chunk_errors import BrokenChunk
from emseg_napari.io.fingerprint import SliceMarker
from emseg_napari.io.layout import Block
from emseg_napari.io.ome_zarr_writer import VolumeOutput
from emseg_napari.io.resume_check import MARKS
from emseg_napari.io.source_id import STATE
from emseg_napari.io.volume import Volume
from emseg_napari.models.run import RunRecord, open_run

_BAND_BYTES, _MOST_BYTES = 1 << 26, 1 << 30  # read at once, where chunks allow it, and at most
_FEW = 32  # groups of slices that one process reads sooner than workers start


@dataclass(frozen=True)
class MarkWork:
    """Makes the marks of slices that lie in the same chunks, see `emseg_napari.core.blockwise.BlockWork`.

    Attributes
    ----------
    volume : Volume
    run : Path
        By whose fingerprints slices are known where it was trained on them.
    paths : sequence of Path
        What every worker must see.
    """

    volume: Volume
    run: Path
    paths: Sequence[Path]

    def __getstate__(self) -> dict[str, Any]:
        # What was opened stays in its process.
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def read(self, block: Block) -> None:
        """Read nothing: what is hashed together may be large."""

    def compute(self, block: Block, given: None, should_stop: ShouldStop) -> list[str]:
        """Return the marks of slices; empty ones if a part of them cannot be read."""
        slices = block.window[0]
        markers = [SliceMarker(self._earlier) for _ in range(slices.start, slices.stop)]
        try:
            for rows in self._bands(len(markers)):
                if should_stop():
                    raise Cancelled
                for marker, part in zip(markers, self.volume[slices, rows], strict=True):
                    marker.add(part)
        except BrokenChunk:
            return [""] * len(markers)
        return [marker.known_as(self._record.fingerprints) for marker in markers]

    def write(self, block: Block, marks: list[str]) -> list[str]:
        """Return the marks to the process that collects them."""
        return marks

    def _bands(self, depth: int) -> Iterator[slice]:
        _, height, width = self.volume.shape
        chunk = self.volume.chunks[1] if self.volume.chunks else 1
        row = depth * width * self.volume.dtype.itemsize
        rows = max(1, _BAND_BYTES // max(1, row) // chunk) * chunk
        return (slice(first, min(first + rows, height)) for first in range(0, height, rows))

    @lazy_property
    def _record(self) -> RunRecord:
        return open_run(self.run).record

    @lazy_property
    def _earlier(self) -> bool:
        """Whether the run may have marks of an earlier version of these slices, which take 8 times as long.

        It has none of slices of another size than those that it was trained on.
        """
        record = self._record
        is_size = self.volume.shape[1:] == record.image_shape[1:]
        return bool(record.fingerprints) and (is_size or record.start is not None)


def mark_slices(
    work: PredictionWork,
    output: VolumeOutput,
    predicted: Collection[int],
    context: JobContext,
    scheduler: Scheduler = LOCAL,
) -> None:
    """Record the fingerprints of slices that are wholly there and have none yet.

    Parameters
    ----------
    work : PredictionWork
    output : VolumeOutput
    predicted : collection of int
        Slices of the output of which blocks were predicted now: of an output of an earlier version only
        their image is known for certain.
    context : JobContext
        Gets `Progress` and `Message` only.
    scheduler : Scheduler

    Raises
    ------
    Cancelled
        If it was asked to stop; the marks are then made at the next start.
    """
    marks, is_same = _marks(output), STATE in output.record
    waiting = [z for z in range(len(output)) if not marks[z] and (is_same or z in predicted)]
    incomplete = output.missing().slices if waiting else set()
    wanted = [z for z in waiting if z not in incomplete]
    groups = list(_groups(work, [work.first + z for z in wanted]))
    found: dict[int, str] = {}

    def listen(event: Event) -> None:
        if isinstance(event, BlockDone):
            found.update(zip(_slices(event.block), event.result, strict=True))
        elif isinstance(event, Progress):
            context.report(replace(event, text=f"marks of slices: {event.text}"))
        elif isinstance(event, Message):
            context.report(event)

    marking = MarkWork(work.volume, work.run, work.paths)
    place = scheduler if len(groups) > _FEW else LOCAL
    run_blocks(marking, groups, place, context.reporting_to(listen))
    for z in wanted:
        marks[z] = found.get(work.first + z, "")
    if wanted:
        output.update_record({MARKS: marks})


def forget_marks(output: VolumeOutput, slices: Collection[int]) -> None:
    """Remove the fingerprints of slices of an output that are going to be predicted, perhaps anew."""
    marks = _marks(output)
    if any(marks[z] for z in slices):
        output.update_record({MARKS: ["" if z in slices else mark for z, mark in enumerate(marks)]})


def _marks(output: VolumeOutput) -> list[str]:
    return list(output.record.get(MARKS) or [""] * len(output))


def _slices(block: Any) -> range:
    return range(block.window[0].start, block.window[0].stop)


def _groups(work: PredictionWork, slices: Sequence[int]) -> Iterator[Block]:
    """Give blocks of slices that follow each other and lie in the same chunks."""
    _, height, width = work.volume.shape
    chunks = work.volume.chunks or (1, 1, 1)
    row = chunks[1] * width * work.volume.dtype.itemsize
    depth = max(1, min(chunks[0], _MOST_BYTES // max(1, row)))
    group: list[int] = []
    for z in [*slices, -1]:
        follows = group and z == group[-1] + 1 and z // chunks[0] == group[0] // chunks[0]
        if group and not (follows and len(group) < depth):
            window = (slice(group[0], group[-1] + 1), slice(0, height), slice(0, width))
            yield Block((group[0], 0, 0), window)
            group = []
        group.append(z)
