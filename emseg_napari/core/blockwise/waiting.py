"""Blocks that wait for one of several workers, and which of them comes next for which worker."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Sequence
from itertools import groupby

from emseg_napari.core.blockwise.work import Block, BlockWork


class Waiting:
    """Blocks that no worker has, of which few are made before they are given to one.

    A worker goes on with the column of its last block (see `BlockWork`), whose chunks of the input it has
    decoded. Only when all columns are begun does it help another, and decodes them again: that takes less
    time than to be idle.

    Parameters
    ----------
    work : BlockWork
    blocks : iterable of Block
        In their order, those of a column one after the other.
    """

    def __init__(self, work: BlockWork, blocks: Iterable[Block]) -> None:
        column_of = getattr(work, "column", lambda block: block.index)
        self._columns = (deque(column) for _, column in groupby(blocks, column_of))
        self._first: deque[Block] = deque()
        self._new: deque[Block] = deque()  # the next column, which is not begun
        self._begun: dict[Hashable, deque[Block]] = {}  # by worker

    def __bool__(self) -> bool:
        return bool(self._first) or any(self._begun.values()) or self._has_new()

    def take(self, worker: Hashable) -> Block:
        """Return the next block for a worker; there must be one."""
        if self._first:
            return self._first.popleft()
        if not self._begun.get(worker):
            self._begun[worker] = self._column()
        return self._begun[worker].popleft()

    def put_back(self, blocks: Sequence[Block]) -> None:
        """Let some blocks be the next ones."""
        self._first.extendleft(reversed(blocks))

    def _has_new(self) -> bool:
        if not self._new:
            self._new = next(self._columns, self._new)
        return bool(self._new)

    def _column(self) -> deque[Block]:
        """Return a column that is not begun, else one that few work at, of these the longest."""
        if self._has_new():
            column, self._new = self._new, deque()
            return column
        begun = list(self._begun.values())
        return max(begun, key=lambda one: (bool(one), -sum(one is other for other in begun), len(one)))
