"""Runs from which a training goes on: its start, or one that it repeats."""

from __future__ import annotations

from pathlib import Path

from emseg_napari.core.jobs import UserError
from emseg_napari.models.run import Run, open_run
from emseg_napari.settings import BASELINES, TrainingSettings


def refuse_baseline(run: Run) -> None:
    """Raise `UserError` if a run is a baseline, which cannot be resumed or repeated step by step."""
    if run.settings.network in BASELINES:
        raise UserError(
            f"{run.folder} was fitted in one pass ('{run.settings.network}'), so it can be neither "
            "resumed nor replayed; train again in a new folder: the same seed gives the same run."
        )


def opened_replay(folder: Path | str) -> Run:
    """Open a run that is to be repeated step by step.

    Raises
    ------
    UserError
        If it is none, has no steps, or learned live: from labels that changed meanwhile.
    """
    run = open_run(folder)
    refuse_baseline(run)
    if run.learned_live:
        raise UserError(
            f"{folder} learned live, from labels that changed meanwhile, so it cannot be repeated; start a "
            "new run."
        )
    if not len(run.read_steps()):
        raise UserError(f"{folder} has no steps to repeat; choose a run that was trained.")
    return run


def opened_start(settings: TrainingSettings) -> Run | None:
    """Open the run whose weights a training starts from; None if it starts from random weights.

    Raises
    ------
    UserError
        If it is not a run, or its weights are missing or fit another network.
    """
    if settings.start is None:
        return None
    start = open_run(settings.start)
    if start.settings.network != settings.network:
        raise UserError(
            f"{settings.start} is a '{start.settings.network}' network and cannot start a "
            f"'{settings.network}' one; choose the same network, or random weights."
        )
    if not start.best_checkpoint.is_file():
        raise UserError(
            f"{settings.start} has no weights yet; resume that training first, or choose another run."
        )
    return start
