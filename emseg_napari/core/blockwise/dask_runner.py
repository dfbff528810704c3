"""Blocks done by the workers of a Dask scheduler."""

from __future__ import annotations

import pickle
import queue
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from types import NoneType
from typing import Any

from emseg_napari.core.blockwise.dask_checks import check_cluster, versions_here
from emseg_napari.core.blockwise.dask_client import AGAIN, dashboard, lost, open_client
from emseg_napari.core.blockwise.dask_task import DaskTask
from emseg_napari.core.blockwise.work import Block, BlockProgress, BlockWork, failure
from emseg_napari.core.jobs import BlockFailed, Cancelled, ShouldStop, UserError

PER_THREAD = 2  # blocks ordered ahead for every thread of a worker: one is done, and the next one waits there
_SECONDS_BETWEEN_QUESTIONS = 0.1
_SECONDS_BETWEEN_COUNTS = 2.0
_SECONDS_TO_FETCH = 0.5
_LARGEST_WORK = 1_000_000  # bytes


def run_on_dask(
    work: BlockWork, blocks: Sequence[Block], scheduler: Any, progress: BlockProgress, should_stop: ShouldStop
) -> None:
    """Do blocks on workers; parameters as of `run_blocks`."""
    with open_client(scheduler.address, scheduler.workers) as client:
        order = DaskTask(_pickled(work), versions_here(), tuple(work.paths))
        check_cluster(client, order.paths)
        progress.say(_greeting(client))
        spread = DaskRunner(client, order, progress, should_stop)
        try:
            spread.do(blocks)
        finally:
            spread.give_up()


def _pickled(work: BlockWork) -> bytes:
    import cloudpickle

    pickled: bytes = cloudpickle.dumps(work)
    if len(pickled) > _LARGEST_WORK:
        raise UserError(
            f"{len(pickled) / 1e6:.0f} MB in memory would travel with every block; save the image to a file "
            "that all workers see, and predict that."
        )
    return pickled


def _greeting(client: Any) -> str:
    page = dashboard(client)
    watch = f"; watch it at {page}" if page else ""
    return f"Working with the scheduler {client.scheduler.address}{watch}."


class DaskRunner:
    """Blocks on their way: ordered from the workers, a few for each, and not ended yet.

    Parameters
    ----------
    client : distributed.Client
    order : Order
    tally : Tally
    should_stop : callable
    """

    def __init__(
        self, client: Any, order: DaskTask, progress: BlockProgress, should_stop: ShouldStop
    ) -> None:
        self._client, self._order, self._progress, self._should_stop = client, order, progress, should_stop
        self._name = f"emseg-{uuid.uuid4().hex[:8]}"
        self._ordered: dict[str, tuple[Block, Any]] = {}  # futures, by their keys
        self._ended: queue.SimpleQueue[str] = queue.SimpleQueue()  # keys
        self._room, self._counted = 0, float("-inf")

    def do(self, blocks: Sequence[Block]) -> None:
        """Do all blocks."""
        waiting = iter(enumerate(blocks))
        left = len(blocks)
        self._progress.start()
        while left:
            self._look()
            self._fill(waiting)
            for key in self._news():
                self._settle(*self._ordered.pop(key))
                left -= 1

    def give_up(self) -> None:
        """Let the workers begin none of the blocks that are still ordered."""
        if self._ordered and not lost(self._client):
            self._client.cancel([future for _, future in self._ordered.values()])

    def _fill(self, waiting: Iterator[tuple[int, Block]]) -> None:
        """Order as many blocks as there is room for, together: that is less work than one by one."""
        batch = dict(islice(waiting, max(0, self._room - len(self._ordered))))
        if not batch:
            return
        errands = [self._order.errand(block) for block in batch.values()]
        keys = [f"{self._name}-{number:012d}" for number in batch]  # in a batch their order counts
        futures = self._client.map(pickle.loads, errands, key=keys, priority=-min(batch), pure=False)
        for block, future in zip(batch.values(), futures, strict=True):
            self._ordered[future.key] = block, future
            future.add_done_callback(lambda future: self._ended.put(future.key))

    def _news(self) -> Iterator[str]:
        """Wait a little, and give the keys of what has ended by then."""
        with suppress(queue.Empty):
            yield self._ended.get(timeout=_SECONDS_BETWEEN_QUESTIONS)
            while True:
                yield self._ended.get_nowait()

    def _settle(self, block: Block, future: Any) -> None:
        """Tell what became of a block."""
        try:
            told = self._result(future)
        except (UserError, Cancelled):
            raise
        except Exception as error:
            told = self._worker_failed(block, error)
        if isinstance(told, BlockFailed):
            self._progress.failed(told)
        else:
            self._progress.done(block, told)

    def _result(self, future: Any) -> Any:
        """Fetch what a worker returned; if it died since, another one does the block again."""
        if future.status == "finished" and future.type is NoneType:
            return None  # the type came with the news: nothing is to be fetched
        while True:
            self._look()
            with suppress(TimeoutError):
                return future.result(timeout=_SECONDS_TO_FETCH)

    def _worker_failed(self, block: Block, error: Exception) -> BlockFailed:
        """Say why a block failed before or after it was worked on: the fault of its worker."""
        from distributed.scheduler import KilledWorker

        self._look()
        if isinstance(error, KilledWorker):
            return BlockFailed(
                block.index,
                f"{error.allowed_failures + 1} workers died while they did it, most likely for want of "
                f"memory; give workers more of it, then {AGAIN}.",
            )
        check_cluster(self._client, self._order.paths)  # a worker that joined late may lack a library
        return failure(block, error)

    def _look(self) -> None:
        """Ask whether to stop, whether the scheduler is there, and now and then how many work."""
        if self._should_stop():
            raise Cancelled
        if time.monotonic() - self._counted >= _SECONDS_BETWEEN_COUNTS:
            self._count()
        if lost(self._client):
            raise UserError(f"The Dask scheduler has gone; start it and its workers, then {AGAIN}.")

    def _count(self) -> None:
        with suppress(OSError):  # the scheduler is lost, which is told next
            info = self._client.scheduler_info(n_workers=0)
            if info["n_workers"] == 0 and self._progress.workers != 0:
                address = self._client.scheduler.address
                self._progress.say(
                    f"No workers are there; waiting for some: 'dask worker {address}' starts them."
                )
            self._progress.workers, self._room = info["n_workers"], PER_THREAD * info["total_threads"]
            self._counted = time.monotonic()
