"""What is done to one block of a volume: what the network sees of it is read, predicted and written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from emseg_napari.core.jobs import ShouldStop, UserError
from emseg_napari.core.labels import ISBI_BOUNDARY, ISBI_INTERIOR
from emseg_napari.core.lazy_property import lazy_property
from emseg_napari.core.machine import threads
from emseg_napari.inference.execution import PROCESSOR, Execution
from emseg_napari.inference.grid import Known
from emseg_napari.inference.slice_predictor import SlicePredictor
from emseg_napari.inference.stack import load_predictor
from emseg_napari.inference.tiles import common, grown, hull, tiles, whole, within
from emseg_napari.io.address import Location
from emseg_napari.io.axes import SliceWindow
from emseg_napari.io.chunk_errors import BrokenChunk
from emseg_napari.io.containers import files_of
from emseg_napari.io.layout import Block
from emseg_napari.io.ome_zarr_writer import VolumeOutput
from emseg_napari.io.records import Kind, complement
from emseg_napari.io.slabs import Plane, Slabs, layer_of
from emseg_napari.io.volume import Volume
from emseg_napari.models.normalisation import Levels, sample_windows
from emseg_napari.models.run import open_run
from emseg_napari.segmentation.close_gaps import close_gaps
from emseg_napari.settings import PredictionSettings

# Gaps are closed tile by tile, each seen with about one cell around it.
_GAPS_TILE_PX, _GAPS_CONTEXT_PX = 1024, 96
_GAPS_THREADS = 4  # each takes some hundred megabytes
_SLICES_REMEMBERED = 512
_WINDOWS_REMEMBERED = 4096
_BESIDE_PX = 64
_BAND = 32  # rows that are encoded at once


@dataclass(frozen=True)
class PredictionWork:
    """Predicts blocks, see `emseg_napari.core.blockwise.BlockWork`.

    Attributes
    ----------
    volume : Volume
    run : Path
    output : Path or Address
        As `VolumeOutput.prepare` made it.
    settings : PredictionSettings
        With the threshold to use.
    kind : str
        "probability" of the boundary or of the "interior", uint8 0 to 255, or "labels", 0 = boundary and
        255 = interior.
    first : int
        The slice of the volume that is slice 0 of the output.
    levels : mapping
        What grey levels mean in those slices of the volume of which a part cannot be read.
    execution : Execution
        What every block is computed on, whichever process does it.
    """

    volume: Volume
    run: Path
    output: Location
    settings: PredictionSettings
    kind: Kind
    first: int = 0
    levels: Mapping[int, Levels] = field(default_factory=dict, hash=False)
    execution: Execution = PROCESSOR

    def __getstate__(self) -> dict[str, Any]:
        # What was opened stays in its process.
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def paths(self) -> Sequence[Path]:
        """Files and folders that every worker must see."""
        output = [self.output] if isinstance(self.output, Path) else []
        return [self.run, *output, *files_of(self.volume.source)]

    def divide(self, block: Block) -> list[Block]:
        """Return the slices of a block: no more than one needs is in memory, whatever its depth."""
        return block.by_slice()

    def join(self, block: Block, results: list[np.ndarray]) -> np.ndarray:
        """Return a block, uint8 (z, y, x), from its slices."""
        return block.joined(results)

    def read(self, block: Block) -> tuple[Known, Levels]:
        """Read what the network sees of a slice of a block.

        Raises
        ------
        BrokenChunk
            If a chunk of it is missing or damaged.
        UserError
            If pixels of it are no finite numbers.
        """
        slices, *window = block.window
        return self._read(slices.start, (window[0], window[1]))

    def _read(self, z: int, window: SliceWindow) -> tuple[Known, Levels]:
        plane = self.plane(self.first + z)
        seen = self._seen(window)
        # What is in memory need not be decoded again.
        everything = plane[seen] if seen == whole(plane.shape) else None
        try:
            levels = self.levels.get(plane.z) or (
                self._levels(plane.z) if everything is None else self._predictor.levels(everything)
            )
        except UserError:
            plane[seen]  # what is broken here is said before what is broken elsewhere
            raise
        if levels.inside is not None:
            seen = self._beside_border(seen, self._predictor.seen(plane.shape, self._grown(window), levels))
        values = plane[seen] if everything is None else everything[seen]
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise UserError(_not_finite(values, seen, plane.z, self.volume.name))
        return Known(values, seen, plane.shape), levels

    def _beside_border(self, seen: SliceWindow, needed: SliceWindow) -> SliceWindow:
        """Return what to read of a slice with a border, where its picture lies otherwise on the grid.

        From deep chunks the same of all slices, which are read together.
        """
        wide = grown(seen, _BESIDE_PX, self.volume.shape[1:])
        is_deep = self.volume.chunks is not None and self.volume.chunks[0] > 1
        return wide if is_deep and hull([wide, needed]) == wide else needed

    def plane(self, z: int) -> Plane:
        """Return a slice of the volume, of which windows can be read."""
        return Plane(self._slabs, (self.volume.shape[1], self.volume.shape[2]), z)

    def slices(self, block: Block) -> range:
        """Return the slices of the volume that a block covers."""
        return range(self.first + block.slices.start, self.first + block.slices.stop)

    def together(self, block: Block) -> range:
        """Return the slices of the volume that lie in the same chunks as a block's first."""
        return layer_of(self.volume, self.slices(block).start)

    def column(self, block: Block) -> tuple[int, ...]:
        """Return what the blocks of one worker have in common: the chunks along z, and the place.

        Of small slices, which are read whole for their grey levels, the place counts nothing.
        """
        is_whole = sample_windows(self.volume.shape[1:]) == 1
        return self.together(block).start, *(() if is_whole else block.index[1:])

    def compute(self, block: Block, given: tuple[Known, Levels], should_stop: ShouldStop) -> np.ndarray:
        """Predict a slice of a block, uint8 (1, y, x)."""
        _, rows, columns = block.window
        return self._predict(*given, (rows, columns), should_stop)[None]

    def _predict(
        self, slice_: Known, levels: Levels, window: SliceWindow, should_stop: ShouldStop
    ) -> np.ndarray:
        seen = self._grown(window)
        probability = self._predictor.window(slice_, seen, levels, should_stop)
        inside = seen if levels.inside is None else common(seen, levels.inside)
        if self.settings.close_gaps and inside is not None:  # no gap is closed along a border
            picture = within(inside, seen)
            probability[picture] = self._closed(probability[picture], should_stop)
        return encoded(probability[within(window, seen)], self.kind, self._threshold)

    def write(self, block: Block, values: np.ndarray) -> None:
        """Write a block."""
        self._files.write(block, values)

    def _seen(self, window: SliceWindow) -> SliceWindow:
        rows, columns = window
        return self._seen_of(rows.start, rows.stop, columns.start, columns.stop)

    @lazy_property
    def _seen_of(self) -> Callable[[int, int, int, int], SliceWindow]:
        """The pixels that a window needs; blocks of all slices have the same windows."""

        def seen(top: int, bottom: int, left: int, right: int) -> SliceWindow:
            grown_ = self._grown((slice(top, bottom), slice(left, right)))
            return self._predictor.seen(self.volume.shape[1:], grown_)

        return lru_cache(_WINDOWS_REMEMBERED)(seen)

    def _grown(self, window: SliceWindow) -> SliceWindow:
        margin = _GAPS_CONTEXT_PX if self.settings.close_gaps else 0
        return grown(window, margin, self.volume.shape[1:])

    def _closed(self, probability: np.ndarray, should_stop: ShouldStop) -> np.ndarray:
        closed = np.empty_like(probability)

        def close(tile: SliceWindow) -> None:
            seen = grown(tile, _GAPS_CONTEXT_PX, probability.shape)
            lines = close_gaps(probability[seen], self._threshold, self._merge_threshold, should_stop)
            closed[tile] = lines[within(tile, seen)]

        # Unlike the network it uses one thread.
        with ThreadPoolExecutor(min(_GAPS_THREADS, threads(self.settings.threads))) as pool:
            list(pool.map(close, tiles(whole(probability.shape), _GAPS_TILE_PX)))
        return closed

    @lazy_property
    def _files(self) -> VolumeOutput:
        return VolumeOutput(self.output)

    @lazy_property
    def _predictor(self) -> SlicePredictor:
        return load_predictor(open_run(self.run), self.settings, self.execution)

    @lazy_property
    def _threshold(self) -> float:
        return self.settings.threshold_for(open_run(self.run).record.threshold)

    @lazy_property
    def _merge_threshold(self) -> float:
        return open_run(self.run).record.merge_threshold

    @lazy_property
    def _levels(self) -> Callable[[int], Levels]:
        return _remembered(lambda z: self._predictor.levels(Plane(self._level_slabs, self.plane(z).shape, z)))

    @lazy_property
    def _slabs(self) -> Slabs:
        return Slabs(self.volume)

    @lazy_property
    def _level_slabs(self) -> Slabs:
        """Of small slices, which are read whole for their grey levels, those of the blocks, too."""
        windows = sample_windows(self.volume.shape[1:])
        return self._slabs if windows == 1 else Slabs(self.volume, windows)


