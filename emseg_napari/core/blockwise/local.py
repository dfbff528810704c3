"""Block-wise processing in this process: one thread reads ahead, one writes, the caller's computes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

from emseg_napari.core.blockwise.work import Block, BlockProgress, BlockWork, failure, write
from emseg_napari.core.jobs import Cancelled, ShouldStop

AHEAD = 2  # blocks read before they are needed: one that waits, and one that is being read
BEHIND = 2  # results that wait to be written, or are being written
_SECONDS_BETWEEN_CHECKS = 0.1


def run_locally(
    work: BlockWork, blocks: Sequence[Block], progress: BlockProgress, should_stop: ShouldStop
) -> None:
    """Process blocks in their order; parameters as of `run_blocks`.

    When it stops, what was computed is still written.
    """
    with _thread("reads") as reader, _thread("writes") as writer:
        writing: deque[tuple[Block, Future[Any]]] = deque()
        for block, reading in _ahead(reader, work, blocks):
            try:
                result = work.compute(block, _result(reading, should_stop), should_stop)
            except Exception as error:
                progress.failed(failure(block, error))
            else:
                writing.append((block, writer.submit(write, work, block, result)))
            _report_written(writing, BEHIND, progress, should_stop)
        _report_written(writing, 0, progress, should_stop)


def _ahead(
    reader: ThreadPoolExecutor, work: BlockWork, blocks: Sequence[Block]
) -> Iterator[tuple[Block, Future[Any]]]:
    reading: deque[tuple[Block, Future[Any]]] = deque()
    for block in blocks:
        reading.append((block, reader.submit(work.read, block)))
        if len(reading) > AHEAD:
            yield reading.popleft()
    while reading:
        yield reading.popleft()


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


@contextmanager
def _thread(name: str) -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(1, f"emseg-{name}")
    try:
        yield pool
    finally:
        # What was read ahead is not needed any more; what was computed is still written.
        pool.shutdown(wait=True, cancel_futures=name == "reads")
