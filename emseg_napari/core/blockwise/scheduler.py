"""Schedulers of block-wise processing, and the function that runs it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from emseg_napari.core.blockwise.local import run_locally
from emseg_napari.core.blockwise.processes import Workers
from emseg_napari.core.blockwise.work import Block, BlockProgress, BlockWork
from emseg_napari.core.jobs import BlockFailed, JobContext, UserError
from emseg_napari.core.machine import processors

_MOST_WORKERS = 1024  # more are a slip of the keyboard, and would end the machine


@dataclass(frozen=True)
class Scheduler:
    """Choice of the processes that compute blocks.

    Attributes
    ----------
    address : str or None
        None: this process; "local": worker processes on this machine; "tcp://HOST:PORT": the workers of
        that Dask scheduler.
    workers : int or None
        How many processes "local" starts; None = one for every processor core that this process may use.
    started : Workers or None
        Those of "local", once `connected` has started them.

    Raises
    ------
    UserError
        If the address or the number of workers cannot be used.
    """

    address: str | None = None
    workers: int | None = None
    started: Workers | None = field(default=None, compare=False, repr=False)

    @property
    def threads(self) -> int:
        """Processor threads for one block: all (0) in this process, 1 where workers share a machine."""
        return 0 if self.address is None else 1

    def __post_init__(self) -> None:
        if self.workers is not None and self.address != "local":
            raise UserError(
                "A number of workers goes with the scheduler 'local' only; a scheduler that runs already has "
                "its own workers."
            )
        if self.workers is not None and not 1 <= self.workers <= _MOST_WORKERS:
            raise UserError(f"{self.workers} workers cannot be started; choose 1 to {_MOST_WORKERS}.")
        if self.address not in (None, "local") and "://" not in str(self.address):
            raise UserError(
                f"{self.address!r} is not a scheduler; write 'local' or an address such as tcp://HOST:8786."
            )


LOCAL = Scheduler()


@contextmanager
def connected(scheduler: Scheduler) -> Iterator[Scheduler]:
    """Connect to the workers, or start those of "local" once, for several calls of `run_blocks`.

    Yields
    ------
    Scheduler
        The address at which they work, or the processes; `LOCAL` as it is.

    Raises
    ------
    UserError
        If they cannot be started or reached.
    """
    if scheduler.address is None or scheduler.started:
        yield scheduler
        return
    if scheduler.address == "local":
        with Workers(scheduler.workers or processors()) as workers:
            yield replace(scheduler, started=workers)
        return
    from emseg_napari.core.blockwise.dask_client import open_client  # loads Dask, an extra

    with open_client(scheduler.address) as client:
        yield Scheduler(client.scheduler.address)


def run_blocks(
    work: BlockWork,
    blocks: Collection[Block],
    scheduler: Scheduler = LOCAL,
    context: JobContext | None = None,
) -> list[BlockFailed]:
    """Do the same work on many blocks, in the order given, several at a time on several workers.

    A block that fails does not stop the others. A result that cannot be written ends the work, since no
    other could be written either.

    Parameters
    ----------
    work : BlockWork
        Done to each block; for a scheduler it must be possible to pickle it.
    blocks : collection of Block
        The most urgent first; those that are made when they are asked for never are all in memory.
    scheduler : Scheduler
    context : JobContext, optional
        Gets `BlockDone`, `BlockFailed` and `Progress` per block, and a `Message` with the address of a Dask
        scheduler's dashboard, on the caller's thread. Checked several times a second for a stop; what
        was done stays done.

    Returns
    -------
    list of BlockFailed
        The blocks that are missing now, and why.

    Raises
    ------
    UserError
        If the output cannot be written, or the scheduler or its workers cannot be used.
    Cancelled
    """
    context = context or JobContext()
    progress = BlockProgress(len(blocks), context.report)
    if scheduler.address is None:
        run_locally(work, blocks, progress, context.should_stop)
    elif blocks and scheduler.address == "local":
        with connected(scheduler) as there:
            assert there.started is not None  # `connected` did
            there.started.run(work, blocks, progress, context.should_stop)
    elif blocks:
        from emseg_napari.core.blockwise.dask_runner import run_on_dask  # loads Dask, an extra

        run_on_dask(work, blocks, scheduler, progress, context.should_stop)
    return progress.failures
