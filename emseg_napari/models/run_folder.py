"""Run folders that are about to be written: a new one, or that of a run which was interrupted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from emseg_napari.core.files import is_temporary, remove_leftovers
from emseg_napari.core.jobs import UserError
from emseg_napari.core.owned_output import owned, refuse_links
from emseg_napari.io.address import local_path
from emseg_napari.models.earlier_run import refuse_baseline
from emseg_napari.models.run import Run, is_run, open_run
from emseg_napari.settings import TrainingSettings, validated


def check_new_run(folder: Path | str) -> None:
    """Raise `UserError` unless a new run can be written to a folder: it is not there, or empty."""
    folder = local_path(folder)
    if is_run(folder):
        raise UserError(
            f"{folder} holds a run already; choose another folder, or, if that run was interrupted, resume "
            "it (page Train: 'Resume'; 'emseg train': --resume)."
        )
    if folder.is_dir() and not all(is_temporary(path.name) for path in folder.iterdir()):
        raise UserError(f"{folder} is not empty and holds no run; choose a new or empty folder.")


def resumable_run(folder: Path | str) -> Run:
    """Open a run that was interrupted.

    Raises
    ------
    UserError
        If there is none, it is finished or was fitted in one pass, it learned live, or it has no checkpoint.
    """
    if not is_run(Path(folder)):
        raise UserError(f"{folder} holds no run to resume; start a new one there, or leave out --resume.")
    run = open_run(folder)
    refuse_baseline(run)
    new = "to train further, start a new run from it (page Train: 'Start from'; 'emseg train': --from)"
    if run.record.finished and run.network_file.is_file():  # else the end is done again
        raise UserError(f"{folder} is finished, so it stays as it is; {new}.")
    if run.learned_live:
        raise UserError(f"{folder} learned live, which cannot be resumed; {new}.")
    if not run.last_checkpoint.is_file():
        raise UserError(f"{run.last_checkpoint} is missing; choose another run, or train again.")
    anchored = run.settings.start and run.settings.anchor_weight and run.record.kept_share is None
    if anchored and not run.start_checkpoint.is_file():
        raise UserError(f"{run.start_checkpoint} is missing; choose another run, or train again.")
    return run


def refuse_other_settings(
    run: Run, wanted: Mapping[str, Any], called: Callable[[str], str] = lambda name: name
) -> None:
    """Raise `UserError` if settings that a user gave are not those of a run that is resumed or repeated.

    Parameters
    ----------
    run : Run
    wanted : mapping
        By their names; None is not given.
    called : callable
        Returns what the user calls a setting of a name.
    """
    given = {name: value for name, value in wanted.items() if value is not None}
    read = validated(TrainingSettings, **given)
    for name in given:
        if getattr(run.settings, name) != getattr(read, name):
            raise UserError(
                f"{called(name)} differs from the settings of {run.folder}, which are kept; "
                "leave it out, or start a new run."
            )


@contextmanager
def owned_run(folder: Path | str, resume: bool = False) -> Iterator[Run | None]:
    """Own a run folder within a block that trains, and give the run that it resumes; None of a new one.

    Raises
    ------
    UserError
        As `check_new_run` or `resumable_run`, or if another process trains there, or a file in it is a link.
    """
    with owned(folder) as target:
        if target.is_dir():
            refuse_links(target)
        resumed = resumable_run(folder) if resume else None
        if resumed is None:
            check_new_run(folder)
        remove_leftovers(target)  # of killed trainings, now that none writes here
        yield resumed
