"""Folders of numbered TIFF or PNG slices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from emseg_napari.core.jobs import UserError
from emseg_napari.io.axes import Size, VolumeWindow, shape_text
from emseg_napari.io.chunk_errors import BrokenChunk
from emseg_napari.io.decode import PNG_SUFFIXES
from emseg_napari.io.description import FileDescription, stack_axes
from emseg_napari.io.formats.microscope_text import pixel_note
from emseg_napari.io.formats.png import describe_png, read_png
from emseg_napari.io.formats.slice_names import slice_files
from emseg_napari.io.formats.slice_pixels import SlicePixels
from emseg_napari.io.layout import Blocks
from emseg_napari.io.volume import Volume


@dataclass(frozen=True)
class FilePixels(SlicePixels):
    """Files of one slice each.

    Attributes
    ----------
    paths : tuple of Path
        In the order of the slices.
    shape : (int, int, int)
    dtype : numpy.dtype
        That of most slices, which the others must share.
    labels : bool
        Whether labels are wanted, as for `open_slices`.
    """

    paths: tuple[Path, ...]
    shape: Size
    dtype: np.dtype[Any]
    labels: bool = False

    def some_files(self, most: int) -> list[Path]:
        """Return at most so many of the files, evenly spread."""
        return [self.paths[window[0].start] for window in self.some_windows(most)]

    def some_windows(self, most: int) -> list[VolumeWindow]:
        """Return the voxels that lie in each of `some_files`."""
        return [block.window for block in Blocks(self.shape, self.chunks).some(most)]

    def read_slice(self, z: int) -> np.ndarray:
        """Return one slice (y, x).

        Raises
        ------
        BrokenChunk
            If its file is damaged, or of another size or type than the others.
        """
        path = self.paths[z]
        try:
            plane = read_slice_file(path, self.labels)
        except UserError as error:
            raise BrokenChunk(f"slice {z}: {error}", (z, 0, 0)) from error
        if plane.shape != self.shape[1:] or plane.dtype != self.dtype:
            raise BrokenChunk(
                f"slice {z}: {path.parent.name}/{path.name} ({_kind(plane.shape, plane.dtype)}) is unlike "
                f"the other slices of its folder ({_kind(self.shape[1:], self.dtype)}); remove it or save it "
                "like them.",
                (z, 0, 0),
            )
        return plane


def open_slices(path: Path, labels: bool = False) -> Volume:
    """Open a folder of numbered slices, of which only the headers of three are read at once.

    Parameters
    ----------
    path : Path
        A folder with TIFF or PNG files, ordered by the numbers in their names; other files are ignored.
        Or one PNG file.
    labels : bool
        Whether labels are wanted, which are the numbers in a table of colours and not the colours.

    Raises
    ------
    UserError
        If there are none, their order is not clear, or they are not single grey slices.
    """
    paths, notes = slice_files(path) if path.is_dir() else ([path], ())
    usual = _usual(paths, labels)
    if path.is_dir() and usual.voxel is None:
        notes += pixel_note(paths[0].parent)
    size, dtype = _kind_of(usual)
    found = replace(
        usual,
        name=path.name,
        container=f"folder of {usual.container}" if path.is_dir() else usual.container,
        axes=("z", "y", "x"),
        shape=(len(paths), *size),
        claimed=None,
        notes=(*notes, *usual.notes),
    )
    pixels = FilePixels(tuple(paths), (len(paths), *size), dtype, labels)
    # the folder itself of the slices, which another file beside that folder does not hide
    return Volume.described(found, str(paths[0].parent if path.is_dir() else path), pixels)


def read_slice_file(path: Path, labels: bool = False) -> np.ndarray:
    """Read a TIFF or PNG file of one slice.

    Parameters
    ----------
    path : Path
    labels : bool
        As for `open_slices`.

    Returns
    -------
    numpy.ndarray
        (y, x) of the file's own data type in native byte order. Colour with equal channels is grey.

    Raises
    ------
    UserError
        If it is damaged, in colour, or has several slices.
    """
    if path.suffix.lower() in PNG_SUFFIXES:
        return read_png(path, labels)
    from emseg_napari.io.formats.tiff import read_tiff

    file, stack = read_tiff(path, labels)
    _check_single(file, path)
    return stack[0]


def _usual(paths: Sequence[Path], labels: bool) -> FileDescription:
    """Describe a slice like most of three; raise `UserError` if none can be read."""
    files, errors = [], []
    for n in sorted({0, len(paths) // 2, len(paths) - 1}):
        try:
            files.append(_described(paths[n], labels))
        except UserError as error:
            errors.append(error)
    if not files:
        raise errors[0]
    kinds = Counter(_kind_of(file) for file in files)
    return next(file for file in files if _kind_of(file) == kinds.most_common(1)[0][0])


def _described(path: Path, labels: bool) -> FileDescription:
    """Describe a file of one slice."""
    if path.suffix.lower() in PNG_SUFFIXES:
        return describe_png(path, labels)
    from emseg_napari.io.formats.tiff import open_tiff

    file = open_tiff(path, labels).description
    assert file is not None  # of a file
    _check_single(file, path)
    return file


def _check_single(file: FileDescription, path: Path) -> None:
    depth = stack_axes(file).size(file.shape)[0]
    if depth != 1:
        raise UserError(
            f"{path.parent.name}/{path.name} is a stack of {depth} slices; choose that file itself, not its "
            "folder."
        )


def _kind_of(file: FileDescription) -> tuple[tuple[int, int], np.dtype[Any]]:
    """Return the size (y, x) of a slice and the type of its values."""
    places = dict(zip(file.axes, file.shape, strict=True))
    return (places["y"], places["x"]), file.dtype.newbyteorder("=")


def _kind(size: tuple[int, ...], dtype: np.dtype[Any]) -> str:
    return f"{shape_text(size)} pixels, {dtype}"
