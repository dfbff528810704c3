"""Loading and saving of whole sessions: folders NAME.emseg with labels and all that belongs to them.

``session.json`` names everything else. Labels lie in ``labels``, one small file per slice (see
`slicefiles`). The image is referred to, by a path that is relative where it lies inside or beside the
session, so that both can be moved together, or it is copied in as ``image.tif``.
"""

from __future__ import annotations

import itertools
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from emseg_napari.annotation.session.contents import (
    Contents,
    Origin,
    Placement,
    Round,
    read_contents,
    reference,
    referred,
    refuse_links_in,
    resolved,
    resolved_origins,
    write_contents,
)
from emseg_napari.annotation.session.images import is_there, write_image
from emseg_napari.annotation.session.scratch import new_labels, slices_in_use
from emseg_napari.annotation.session.slicefiles import (
    read_slices,
    set_aside,
    slice_files,
    unreadable_files,
    write_slice,
)
from emseg_napari.core import files
from emseg_napari.core.jobs import UserError
from emseg_napari.core.owned_output import adding_files, owned
from emseg_napari.io import stacks
from emseg_napari.io.address import Address, Location, location_of
from emseg_napari.io.open import open_volume
from emseg_napari.io.stack_or_volume import open_image
from emseg_napari.io.volume import BrokenChunk, Volume

__all__ = [
    "MissingImage",
    "Origin",
    "Placement",
    "Round",
    "Session",
    "contents_of",
    "load_session",
    "save_session",
]


@dataclass
class Session:
    """A session in memory.

    Attributes
    ----------
    image_path : Path, Address or None
        The image's own file, folder or address, with the dataset inside a container; None when the image
        lives in the session, or where it is is unknown.
    image : numpy.ndarray, Volume or None
        (z, y, x); None only in a session to be saved, whose image has a path, or is not kept.
    labels : numpy.ndarray
        uint8 (z, y, x), 0 to 4: the state of every pixel (see `core.labels`).
    confirmed : set of int
        Slices whose labels all count as the user's, proposals too.
    origins : dict
        Slice to what its proposals come from, where a run predicted it.
    run : Path or None
        Folder of the run in use; it may be gone.
    rounds : list of Round
        What was evaluated so far, oldest first.
    settings : dict
        JSON values that the window keeps.
    name, image_name : str
        Of the layers of labels and image; empty if none is known.
    image_place, labels_place : Placement or None
        Where the layers lie, and so the size of a voxel; None if that is not known.
    warnings : list of str
        One sentence about each slice that could not be read and is empty here.
    unreadable : set of int
        These slices.
    folder : Path or None
        Where it was read, and so where these slices' files are; None if it was not.
    """

    image_path: Location | None
    image: np.ndarray | Volume | None
    labels: np.ndarray
    confirmed: set[int] = field(default_factory=set)
    origins: dict[int, Origin] = field(default_factory=dict)
    run: Path | None = None
    rounds: list[Round] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    image_name: str = ""
    image_place: Placement | None = None
    labels_place: Placement | None = None
    warnings: list[str] = field(default_factory=list)
    unreadable: set[int] = field(default_factory=set)
    folder: Path | None = None


class MissingImage(UserError):
    """The image to which a session refers is missing or out of reach; `load_session` takes its new path.

    Attributes
    ----------
    path : Path or Address
        Where it was expected.
    """

    def __init__(self, path: Location, session: str, reason: str = "") -> None:
        fault = f"cannot be opened ({reason.rstrip('.')})" if reason else "is missing"
        super().__init__(f"The image {path} of {session} {fault}; put it back there or choose its new place.")
        self.path = path


def save_session(folder: str | Path, session: Session) -> None:
    """Write a whole session; an older one in the folder counts until the new one is complete.

    Parameters
    ----------
    folder : str or Path
        NAME.emseg; made if it is not there.
    session : Session
        What to write; an image without a path is copied in.

    Raises
    ------
    UserError
        If the folder cannot be written.
    ValueError
        If the session has neither an image nor its path.
    """
    folder = Path(folder)
    if session.image is None and session.image_path is None:
        raise ValueError("a session needs an image or its path")
    with owned(folder):
        _save(folder, session, session.image if session.image_path is None else None)


def _save(folder: Path, session: Session, image: np.ndarray | Volume | None) -> None:
    older = _parts(folder)
    contents = contents_of(folder, session).model_copy(update=free_names(folder))
    with adding_files(folder) as new:
        if image is not None:
            write_image(new / contents.copied, image)
        write_all_slices(new / contents.labels, session.labels)
        _keep_unreadable(folder, session, new / contents.labels)
        write_contents(new, contents)  # by their names, this one takes its place after the others
    for path in older:
        with suppress(UserError, OSError):  # it only takes space
            _remove(path)


