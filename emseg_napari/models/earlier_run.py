"""Runs from which a training goes on: its start, or one that it repeats."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from emseg_napari.core.jobs import UserError
from emseg_napari.models.run import Run, is_starter, open_run, starter_folder
from emseg_napari.models.starter import STARTER
from emseg_napari.settings import BASELINES, TrainingSettings

STARTER_NETWORK = "compact"


def starter_name() -> str | None:
    """Return the starter as `TrainingSettings.start` names it; None if this installation has none.

    It is "starter", unless another folder of that name lies where the program runs.
    """
    folder, other = starter_folder(), Path(STARTER)
    if folder is None:
        return None
    return str(folder) if other.exists() and not other.samefile(folder) else STARTER


def default_start(network: str) -> str | None:
    """Return what a training starts from unless its user says otherwise; None is random weights.

    The starter, of which a few labels and a minute make a network of the user's own; only its own kind of
    network can start from it.
    """
    return starter_name() if network == STARTER_NETWORK else None


def with_default_start(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that a user gave for a new training, with the default start if none is given.

    Parameters
    ----------
    given : mapping
        Names and values as `TrainingSettings.recipe` reads them: None is not given, "nothing" is.
    """
    if given.get("start") is not None:
        return dict(given)
    return {**given, "start": default_start(given.get("network") or TrainingSettings().network)}


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
        If it is none, has no steps, or learned live: from labels that changed meanwhile; or if its start is
        gone or was trained anew.
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
    start, recorded = fitting_start(run.settings), run.record.start_mark
    if start and recorded and mark_of(start) not in (recorded, None):
        raise UserError(
            f"{run.settings.start} is not the network any more from which {folder} started, so that cannot "
            "be repeated; put that network back in its place, or start a new run."
        )
    return run


def mark_of(start: Run) -> str | None:
    """Return the `network_mark` of a run from which another starts, None while it is not finished."""
    return start.network_mark if start.network_file.is_file() else None


def replay_notes(replay: Run, start: Run | None) -> list[str]:
    """Return a sentence if a run that is repeated may have started from another network than `start`."""
    if start is None or None not in (replay.record.start_mark, mark_of(start)):
        return []
    return [
        f"It is not known whether {replay.settings.start} is still the network from which "
        f"{replay.folder.name} started: if not, this run will differ from it."
    ]


def fitting_start(settings: TrainingSettings) -> Run | None:
    """Open the run that a training starts from, without a look into its weights; None of random weights.

    Raises
    ------
    UserError
        If it is not a run, or its weights are missing or fit another network.
    """
    if settings.start is None and settings.network == "imported":
        raise UserError(
            "An imported network can only be trained from the run that it was imported as; choose that run "
            "(page Train: 'Start from'; 'emseg train': --from)."
        )
    if settings.start is None:
        return None
    with _advice_for(settings.start):
        start = open_run(settings.start)
    check_start(start, settings.network, settings.start)
    grid_px = start.record.grid_px
    if settings.patch_px % grid_px:
        raise UserError(
            f"{settings.start} takes images whose sides are multiples of {grid_px} pixels, and patches have "
            f"{settings.patch_px}; choose another patch size.",
            ("patch_px",),
        )
    return start


def check_start(start: Run, network: str, name: Path | str) -> None:
    """Raise `UserError` unless a run, which its user calls `name`, has weights that fit a network."""
    with _advice_for(name):
        imported = start.record.imported
        if imported is not None and imported.why_no_training and not start.best_checkpoint.is_file():
            raise UserError(
                f"No training can start from {name}: {imported.why_no_training.rstrip('.')}; import one "
                "with Keras weights, or start from another run."
            )
        if not start.best_checkpoint.is_file():
            raise UserError(f"{name} has no weights yet; resume that training first, or choose another run.")
    if start.settings.network != network:
        other = (
            "network 'imported' (page Train: 'Kind of network'; 'emseg train': --network imported)"
            if start.settings.network == "imported"
            else "another network"
        )
        raise UserError(
            f"{name} is a '{start.settings.network}' network and cannot start a '{network}' one; "
            f"choose another run, or {other}."
        )


def opened_start(settings: TrainingSettings) -> Run | None:
    """Open the run whose weights a training starts from, as `fitting_start`, and read its weights once.

    Raises
    ------
    UserError
        Also if they are damaged.
    """
    start = fitting_start(settings)
    if start is not None:
        with _advice_for(start.folder):
            _check_whole(start.best_checkpoint)
    return start


def _check_whole(weights: Path) -> None:
    """Raise `UserError` unless a .keras file is whole; without Keras, so before its seconds are spent."""
    try:
        with zipfile.ZipFile(weights) as archive:
            damaged = archive.testzip()
    except Exception as error:  # of the file, the archive or its compression
        damaged = str(error)
    if damaged is not None:
        raise UserError(
            f"{weights} is damaged (not a whole .keras file); choose another run, or train it again."
        )


@contextmanager
def _advice_for(start: Path | str) -> Iterator[None]:
    """Put other advice into errors of the starter: its users cannot train it again."""
    try:
        yield
    except UserError as error:
        if not is_starter(start):
            raise
        reason = str(error).rsplit(";", 1)[0].rstrip(".")
        raise UserError(
            f"The starter network cannot be used: {reason}; install emseg-napari again, or start a training "
            "from nothing (page Train: 'Start from'; 'emseg train': --from nothing)."
        ) from None
