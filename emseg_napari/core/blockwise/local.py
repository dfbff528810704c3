"""Block-wise processing in this process: one thread reads ahead, one writes, the caller's computes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Any, NamedTuple

from emseg_napari.core.blockwise.work import Block, BlockProgress, BlockWork, failure, parts_of, write
from emseg_napari.core.jobs import Cancelled, ShouldStop

AHEAD = 2  # blocks, or parts of them, read before they are needed: one that waits, and one that is being read
BEHIND = 2  # results that wait to be written, or are being written; of deep blocks, which are large, 1
_SECONDS_BETWEEN_CHECKS = 0.1
_SECONDS_FOR_A_READ = 1.0  # that is not needed any more: a disk has answered by then, a store may hang


def run_locally(
    work: BlockWork, blocks: Iterable[Block], progress: BlockProgress, should_stop: ShouldStop
) -> None:
    """Process blocks in their order, part by part; parameters as of `run_blocks`.

    When it stops, what was computed is still written; what was read ahead is not needed any more.
    """
    with _Reader() as reader, ThreadPoolExecutor(1, "emseg-writes") as writer:
        writing: deque[tuple[Block, Future[Any]]] = deque()
        ahead = _Ahead(reader, work, blocks)
        results: list[Any] = []
        for block, reading, parts in ahead:
            try:
                results.append(work.compute(reading.part, _result(reading.future, should_stop), should_stop))
            except Exception as error:
                progress.failed(failure(block, error))
                ahead.leave_out(block)
                results = []
            else:
                progress.part_done(block, len(results), parts)
                if len(results) == parts:
                    writing.append((block, writer.submit(write, work, block, results)))
                    results = []
            _report_written(writing, BEHIND if parts == 1 else 1, progress, should_stop)
        _report_written(writing, 0, progress, should_stop)


class _Reader:
    """A thread that reads ahead.

    It is a daemon, unlike those of a pool: neither a stop nor the end of the process waits for a store that
    hangs.
    """

    def __init__(self) -> None:
        self._wanted: SimpleQueue[tuple[Future[Any], Callable[[Any], Any], Any] | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="emseg-reads", daemon=True)

    def __enter__(self) -> _Reader:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(Empty):
            while True:
                self._wanted.get_nowait()
        self._wanted.put(None)
        self._thread.join(_SECONDS_FOR_A_READ)

    def submit(self, read: Callable[[Any], Any], part: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._wanted.put((future, read, part))
        return future

    def _run(self) -> None:
        while self._read_one():
            pass  # what was read is not held here while the next is waited for

    def _read_one(self) -> bool:
        """Read the next part that is wanted; says whether there was one."""
        wanted = self._wanted.get()
        if wanted is None:
            return False
        future, read, part = wanted
        try:
            future.set_result(read(part))
        except BaseException as error:  # for whom it is read, as in a pool
            future.set_exception(error)
        return True


class _Reading(NamedTuple):
    """A part of a block that is being read, and what comes of it."""

    part: Any
    future: Future[Any]


class _Ahead:
    """Parts of blocks, in their order, that a thread reads before they are needed."""

    def __init__(self, reader: _Reader, work: BlockWork, blocks: Iterable[Block]) -> None:
        self._reader, self._work, self._blocks = reader, work, blocks
        self._left_out: tuple[int, ...] | None = None

    def leave_out(self, block: Block) -> None:
        """Give no more parts of the block whose part was given last: another one of them failed."""
        self._left_out = block.index

    def __iter__(self) -> Iterator[tuple[Block, _Reading, int]]:
        """Give block, part, and how many parts the block has."""
        reading: deque[tuple[Block, _Reading, int]] = deque()
        for block, part, parts in self._parts():
            reading.append((block, _Reading(part, self._reader.submit(self._work.read, part)), parts))
            if len(reading) > AHEAD:
                yield from self._wanted(reading.popleft())
        while reading:
            yield from self._wanted(reading.popleft())

    def _parts(self) -> Iterator[tuple[Block, Any, int]]:
        for block in self._blocks:
            parts = parts_of(self._work, block)
            for part in parts:
                if block.index == self._left_out:
                    break
                yield block, part, len(parts)

    def _wanted(self, one: tuple[Block, _Reading, int]) -> Iterator[tuple[Block, _Reading, int]]:
        if one[0].index != self._left_out:
            yield one


def _report_written(
    writing: deque[tuple[Block, Future[Any]]], left: int, progress: BlockProgress, should_stop: ShouldStop
) -> None:
    """Report what was written, and wait until at most `left` results are not."""
    while writing and (len(writing) > left or writing[0][1].done()):
        block, future = writing.popleft()
        try:
            result = _result(future, should_stop)
        except Exception as error:
            progress.failed(failure(block, error))
        else:
            progress.done(block, result)


def _result(future: Future[Any], should_stop: ShouldStop) -> Any:
    """Wait for a thread's result, and check meanwhile whether to stop."""
    while True:
        if should_stop():
            raise Cancelled
        if wait([future], timeout=_SECONDS_BETWEEN_CHECKS).done:
            return future.result()
