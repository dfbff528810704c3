"""Run: the folder of one training, which opens wherever it is moved.

settings.json   the settings
run.json        the results (`RunRecord`)
history.json    one row per epoch
steps.npy       learning rate and seconds of every step, so that it can be replayed
last.keras      network, optimiser and step to resume from
start.keras     until it is finished, the weights that it started from
blended.keras   for a moment, the weights that are about to be kept: those of start and training blended
best.keras      the kept weights
network.onnx    the kept network, or the trees: all that prediction needs
ridge.json      of a ridge filter instead: its numbers
"""

from __future__ import annotations

from dataclasses import asdict
from difflib import get_close_matches
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError

from emseg_napari.core.files import atomic_write, read_json, write_json
from emseg_napari.core.jobs import EpochEnded, UserError
from emseg_napari.core.owned_output import finish_replacing
from emseg_napari.io.address import Address, location_of
from emseg_napari.models.imported import Imported
from emseg_napari.models.normalisation import Normalisation
from emseg_napari.models.starter import STARTER, STARTER_FOLDER
from emseg_napari.settings import BASELINES, MERGE_THRESHOLD, Settings, TrainingSettings

FORMAT = 1
_HISTORY = TypeAdapter(list[EpochEnded])
_PACKAGES = ("emseg-napari", "tensorflow", "keras", "onnxruntime", "numpy", "scikit-image", "scikit-learn")


class RunRecord(Settings):
    """Record of a run: everything but its settings and history.

    Attributes
    ----------
    format : int
        Version of the folder's layout.
    versions : dict
        Package name to version.
    normalisation : Normalisation
        How grey levels became network input.
    scale : tuple of float
        Factor (y, x) by which slices are resampled for the network.
    image_shape : tuple of int
        (z, y, x) of the stack that was given.
    image_dtype : str
        Its dtype.
    trained_slices, held_out_slices : list of int
        Indices into that stack.
    held_out_tile : tuple of int, optional
        Where too few slices have labels: y and x ranges of the part of every trained slice that was
        held out instead, (first y, end y, first x, end x).
    start : str, optional
        Name of the run whose weights this one started from.
    start_mark : str, optional
        `Run.network_mark` of that run when this one began. None of runs of before December 2026, and where
        the start was not finished.
    start_scale : tuple of float, optional
        `scale` of that run. None of runs of before December 2026.
    start_slices : list of int
        Slices of this stack that the start, or a start before it, had been trained on.
    fingerprints : list of str
        Of all slices that these weights have ever been trained on, those of the starts included; compared
        by `io.fingerprint.seen`.
    held_out_fingerprints : list of str
        Of the whole slices by which weights and thresholds were chosen, those of the starts included. Runs of
        before December 2026 have none.
    label_fingerprints : dict
        Slice that trains or is held out to the fingerprint of its labels when the run began.
    label_counts : dict
        Pixels of each class in the trained slices.
    kept_epoch, kept_accuracy, kept_v_rand : int, float, float
        The epoch whose weights were kept and how they scored on what was held out, at the
        threshold; None if nothing was.
    start_accuracy, start_v_rand : float, optional
        How the start scored there, with its own threshold. None of runs of before December 2026, where
        nothing is held out, and where the start had been trained on a held-out slice.
    viewed_slice : int, optional
        Slice that was in view at the end, else the middle one; None where nothing was started from.
    boundary_share, start_boundary_share : float, optional
        Which part of its middle the run and the start predict as boundary, 0 to 1.
    kept_share : float, optional
        Where the kept weights lie between those of the start (0) and the learned ones (1); None until the
        training is finished, and of one that starts from nothing.
    threshold : float
        Boundary probability from which a pixel is boundary: the most accurate on what was held out
        and some trained slices.
    merge_threshold : float
        Mean boundary probability from which a boundary separates two cells best there; its gaps are closed.
    finished : bool
        False while it trains and after it was stopped.
    sources : dict
        Where "image" and "labels" lay, and the "convention" that was stated; empty unless all came from
        files, as of trainings by command.
    processor : str, optional
        Name of the processor. None of runs of before December 2026.
    imported : Imported, optional
        Where the network, or the one that it started from, came from if it was not trained here.
    """

    format: int = FORMAT
    versions: dict[str, str] = Field(default_factory=dict)
    normalisation: Normalisation = Normalisation()
    scale: tuple[float, float] = (1.0, 1.0)
    image_shape: tuple[int, int, int]
    image_dtype: str
    trained_slices: list[int]
    held_out_slices: list[int]
    held_out_tile: tuple[int, int, int, int] | None = None
    start: str | None = None
    start_mark: str | None = None
    start_scale: tuple[float, float] | None = None
    start_slices: list[int] = Field(default_factory=list)
    fingerprints: list[str] = Field(default_factory=list)
    held_out_fingerprints: list[str] = Field(default_factory=list)
    label_fingerprints: dict[int, str] = Field(default_factory=dict)
    label_counts: dict[str, int]
    kept_epoch: int | None = None
    kept_share: float | None = None
    kept_accuracy: float | None = None
    kept_v_rand: float | None = None
    start_accuracy: float | None = None
    start_v_rand: float | None = None
    viewed_slice: int | None = None
    boundary_share: float | None = None
    start_boundary_share: float | None = None
    threshold: float = 0.5
    merge_threshold: float = MERGE_THRESHOLD
    finished: bool = False
    sources: dict[str, str] = Field(default_factory=dict)
    processor: str | None = None
    imported: Imported | None = None

    @property
    def validation_slices(self) -> list[int]:
        """Slices with held-out labels; empty if nothing is held out."""
        return self.held_out_slices or (self.trained_slices if self.held_out_tile else [])

    @property
    def unseen_validation_slices(self) -> list[int]:
        """Those of them that the start had not been trained on: only they can compare the run with it."""
        return [z for z in self.validation_slices if z not in self.start_slices]

    @property
    def seen_slices(self) -> list[int]:
        """Slices of this stack that the network was trained on: scores there prove nothing."""
        return sorted({*self.trained_slices, *self.start_slices})

    @property
    def grid_px(self) -> int:
        """Width and height of what the network takes are multiples of it."""
        return self.imported.grid_px if self.imported else 16

    @property
    def has_unknown_slices(self) -> bool:
        """Whether it, or its start, was trained elsewhere, on slices of which nothing is known."""
        return self.imported is not None and not self.imported.trained_by_emseg