def _remembered(levels: Callable[[int], Levels]) -> Callable[[int], Levels]:
    """Return a function that remembers the levels of slices, and of which slices they cannot be read.

    Else every block of such a slice would read its windows again.
    """

    @lru_cache(_SLICES_REMEMBERED)
    def outcome(z: int) -> Levels | BrokenChunk:
        try:
            return levels(z)
        except BrokenChunk as error:
            return error

    def levels_or_error(z: int) -> Levels:
        found = outcome(z)
        if isinstance(found, BrokenChunk):
            raise found.with_traceback(None)
        return found

    return levels_or_error


def encoded(probability: np.ndarray, kind: Kind, threshold: float) -> np.ndarray:
    """Return a boundary probability in uint8.

    Parameters
    ----------
    probability : numpy.ndarray
        Float32, 0 to 1.
    kind : str
        "probability": 255 times that; "interior": 255 less; "labels": 0 = boundary, 255 = interior.
    threshold : float
        Boundary is what reaches it. Rounding carries no pixel over it: the same ones reach it of 255ths.

    Returns
    -------
    numpy.ndarray
        uint8 of the same shape.
    """
    amounts = np.empty(probability.shape, np.uint8)
    for first in range(0, len(probability), _BAND):  # intermediate values stay in the processor's cache
        band = slice(first, first + _BAND)
        amounts[band] = _encoded(probability[band], kind, threshold)
    return amounts


