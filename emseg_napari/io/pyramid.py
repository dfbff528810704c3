"""Coarser levels of an output, with which a viewer can show all of it at once.

Along y and x, and along z once that is the finest axis, every level has half the voxels of the one
before, until a slice is about one chunk.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from emseg_napari.core.blockwise import LOCAL, Scheduler, run_blocks
from emseg_napari.core.jobs import Event, JobContext, Message, Progress, Report, ShouldStop, UserError
from emseg_napari.io.axes import Size, VolumeWindow
from emseg_napari.io.block_store import BlockFiles, create_level
from emseg_napari.io.layout import Block, Layout, ceil_divided

_FEW = 32  # blocks that one process writes sooner than workers start
_ISOTROPIC = 2**0.5  # an axis this much coarser than the finest one waits; halving would overshoot


def level_factors(layout: Layout) -> list[Size]:
    """Return how many voxels of level 0 make one of each level along z, y, x.

    Where the size of a voxel is not known, slices are never blended into each other.
    """
    factors: list[Size] = [(1, 1, 1)]
    while True:
        shape = ceil_divided(layout.shape, factors[-1])
        if all(s <= c for s, c in zip(shape[1:], layout.chunk[1:], strict=True)):
            return factors
        z, y, x = (f * s for f, s in zip(factors[-1], _step(layout, factors[-1], shape), strict=True))
        factors.append((z, y, x))


def _step(layout: Layout, factor: Size, shape: Size) -> Size:
    """Halve the axes that are about as fine as the finest that can be halved."""
    size = layout.voxel.size if layout.voxel else (np.inf, 1.0, 1.0)
    now = [s * f if n > 1 else np.inf for s, f, n in zip(size, factor, shape, strict=True)]
    z, y, x = (2 if s < min(now) * _ISOTROPIC else 1 for s in now)
    return z, y, x


def write_levels(folder: Path, layout: Layout, context: JobContext, scheduler: Scheduler = LOCAL) -> None:
    """Write the blocks of all coarser levels that are not there, each from the level before.

    Parameters
    ----------
    folder : Path
        The output, whose level 0 is there.
    layout : Layout
        Of level 0.
    context : JobContext
    scheduler : Scheduler
        Which processes do it.

    Raises
    ------
    Cancelled
        If it was asked to stop; the blocks written so far stay.
    UserError
        If a block cannot be written, or one of the level before cannot be read.
    """
    factors = level_factors(layout)
    shapes = [ceil_divided(layout.shape, factor) for factor in factors]
    levels = [create_level(folder, n, layout, shape) for n, shape in enumerate(shapes)]
    progress = _LevelsProgress(context.report, sum(len(level.blocks) for level in levels[1:]))
    for n in range(1, len(levels)):
        z, y, x = (b // a for a, b in zip(factors[n - 1], factors[n], strict=True))
        halving = Halving(levels[n - 1], levels[n], (z, y, x), layout)
        missing = levels[n].missing()
        progress.start_level(len(missing), len(levels[n].blocks))
        place = scheduler if len(missing) > _FEW else LOCAL
        failures = run_blocks(halving, missing, place, context.reporting_to(progress))
        if failures:
            raise UserError(failures[0].text, failures[0].settings)


@dataclass(frozen=True)
class Halving:
    """How a block of one level is made from the level before (a `blockwise.BlockWork`).

    Attributes
    ----------
    source, target : BlockFiles
        The level before and the one to write.
    step : (int, int, int)
        Voxels of `source` along z, y, x for one of `target`, 1 or 2.
    layout : Layout
        Of level 0.
    """

    source: BlockFiles
    target: BlockFiles
    step: Size
    layout: Layout

    @property
    def paths(self) -> Sequence[Path]:
        """The output."""
        return (self.source.folder,)

    def divide(self, block: Block) -> list[Block]:
        """Return the layers of chunks of a block: no more is in memory than one needs, and the block."""
        return block.by_slice(self.layout.chunk[0])

    def join(self, block: Block, results: list[np.ndarray]) -> np.ndarray:
        """Return the values of a block from those of its layers."""
        return block.joined(results)

    def read(self, block: Block) -> np.ndarray:
        """Return the values of a layer.

        Reducing here and not in `compute` keeps what waits in memory small.
        """
        source = self.source.read(_multiplied(block.window, self.step, self.source.shape))
        return reduced(source, self.step, self.layout.labels)

    def compute(self, block: Block, given: np.ndarray, should_stop: ShouldStop) -> np.ndarray:
        """Return what was read."""
        return given

    def write(self, block: Block, result: np.ndarray) -> None:
        """Write the block."""
        self.target.write(block, result)


def remove_coarser(folder: Path, layout: Layout, missing: Iterable[Block]) -> None:
    """Remove the coarser blocks that were made while the blocks `missing` of level 0 were not there."""
    for n, factor in enumerate(level_factors(layout)[1:], start=1):
        if not (folder / str(n)).is_dir():
            return
        level = BlockFiles(folder, n)
        for block in missing:
            for coarse in level.blocks.over(_divided(block.window, factor)):
                level.remove(coarse)


def reduced(values: np.ndarray, step: Size, labels: bool) -> np.ndarray:
    """Put one voxel in the place of `step` voxels.

    Parameters
    ----------
    values : numpy.ndarray
        (z, y, x).
    step : (int, int, int)
        1 or 2 along each axis.
    labels : bool
        Take the most frequent value, of equally frequent ones the first along z, y, x; else the mean,
        in whole numbers the nearest, halves upwards.

    Returns
    -------
    numpy.ndarray
        (z, y, x) of the same dtype; at an odd end the last voxel stands for those that are there.
    """
    odd = [(0, -n % s) for n, s in zip(values.shape, step, strict=True)]
    even = np.pad(values, odd, mode="edge") if np.any(odd) else values
    parts = [even[k :: step[0], j :: step[1], i :: step[2]] for k, j, i in np.ndindex(*step)]
    return _most_frequent(parts) if labels else _mean(parts)


def _most_frequent(parts: list[np.ndarray]) -> np.ndarray:
    best = parts[0].copy()
    mixed = np.logical_or.reduce([part != best for part in parts[1:]], initial=False)
    if np.any(mixed):  # few are: what is inside of a cell needs no counting
        best[mixed] = _counted([part[mixed] for part in parts])
    return best


def _counted(parts: list[np.ndarray]) -> np.ndarray:
    best, most = parts[0].copy(), np.zeros(parts[0].shape, np.uint8)
    for part in parts:
        count = np.add.reduce([part == other for other in parts], dtype=np.uint8)
        better = count > most
        best[better], most[better] = part[better], count[better]
    return best


def _mean(parts: list[np.ndarray]) -> np.ndarray:
    dtype = parts[0].dtype
    if dtype.kind == "f":
        return np.mean(parts, axis=0, dtype=np.float32).astype(dtype)
    total = np.full(parts[0].shape, len(parts) // 2, f"{dtype.kind}{2 * dtype.itemsize}")
    for part in parts:
        total += part
    return (total // len(parts)).astype(dtype)


def _multiplied(window: VolumeWindow, by: Size, shape: Size) -> VolumeWindow:
    z, y, x = (
        slice(part.start * f, min(part.stop * f, end)) for part, f, end in zip(window, by, shape, strict=True)
    )
    return z, y, x


def _divided(window: VolumeWindow, by: Size) -> VolumeWindow:
    z, y, x = (slice(part.start // f, -(-part.stop // f)) for part, f in zip(window, by, strict=True))
    return z, y, x


class _LevelsProgress:
    """Turns the progress of each level into that of all; events of single blocks are dropped."""

    def __init__(self, report: Report, total: int) -> None:
        self._report, self._total = report, max(total, 1)
        self._before = self._skipped = self._missing = self._level = 0
        self._began = time.monotonic()

    def start_level(self, missing: int, blocks: int) -> None:
        """Count the blocks of the next level."""
        self._before += self._missing + blocks - missing
        self._skipped += blocks - missing
        self._missing, self._level = missing, self._level + 1

    def __call__(self, event: Event) -> None:
        if isinstance(event, Message):
            self._report(event)
        if not isinstance(event, Progress):
            return
        done = self._before + event.fraction * self._missing
        left = (time.monotonic() - self._began) / (done - self._skipped) * (self._total - done)
        text = f"coarser level {self._level}: {event.text}"
        self._report(replace(event, fraction=done / self._total, seconds_left=left, text=text))
