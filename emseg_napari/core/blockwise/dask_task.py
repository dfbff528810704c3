"""Tasks for Dask workers: how a block and its work travel, and how a worker runs them."""

from __future__ import annotations

import pickle
import socket
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from emseg_napari.core.blockwise.dask_checks import Versions, check_this_worker
from emseg_napari.core.blockwise.work import Block, BlockWork, FatalBlockError, failure, processed


class _Job(NamedTuple):
    """What all blocks of one call of `run_blocks` share; read by a worker before it unpickles the work.

    `name` tells it from any other: a worker outlives a job, and the next one, which may send the same work,
    must not get what was opened for this one, such as a run that has been trained anew.
    """

    work: bytes
    versions: Versions
    paths: tuple[Path, ...]
    name: str


@dataclass(frozen=True)
class DaskTask:
    """Work on blocks as it is sent to workers.

    Attributes
    ----------
    job : bytes
        What travels to each worker once: the pickled `BlockWork`, and what a worker is checked by.
    paths : tuple of Path
        Files and folders that the worker must see.
    """

    job: bytes
    paths: tuple[Path, ...]

    @classmethod
    def of(cls, work: bytes, versions: Versions, paths: tuple[Path, ...]) -> DaskTask:
        """Make the task of a pickled `BlockWork`, for workers with such package versions."""
        return cls(pickle.dumps(_Job(work, versions, paths, uuid.uuid4().hex)), paths)

    def payload(self, block: Block) -> bytes:
        """Return the bytes that a worker unpickles, with `job` as their only buffer, to process `block`.

        Thus a worker that lacks a module fails at this block, with an error that can be reported. If it
        had to import the module to read the message, it would lose its connection without a reason.
        """
        return pickle.dumps(_TaskForBlock(self, block), protocol=5, buffer_callback=lambda _: None)


@dataclass(frozen=True)
class _TaskForBlock:
    task: DaskTask
    block: Block

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _run, (pickle.PickleBuffer(self.task.job), self.block)


def _run(pickled: bytes, block: Block) -> Any:
    """Process one block, in the worker; a failure that concerns it alone is returned."""
    work = _work_of(pickled)
    try:
        return processed(work, block)
    except FatalBlockError as error:
        raise FatalBlockError(f"On the host {socket.gethostname()}: {error}", error.settings) from error
    except Exception as error:
        return failure(block, error)


@lru_cache(maxsize=2)
def _work_of(pickled: bytes) -> BlockWork:
    """Check this worker and unpickle the work, once per process and job."""
    job: _Job = pickle.loads(pickled)
    check_this_worker(job.versions, job.paths)
    work: BlockWork = pickle.loads(job.work)
    return work
