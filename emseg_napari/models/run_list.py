"""List of the runs that a user can choose from: their records, and what each can be used for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from emseg_napari.core.jobs import UserError
from emseg_napari.core.locks import in_use
from emseg_napari.models.run import Run, installed_networks, open_run
from emseg_napari.models.run_folder import resumable_run

RECENT = 30


@dataclass(frozen=True)
class ListedRun:
    """A run folder as it was when it was looked at.

    Attributes
    ----------
    folder : Path
    changed_at : float
        When its record was last written, in seconds since 1970; 0 if it is gone.
    run : Run or None
        None if it cannot be read.
    problem : str or None
        Why it cannot predict.
    resumable : bool
        Whether it was interrupted and can be resumed.
    is_shipped : bool
        Whether it comes with the package.
    is_in_use : bool
        Whether it is being trained.
    """

    folder: Path
    changed_at: float
    run: Run | None
    problem: str | None
    resumable: bool = False
    is_shipped: bool = False
    is_in_use: bool = False


def usual_runs_folder() -> Path:
    """Return where runs are written, and looked for, unless their user says otherwise."""
    return Path.home() / "emseg-runs"


def recent_runs(folder: Path) -> list[ListedRun]:
    """Return the last runs in a folder, at most `RECENT`, the newest first."""
    try:
        found = [(_written_ns(path / "run.json"), path) for path in folder.iterdir()]
    except OSError:  # not there yet, or not readable
        return []
    newest = sorted((one for one in found if one[0]), reverse=True)
    return [listed_run(path) for _, path in newest[:RECENT]]


def shipped_runs() -> list[ListedRun]:
    """Return the networks that come with the package, the starter first."""
    return [replace(listed_run(folder), is_shipped=True) for folder in installed_networks()]


def listed_run(folder: Path) -> ListedRun:
    """Look at a run folder; it is read again only if its record or its history was written since."""
    changed = _written_ns(folder / "run.json")
    try:
        run = _read(folder, changed, _written_ns(folder / "history.json"))
    except UserError as error:
        return ListedRun(folder, changed / 1e9, None, str(error))
    if not run.record.finished and in_use(folder):
        problem = f"{folder.name} is being trained; wait for its end."
        return ListedRun(folder, changed / 1e9, run, problem, is_in_use=True)
    resumable = _is_resumable(run)
    return ListedRun(folder, changed / 1e9, run, _why_it_cannot_predict(run, resumable), resumable)


def add_missing(runs: Iterable[ListedRun], folders: Iterable[Path]) -> list[ListedRun]:
    """Return the runs, and those of the folders that are not among them."""
    listed = {run.folder: run for run in runs}
    return [*listed.values(), *(listed_run(folder) for folder in folders if folder not in listed)]


def _written_ns(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=4 * RECENT)
def _read(folder: Path, *written_ns: int) -> Run:
    """Read a run; the other arguments let one that was written since be read again, as are errors."""
    return open_run(folder)


def _is_resumable(run: Run) -> bool:
    if run.record.finished and run.predictor_file.is_file():
        return False
    try:
        resumable_run(run.folder)
    except UserError:
        return False
    return True


def _why_it_cannot_predict(run: Run, resumable: bool) -> str | None:
    if run.predictor_file.is_file():
        return None
    advice = "resume it (page Train: 'Start from')" if resumable else "choose another run"
    return f"{run.folder.name} was interrupted before it had a network; {advice}."
