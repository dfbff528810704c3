"""Workers that are jobs of a batch system, such as Slurm, and the Dask scheduler that they belong to.

The scheduler runs in this process, and talks to its workers by TLS with a certificate of its own.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from emseg_napari.core.blockwise import batch_job
from emseg_napari.core.blockwise.batch_job import reporting_job
from emseg_napari.core.blockwise.certificate import certificate_folder, new_certificate
from emseg_napari.core.blockwise.dask_client import imported, quiet
from emseg_napari.core.blockwise.job_plan import BATCH_SYSTEMS, DASK_SETTINGS, JobPlan
from emseg_napari.core.jobs import UserError
from emseg_napari.core.text import counted

_SECONDS_TO_CLOSE = 60.0
_MOST_REPLACED = 2  # jobs in a row that were lost before a worker came


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
        self._replaced = 0  # jobs that were lost before a worker came, since the last one that came

    @property
    def address(self) -> str:
        """Address of the scheduler."""
        return str(self._cluster.scheduler_address)

    @property
    def workers(self) -> int:
        """How many there are once all jobs are at work."""
        return self._plan.jobs * self._plan.processes

    def submit_missing(self) -> None:
        """Submit the jobs that have not been yet, and again those that have ended."""
        self._forget_ended()
        self._cluster.scale(jobs=self._plan.jobs)

    def _forget_ended(self) -> None:
        """Forget jobs of several workers that have lost all, and those that are lost before a worker came.

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
            if job.is_lost and self._replaced < _MOST_REPLACED:
                self._replaced += 1
                self._forget(name)

    def _names(self) -> list[str]:
        """Return the names of the workers: of their jobs, with a number if a job has several."""
        return [worker["name"] for worker in list(self._cluster.scheduler_info["workers"].values())]

    def _forget(self, name: str) -> None:
        job = self._cluster.workers.pop(name, None)
        if job:
            self._cluster.loop.add_callback(job.close)

    def check(self) -> str | None:
        """Return a sentence about jobs that were refused since the last call, None if there are none.

        Raises
        ------
        UserError
            If none is left to wait for: each was refused, or lost before a worker came as were those that
            were submitted in its place.
        """
        jobs = list(self._cluster.workers.values())  # those that are being submitted are not there yet
        refused, self._told = len(self._refusals) - self._told, len(self._refusals)
        if len(jobs) >= self._plan.jobs:
            self._check_not_all_refused(jobs)
            self._check_not_all_ended(jobs)
        if not refused:
            return None
        number, reason = counted(refused, "job"), self._refusals[-1]
        return f"{self._plan.system} refused {number} ({reason}); the others do the work."

    def _check_not_all_refused(self, jobs: Sequence[Any]) -> None:
        if not any(job.job_id for job in jobs):
            raise UserError(
                f"{self._plan.system} takes none of the jobs ({self._refusals[-1]}); --dry-run shows what is "
                f"submitted, and Dask's settings ({DASK_SETTINGS}) change it."
            )

    def _check_not_all_ended(self, jobs: Sequence[Any]) -> None:
        taken = [job for job in jobs if job.job_id]
        is_hopeless = self._replaced == _MOST_REPLACED and not self._names()
        if is_hopeless and all(job.is_lost for job in taken):
            folder = self._plan.setting("log-directory")
            settings = f"; 'log-directory' in Dask's settings ({DASK_SETTINGS}) is its place"
            minutes = batch_job.SECONDS_TO_COME / 60
            raise UserError(
                f"All jobs that {self._plan.system} took ended, or ran for {minutes:g} minutes, before a "
                "worker of theirs came, those too that were submitted again. The output of job "
                f"{taken[-1].job_id} says why" + (f", in {folder}." if folder else f"{settings}.")
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
        telling = reporting_job(kind.job_cls, Path("FOLDER"), plan.prologue, [])
        job = telling("tls://HOST:PORT", name="emseg-0", **plan.settings(Path("FOLDER")))
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
                job_cls=reporting_job(kind.job_cls, folder, plan.prologue, refusals),
                scheduler_options=plan.scheduler_options,
                **plan.settings(folder),
            )
        try:
            yield BatchJobs(plan, cluster, security, refusals)
        finally:
            with suppress(TimeoutError):  # jobs whose scheduler is gone end by themselves
                cluster.close(timeout=_SECONDS_TO_CLOSE)


def _cluster_class(plan: JobPlan) -> Any:
    with imported():
        import cryptography  # noqa: F401  # Dask makes certificates with it
        import dask_jobqueue
    return getattr(dask_jobqueue, BATCH_SYSTEMS[plan.system])


def _check_command(plan: JobPlan, kind: Any) -> None:
    command = kind.job_cls.submit_command.split()[0]
    if shutil.which(command) is None:
        raise UserError(
            f"The command {command} is not on this machine, so it cannot submit jobs to {plan.system}; start "
            "emseg on one that can, such as the cluster's login node."
        )


@contextmanager
def _page_of_this_machine(plan: JobPlan) -> Iterator[None]:
    """Let Dask name its page by the address at which it opens."""
    import dask

    if "dashboard_address" in (plan.setting("scheduler-options") or {}):
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
            f"({DASK_SETTINGS}) have what the options do not."
        ) from error
