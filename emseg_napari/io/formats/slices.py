"""Folders of numbered TIFF or PNG slices, and the base of volumes that are read slice by slice."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from emseg_napari.core.jobs import UserError
from emseg_napari.io import decode
from emseg_napari.io.axes import Size, VolumeWindow, check_grey, shape_text, size_of
from emseg_napari.io.chunk_errors import BrokenChunk, LazyFile
from emseg_napari.io.layout import Blocks
from emseg_napari.io.volume import Volume

_KEPT = 2  # tiles of one slice are read one after the other


class SlicePixels(LazyFile, ABC):
    """Base of volumes that decode whole slices, of which the last ones stay in memory."""

    shape: Size
    dtype: np.dtype[Any]

    @property
    def chunks(self) -> Size:
        """One slice."""
        return 1, self.shape[1], self.shape[2]

    @cached_property
    def _slice(self) -> Callable[[int], np.ndarray]:
        return lru_cache(_KEPT)(self.read_slice)

    @abstractmethod
    def read_slice(self, z: int) -> np.ndarray:
        """Return one slice (y, x)."""

    def read(self, window: VolumeWindow) -> np.ndarray:
        """Return the voxels of a window."""
        block = np.empty(size_of(window), self.dtype)
        for n, z in enumerate(range(window[0].start, window[0].stop)):
            block[n] = self._slice(z)[window[1:]]
        return block


@dataclass(frozen=True)
class FilePixels(SlicePixels):
    """Files of one slice each.

    Attributes
    ----------
    paths : tuple of Path
        In the order of the slices.
    shape : (int, int, int)
    dtype : numpy.dtype
        Those of the first slice, which the others must share.
    """

    paths: tuple[Path, ...]
    shape: Size
    dtype: np.dtype[Any]

    def some_files(self, most: int) -> list[Path]:
        """Return at most so many of the files, evenly spread."""
        return [self.paths[window[0].start] for window in self.some_windows(most)]

    def some_windows(self, most: int) -> list[VolumeWindow]:
        """Return the voxels that lie in each of `some_files`."""
        blocks = Blocks(self.shape, self.chunks)
        places = np.unique(np.linspace(0, len(blocks) - 1, min(len(blocks), most)).round())
        return [blocks[int(place)].window for place in places]

    def read_slice(self, z: int) -> np.ndarray:
        """Return one slice (y, x).

        Raises
        ------
        BrokenChunk
            If its file is damaged, or of another size or type than the first.
        """
        path = self.paths[z]
        try:
            array = decode.read(path)
        except UserError as error:
            raise BrokenChunk(f"slice {z}: {error}", (z, 0, 0)) from error
        if array.shape != (1, *self.shape[1:]) or array.dtype != self.dtype:
            raise BrokenChunk(
                f"slice {z}: {path.parent.name}/{path.name} ({_kind(array)}) is unlike the first slice of "
                f"its folder ({_kind(self)}); remove it or save it like that one.",
                (z, 0, 0),
            )
        return array[0]


def open_slices(path: Path) -> Volume:
    """Open a folder of numbered slices, of which only the first is read at once.

    Parameters
    ----------
    path : Path
        A folder with TIFF or PNG files, ordered by the numbers in their names; other files are ignored.
        Or one such file.

    Raises
    ------
    UserError
        If there are none, or the first is not a single grey slice.
    """
    paths = decode.slice_paths(path) if path.is_dir() else [path]
    first = decode.read(paths[0])
    if len(first) != 1:
        raise UserError(
            f"{path.name}/{paths[0].name} is a stack of {len(first)} slices; "
            "choose that file itself, not its folder."
        )
    check_grey(first.shape, first.dtype, path.name)
    pixels = FilePixels(tuple(paths), (len(paths), *first.shape[1:]), first.dtype)
    return Volume(path.name, str(path), pixels)


def _kind(array: Any) -> str:
    return f"{shape_text(array.shape[1:])} pixels, {array.dtype}"
