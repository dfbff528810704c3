"""TIFF files of any size: mapped where pixels are uncompressed and contiguous, else decoded page by page."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile
import zarr

from emseg_napari.io import decode
from emseg_napari.io.axes import Size, VolumeWindow, check_grey, last_three, part_of
from emseg_napari.io.chunk_errors import LazyFile, read_or_find_broken
from emseg_napari.io.formats.slices import SlicePixels
from emseg_napari.io.memmap import MappedPixels
from emseg_napari.io.units import voxel_of
from emseg_napari.io.volume import Volume, Voxel


@dataclass(frozen=True)
class PagePixels(SlicePixels):
    """A TIFF file whose pages are decoded whole.

    Attributes
    ----------
    path : Path
    shape : (int, int, int)
    dtype : numpy.dtype
    """

    path: Path
    shape: Size
    dtype: np.dtype[Any]

    @cached_property
    def _array(self) -> zarr.Array:
        return _lazy(self, "page")

    def read_slice(self, z: int) -> np.ndarray:
        """Return one slice (y, x)."""
        window = (slice(z, z + 1), slice(0, self.shape[1]), slice(0, self.shape[2]))
        return read_or_find_broken(self._read, window, self.shape, self.chunks, self.path.name)[0]

    def _read(self, window: VolumeWindow) -> np.ndarray:
        return part_of(self._array, window)


@dataclass(frozen=True)
class TilePixels(LazyFile):
    """A TIFF file whose pages are cut into tiles, of which only those are decoded that are asked for.

    Attributes
    ----------
    path : Path
    shape, chunks : (int, int, int)
    dtype : numpy.dtype
    """

    path: Path
    shape: Size
    dtype: np.dtype[Any]
    chunks: Size

    @cached_property
    def _array(self) -> zarr.Array:
        return _lazy(self, None)

    def read(self, window: VolumeWindow) -> np.ndarray:
        """Return the voxels of a window."""
        return read_or_find_broken(self._read, window, self.shape, self.chunks, self.path.name)

    def _read(self, window: VolumeWindow) -> np.ndarray:
        return part_of(self._array, window)


def open_tiff(path: Path) -> Volume:
    """Open a TIFF file, of which no pixel is read at once.

    Parameters
    ----------
    path : Path

    Raises
    ------
    UserError
        If it is damaged or cut off, in colour, or has more than three axes.
    """
    return decode.guarded(_open, path)


def _open(path: Path) -> Volume:
    with tifffile.TiffFile(path) as file:
        series = decode.checked_series(file, path)
        decode.check_axes(series.shape, series.axes, path.name)
        check_grey(series.shape, series.dtype, path.name)
        return Volume(path.name, str(path), _pixels(file, series, path), _voxel(file))


def _pixels(file: tifffile.TiffFile, series: Any, path: Path) -> MappedPixels | PagePixels | TilePixels:
    shape, page = last_three(series.shape), series.keyframe
    if series.dataoffset is not None:
        return MappedPixels(path, shape, series.dtype.newbyteorder(file.byteorder), series.dataoffset)
    if page.is_tiled:
        return TilePixels(path, shape, series.dtype, (1, page.tilelength, page.tilewidth))
    return PagePixels(path, shape, series.dtype)


def _lazy(pixels: PagePixels | TilePixels, chunkmode: str | None) -> zarr.Array:
    """Open the file for as long as `pixels` live."""
    store: Any = tifffile.imread(pixels.path, aszarr=True, series=0, level=0, chunkmode=chunkmode)
    weakref.finalize(pixels, store.close)
    return zarr.open_array(store, mode="r")


def _voxel(file: tifffile.TiffFile) -> Voxel | None:
    if file.ome_metadata:
        return _ome_voxel(file.ome_metadata)
    return _imagej_voxel(file, file.imagej_metadata) if file.imagej_metadata else None


def _ome_voxel(text: str) -> Voxel | None:
    """Read the physical sizes of OME-XML, which are in micrometres where no unit is stated."""
    pixels = next((one for one in ElementTree.fromstring(text).iter() if one.tag.endswith("}Pixels")), None)
    if pixels is None:
        return None
    sizes = [pixels.get(f"PhysicalSize{axis}") for axis in "ZYX"]
    return voxel_of(sizes, [pixels.get(f"PhysicalSize{axis}Unit", "µm") for axis in "ZYX"])


def _imagej_voxel(file: tifffile.TiffFile, metadata: Mapping[str, Any]) -> Voxel | None:
    """Read ImageJ's spacing of slices and pixels a unit."""
    tags = file.pages.first.tags
    if "XResolution" not in tags or "YResolution" not in tags:
        return None
    y, x = (_inverse(tags[name].value) for name in ("YResolution", "XResolution"))
    return voxel_of([metadata.get("spacing", 1.0), y, x], metadata.get("unit"))


def _inverse(ratio: tuple[int, int]) -> float:
    """Return the size of a pixel from the number of pixels a unit, 0 where that is not known."""
    return ratio[1] / ratio[0] if ratio[0] else 0.0
