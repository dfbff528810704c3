"""What a batch system is asked for: by options, and by the user's own settings of Dask for all else."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emseg_napari.core.blockwise.certificate import security_of
from emseg_napari.core.jobs import UserError

# Their names on the command line and in Dask's settings, and their classes in dask-jobqueue.
BATCH_SYSTEMS = {
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "sge": "SGECluster",
    "lsf": "LSFCluster",
    "htcondor": "HTCondorCluster",
    "oar": "OARCluster",
    "moab": "MoabCluster",
}
DASK_SETTINGS = "~/.config/dask/jobqueue.yaml"

# Without the B as Slurm writes it, whose units are binary, too.
_NO_MEMORY = "{!r} is not an amount of memory; write it with its unit, such as 2GiB."
_MEMORY = re.compile(r"(\d+(?:\.\d+)?) ?([kKMGT])(i?B)?")
_WALLTIME = re.compile(r"(\d+-)?\d+(:\d\d){0,3}(/\S+)?|UNLIMITED|INFINITE", re.IGNORECASE)
# A block takes up to 1.4 GiB, in one orientation 0.7 GiB; Dask pauses a worker that uses 80 % of its memory.
_DEFAULT_MEMORY, _LEAST_MEMORY = 2 * 2**30, 10**9


@dataclass(frozen=True)
class JobPlan:
    """What a batch system is asked for.

    Attributes
    ----------
    system : str
        One of `BATCH_SYSTEMS`.
    workers : int or None
        Worker processes in all, rounded up to whole `jobs`: one for each worker, unless Dask's settings
        name more `processes` or `cores` for a job.
    worker_memory : str or None
        Memory of one worker, such as "2GiB"; None = that of Dask's settings, else 2 GiB.
    walltime : str or None
        Time after which the batch system ends a job, as it writes it; None = that of Dask's settings.

    Raises
    ------
    UserError
        If the number of workers is missing, or memory or walltime cannot be used.
    """

    system: str
    workers: int | None
    worker_memory: str | None = None
    walltime: str | None = None

    def __post_init__(self) -> None:
        if self.workers is None:
            raise UserError(
                f"The scheduler {self.system!r} needs a number of workers; say how many, such as 8."
            )
        if self.worker_memory is not None:
            _check_memory(_bytes(self.worker_memory), self.worker_memory)
        if self.walltime is not None:
            _check_walltime(self.walltime)

    @property
    def jobs(self) -> int:
        """How many jobs are submitted."""
        return math.ceil((self.workers or 1) / self.processes)

    @property
    def processes(self) -> int:
        """How many workers one job holds: one for each of its cores, unless the user has set it."""
        return self._checked("processes", int) or self._cores

    @property
    def prologue(self) -> list[str]:
        """The user's own lines before the worker."""
        return list(self.setting("job-script-prologue") or self.setting("env-extra") or [])

    def setting(self, name: str) -> Any:
        """Return a setting of the user's own Dask settings, None if it is not set."""
        import dask

        return dask.config.get(f"jobqueue.{self.system}.{name}", None)

    def settings(self, folder: Path) -> dict[str, Any]:
        """Return what dask-jobqueue is told; it takes all else from the user's own settings.

        Parameters
        ----------
        folder : Path
            Of the certificate.

        Raises
        ------
        UserError
            If one of the user's own settings cannot be used.
        """
        if self.walltime is None:
            self._checked("walltime", _check_walltime)
        memory = self.worker_memory and _bytes(self.worker_memory) * self.processes
        return {
            "cores": self._cores,
            "processes": self.processes,
            "protocol": "tls://",
            "security": security_of(folder),
            "memory": memory or self._checked("memory", self._job_bytes) or _DEFAULT_MEMORY * self.processes,
        } | ({} if self.walltime is None else {"walltime": self.walltime})

    @property
    def scheduler_options(self) -> dict[str, Any]:
        """The user's options; Dask's page, which has no TLS, is for this machine only unless they say."""
        return {"dashboard_address": "127.0.0.1:8787"} | dict(self.setting("scheduler-options") or {})

    @property
    def _cores(self) -> int:
        return self._checked("cores", int) or self._checked("processes", int) or 1

    def _job_bytes(self, text: Any) -> int:
        """Return the bytes of a job, however Dask reads them."""
        from dask.utils import parse_bytes

        try:
            found = int(parse_bytes(text))
        except ValueError:
            raise UserError(_NO_MEMORY.format(text)) from None
        _check_memory(found // self.processes, f"{text} for {self.processes} workers")
        return found

    def _checked(self, name: str, check: Callable[[Any], Any]) -> Any:
        """Return what a check makes of the user's own setting, None if it is not set."""
        value = self.setting(name)
        if value is None:
            return None
        try:
            return check(value)
        except (TypeError, ValueError):
            reason = f"{value!r} is not a whole number."
        except UserError as error:
            reason = str(error)
        raise UserError(f"'{name}' of {self.system} in Dask's settings ({DASK_SETTINGS}): {reason}")


def _bytes(text: Any) -> int:
    found = _MEMORY.fullmatch(str(text))
    if found is None:
        raise UserError(_NO_MEMORY.format(text))
    number, prefix, unit = found.groups()
    return int(float(number) * (1000 if unit == "B" else 1024) ** ("KMGT".index(prefix.upper()) + 1))


def _check_memory(of_a_worker: int, text: str) -> None:
    if of_a_worker < _LEAST_MEMORY:
        raise UserError(
            f"{text} is too little memory: a block takes up to 0.7 GiB in one orientation, 1.4 GiB in eight; "
            "give each worker 1GB at least, better 2GiB."
        )


def _check_walltime(text: Any) -> None:
    is_one = isinstance(text, str) and _WALLTIME.fullmatch(text)
    if not is_one or not text.strip("0:-"):
        raise UserError(
            f"{text!r} is not a walltime; write it as the batch system does, such as '04:00:00', and in a "
            "file of settings in quotes."
        )
