"""TIFF files of any size: mapped where pixels are uncompressed and contiguous, else decoded page by page."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr

from emseg_napari.core.lazy_property import lazy_property
from emseg_napari.io.axes import Size, VolumeWindow, size_of
from emseg_napari.io.chunk_errors import read_or_find_broken
from emseg_napari.io.decode import guarded
from emseg_napari.io.description import FileDescription, StackAxes
from emseg_napari.io.formats.slice_pixels import SlicePixels
from emseg_napari.io.formats.tiff_claims import stack_pages
from emseg_napari.io.formats.tiff_description import TiffStack, described
from emseg_napari.io.grey_values import one_channel, shown
from emseg_napari.io.memmap import MappedPixels
from emseg_napari.io.volume import PixelSource, Volume


@dataclass(frozen=True)
class TiffPixels(SlicePixels):
    """A TIFF file whose pages, or tiles of them, are decoded where they are asked for.

    Attributes
    ----------
    path : Path
    shape : (int, int, int)
    dtype : numpy.dtype
    axes : StackAxes
        Of the array in the file, without colour channels.
    colour : int or None
        The place of colour channels among its axes.
    tile : (int, int, int) or None
        What is decoded alone; None if whole pages are.
    """

    path: Path
    shape: Size
    dtype: np.dtype[Any]
    axes: StackAxes
    colour: int | None = None
    tile: Size | None = None

    @property
    def chunks(self) -> Size:
        """A tile, or else one slice."""
        return self.tile or super().chunks

    @lazy_property
    def _array(self) -> zarr.Array:
        """Open the file for as long as this lives."""
        file = tifffile.TiffFile(self.path)
        weakref.finalize(self, file.close)
        series = stack_pages(file, self.path.name).series
        store: Any = series.aszarr(level=0, chunkmode=None if self.tile else "page")
        return zarr.open_array(store, mode="r")

    def read(self, window: VolumeWindow) -> np.ndarray:
        """Return the voxels of a window; of all slices at once, which several threads decode."""
        whole = size_of(window) == self.shape
        return self._found(window) if whole or self.tile else super().read(window)

    def read_slice(self, z: int) -> np.ndarray:
        """Return one slice (y, x)."""
        return self._found((slice(z, z + 1), slice(0, self.shape[1]), slice(0, self.shape[2])))[0]

    def _found(self, window: VolumeWindow) -> np.ndarray:
        return read_or_find_broken(self._read, window, self.shape, self.chunks, self.path.name)

    def _read(self, window: VolumeWindow) -> np.ndarray:
        if size_of(window) == self.shape and self.shape[0] > 1:
            with tifffile.TiffFile(self.path) as file:
                array = stack_pages(file, self.path.name).series.asarray()
                return arranged(array, self.axes, self.colour, window, self.path.name)
        return arranged(self._array, self.axes, self.colour, window, self.path.name)


def arranged(array: Any, axes: StackAxes, colour: int | None, window: VolumeWindow, name: str) -> np.ndarray:
    """Return the voxels (z, y, x) of a window of the file's array, equal colours as grey."""
    if colour is None:
        return axes.part(array, window)
    key = [*axes.key(window)]
    place = sum(isinstance(one, slice) for one in key[:colour])
    key.insert(colour, slice(None))
    values = np.moveaxis(np.asarray(array[tuple(key)]), place, -1)
    return axes.stack(one_channel(values, name))


def open_tiff(path: Path, labels: bool = False) -> Volume:
    """Open a TIFF file; of its pixels only those of a colour image are read at once, to compare the colours.

    Parameters
    ----------
    path : Path
    labels : bool
        Whether labels are wanted, which are the numbers in a table of colours and not the colours.

    Raises
    ------
    UserError
        If it is damaged or cut off, in colour, or has more than three axes.
    """
    return guarded(lambda one: _open(one, labels), path)


def read_tiff(path: Path, labels: bool = False) -> tuple[FileDescription, np.ndarray]:
    """Read a TIFF file as a whole.

    Parameters
    ----------
    path, labels
        As for `open_tiff`.

    Returns
    -------
    description : FileDescription
    stack : numpy.ndarray
        (z, y, x) of the file's own data type in native byte order.

    Raises
    ------
    UserError
        As `open_tiff`.
    """
    return guarded(lambda one: _read(one, labels), path)


def tiff_text(path: Path) -> str:
    """Return the description of a TIFF file's first page, empty if there is none."""
    return guarded(_first_description, path)


def _open(path: Path, labels: bool) -> Volume:
    with tifffile.TiffFile(path) as file:
        stack = described(file, path.name, labels)
        pixels = shown(_pixels(file, stack, path), stack.grey)
        return Volume.described(stack.file, str(path), pixels)


def _read(path: Path, labels: bool) -> tuple[FileDescription, np.ndarray]:
    with tifffile.TiffFile(path) as file:
        stack = described(file, path.name, labels)
        z, y, x = (slice(0, n) for n in stack.axes.size(stack.file.shape))
        array = arranged(stack.series.asarray(), stack.axes, stack.colour, (z, y, x), path.name)
    values = stack.grey.of(array)
    return stack.file, values.astype(values.dtype.newbyteorder("="), copy=False)


def _pixels(file: tifffile.TiffFile, stack: TiffStack, path: Path) -> PixelSource:
    axes, series, page = stack.axes, stack.series, stack.series.keyframe
    shape = axes.size(stack.file.shape)
    last = tuple(range(axes.ndim - 3, axes.ndim))
    as_stored = axes.order == last or (axes.order[0] is None and axes.order[1:] == last[1:])
    if series.dataoffset is not None and stack.colour is None and as_stored:
        return MappedPixels(path, shape, series.dtype.newbyteorder(file.byteorder), series.dataoffset)
    apart = page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and page.samplesperpixel > 1
    tile = _tile(page) if as_stored and (page.is_tiled or (apart and stack.colour is None)) else None
    return TiffPixels(path, shape, series.dtype, axes, stack.colour, tile)


def _tile(page: tifffile.TiffPage) -> Size:
    if page.is_tiled:
        return 1, page.tilelength, page.tilewidth
    return 1, min(page.rowsperstrip, page.imagelength), page.imagewidth


def _first_description(path: Path) -> str:
    with tifffile.TiffFile(path) as file:
        return file.pages.first.description
