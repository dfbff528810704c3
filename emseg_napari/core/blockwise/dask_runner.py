"""Block-wise processing by the workers of a Dask scheduler.

Every worker has a few blocks in its queue, so that none waits for this process. The work, which may name many
files, and what a worker is checked by travel to each worker once and not with every block.
"""

from __future__ import annotations

import pickle
import queue
import time
import uuid
from collections.abc import Collection, Iterator
from contextlib import suppress
from itertools import islice
from types import NoneType
from typing import Any

from emseg_napari.core.blockwise.batch import BatchJobs
from emseg_napari.core.blockwise.dask_checks import check_cluster, versions_here
from emseg_napari.core.blockwise.dask_client import dashboard, is_open_to_others, lost, open_client
from emseg_napari.core.blockwise.dask_task import DaskTask
from emseg_napari.core.blockwise.work import AGAIN, Block, BlockProgress, BlockWork, died, failure, pickled
from emseg_napari.core.jobs import BlockFailed, Cancelled, ShouldStop, UserError

PER_THREAD = 2  # blocks sent ahead for every thread of a worker: one in work, one waiting
_SECONDS_BETWEEN_CHECKS = 0.1
_SECONDS_BETWEEN_COUNTS = 2.0
_SECONDS_TO_FETCH = 0.5


def run_on_dask(
    work: BlockWork,
    blocks: Collection[Block],
    scheduler: Any,
    progress: BlockProgress,
    should_stop: ShouldStop,
) -> None:
    """Process blocks on workers; parameters as of `run_blocks`."""
    jobs = scheduler.jobs
    with open_client(scheduler.address, jobs and jobs.security) as client:
        task = DaskTask.of(_pickled(work), versions_here(), tuple(work.paths))
        check_cluster(client, task.paths)
        progress.message(_scheduler_message(client))
        runner = DaskRunner(client, task, progress, should_stop, jobs)
        try:
            runner.run(blocks)
        finally:
            runner.cancel_pending()


def _pickled(work: BlockWork) -> bytes:
    import cloudpickle

    return pickled(work, cloudpickle.dumps)


def _scheduler_message(client: Any) -> str:
    page = dashboard(client)
    link = f"; watch it at {page}" if page else ""
    address = client.scheduler.address
    warning = (
        " The connection is not encrypted, and whoever reaches it can run programs as you: keep it inside "
        "a network that you trust, or start the scheduler with TLS (tls://)."
    )
    return f"Working with the scheduler {address}{link}." + (warning if is_open_to_others(address) else "")


class DaskRunner:
    """Queue of blocks on the workers of a scheduler, a few for each.

    Parameters
    ----------
    client : distributed.Client
    task : DaskTask
    progress : BlockProgress
    should_stop : callable
    jobs : BatchJobs, optional
        The workers, if they are jobs of a batch system.
    """

    def __init__(
        self,
        client: Any,
        task: DaskTask,
        progress: BlockProgress,
        should_stop: ShouldStop,
        jobs: BatchJobs | None = None,
    ) -> None:
        self._client, self._task, self._progress, self._should_stop = client, task, progress, should_stop
        self._jobs = jobs
        self._name = f"emseg-{uuid.uuid4().hex[:8]}"
        # It travels to each worker once; of one that is lost, the scheduler makes it again.
        self._work = client.submit(bytes, task.job, key=f"{self._name}-work", pure=False)
        self._pending: dict[str, tuple[Block, Any]] = {}  # blocks and futures, by their keys
        self._ended: queue.SimpleQueue[str] = queue.SimpleQueue()  # keys
        self._capacity, self._counted = 0, float("-inf")

    def run(self, blocks: Collection[Block]) -> None:
        """Process all blocks."""
        waiting = iter(enumerate(blocks))
        left = len(blocks)
        self._progress.restart_clock()
        while left:
            self._check()
            self._submit(waiting)
            for key in self._ended_keys():
                self._report_outcome(*self._pending.pop(key))
                left -= 1

    def cancel_pending(self) -> None:
        """Cancel the blocks that no worker has begun."""
        if self._pending and not lost(self._client):
            self._client.cancel([future for _, future in self._pending.values()])

    def _submit(self, waiting: Iterator[tuple[int, Block]]) -> None:
        """Send as many blocks as the workers have room for, together: that is faster than one by one."""
        batch = dict(islice(waiting, max(0, self._capacity - len(self._pending))))
        if not batch:
            return
        payloads = [self._task.payload(block) for block in batch.values()]
        keys = [f"{self._name}-{number:012d}" for number in batch]  # within a batch the keys decide the order
        futures = self._client.map(
            pickle.loads, payloads, buffers=[self._work], key=keys, priority=-min(batch), pure=False
        )
        for block, future in zip(batch.values(), futures, strict=True):
            self._pending[future.key] = block, future
            future.add_done_callback(lambda future: self._ended.put(future.key))

    def _ended_keys(self) -> Iterator[str]:
        """Wait a little, and yield the keys of the blocks that have ended."""
        with suppress(queue.Empty):
            yield self._ended.get(timeout=_SECONDS_BETWEEN_CHECKS)
            while True:
                yield self._ended.get_nowait()

    def _report_outcome(self, block: Block, future: Any) -> None:
        """Report that a block is done, or why it failed."""
        try:
            result = self._result(future)
        except (UserError, Cancelled):
            raise
        except Exception as error:
            result = self._worker_failed(block, error)
        if isinstance(result, BlockFailed):
            self._progress.failed(result)
        else:
            self._progress.done(block, result)

    def _result(self, future: Any) -> Any:
        """Fetch what a worker returned; if it has died since, another one processes the block again."""
        if future.status == "finished" and future.type is NoneType:
            return None  # the type is known already, so there is nothing to fetch
        while True:
            self._check()
            with suppress(TimeoutError):
                return future.result(timeout=_SECONDS_TO_FETCH)

    def _worker_failed(self, block: Block, error: Exception) -> BlockFailed:
        """Return why a block failed for a reason of its worker: before or after the computation."""
        from distributed.scheduler import KilledWorker

        self._check()
        if isinstance(error, KilledWorker):
            return died(block.index, error.allowed_failures + 1)
        check_cluster(self._client, self._task.paths)  # a worker that joined late may lack a library
        return failure(block, error)

    def _check(self) -> None:
        """Check for a stop and for a lost scheduler, and now and then count the workers."""
        if self._should_stop():
            raise Cancelled
        if time.monotonic() - self._counted >= _SECONDS_BETWEEN_COUNTS:
            self._count()
        if lost(self._client):
            raise UserError(
                f"The connection to the Dask scheduler is lost; start it and its workers, then {AGAIN}."
            )

    def _count(self) -> None:
        if self._jobs:
            self._jobs.submit_missing()
            refused = self._jobs.check()
            if refused:
                self._progress.message(refused)
        with suppress(OSError):  # the scheduler is lost, which `_check` reports next
            info = self._client.scheduler_info(n_workers=0)
            if info["n_workers"] == 0 and self._progress.workers != 0:
                self._progress.message(self._no_workers())
            self._progress.workers, self._capacity = info["n_workers"], PER_THREAD * info["total_threads"]
            self._counted = time.monotonic()

    def _no_workers(self) -> str:
        if self._jobs:
            return (
                "No job is at work; waiting for the batch system to begin one. If none begins, its queue and "
                "the jobs' own output say why."
            )
        address = self._client.scheduler.address
        return f"The scheduler has no workers; waiting for some: 'dask worker {address}' starts them."
