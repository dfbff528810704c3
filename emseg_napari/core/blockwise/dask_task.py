"""Tasks for Dask workers: how a block and its work travel, and how a worker runs them."""

from __future__ import annotations

import pickle
import socket
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from emseg_napari.core.blockwise.dask_checks import Versions, check_this_worker
from emseg_napari.core.blockwise.work import Block, BlockWork, FatalBlockError, failure, processed


@dataclass(frozen=True)
class DaskTask:
    """Work on blocks as it is sent to workers.

    Attributes
    ----------
    work : bytes
        The pickled `BlockWork`.
    versions : tuple
        Package versions of the process that sends it.
    paths : tuple of Path
        Files and folders that the worker must see.
    job : str
        Of one call of `run_blocks`: a worker outlives it, and the next one, which may send the same work,
        must not get what was opened for this one, such as a run that has been trained anew.
    """

    work: bytes
    versions: Versions
    paths: tuple[Path, ...]
    job: str = field(default_factory=lambda: uuid.uuid4().hex)

    def payload(self, block: Block) -> bytes:
        """Return the bytes that a worker unpickles, with `work` as their only buffer, to process `block`.

        Thus a worker that lacks a module fails at this block, with an error that can be reported. If it
        had to import the module to read the message, it would lose its connection without a reason.
        """
        return pickle.dumps(_TaskForBlock(self, block), protocol=5, buffer_callback=lambda _: None)


@dataclass(frozen=True)
class _TaskForBlock:
    task: DaskTask
    block: Block

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        task = self.task
        return _run, (pickle.PickleBuffer(task.work), task.job, task.versions, task.paths, self.block)


def _run(pickled: bytes, job: str, versions: Versions, paths: tuple[Path, ...], block: Block) -> Any:
    """Process one block, in the worker; a failure that concerns it alone is returned."""
    check_this_worker(versions, paths)
    work = _unpickled(pickled, job)
    try:
        return processed(work, block)
    except FatalBlockError as error:
        raise FatalBlockError(f"On the host {socket.gethostname()}: {error}", error.settings) from error
    except Exception as error:
        return failure(block, error)


@lru_cache(maxsize=2)
def _unpickled(work: bytes, job: str) -> BlockWork:
    """Unpickle the work, once per process and job."""
    found: BlockWork = pickle.loads(work)
    return found
