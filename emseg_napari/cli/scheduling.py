"""Options of the commands that can spread their work: who computes, and what is asked of a batch system."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from emseg_napari.cli.reporting import show_result
from emseg_napari.cli.streams import echo
from emseg_napari.core.blockwise import BATCH_SYSTEMS, Scheduler, job_script
from emseg_napari.core.jobs import UserError
from emseg_napari.core.text import counted
from emseg_napari.io.address import Location
from emseg_napari.settings import CellSettings, PredictionSettings

SUFFIX = ".zarr"
_PANEL = "Several processes or machines"


def _options(
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="local|slurm|...|tls://HOST:PORT",
            rich_help_panel=_PANEL,
            help="For outputs in .zarr: who computes; 'local' = processes on this machine, "
            f"{', '.join(BATCH_SYSTEMS)} = jobs of that batch system, or the address (tls:// or tcp://) of a "
            "Dask scheduler. Its workers see the same folders. This process when not given.",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            rich_help_panel=_PANEL,
            help="For --scheduler local or a batch system: number of processes; with 'local' one for every "
            "core when not given.",
        ),
    ] = None,
    worker_memory: Annotated[
        str | None,
        typer.Option(
            "--worker-memory",
            metavar="SIZE",
            rich_help_panel=_PANEL,
            help="For a batch system: memory of one worker, such as 2GiB; when not given, that of Dask's "
            "settings, else 2GiB.",
        ),
    ] = None,
    walltime: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            rich_help_panel=_PANEL,
            help="For a batch system: time after which it ends a job, such as 04:00:00; a new job follows. "
            "When not given, that of Dask's settings, else half an hour.",
        ),
    ] = None,
) -> Scheduler:
    return Scheduler(scheduler, workers, worker_memory, walltime)


DryRunOption = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        rich_help_panel=_PANEL,
        help="For a batch system: print the script of a job, and do nothing.",
    ),
]


def with_scheduler(command: Callable[..., None]) -> Callable[..., None]:
    """Put the options of a scheduler in the place of a command's parameter ``scheduler``."""
    options = inspect.signature(_options, eval_str=True).parameters
    own = inspect.signature(command, eval_str=True).parameters

    @functools.wraps(command)
    def run(**values: Any) -> None:
        chosen = _options(**{name: values.pop(name) for name in options})
        command(scheduler=chosen, **values)

    parameters: list[inspect.Parameter] = []
    for parameter in own.values():
        parameters += options.values() if parameter.name == "scheduler" else [parameter]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return run


def is_volume(output: Location, scheduler: Scheduler, settings: PredictionSettings | CellSettings) -> bool:
    """Say whether an output is an OME-Zarr, which can be spread over processes and files.

    Raises
    ------
    UserError
        If one file were to be.
    """
    if output.suffix.lower() == SUFFIX:
        return True
    if settings.shards is not None:
        raise UserError(f"{output} is one file, which has no shards; let its name end in .zarr.")
    if scheduler.address is not None:
        raise UserError(f"{output} is one file, which a scheduler cannot spread; let its name end in .zarr.")
    return False


def show_job_script(scheduler: Scheduler, as_json: bool) -> None:
    """Write the script of a batch system's job to stdout, and to stderr how many jobs there are of it.

    Raises
    ------
    UserError
        For another scheduler.
    """
    plan = scheduler.plan
    if plan is None:
        raise UserError(
            "--dry-run prints the script of a batch system's job; choose one with --scheduler "
            f"({', '.join(BATCH_SYSTEMS)})."
        )
    script = job_script(plan)
    figures = {"job_script": script, "jobs": plan.jobs, "workers_per_job": plan.processes}
    show_result(script.rstrip("\n"), figures, as_json)
    of_each = counted(plan.processes, "worker")
    echo(f"{counted(plan.jobs, 'job')} of {of_each} would be submitted; nothing was done.", err=True)
