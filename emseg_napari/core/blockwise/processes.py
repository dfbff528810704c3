"""Block-wise processing by worker processes of this machine.

They are reached through pipes, which no other account can open. A Dask scheduler has a port, and every
account that can connect to it can run code as its user.
"""

from __future__ import annotations

import os
import pickle
import signal
from collections import Counter, deque
from collections.abc import Iterable
from contextlib import suppress
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from threading import Thread
from typing import Any, NamedTuple

from emseg_napari.core.blockwise.column_queue import ColumnQueue
from emseg_napari.core.blockwise.work import (
    Block,
    BlockProgress,
    BlockWork,
    FatalBlockError,
    cannot_travel,
    died,
    failure,
    pickled,
    processed,
)
from emseg_napari.core.jobs import BlockFailed, Cancelled, ShouldStop, UserError

_IN_HAND = 2  # blocks of a worker: one in work, one waiting
_MOST_DEATHS = 3  # of workers, over one block
_SECONDS_BETWEEN_CHECKS = 0.1
_SECONDS_TO_END = 5.0
_SECONDS_TO_BEGIN = 120.0  # a script that imports much over a network takes a while


class Workers:
    """Worker processes, for several calls of `run`; a context manager.

    Parameters
    ----------
    count : int
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._workers: list[_Worker] = []

    def __enter__(self) -> Workers:
        try:
            self._start_missing()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.end()
        self._workers = []

    def _start_missing(self) -> None:
        new = range(self._count - len(self._workers))
        for _ in new:
            self._workers.append(_Worker())
        for worker in self._workers[self._count - len(new) :]:
            worker.check_began()

    def run(
        self, work: BlockWork, blocks: Iterable[Block], progress: BlockProgress, should_stop: ShouldStop
    ) -> None:
        """Process blocks in their order, see `ColumnQueue`; parameters as of `run_blocks`."""
        try:
            self._run(work, blocks, progress, should_stop)
        finally:
            for worker in [one for one in self._workers if one.in_hand]:  # it would go on with them
                self._workers.remove(worker)
                worker.end()

    def _run(
        self, work: BlockWork, blocks: Iterable[Block], progress: BlockProgress, should_stop: ShouldStop
    ) -> None:
        task, deaths = pickled(work, pickle.dumps), Counter[tuple[int, ...]]()
        waiting = ColumnQueue(work, blocks)
        self._start_missing()
        for worker in self._workers:
            worker.send(task)
        progress.workers = len(self._workers)
        progress.restart_clock()
        while self._give(waiting):
            if should_stop():
                raise Cancelled
            for worker in self._heard():
                try:
                    result = worker.result()
                except (EOFError, OSError):
                    self._replace(worker, task, waiting, deaths, progress)
                    continue
                if isinstance(result, FatalBlockError):  # perhaps before it had a block
                    raise result
                if isinstance(result, _PartDone):
                    progress.part_done(worker.in_hand[0], *result)
                    continue
                _report(worker.in_hand.popleft(), result, progress)

    def _give(self, waiting: ColumnQueue) -> bool:
        """Give each worker something to do, before any gets a second block; says whether any has one."""
        for most in range(1, _IN_HAND + 1):
            for worker in self._workers:
                if len(worker.in_hand) < most and (block := waiting.take(worker)):
                    worker.in_hand.append(block)
                    worker.send(pickle.dumps(block))
        return any(worker.in_hand for worker in self._workers)

    def _heard(self) -> list[_Worker]:
        """Wait a little for workers that have a result, or have died."""
        by_pipe = {worker.pipe: worker for worker in self._workers}
        return [by_pipe[pipe] for pipe in wait(list(by_pipe), _SECONDS_BETWEEN_CHECKS)]  # type: ignore[index]

    def _replace(
        self,
        worker: _Worker,
        task: bytes,
        waiting: ColumnQueue,
        deaths: Counter[tuple[int, ...]],
        progress: BlockProgress,
    ) -> None:
        """Start another worker for one that died; its blocks come next, unless too many died over one."""
        worker.end()
        if worker.in_hand:
            index = worker.in_hand[0].index
            deaths[index] += 1
            if deaths[index] == _MOST_DEATHS:
                worker.in_hand.popleft()
                progress.failed(died(index, deaths[index]))
        waiting.put_back(worker, worker.in_hand)
        new = _Worker()
        self._workers[self._workers.index(worker)] = new
        new.check_began()
        new.send(task)


class _PartDone(NamedTuple):
    """What a worker sends while it computes a block: how many of how many parts are computed."""

    part: int
    parts: int


class _Worker:
    """One process.

    Attributes
    ----------
    in_hand : deque of Block
        What it has been given, the first in work.
    pipe : Connection
        To it.
    """

    def __init__(self) -> None:
        self.in_hand: deque[Block] = deque()
        spawn = get_context("spawn")  # a fork of a process with threads may hang
        self.pipe, other = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(other,), daemon=True)
        try:
            self._process.start()
        except (OSError, RuntimeError, AssertionError) as error:  # the last in a process that may have none
            raise _not_begun(str(error)) from error
        finally:
            other.close()

    def check_began(self) -> None:
        """Wait until it can work; raises `UserError` if it ends before, or does not come to it."""
        try:
            if not self.pipe.poll(_SECONDS_TO_BEGIN):
                raise _not_begun(
                    f"each first runs the script, which had not ended after {_SECONDS_TO_BEGIN:g} s"
                )
            self.pipe.recv_bytes()
        except (EOFError, OSError):
            self._process.join(_SECONDS_TO_END)
            raise _not_begun(f"exit code {self._process.exitcode}") from None

    def send(self, message: bytes) -> None:
        with suppress(OSError):  # it has died, which is seen when its result is waited for
            self.pipe.send_bytes(message)

    def result(self) -> Any:
        """Return what came of its first block, or of a part of it."""
        return pickle.loads(self.pipe.recv_bytes())

    def end(self) -> None:
        self.pipe.close()
        if self._process.pid is not None:
            self._process.terminate()
            self._process.join(_SECONDS_TO_END)


def _not_begun(reason: str) -> UserError:
    return UserError(
        f"The worker processes did not start ({reason}); leave the scheduler out, or in a script call this "
        "below 'if __name__ == \"__main__\":' only."
    )


def _report(block: Block, result: Any, progress: BlockProgress) -> None:
    if isinstance(result, BlockFailed):
        progress.failed(result)
    else:
        progress.done(block, result)


def _serve(pipe: Connection) -> None:
    """Process blocks until the pipe is closed: first comes the work, or other work, then its blocks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the process that started this one
    Thread(target=_end_with_parent, daemon=True).start()
    pipe.send_bytes(b"began")
    work: Any = None
    with suppress(EOFError, OSError):
        while True:
            message = pipe.recv_bytes()
            try:
                received = pickle.loads(message)
            except Exception as error:
                pipe.send_bytes(pickle.dumps(FatalBlockError(cannot_travel(error))))
                continue
            if hasattr(received, "compute"):
                work = received
            else:
                pipe.send_bytes(pickle.dumps(_outcome(work, received, pipe)))


def _end_with_parent() -> None:
    """End at once when the process that started this one has, however it did."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _outcome(work: BlockWork, block: Block, pipe: Connection) -> Any:
    def report(part: int, parts: int) -> None:
        pipe.send_bytes(pickle.dumps(_PartDone(part, parts)))

    try:
        return processed(work, block, report)
    except FatalBlockError as error:
        return error
    except Exception as error:
        return failure(block, error)
