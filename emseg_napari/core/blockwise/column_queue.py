"""Queue of blocks for several workers, from which each takes whole columns."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import groupby

from emseg_napari.core.blockwise.work import Block, BlockWork


class ColumnQueue:
    """Blocks that no worker has, in columns (see `BlockWork`), each of which is for one worker.

    So however many workers there are, a chunk of the input is decoded once, and once more for every worker
    that is lost with a part of its column. At the end a worker is idle for as long as one column takes.

    Parameters
    ----------
    work : BlockWork
    blocks : iterable of Block
        In their order, those of a column one after the other; few are made before they are taken.
    """

    def __init__(self, work: BlockWork, blocks: Iterable[Block]) -> None:
        self._column_of = getattr(work, "column", lambda block: block.index)
        self._runs = self._columns(blocks)
        self._returned: deque[deque[Block]] = deque()
        self._held: dict[Hashable, deque[Block]] = {}  # by worker: the rest of its run

    def take(self, worker: Hashable) -> Block | None:
        """Return the next block for a worker, None if all that are left are for others."""
        if not self._held.get(worker):
            self._held[worker] = self._returned.popleft() if self._returned else next(self._runs, deque())
        run = self._held[worker]
        return run.popleft() if run else None

    def put_back(self, worker: Hashable, blocks: Sequence[Block]) -> None:
        """Let the blocks that a lost worker had in hand, and the rest of its run, be the next to be taken."""
        self._returned.extendleft(reversed(list(self._columns([*blocks, *self._held.pop(worker, ())]))))

    def _columns(self, blocks: Iterable[Block]) -> Iterator[deque[Block]]:
        return (deque(column) for _, column in groupby(blocks, self._column_of))
