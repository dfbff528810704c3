"""Orders to Dask workers, and how a worker carries one out."""

from __future__ import annotations

import pickle
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from emseg_napari.core.blockwise.dask_checks import Versions, check_this_worker
from emseg_napari.core.blockwise.work import Block, BlockWork, FatalBlockError, failure, write
from emseg_napari.core.jobs import never


@dataclass(frozen=True)
class DaskTask:
    """What workers are asked to do to blocks.

    Attributes
    ----------
    work : bytes
        The pickled `BlockWork`.
    versions : tuple
        Of the process that orders.
    paths : tuple of Path
        What the worker must see.
    """

    work: bytes
    versions: Versions
    paths: tuple[Path, ...]

    def errand(self, block: Block) -> bytes:
        """Give what a worker has to unpickle to do `block`.

        A worker that lacks a module fails so at this block, with an error that can be told. If it had to
        import the module to read its orders, it would lose its connection, and nobody would know why.
        """
        return pickle.dumps(_TaskForBlock(self, block))


@dataclass(frozen=True)
class _TaskForBlock:
    order: DaskTask
    block: Block

    def __reduce__(self) -> tuple[Callable[[DaskTask, Block], Any], tuple[DaskTask, Block]]:
        return _run, (self.order, self.block)


def _run(order: DaskTask, block: Block) -> Any:
    """Do one block, in the worker; a failure that concerns it alone is a value."""
    check_this_worker(order.versions, order.paths)
    work = _unpickled(order.work)
    try:
        return write(work, block, work.compute(block, work.read(block), never))
    except FatalBlockError as error:
        raise FatalBlockError(f"On the host {socket.gethostname()}: {error}") from error
    except Exception as error:
        return failure(block, error)


@lru_cache(maxsize=2)
def _unpickled(work: bytes) -> BlockWork:
    """Unpickle the work, once per process."""
    found: BlockWork = pickle.loads(work)
    return found
