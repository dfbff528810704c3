"""Schedulers of block-wise processing, and the function that runs it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from emseg_napari.core.blockwise.batch import BatchJobs, batch_jobs
from emseg_napari.core.blockwise.job_plan import BATCH_SYSTEMS, JobPlan
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
        None: this process; "local": worker processes on this machine; one of `BATCH_SYSTEMS`: jobs of that
        batch system; "tcp://HOST:PORT" or "tls://HOST:PORT": the workers of that Dask scheduler.
    workers : int or None
        How many processes "local" and a batch system start; None = one for every processor core that this
        process may use, of "local" only.
    worker_memory, walltime : str or None
        Of a batch system's jobs, as of `JobPlan`.
    started : Workers or None
        Those of "local", once `connected` has started them.
    jobs : BatchJobs or None
        Those of the scheduler at the address, if `connected` has started it for a batch system.

    Raises
    ------
    UserError
        If the address, the number of workers or what is asked of their jobs cannot be used.
    """

    address: str | None = None
    workers: int | None = None
    worker_memory: str | None = None
    walltime: str | None = None
    started: Workers | None = field(default=None, compare=False, repr=False)
    jobs: BatchJobs | None = field(default=None, compare=False, repr=False)

    @property
    def threads(self) -> int:
        """Processor threads for one block: all (0) in this process, 1 where workers share a machine."""
        return 0 if self.address is None else 1

    @property
    def plan(self) -> JobPlan | None:
        """What a batch system is asked for, None of another scheduler."""
        if self.address not in BATCH_SYSTEMS:
            return None
        return JobPlan(str(self.address), self.workers, self.worker_memory, self.walltime)

    def __post_init__(self) -> None:
        if self.workers is not None and self.address not in ("local", *BATCH_SYSTEMS):
            raise UserError(
                "A number of workers goes with the scheduler 'local' or a batch system only; a scheduler "
                "that runs already has its own workers."
            )
        if self.workers is not None and not 1 <= self.workers <= _MOST_WORKERS:
            raise UserError(f"{self.workers} workers cannot be started; choose 1 to {_MOST_WORKERS}.")
        if self.address not in (None, "local", *BATCH_SYSTEMS) and "://" not in str(self.address):
            raise UserError(
                f"{self.address!r} is not a scheduler; write 'local', a batch system "
                f"({', '.join(BATCH_SYSTEMS)}) or an address such as tls://HOST:8786."
            )
        if not self.plan and (self.worker_memory is not None or self.walltime is not None):
            raise UserError(
                f"Memory and walltime of workers go with a batch system only ({', '.join(BATCH_SYSTEMS)})."
            )


LOCAL = Scheduler()


@contextmanager
def connected(scheduler: Scheduler) -> Iterator[Scheduler]:
    """Connect to the workers, or start them once, for several calls of `run_blocks`.

    Those of a batch system are submitted when there are blocks.

    Yields
    ------
    Scheduler
        The address at which they work, or the processes; `LOCAL` as it is.

    Raises
    ------
    UserError
        If they cannot be started or reached.
    """
    if scheduler.address is None or scheduler.started or scheduler.jobs:
        yield scheduler
        return
    if scheduler.address == "local":
        with Workers(scheduler.workers or processors()) as workers:
            yield replace(scheduler, started=workers)
        return
    if scheduler.plan:
        with batch_jobs(scheduler.plan) as jobs:
            yield Scheduler(jobs.address, jobs=jobs)
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
    if blocks and scheduler.plan:
        with connected(scheduler) as there:
            return run_blocks(work, blocks, there, context)
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
