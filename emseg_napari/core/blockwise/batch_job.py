"""A job of a batch system that tells what became of it, which dask-jobqueue does not."""

from __future__ import annotations

import itertools
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# From the start of a job's script to its worker, which may be read from a slow network, and ends by itself if
# it finds no scheduler for a minute. If it is killed with its machine, it never comes.
SECONDS_TO_COME = 600.0


def reporting_job(kind: Any, folder: Path, prologue: Sequence[str], refusals: list[str]) -> Any:
    """Return the class of a job that tells why it was not submitted, that it is closed or lost.

    - Why it could not be submitted, Dask only logs.
    - A cluster that is closed while a job is still in memory takes it for one that runs, and fails.
    - Dask forgets a job whose worker it has known and lost; of one that ends before, it knows nothing. So the
      script leaves a file when it begins, and one when it ends, unless it is killed with its machine.

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
        _begun: float | None = None  # when it was seen to have begun

        def __init__(self, *arguments: Any, **settings: Any) -> None:
            number = next(numbers)
            self._start, self._end = folder / f"began-{number}", folder / f"ended-{number}"
            begin, end = (f": > {shlex.quote(str(file))}" for file in (self._start, self._end))
            lines = [f"trap {shlex.quote(end)} EXIT", begin, *prologue]
            super().__init__(*arguments, **settings, job_script_prologue=lines)

        @property
        def is_lost(self) -> bool:
            """Whether no worker came before it ended, or for a long time since it began."""
            if self._begun is None and self._start.exists():
                self._begun = time.monotonic()
            is_late = self._begun is not None and time.monotonic() - self._begun >= SECONDS_TO_COME
            return not self.has_worked and (is_late or self._end.exists())

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
