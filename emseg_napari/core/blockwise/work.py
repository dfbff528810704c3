"""Work on single blocks, its progress and its failures, the same with every scheduler."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from emseg_napari.core.files import OpenElsewhere
from emseg_napari.core.jobs import (
    BlockDone,
    BlockFailed,
    Cancelled,
    Message,
    Progress,
    Report,
    ShouldStop,
    UserError,
    never,
)

# Work travels to each worker process once; an image in memory would take long, and the memory of each.
_LARGEST_WORK = 64_000_000  # bytes
AGAIN = "run the same command again, which does the missing blocks"
_TICK_S = 1e-3  # some clocks tick no faster, and a first block may take no time by them


class Block(Protocol):
    """A part of a volume that is written as one file."""

    @property
    def index(self) -> tuple[int, ...]:
        """Which block it is along (z, y, x)."""
        ...

    @property
    def window(self) -> tuple[slice, ...]:
        """The voxels that it covers along (z, y, x)."""
        ...


class BlockWork(Protocol):
    """Work on every block in three steps, so that reading and writing need not wait for computing.

    It is a small thing that can be pickled (paths and settings) and that opens what it needs once per
    process, at its first use. A block is processed in full by one process. The same block gives the same
    bytes wherever and however often it is done, and its file is replaced as a whole: on a cluster a block
    whose worker was lost is processed again.

    Work on deep blocks may have two more steps: ``divide(block)`` returns the parts of a block, which are
    read and computed one after the other, so that no more is in memory than what some of them need; and
    ``join(block, results)`` returns the block's result from those of its parts.

    Work on blocks that follow each other and are computed from the same chunks of the input, in which each
    chunk is decoded once for all, has ``column(block)``: it returns the same for all of them, so that workers
    share columns out and not blocks.
    """

    @property
    def paths(self) -> Sequence[Path]:
        """Files and folders, inputs and output, that every worker must see under these names."""
        ...

    def read(self, block: Any) -> Any:
        """Read what the block is computed from."""
        ...

    def compute(self, block: Any, given: Any, should_stop: ShouldStop) -> Any:
        """Compute the block's result from what was read; raises `Cancelled` when it must stop."""
        ...

    def write(self, block: Any, result: Any) -> Any:
        """Write the result, and return what the caller of `run_blocks` needs to know of it: little."""
        ...


def parts_of(work: BlockWork, block: Block) -> Sequence[Any]:
    """Return what of a block is read and computed at once, one after the other: mostly the block itself."""
    divide = getattr(work, "divide", None)
    parts: Sequence[Any] = divide(block) if divide else (block,)
    return parts


class FatalBlockError(UserError):
    """Error that makes every further block fail."""


class BlockProgress:
    """Counter of finished blocks that reports progress.

    Parameters
    ----------
    total : int
        Number of blocks to do.
    report : callable
        Gets a `BlockDone` or `BlockFailed` and a `Progress` per block.

    Attributes
    ----------
    failures : list of BlockFailed
        What could not be done so far.
    workers : int or None
        How many worker processes there are now; None = this process alone.
    """

    def __init__(self, total: int, report: Report) -> None:
        self.failures: list[BlockFailed] = []
        self.workers: int | None = None
        self._total, self._report = total, report
        self._done = self._voxels = 0
        self._begun: dict[tuple[int, ...], tuple[float, int]] = {}  # share and voxels of blocks in work
        self.restart_clock()

    def done(self, block: Block, result: Any) -> None:
        """Report that a block is done, with what its `BlockWork.write` returned."""
        self._begun.pop(block.index, None)
        self._done += 1
        self._voxels += voxels(block)
        self._report(BlockDone(block, result))
        self._progress()

    def failed(self, failure: BlockFailed) -> None:
        """Report that a block failed."""
        self._begun.pop(failure.index, None)
        self.failures.append(failure)
        self._report(failure)
        self._progress()

    def part_done(self, block: Block, part: int, parts: int) -> None:
        """Report that part 1, 2, ... of the parts of a block is computed; the last one comes with `done`."""
        if part < parts:
            self._begun[block.index] = part / parts, voxels(block) * part // parts
            self._progress()

    def restart_clock(self) -> None:
        """Measure time from now."""
        self._started = time.monotonic()

    def message(self, text: str) -> None:
        """Report a sentence."""
        self._report(Message(text))

    def _progress(self) -> None:
        ended = self._done + len(self.failures)
        reached = ended + sum(share for share, _ in self._begun.values())
        seconds = max(time.monotonic() - self._started, _TICK_S)
        left = seconds / reached * (self._total - reached)
        self._report(Progress(reached / self._total, left, self._words(ended, seconds)))

    def _words(self, ended: int, seconds: float) -> str:
        computed = self._voxels + sum(count for _, count in self._begun.values())
        words = [
            f"{ended} of {self._total} blocks",
            f"{computed / 1e6 / seconds:.2f} megavoxels a second",
        ]
        if self.workers is not None:
            words.append(f"{self.workers} worker{'s' * (self.workers != 1)}")
        if self.failures:
            words.append(f"{len(self.failures)} failed")
        return ", ".join(words)


