"""Workers that are jobs of a batch system, such as Slurm, and the Dask scheduler that they belong to.

The scheduler runs in this process, and talks to its workers by TLS with a certificate of its own.
"""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emseg_napari.core.blockwise.batch_job import telling_job
from emseg_napari.core.blockwise.certificate import certificate_folder, new_certificate, security_of
from emseg_napari.core.blockwise.dask_client import MISSING, quiet
from emseg_napari.core.jobs import UserError
from emseg_napari.core.text import counted

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

_MEMORY = re.compile(r"\d+(\.\d+)? ?[kMGT]i?B")
_WALLTIME = re.compile(r"(\d+-)?\d+(:\d\d){0,2}")
# A block takes up to 1.4 GiB, and Dask pauses a worker that uses 80 % of its memory.
_DEFAULT_MEMORY = 2 * 2**30
_SECONDS_TO_CLOSE = 60.0
_MOST_REPLACED = 2  # jobs in a row that ended before a worker came


@dataclass(frozen=True)
class JobPlan:
    """What a batch system is asked for.

    Attributes
    ----------
    system : str
        One of `BATCH_SYSTEMS`.
    workers : int or None
        Worker processes in all; as many jobs are submitted as hold them: one for each worker, unless Dask's
        settings name more `processes` for a job.
    worker_memory : str or None
        Memory of one worker, such as "2GiB"; None = that of Dask's settings, else 2 GiB.
    walltime : str or None
        Time after which the batch system ends a job, as it writes it; None = that of Dask's settings.

    Raises
    ------
    UserError
        If the number of workers is missing, or memory or walltime cannot be read.
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
        if self.worker_memory is not None and not _MEMORY.fullmatch(self.worker_memory):
            raise UserError(
                f"{self.worker_memory!r} is not an amount of memory; write it with its unit, such as 2GiB."
            )
        if self.walltime is not None and not _WALLTIME.fullmatch(self.walltime):
            raise UserError(
                f"{self.walltime!r} is not a walltime; write it as the batch system does, such as 04:00:00."
            )


class BatchJobs:
    """The jobs of one scheduler, as long as it runs.

    Parameters
    ----------
    plan : JobPlan
    cluster : dask_jobqueue.JobQueueCluster
    security : distributed.Security
        What a client needs to talk to the scheduler.
    refusals : list of str
        Gets a line for each job that could not be submitted.
    """

    def __init__(self, plan: JobPlan, cluster: Any, security: Any, refusals: list[str]) -> None:
        self.security = security
        self._plan, self._cluster, self._refusals = plan, cluster, refusals
        self._at_work: set[str] = set()  # jobs of several workers of which at least one is there
        self._told = 0  # of the refusals
        self._replaced = 0  # jobs that ended before a worker came, since the last one that came
        self._count = math.ceil((plan.workers or 1) / _processes(plan))

    @property
    def address(self) -> str:
        """Address of the scheduler."""
        return str(self._cluster.scheduler_address)

    def submit_missing(self) -> None:
        """Submit the jobs that have not been yet, and again those that have ended."""
        self._forget_ended()
        self._cluster.scale(jobs=self._count)

    def _forget_ended(self) -> None:
        """Forget jobs of several workers that have lost all, and those that ended before a worker came.

        A job of one worker that was there, Dask forgets itself.
        """
        names, jobs = self._names(), self._cluster.workers
        at_work = {job for job in list(jobs) if any(name.startswith(f"{job}-") for name in names)}
        for name in self._at_work - at_work:
            self._forget(name)
        self._at_work = at_work
        for name, job in list(jobs.items()):
            if not job.has_worked and (name in names or name in at_work):
                job.has_worked = True
                self._replaced = 0
            if job.has_ended and not job.has_worked and self._replaced < _MOST_REPLACED:
                self._replaced += 1
                self._forget(name)

    def _names(self) -> list[str]:
        """Return the names of the workers: of their jobs, with a number if a job has several."""
        return [worker["name"] for worker in self._cluster.scheduler_info["workers"].values()]

    def _forget(self, name: str) -> None:
        job = self._cluster.workers.pop(name, None)
        if job:
            self._cluster.loop.add_callback(job.close)

    def check(self) -> str | None:
        """Return a sentence about jobs that were refused since the last call, None if there are none.

        Raises
        ------
        UserError
            If it has refused all, or all ended before a worker came, those too that were submitted again.
        """
        jobs = list(self._cluster.workers.values())  # none as long as they are being submitted
        self._check_not_all_ended(jobs)
        refused, self._told = len(self._refusals) - self._told, len(self._refusals)
        if self._refusals and jobs and not any(job.job_id for job in jobs):
            raise UserError(
                f"{self._plan.system} takes none of the jobs ({self._refusals[-1]}); --dry-run shows what is "
                "submitted, and Dask's settings (~/.config/dask/jobqueue.yaml) change it."
            )
        if not refused:
            return None
        number, reason = counted(refused, "job"), self._refusals[-1]
        return f"{self._plan.system} refused {number} ({reason}); the others do the work."

    def _check_not_all_ended(self, jobs: Sequence[Any]) -> None:
        is_hopeless = self._replaced == _MOST_REPLACED and not self._names()
        if jobs and is_hopeless and all(job.has_ended and not job.has_worked for job in jobs):
            folder = _setting(self._plan, "log-directory")
            settings = "; 'log-directory' in Dask's settings (~/.config/dask/jobqueue.yaml) is its place"
            raise UserError(
                f"All jobs of {self._plan.system} ended before a worker of theirs came, those too that were "
                f"submitted again. The output of job {jobs[-1].job_id} says why"
                + (f", in {folder}." if folder else f"{settings}.")
            )


def job_script(plan: JobPlan) -> str:
    """Return the script of a job as it would be submitted.

    The scheduler's address and the folder of the certificate, which are known once it runs, are words in
    capitals.

    Raises
    ------
    UserError
        If dask-jobqueue is not installed, or the batch system has no such jobs.
    """
    kind = _cluster_class(plan)
    with quiet(), _refused_in_a_sentence(plan):
        telling = telling_job(kind.job_cls, Path("FOLDER"), _prologue(plan), [])
        job = telling("tls://HOST:PORT", name="emseg-0", **_settings(plan, security_of(Path("FOLDER"))))
        return str(job.job_script())


@contextmanager
def batch_jobs(plan: JobPlan) -> Iterator[BatchJobs]:
    """Start a scheduler in this process, for workers that are jobs; at the end they are cancelled.

    Yields
    ------
    BatchJobs
        None are submitted yet.

    Raises
    ------
    UserError
        If dask-jobqueue or the batch system's command is not there, or it has no such jobs.
    """
    kind = _cluster_class(plan)
    _check_command(plan, kind)
    refusals: list[str] = []
    with certificate_folder() as folder, quiet(), _page_of_this_machine(plan):
        security = new_certificate(folder)
        with _refused_in_a_sentence(plan):
            cluster = kind(
                name="emseg",
                job_cls=telling_job(kind.job_cls, folder, _prologue(plan), refusals),
                scheduler_options=_scheduler_options(plan),
                **_settings(plan, security),
            )
        try:
            yield BatchJobs(plan, cluster, security, refusals)
        finally:
            with suppress(TimeoutError):  # jobs whose scheduler is gone end by themselves
                cluster.close(timeout=_SECONDS_TO_CLOSE)


def _cluster_class(plan: JobPlan) -> Any:
    try:
        import cryptography  # noqa: F401  # Dask makes certificates with it
        import dask_jobqueue
    except ImportError:
        raise UserError(MISSING) from None
    return getattr(dask_jobqueue, BATCH_SYSTEMS[plan.system])


def _check_command(plan: JobPlan, kind: Any) -> None:
    command = kind.job_cls.submit_command.split()[0]
    if shutil.which(command) is None:
        raise UserError(
            f"The command {command} is not on this machine, so it cannot submit jobs to {plan.system}; start "
            "emseg on one that can, such as the cluster's login node."
        )


def _setting(plan: JobPlan, name: str) -> Any:
    """Return a setting of the user's own Dask settings, None if it is not set."""
    import dask

    return dask.config.get(f"jobqueue.{plan.system}.{name}", None)