def _remove(part: Path) -> None:
    """Remove an older image, or the slices of an older folder of labels; what else is in it stays."""
    if not part.is_dir() or part.is_symlink():
        files.remove(part)
        return
    for path in (*slice_files(part).values(), *unreadable_files(part)):
        path.unlink()
    files.remove_leftovers(part)
    part.rmdir()


def contents_of(folder: Path, session: Session) -> Contents:
    """Return what ``session.json`` in `folder` is to state; an image without a path is copied in."""
    image, run = session.image_path, session.run
    return Contents(
        image=None if image is None else reference(image, folder),
        run=None if run is None else reference(run, folder),
        shape=session.labels.shape,
        confirmed=sorted(map(int, session.confirmed)),
        origins=referred(session.origins, folder),
        choices={z: dict(one.choices) for z, one in sorted(session.origins.items()) if one.choices},
        rounds=session.rounds,
        settings=session.settings,
        name=session.name,
        image_name=session.image_name,
        image_place=session.image_place,
        labels_place=session.labels_place,
    )


def write_all_slices(folder: Path, labels: np.ndarray) -> None:
    """Make the folder of slices and write all that have labels."""
    folder.mkdir()
    for z in slices_in_use(labels):
        write_slice(folder, z, np.asarray(labels[z], np.uint8))


def _keep_unreadable(folder: Path, session: Session, new: Path) -> None:
    """Copy slice files that could not be read when a session is saved over itself."""
    if session.folder is None or not _is_same(session.folder, folder):
        return  # the files in it, if any, are those of another session
    try:
        old = folder / read_contents(folder).labels
    except UserError:  # there is none yet
        return
    for z in sorted(session.unreadable):
        set_aside(old, z)
    for path in unreadable_files(old):
        shutil.copy2(path, new / path.name)


def load_session(folder: str | Path, image: str | Location | None = None) -> Session:
    """Read a session with its image.

    Parameters
    ----------
    folder : str or Path
        NAME.emseg.
    image : str, Path or Address, optional
        The new path of an image that is not where the session refers to.

    Returns
    -------
    Session
        A slice of labels that cannot be read is empty in it, and named in its `warnings`.

    Raises
    ------
    MissingImage
        If the image is gone, or the store in which it lies cannot be reached.
    UserError
        If the folder is no session, or a part is missing, damaged or does not fit the others.
    """
    folder = Path(folder)
    stated = read_contents(folder)
    refuse_links_in(folder, stated)
    path = resolved(stated.image, folder) if image is None else location_of(image)
    source = folder / stated.copied if path is None else path
    if not is_there(source):
        raise MissingImage(source, folder.name)
    pixels = _open_image(source, folder.name)
    found = read_slices(folder / stated.labels, new_labels(stated.shape))
    stacks.check_pair(pixels, found.labels, source.name, f"the labels of {folder.name}")
    return Session(
        image_path=path,
        image=pixels,
        labels=found.labels,
        confirmed={z for z in stated.confirmed if z < len(found.labels)},
        origins=resolved_origins(stated, folder),
        run=_run(stated, folder),
        rounds=stated.rounds,
        settings=stated.settings,
        name=stated.name,
        image_name=stated.image_name,
        image_place=stated.image_place,
        labels_place=stated.labels_place,
        warnings=found.warnings,
        unreadable=found.unreadable,
        folder=folder.absolute(),
    )


def _run(stated: Contents, folder: Path) -> Path | None:
    run = resolved(stated.run, folder)
    return run if isinstance(run, Path) else None


def _open_image(source: Location, session: str) -> np.ndarray | Volume:
    """Open an image; one with a broken chunk is a volume, since the labels can be read."""
    try:
        return open_image(source)
    except BrokenChunk:
        return open_volume(source)
    except UserError as error:
        if isinstance(source, Address):  # gone, refused or offline: there may be a copy elsewhere
            raise MissingImage(source, session, str(error)) from None
        raise


def _is_same(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _parts(folder: Path) -> list[Path]:
    """Return the files and folders of the session that is in `folder` now, but for its session.json."""
    try:
        stated = read_contents(folder)
    except UserError:  # none yet, or damaged: other files may not belong to a session
        return []
    refuse_links_in(folder, stated)
    copied = (stated.copied,) if stated.image is None else ()
    return [folder / name for name in (stated.labels, *copied)]


def free_names(folder: Path) -> dict[str, str]:
    """Return names for image and labels that nothing in `folder` has, as fields of `Contents`."""
    return {"copied": _free_name(folder, "image", ".tif"), "labels": _free_name(folder, "labels")}


def _free_name(folder: Path, stem: str, suffix: str = "") -> str:
    """Return the first of labels, labels-2, ... that is not taken."""
    names = (f"{stem}{f'-{i}' if i > 1 else ''}{suffix}" for i in itertools.count(1))
    return next(name for name in names if not os.path.lexists(folder / name))
