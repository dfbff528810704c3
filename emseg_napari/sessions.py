"""A session on disk: the folder NAME.emseg that brings labels and corrections back.

It holds ``session.json``, ``labels.tif``, ``corrections.npz`` and, where the image is no file of its
own, ``image.tif``. Paths are relative when they lie inside or beside the session, so that the session
can be moved together with them; otherwise they are absolute.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from emseg_napari import files, stacks
from emseg_napari.corrections import Corrections
from emseg_napari.jobs import UserError

FORMAT = 1


@dataclass(frozen=True)
class Round:
    """One evaluation in the history of a session: did the last corrections help?

    Attributes
    ----------
    when : str
        Local date and time, ISO 8601 to the second.
    run : str
        Name of the run's folder; empty if none was known.
    corrected, confirmed : int
        Slices that held a person's strokes, and slices that were confirmed.
    slices : tuple of int
        The slices that were scored; rounds compare where these are the same.
    v_rand, v_info, accuracy : float
        Mean over these slices at the run's threshold, 0 to 1.
    """

    when: str
    run: str
    corrected: int
    confirmed: int
    slices: tuple[int, ...]
    v_rand: float
    v_info: float
    accuracy: float


_ROUNDS = TypeAdapter(list[Round])


@dataclass
class Session:
    """What is brought back.

    Attributes
    ----------
    image_path : Path or None
        The image's own file or folder; None when the image lives in the session.
    image : numpy.ndarray or None
        (z, y, x); None only in a session to be saved, whose image has a path.
    labels : numpy.ndarray
        uint8 (z, y, x): 0 unlabelled, 1 boundary, 2 interior.
    corrections : Corrections
        Of these labels.
    run : Path or None
        Folder of the run in use; it may be gone.
    rounds : list of Round
        What was evaluated so far, oldest first.
    """

    image_path: Path | None
    image: np.ndarray | None
    labels: np.ndarray
    corrections: Corrections
    run: Path | None = None
    rounds: list[Round] = field(default_factory=list)


def save_session(folder: str | Path, session: Session) -> None:
    """Write a session, whole or not at all.

    Raises
    ------
    UserError
        If the folder cannot be written.
    ValueError
        If the session has neither an image nor its path.
    """
    folder = Path(folder)
    inside = session.image if session.image_path is None else None
    if session.image_path is None and inside is None:
        raise ValueError("a session needs an image or its path")
    content = {
        "format": FORMAT,
        "image": None if session.image_path is None else _reference(session.image_path, folder),
        "run": None if session.run is None else _reference(session.run, folder),
        "rounds": [asdict(one) for one in session.rounds],
    }
    with files.adding_files(folder) as new:
        if inside is not None:
            stacks.write_stack(new / "image.tif", inside)
        stacks.write_stack(new / "labels.tif", session.labels, {"convention": "napari"})
        np.savez_compressed(new / "corrections.npz", **session.corrections.to_arrays())  # type: ignore[arg-type]
        files.write_json(new / "session.json", content)


def load_session(folder: str | Path) -> Session:
    """Read a session with its image.

    Raises
    ------
    UserError
        If the folder is no session, or a part is missing, damaged or does not fit the others.
    """
    folder = Path(folder)
    content = _content(folder)
    image_path = _resolved(content["image"], folder)
    source = folder / "image.tif" if image_path is None else image_path
    if not source.exists():
        raise UserError(f"The image {source} of {folder.name} is missing; put it back there.")
    image = stacks.read_image(source)
    labels = stacks.read_labels(folder / "labels.tif", "napari")
    stacks.check_pair(image, labels, source.name, f"{folder.name}/labels.tif")
    corrections = _corrections(folder, labels)
    run, rounds = _resolved(content["run"], folder), _rounds(content, folder)
    return Session(image_path, image, labels, corrections, run, rounds)


def _content(folder: Path) -> dict[str, Any]:
    path = folder / "session.json"
    if not path.is_file():
        raise UserError(f"{folder} is no saved session (it has no session.json); choose a folder NAME.emseg.")
    content = files.read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("format"), int):
        raise UserError(f"{path} is damaged (it states no format); restore it from a copy.")
    if content["format"] > FORMAT:
        raise UserError(f"{folder.name} was saved by a newer emseg-napari; update emseg-napari to open it.")
    if not all(key in content and isinstance(content[key], str | None) for key in ("image", "run")):
        raise UserError(f"{path} is damaged (image or run is missing); restore it from a copy.")
    return content


def _corrections(folder: Path, labels: np.ndarray) -> Corrections:
    path = folder / "corrections.npz"
    if not path.is_file():
        raise UserError(f"{path} is missing; restore it from a copy of the session.")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            corrections = Corrections.from_arrays(arrays)
    except Exception as error:  # a damaged archive raises anything at all
        raise UserError(f"{path} is damaged ({error}); restore it from a copy of the session.") from error
    if corrections.shape != labels.shape:
        raise UserError(
            f"{path} does not fit the labels beside it; restore both from one copy of the session."
        )
    return corrections


def _rounds(content: dict[str, Any], folder: Path) -> list[Round]:
    try:
        return _ROUNDS.validate_python(content.get("rounds", []))  # older sessions have none
    except ValidationError:
        raise UserError(
            f"{folder / 'session.json'} is damaged (its history of rounds); restore it from a copy."
        ) from None


def _reference(path: Path, folder: Path) -> str:
    """Return how the session refers to a path: relative if it lies in the session's own parent folder."""
    path, folder = Path(path).absolute(), folder.absolute()
    if path.is_relative_to(folder):
        return path.relative_to(folder).as_posix()
    if path.is_relative_to(folder.parent):
        return "../" + path.relative_to(folder.parent).as_posix()
    return str(path)


def _resolved(reference: str | None, folder: Path) -> Path | None:
    """Return the path that `_reference` wrote, from where the session lies now."""
    if reference is None:
        return None
    folder = folder.absolute()
    if reference.startswith("../"):
        return folder.parent / reference.removeprefix("../")
    return folder / reference  # an absolute path stays as it is