def voxels(block: Block) -> int:
    """Count the voxels of a block."""
    count = 1
    for side in block.window:
        count *= side.stop - side.start
    return count


def _ignore(part: int, parts: int) -> None:
    """Take no notice of a part."""


def died(index: tuple[int, ...], workers: int) -> BlockFailed:
    """Return why a block failed over which so many workers died."""
    text = (
        f"{workers} workers died while they processed it, most likely for lack of memory; give workers more "
    )
    return BlockFailed(index, f"{text}of it, then {AGAIN}.")


def pickled(work: BlockWork, dumps: Callable[[BlockWork], bytes]) -> bytes:
    """Return what travels to worker processes.

    Raises
    ------
    UserError
        If that is too large, or cannot travel.
    """
    try:
        found = dumps(work)
    except Exception as error:  # such as an array whose file is open; each kind has its own
        raise UserError(cannot_travel(error)) from error
    if len(found) > _LARGEST_WORK:
        raise UserError(
            f"{len(found) / 1e6:.0f} MB in memory would travel to every worker; save the image to a file "
            "that all workers see, and use that."
        )
    return found


def cannot_travel(error: Exception) -> str:
    """Return why work cannot be sent to another process, or not be read there."""
    return (
        f"The image cannot be read by another process ({type(error).__name__}: {error}); save it as OME-Zarr "
        "or TIFF and use that file."
    )


def processed(work: BlockWork, block: Block, report_part: Callable[[int, int], None] = _ignore) -> Any:
    """Process a block in full, in a worker; `report_part` gets how many of how many parts are computed."""
    parts, results = parts_of(work, block), []
    for part in parts:
        results.append(work.compute(part, work.read(part), never))
        report_part(len(results), len(parts))
    return write(work, block, results)


def write(work: BlockWork, block: Block, results: list[Any]) -> Any:
    """Write a block's result, from those of its parts; an error here would stop all others, too.

    Raises
    ------
    OpenElsewhere
        If another program has the block's file open; the others can still be written.
    FatalBlockError
        If the output is full, read-only or gone.
    """
    try:
        return work.write(block, _joined(work, block, results))
    except OpenElsewhere:  # a viewer has this one file open
        raise
    except UserError as error:
        raise FatalBlockError(str(error), error.settings) from error
    except OSError as error:
        raise FatalBlockError(
            f"Block {block.index} cannot be written ({error.strerror or error}); correct that and start "
            "again, which resumes with the missing blocks."
        ) from error


def _joined(work: BlockWork, block: Block, results: list[Any]) -> Any:
    join = getattr(work, "join", None)
    return join(block, results) if join else results[0]


def failure(block: Block, error: Exception) -> BlockFailed:
    """Return why a block failed; raises `error` again if it concerns more than that block."""
    if isinstance(error, Cancelled | FatalBlockError):
        raise error
    settings = error.settings if isinstance(error, UserError) else ()
    return BlockFailed(block.index, _sentence(error), _details(error), settings)


def _sentence(error: Exception) -> str:
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MemoryError):
        return (
            "There was not enough memory for the block; close other programs, or choose smaller blocks or "
            "tiles."
        )
    what = f"{type(error).__name__}: {error}".rstrip(": ")
    return (
        f"The block failed unexpectedly ({what}); start again to retry it, and report it if it fails again."
    )


def _details(error: Exception) -> str:
    return "" if isinstance(error, UserError) else "".join(traceback.format_exception(error))