def _encoded(probability: np.ndarray, kind: Kind, threshold: float) -> np.ndarray:
    boundary = probability >= threshold
    if kind == "labels":
        return np.where(boundary, np.uint8(ISBI_BOUNDARY), np.uint8(ISBI_INTERIOR))
    # The 255th that is the threshold itself stays free: the interior's readers would round it the other way.
    least, most = min(255, np.floor(threshold * 255) + 1), max(0, np.ceil(threshold * 255) - 1)
    # Products, since choosing by a mask that changes from pixel to pixel takes twenty times as long.
    at_least, at_most = boundary * np.uint8(least), np.maximum(boundary * np.uint8(255), np.uint8(most))
    amounts = np.clip(np.rint(np.clip(probability, 0, 1) * 255).astype(np.uint8), at_least, at_most)
    return amounts if kind == "probability" else complement(amounts)


def _not_finite(values: np.ndarray, seen: SliceWindow, z: int, name: str) -> str:
    y, x = (int(n) for n in np.argwhere(~np.isfinite(values))[0])
    return (
        f"{name} has {np.count_nonzero(~np.isfinite(values))} pixels that are not finite numbers "
        f"(NaN or infinity) here or just beside, the first in slice {z} at y {y + seen[0].start}, "
        f"x {x + seen[1].start}; replace them by grey values and start again."
    )