def versions() -> dict[str, str]:
    """Return the installed versions of the packages on which a run depends."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # tensorflow-cpu or a source checkout
            continue
    return found


class Run:
    """Run folder, opened or about to be written.

    Parameters
    ----------
    folder : Path
    settings : TrainingSettings
    record : RunRecord
    history : list of EpochEnded
    """

    def __init__(
        self,
        folder: Path,
        settings: TrainingSettings,
        record: RunRecord,
        history: list[EpochEnded] | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.settings = settings
        self.record = record
        self.history = history or []

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    @property
    def learned_live(self) -> bool:
        """Whether its user ended it, as `LiveSettings.training` says, and neither the clock nor its steps."""
        settings = self.settings
        return settings.network not in BASELINES and settings.minutes is None and settings.epochs is None

    @property
    def last_checkpoint(self) -> Path:
        """Weights, optimiser and step to resume from."""
        return self.folder / "last.keras"

    @property
    def best_checkpoint(self) -> Path:
        """The kept weights."""
        return self.folder / "best.keras"

    @property
    def start_checkpoint(self) -> Path:
        """The weights that it started from, until it is finished."""
        return self.folder / "start.keras"

    @property
    def blended_checkpoint(self) -> Path:
        """The weights that are about to be kept, blended with those of the start."""
        return self.folder / "blended.keras"

    @property
    def network_file(self) -> Path:
        """The kept network for ONNX Runtime."""
        return self.folder / "network.onnx"

    @property
    def ridge_file(self) -> Path:
        """The fitted ridge filter."""
        return self.folder / "ridge.json"

    @property
    def predictor_file(self) -> Path:
        """What it predicts with; missing until the training has ended."""
        return self.ridge_file if self.settings.network == "ridge" else self.network_file

    @property
    def network_mark(self) -> str:
        """A hash of what it predicts with, by which another run of the same name is told from it."""
        made = [self.record.normalisation.mark, str(self.record.scale)]
        return sha256(self.predictor_file.read_bytes() + "".join(made).encode()).hexdigest()[:16]

    def save_steps(self, steps: list[tuple[float, float]]) -> None:
        """Write learning rate and seconds of every step so far, atomically."""
        with atomic_write(self.folder / "steps.npy") as temporary, open(temporary, "wb") as file:
            np.save(file, np.array(steps, np.float32).reshape(-1, 2))

    def read_steps(self) -> np.ndarray:
        """Return learning rate and seconds of every step, float32 (steps, 2).

        Raises
        ------
        UserError
            If they are missing or damaged.
        """
        path = self.folder / "steps.npy"
        try:
            return np.load(path, allow_pickle=False).reshape(-1, 2)
        except (OSError, ValueError) as error:
            raise UserError(f"{path} is missing or damaged ({error}); train again.") from None

    def save(self) -> None:
        """Write settings, history and record, each atomically; with the record it is a run."""
        write_json(self.folder / "settings.json", self.settings.model_dump(mode="json"))
        self.save_history()
        write_json(self.folder / "run.json", self.record.model_dump(mode="json"))

    def save_history(self) -> None:
        """Write the history atomically."""
        write_json(self.folder / "history.json", [asdict(row) for row in self.history])

    def update(self, **changes: Any) -> None:
        """Change fields of the record and write it."""
        self.record = self.record.model_copy(update=changes)
        write_json(self.folder / "run.json", self.record.model_dump(mode="json"))


def is_run(folder: Path) -> bool:
    """Say whether a folder holds a run."""
    path = present_folder(folder) / "run.json"
    finish_replacing(path)
    return path.is_file()


def present_folder(folder: Path | str) -> Path:
    """Return where a run lies that records and sessions of an earlier version name.

    Until November 2026 the starter lay in ``emseg_napari/starter``.

    Raises
    ------
    UserError
        If it is an address.
    """
    folder = run_path(folder)
    was_starter = folder.parts[-2:] == ("emseg_napari", STARTER) and not folder.exists()
    return STARTER_FOLDER if was_starter else folder


def run_path(folder: Path | str) -> Path:
    """Return the path of a run that its user names; raise `UserError` if it is an address."""
    location = location_of(folder)
    if isinstance(location, Address):
        raise UserError(
            f"{location} is an address, but a run lies on a disk; choose the folder that a training wrote."
        )
    return location


def starter_folder() -> Path | None:
    """Return the folder of the starter, None if it is missing."""
    return STARTER_FOLDER if is_run(STARTER_FOLDER) else None


def installed_networks() -> list[Path]:
    """Return the folders of the networks that come with the package, the starter first."""
    others = sorted(STARTER_FOLDER.parent.glob(f"{STARTER}[-_]*"))
    return [folder for folder in (STARTER_FOLDER, *others) if is_run(folder)]


def is_starter(folder: Path | str) -> bool:
    """Say whether a folder, or a name that a user gave, is that of the starter; it need not be there."""
    folder = present_folder(folder)
    return folder == STARTER_FOLDER or (str(folder) == STARTER and not folder.exists())


def open_run(folder: Path | str) -> Run:
    """Open a run folder, or the network that comes with the package by the name "starter".

    Raises
    ------
    UserError
        If there is no run, a file of it is damaged, or another version wrote it.
    """
    folder = present_folder(folder)
    if is_starter(folder):
        starter = starter_folder()
        if starter is None:
            raise UserError("This version comes without a starter network; choose a run folder instead.")
        folder = starter
    if not is_run(folder):
        is_slip = get_close_matches(str(folder).lower(), [STARTER]) and not folder.exists()
        raise UserError(
            f"{folder} is not a run folder (it has no run.json); choose the folder that a training wrote"
            + (f", or write '{STARTER}' for the network that comes with the package." if is_slip else ".")
        )
    return _read_run(folder)


def _read_run(folder: Path) -> Run:
    found = read_json(folder / "run.json")
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        written = found.get("format") if isinstance(found, dict) else None
        raise UserError(
            f"{folder} was written by another version of emseg-napari (format {written}, this one reads "
            f"{FORMAT}); open it with that version or train again."
        )
    if isinstance(recipe := found.get("normalisation"), dict):
        found = found | {"normalisation": {"borders": "counted"} | recipe}  # as runs did that do not say
    try:
        settings = TrainingSettings(**_as_trained(read_json(folder / "settings.json")))
        history = _HISTORY.validate_python(read_json(folder / "history.json"))
        return Run(folder, settings, RunRecord(**found), history)
    except (ValidationError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{folder} is damaged or from another version ({reason}); train again.") from None


def _as_trained(stored: Any) -> Any:
    """Return the settings of a run so that it repeats as it was, also if it names no anchor weight yet.

    Of runs that start from another only those that learned live were anchored then: they have no end.
    """
    ends = isinstance(stored, dict) and (stored.get("minutes") or stored.get("epochs"))
    return {"anchor_weight": 0.0} | stored if ends and stored.get("start") else stored
