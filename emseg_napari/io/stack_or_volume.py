"""Images and labels from files: small ones as arrays in memory, large ones as volumes."""

from __future__ import annotations

from filecmp import cmp
from pathlib import Path
from typing import Any

import numpy as np

from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import Convention, normalise
from emseg_napari.io.address import Address, Location, location_of
from emseg_napari.io.axes import NOWHERE, Point
from emseg_napari.io.containers import existing_part
from emseg_napari.io.open import display_name, is_container, open_volume, read_whole
from emseg_napari.io.records import Kind, may_be_labels, record_of_path
from emseg_napari.io.sparse_stack import SparseStack, normalised
from emseg_napari.io.stacks import recorded_convention, supported
from emseg_napari.io.volume import Volume, Voxel

# Up to that size an image is read as a whole, which makes every later look at it quick.
LARGE_BYTES = 2**30


def open_image(path: str | Location, *, fills: bool = False) -> np.ndarray | Volume:
    """Open an image.

    Parameters
    ----------
    path : str or Path
        As for `stacks.read_image`.
    fills : bool
        Whether chunks without a file are the fill value; else reading one raises `BrokenChunk`, at
        once if the image is small.

    Returns
    -------
    numpy.ndarray or Volume
        (z, y, x).

    Raises
    ------
    UserError
        If it cannot be read.
    """
    return loaded(open_volume(path, fills=fills))


def loaded(volume: Volume) -> np.ndarray | Volume:
    """Return an image (z, y, x) as `open_image` does."""
    return volume if volume.nbytes > LARGE_BYTES else supported(read_whole(volume))


def open_labels(path: str | Location, convention: Convention | None = None) -> SparseStack:
    """Read the slices that have labels; chunks without a file have none.

    Parameters
    ----------
    path : str or Path
        As for `stacks.read_labels`.
    convention : Convention, optional
        What the values mean; see there.

    Raises
    ------
    UserError
        As `stacks.read_labels`.
    """
    return labels_in(open_volume(path, fills=True, labels=True), convention)


def labels_in(volume: Volume, convention: Convention | None = None) -> SparseStack:
    """Read the labels of a file that was opened for them, as `open_labels` does."""
    convention = convention or recorded_convention(volume.source)
    if volume.nbytes > LARGE_BYTES:
        return normalised(volume, volume.name, convention)
    return SparseStack.of(normalise(read_whole(volume), volume.name, convention))


def open_prediction(
    path: str | Location, kind: Kind | None = None, *, fills: bool = False
) -> tuple[Volume, dict[str, Any]]:
    """Open a prediction; what its values mean is found out later.

    Parameters
    ----------
    path : str or Path
        As for `open.open_volume`; of a container with several volumes neither a raw image nor labels.
    kind : str, optional
        What the user states that it holds.
    fills : bool
        As for `open_image`.

    Returns
    -------
    volume : Volume
    record : dict
        What is written about it; empty for one of other origin.

    Raises
    ------
    UserError
        If it cannot be opened.
    """
    record = record_of_path(path)
    labels = may_be_labels(kind, record)
    return open_volume(path, fills=fills, labels=labels, prediction=True), record


def place_of_file(path: str | Location) -> tuple[Voxel | None, Point]:
    """Return the size of a voxel as a file states it, if it does, and the origin, as of a `Volume`."""
    try:
        volume = _of_image_or_labels(path)
    except UserError:  # such as several volumes
        return None, NOWHERE
    return volume.voxel, volume.origin


def _of_image_or_labels(path: str | Location) -> Volume:
    try:
        return open_volume(path, fills=True)
    except UserError:  # such as a table of colours
        return open_volume(path, fills=True, labels=True)


def refuse_image(labels: str | Location, image: str | Location) -> None:
    """Raise `UserError` if labels are read from where the image lies."""
    if same_source(labels, image):
        name = display_name(source_of(labels, is_labels=True).resolve())
        raise UserError(f"{name} is the image itself; choose the labels that belong to it.")


def same_source(labels: str | Location, image: str | Location) -> bool:
    """Whether labels are read from the file, or the dataset in a container, that an image is read from."""
    return is_one_place(source_of(labels, is_labels=True), source_of(image, is_labels=False))


def is_one_place(one: Location, other: Location) -> bool:
    """Whether two paths of files, or of datasets in containers, are one, also through links."""
    if isinstance(one, Address) or isinstance(other, Address):
        return one == other
    files, inside = _parts(one, other)
    are_there = files[0].is_file() or inside[0] == Path()
    return are_there and inside[0] == inside[1] and files[0].samefile(files[1])


def is_one_or_copy(one: Location, other: Location) -> bool:
    """Whether two paths are one, or of files that are equal byte by byte.

    Equal pixels alone make no copy: a prediction may be perfect.
    """
    if isinstance(one, Address) or isinstance(other, Address):
        return one == other
    files, inside = _parts(one, other)
    both = inside[0] == inside[1] and all(file.is_file() for file in files)
    return is_one_place(one, other) or (both and cmp(files[0], files[1], shallow=False))


def _parts(one: Path, other: Path) -> tuple[list[Path], list[Path]]:
    """Return what exists of two paths, and the rest of them, which is a dataset in a file."""
    paths = [one.resolve(), other.resolve()]
    files = [existing_part(path) for path in paths]
    return files, [path.relative_to(file) for path, file in zip(paths, files, strict=True)]


def source_of(path: str | Location, is_labels: bool) -> Location:
    """Return the file, or the dataset in a container, that is read for a path."""
    path = location_of(path)
    if not is_container(path):
        return path
    return location_of(open_volume(path, fills=True, labels=is_labels).source)