def _prologue(plan: JobPlan) -> list[str]:
    return list(_setting(plan, "job-script-prologue") or _setting(plan, "env-extra") or [])


def _cores(plan: JobPlan) -> int:
    return int(_setting(plan, "cores") or _setting(plan, "processes") or 1)


def _processes(plan: JobPlan) -> int:
    """Return how many workers one job holds: one for each of its cores, unless the user has set it."""
    return int(_setting(plan, "processes") or _cores(plan))


def _settings(plan: JobPlan, security: Any) -> dict[str, Any]:
    """Return what dask-jobqueue is told; it takes all else from the user's own settings."""
    from dask.utils import parse_bytes

    settings = {
        "cores": _cores(plan),
        "processes": _processes(plan),
        "protocol": "tls://",
        "security": security,
    }
    if plan.worker_memory is not None:
        settings["memory"] = parse_bytes(plan.worker_memory) * _processes(plan)
    elif _setting(plan, "memory") is None:
        settings["memory"] = _DEFAULT_MEMORY * _processes(plan)
    return settings | ({} if plan.walltime is None else {"walltime": plan.walltime})


def _scheduler_options(plan: JobPlan) -> dict[str, Any]:
    """Return the user's options; Dask's page, which has no TLS, is for this machine only unless they say."""
    return {"dashboard_address": "127.0.0.1:8787"} | dict(_setting(plan, "scheduler-options") or {})


@contextmanager
def _page_of_this_machine(plan: JobPlan) -> Iterator[None]:
    """Let Dask name its page by the address at which it opens."""
    import dask

    if "dashboard_address" in (_setting(plan, "scheduler-options") or {}):
        yield
        return
    with dask.config.set({"distributed.dashboard.link": "http://127.0.0.1:{port}/status"}):
        yield


@contextmanager
def _refused_in_a_sentence(plan: JobPlan) -> Iterator[None]:
    """Raise what dask-jobqueue says of the settings, and of a scheduler that cannot start, as `UserError`."""
    try:
        yield
    except (TypeError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise UserError(
            f"There can be no such jobs of {plan.system} ({reason}); Dask's settings "
            "(~/.config/dask/jobqueue.yaml) have what the options do not."
        ) from error
