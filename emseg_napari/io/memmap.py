"""Uncompressed pixels in a file, which each process maps instead of receiving a copy."""

from __future__ import annotations

import math
import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emseg_napari.core.lazy_property import lazy_property
from emseg_napari.io.axes import Size, VolumeWindow, last_three, size_of
from emseg_napari.io.chunk_errors import BrokenChunk, LazyFile


@dataclass(frozen=True)
class MappedPixels(LazyFile):
    """A file in which the pixels of all slices follow each other, uncompressed.

    Attributes
    ----------
    path : Path
    shape : (int, int, int)
    dtype : numpy.dtype
    offset : int
        Of the first pixel, in bytes.
    order : (int, int, int)
        The places of z, y and x among the axes in the file, the slowest first.
    """

    path: Path
    shape: Size
    dtype: np.dtype[Any]
    offset: int
    chunks: None = None
    order: Size = (0, 1, 2)

    @lazy_property
    def _array(self) -> np.ndarray:
        stored = tuple(self.shape[self.order.index(axis)] for axis in range(3))
        return np.memmap(self.path, self.dtype, "r", self.offset, stored).transpose(self.order)

    def read(self, window: VolumeWindow) -> np.ndarray:
        """Return a copy of the voxels of a window.

        Raises
        ------
        BrokenChunk
            If the file has become shorter since it was opened.
        """
        if size_of(window) == self.shape and self.order == (0, 1, 2):
            return self._all()
        return np.array(self._array[window], order="C")

    def _all(self) -> np.ndarray:
        """Return all voxels, read at once: twice as fast as through the map, page by page."""
        voxels = np.fromfile(self.path, self.dtype, math.prod(self.shape), offset=self.offset)
        if voxels.size < math.prod(self.shape):
            raise BrokenChunk(f"{self.path.name} is cut off; save or copy it again.", (0, 0, 0))
        return voxels.reshape(self.shape)


def mapped_again(array: Any) -> tuple[type[MappedPixels], tuple[Any, ...]] | None:
    """Return what pickle makes an array's pixels of; None if it lies over no file with a name.

    Parameters
    ----------
    array : array
        A `numpy.memmap` or a part of one whose pixels follow each other. Not one that is changed in memory
        only (mode "c"), nor of a class of its own, whose file may go with it.
    """
    if type(array) is not np.memmap or array.mode == "c" or not array.flags.c_contiguous:
        return None
    if not array.filename or not Path(array.filename).is_file():
        return None
    place = Path(array.filename), last_three(array.shape), array.dtype, _offset(array)
    return MappedPixels, place


def _offset(array: Any) -> int:
    """Return where an array begins in its file: its own `offset` is that of the whole it is a part of."""
    first_mapped = array.offset - array.offset % mmap.ALLOCATIONGRANULARITY
    return int(first_mapped + array.ctypes.data - np.frombuffer(array._mmap, np.uint8).ctypes.data)
