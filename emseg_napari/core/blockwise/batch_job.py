"""A job of a batch system that tells what became of it, which dask-jobqueue does not."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def reporting_job(kind: Any, folder: Path, prologue: Sequence[str], refusals: list[str]) -> Any:
    """Return the class of a job that tells why it was not submitted, that it is closed or has ended.

    - Why it could not be submitted, Dask only logs.
    - A cluster that is closed while a job is still in memory takes it for one that runs, and fails.
    - Dask forgets a job whose worker it has known and lost; of one that ends before, it knows nothing. So the
      script leaves a file when it ends. One that is killed at once, with its machine, leaves none.

    Parameters
    ----------
    kind : type
        Its class in dask-jobqueue.
    folder : Path
        Which this process and the jobs share, for the files.
    prologue : sequence of str
        The user's own lines before the worker.
    refusals : list of str
        Gets a line for each job that could not be submitted.
    """
    from distributed.core import Status

    numbers = itertools.count(1)

    class ReportingJob(kind):
        has_worked = False  # whether a worker of it was there

        def __init__(self, *arguments: Any, **settings: Any) -> None:
            self._end = folder / f"ended-{next(numbers)}"
            leave = f"trap {shlex.quote(f': > {shlex.quote(str(self._end))}')} EXIT"
            super().__init__(*arguments, **settings, job_script_prologue=[leave, *prologue])

        @property
        def has_ended(self) -> bool:
            return self._end.exists()

        async def start(self) -> None:
            try:
                await super().start()
            except Exception as error:
                refusals.append(_reason(error))
                self.status = Status.failed

        async def close(self) -> None:
            await super().close()
            self.status = Status.closed

    return ReportingJob


def _reason(error: Exception) -> str:
    """Return what the command said, of the report that dask-jobqueue makes of it."""
    said = str(error).partition("stderr:\n")[2].strip() or str(error).strip() or type(error).__name__
    return said.splitlines()[0].rstrip(".")
