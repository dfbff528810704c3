"""Where blocks are done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from emseg_napari.core.blockwise.local import do_here
from emseg_napari.core.blockwise.work import Block, BlockWork, Tally
from emseg_napari.core.jobs import BlockFailed, JobContext, UserError


@dataclass(frozen=True)
class Where:
    """Which processes do the work.

    Attributes
    ----------
    scheduler : str or None
        None: this process; "local": worker processes on this machine; "tcp://HOST:PORT": the workers of
        that Dask scheduler.
    workers : int or None
        How many processes "local" starts; None = one for every processor core that this process may use.

    Raises
    ------
    UserError
        If there is no such place.
    """

    scheduler: str | None = None
    workers: int | None = None

    @property
    def threads(self) -> int:
        """Processor threads for one block: all (0) in this process, 1 where workers share a machine."""
        return 0 if self.scheduler is None else 1

    def __post_init__(self) -> None:
        if self.workers is not None and self.scheduler != "local":
            raise UserError(
                "A number of workers goes with the scheduler 'local' only; a scheduler that runs already has "
                "the workers that were started for it."
            )
        if self.workers is not None and self.workers < 1:
            raise UserError(f"{self.workers} workers do nothing; choose 1 or more.")
        if self.scheduler not in (None, "local") and "://" not in str(self.scheduler):
            raise UserError(
                f"{self.scheduler!r} is no scheduler; write 'local' or an address such as tcp://HOST:8786."
            )


HERE = Where()


@contextmanager
def started(where: Where) -> Iterator[Where]:
    """Reach the workers, and start those of "local" once, for several calls of `do_blocks`.

    Yields
    ------
    Where
        The scheduler that has them; any other place as it is.

    Raises
    ------
    UserError
        If they cannot be started or reached.
    """
    if where.scheduler is None:
        yield where
        return
    from emseg_napari.core.blockwise.dask_client import open_client  # loads Dask, an extra

    with open_client(where.scheduler, where.workers) as client:
        yield Where(client.scheduler.address)


def do_blocks(
    work: BlockWork,
    blocks: Sequence[Block],
    where: Where = HERE,
    context: JobContext | None = None,
) -> list[BlockFailed]:
    """Do the same work on many blocks, in the order given as far as there are hands.

    A block that fails costs nothing but itself. A result that cannot be written ends the work, since no
    other could be written either.

    Parameters
    ----------
    work : BlockWork
        Done to each block; for a scheduler it must be possible to pickle it.
    blocks : sequence of Block
        The most wanted first.
    where : Where
    context : JobContext, optional
        Gets `BlockDone`, `BlockFailed` and `Progress` per block, and a `Message` with the address of the
        scheduler's dashboard, on the caller's thread. Asked several times a second whether to stop; what
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
    tally = Tally(len(blocks), context.report)
    if where.scheduler is None:
        do_here(work, blocks, tally, context.should_stop)
    elif blocks:
        from emseg_napari.core.blockwise.dask_runner import do_spread  # loads Dask, an extra

        do_spread(work, blocks, where, tally, context.should_stop)
    return tally.failures
