"""Block-wise processing by the workers of a Dask scheduler.

Every worker has a few blocks in its queue, so that none waits for this process. They are for this worker
alone, see `ColumnQueue`: Dask would move some to others, which would decode the same chunks. The work, which
may name many files, and what a worker is checked by travel to each worker once and not with every block.
"""

from __future__ import annotations

import pickle
import queue
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from contextlib import suppress
from itertools import count
from types import NoneType
from typing import Any, NamedTuple

from emseg_napari.core.blockwise.batch import BatchJobs
from emseg_napari.core.blockwise.column_queue import ColumnQueue
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
            runner.run(work, blocks)
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


class _Sent(NamedTuple):
    """A block that a worker has been given."""

    block: Block
    future: Any
    address: str


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
        self._pending: dict[str, _Sent] = {}  # by their keys, in the order in which they were sent
        self._ended: queue.SimpleQueue[str] = queue.SimpleQueue()  # keys
        self._numbers = count()
        self._threads: dict[str, int] = {}  # of the workers, by their addresses
        self._in_hand, self._deaths = Counter[str](), Counter[tuple[int, ...]]()
        self._left, self._counted = 0, float("-inf")

    def run(self, work: BlockWork, blocks: Collection[Block]) -> None:
        """Process all blocks."""
        self._left = len(blocks)
        self._wait_for_workers()
        self._queue = ColumnQueue(work, blocks)
        self._progress.restart_clock()
        while self._left:
            self._check()
            self._submit()
            for key in self._ended_keys():
                self._report_outcome(key)

    def cancel_pending(self) -> None:
        """Cancel the blocks that no worker has begun."""
        if self._pending and not lost(self._client):
            self._client.cancel([sent.future for sent in self._pending.values()])

    def _wait_for_workers(self) -> None:
        """Wait until there is one, by which the blocks are shared out."""
        self._check()
        while not self._threads:
            time.sleep(_SECONDS_BETWEEN_CHECKS)
            self._check()

    def _submit(self) -> None:
        """Send as many blocks as the workers have room for, those of one together: that is faster."""
        for address, blocks in self._taken().items():
            numbers = [next(self._numbers) for _ in blocks]
            futures = self._client.map(
                pickle.loads,
                [self._task.payload(block) for block in blocks],
                buffers=[self._work],
                key=[f"{self._name}-{number:012d}" for number in numbers],  # they decide the order
                priority=-numbers[0],
                pure=False,
                workers=[address],
            )
            for block, future in zip(blocks, futures, strict=True):
                self._pending[future.key] = _Sent(block, future, address)
                future.add_done_callback(lambda future: self._ended.put(future.key))

    def _taken(self) -> dict[str, list[Block]]:
        """Take blocks for each worker: something for each thread, before any gets a second block."""
        taken: dict[str, list[Block]] = defaultdict(list)
        for blocks in range(1, PER_THREAD + 1):
            for address, threads in self._threads.items():
                while self._in_hand[address] < blocks * threads and (block := self._queue.take(address)):
                    self._in_hand[address] += 1
                    taken[address].append(block)
        return taken

    def _ended_keys(self) -> Iterator[str]:
        """Wait a little, and yield the keys of the blocks that have ended."""
        with suppress(queue.Empty):
            yield self._ended.get(timeout=_SECONDS_BETWEEN_CHECKS)
            while True:
                yield self._ended.get_nowait()

    def _report_outcome(self, key: str) -> None:
        """Report that a block is done, or why it failed; nothing if its worker was lost with the result."""
        sent = self._pending.get(key)
        try:
            result = self._result(key)
        except (UserError, Cancelled):
            raise
        except Exception as error:
            assert sent is not None  # else there was no result to wait for
            result = self._worker_failed(sent.block, error)
        if sent and self._pending.pop(key, None):
            self._in_hand[sent.address] -= 1
            self._report(sent.block, result)

    def _report(self, block: Block, result: Any) -> None:
        self._left -= 1
        if isinstance(result, BlockFailed):
            self._progress.failed(result)
        else:
            self._progress.done(block, result)

    def _result(self, key: str) -> Any:
        """Fetch what a worker returned, as long as the worker is there."""
        while key in self._pending:
            future = self._pending[key].future
            if future.status == "finished" and future.type is NoneType:
                return None  # the type is known already, so there is nothing to fetch
            with suppress(TimeoutError):
                return future.result(timeout=_SECONDS_TO_FETCH)
            self._check()
        return None

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
            # Paused workers count as gone: they begin nothing.
            threads = self._client.sync(self._client.scheduler.ncores_running)
            if not threads and self._progress.workers != 0:
                self._progress.message(self._no_workers())
            gone = {address: n for address, n in self._threads.items() if address not in threads}
            self._threads, self._progress.workers = threads, len(threads)
            self._counted = time.monotonic()
            for address, number in gone.items():
                self._take_back(address, number)

    def _take_back(self, address: str, threads: int) -> None:
        """Take back the blocks of a worker that is gone, unless too many have gone over one."""
        sent = {key: one for key, one in self._pending.items() if one.address == address}
        taken = {key: one for key, one in sent.items() if not _is_known(one.future)}
        in_work = [key for key, one in taken.items() if one.future.status == "pending"][:threads]
        self._client.cancel([one.future for one in taken.values()])
        for key in taken:
            del self._pending[key]
        self._in_hand[address] -= len(taken)
        failed = {key for key in in_work if self._has_failed(taken[key].block)}
        self._queue.put_back(address, [one.block for key, one in taken.items() if key not in failed])

    def _has_failed(self, block: Block) -> bool:
        """Count a worker that is gone over a block, and say whether these are too many, as Dask would."""
        import dask

        self._deaths[block.index] += 1
        deaths = self._deaths[block.index]
        if deaths <= dask.config.get("distributed.scheduler.allowed-failures"):
            return False
        self._report(block, died(block.index, deaths))
        return True

    def _no_workers(self) -> str:
        if self._jobs:
            return (
                "No job is at work; waiting for the batch system to begin one. If none begins, its queue and "
                "the jobs' own output say why."
            )
        address = self._client.scheduler.address
        return f"The scheduler has no workers; waiting for some: 'dask worker {address}' starts them."


def _is_known(future: Any) -> bool:
    """Say whether the outcome of a block is known without its worker."""
    return future.status == "error" or (future.status == "finished" and future.type is NoneType)
