"""Volumes of any size as napari layers, which read what they show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import dask.array
import numpy as np
from napari.utils.notifications import show_warning

from emseg_napari.core.jobs import UserError
from emseg_napari.io.address import Location, is_address, location_of
from emseg_napari.io.datasets import SeveralVolumes
from emseg_napari.io.open import open_levels
from emseg_napari.io.volume import BrokenChunk, Size, Volume, with_fill_value
from emseg_napari.widgets.layers.layer_info import LayerData, LayerInfo
from emseg_napari.widgets.layers.placement import transform_of_voxel
from emseg_napari.widgets.layers.remote_array import RemoteArray

# Many small chunks are read as one: dask needs a good part of a millisecond for each.
_TASK_PX = 2048
_TILE_BYTES = 2**24  # of what is asked of a server at once, unless one chunk has more
_SAMPLE_PX = 1024


def volume_layers(path: str | Location) -> list[LayerData]:
    """Open a volume as the layers of its image or its labels; of a container without a default, all.

    Parameters
    ----------
    path : str, Path or Address
        As for `io.open.open_volume`. Chunks without a file are shown as what is empty.

    Raises
    ------
    UserError
        If it cannot be opened.
    """
    try:
        return [layer_of(open_levels(path, fills=True), path)]
    except SeveralVolumes as several:
        inside = [location_of(path) / dataset for dataset in several.datasets]
        return [layer_of(open_levels(one, fills=True), one) for one in inside]


def layer_of(levels: Sequence[Volume], path: str | Location | None = None) -> LayerData:
    """Return the layer that shows a volume.

    Parameters
    ----------
    levels : sequence of Volume
        All resolutions, the finest first. Of labels only that is shown, since napari edits no others.
    path : str, Path or Address, optional
        By which all of them were opened, and will be again; the finest itself stands for no others.
    """
    finest = levels[0]
    arrays = [(remote if is_address(level.source) else lazy)(level) for level in levels]
    several = len(levels) > 1 and not finest.is_labels
    source = str(location_of(path).absolute()) if several and path is not None else finest.source
    notes = finest.description.notes if finest.description else ()
    info = LayerInfo(source=source, volume=(arrays[0], _for_work(finest)), notes=notes)
    shown: dict[str, Any] = {"name": finest.name, "metadata": info.as_metadata()}
    shown |= transform_of_voxel(finest.voxel, finest.origin)
    if finest.is_labels:
        return arrays[0], shown, "labels"
    shown["contrast_limits"] = _limits(levels[-1])
    if several:
        return arrays, shown | {"multiscale": True}, "image"
    return arrays[0], shown, "image"


def lazy(volume: Volume) -> dask.array.Array:
    """Return a dask array over a volume, whose tasks are made of chunks as they lie on disk.

    A task with a chunk that cannot be read now is 0, with a warning: else nothing at all would be shown.
    Jobs, which must not use wrong values, read the volume itself: it is the `volume` of
    the layer's `LayerInfo`.

    Every call gives an array of another name, so that what dask keeps of a file is never shown for
    another one that has taken its place.
    """
    meta = np.empty((0, 0, 0), volume.dtype)
    array = dask.array.from_array(_Shown(volume), _tasks(volume), name=False, meta=meta)
    return array.astype(np.uint8) if volume.is_labels and volume.dtype == bool else array


def remote(volume: Volume) -> RemoteArray:
    """Return an array over a volume at an address, for which the window does not wait."""
    is_binary = volume.is_labels and volume.dtype == bool
    of_a_pixel = _tasks(volume)[0] * volume.dtype.itemsize
    tile = _tasks(volume, min(_TASK_PX, math.isqrt(_TILE_BYTES // of_a_pixel)))
    return RemoteArray(volume, tile, np.dtype(np.uint8) if is_binary else volume.dtype)


def _for_work(volume: Volume) -> Volume:
    """Return a volume whose chunks without a file are an error, as in the command line.

    Not so for labels: nearly all programs leave empty chunks out.
    """
    return volume if volume.is_labels else with_fill_value(volume, False)


class _Shown:
    """A volume to be shown: what cannot be read is 0, with one warning for each chunk, or for a store."""

    ndim = 3

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._warned: set[object] = set()
        self.shape, self.dtype = volume.shape, volume.dtype

    def __getitem__(self, key: Any) -> np.ndarray:
        try:
            return self._volume[key]
        except UserError as error:  # a chunk that is broken, or a store that cannot be reached
            what = error.index if isinstance(error, BrokenChunk) else type(error)
            if what not in self._warned:
                self._warned.add(what)
                show_warning(str(error))
            return np.broadcast_to(np.zeros((), self.dtype), self.shape)[key].copy()


def _tasks(volume: Volume, px: int = _TASK_PX) -> Size:
    """Return as many whole chunks as have at most so many pixels along y and x, but at least one."""
    _, height, width = volume.shape
    depth, *sizes = volume.chunks or (1, height, width)
    y, x = (
        min(length, size * max(1, px // size)) for length, size in zip((height, width), sizes, strict=True)
    )
    return min(depth, len(volume)), y, x


def _limits(volume: Volume) -> tuple[float, float]:
    """Return the least and the greatest value in the middle of the middle slice."""
    _, height, width = volume.shape
    top, left = (max(0, (length - _SAMPLE_PX) // 2) for length in (height, width))
    try:
        sample = volume[len(volume) // 2, top : top + _SAMPLE_PX, left : left + _SAMPLE_PX]
    except BrokenChunk:
        sample = np.empty(0, volume.dtype)
    finite = sample[np.isfinite(sample)]
    if finite.size and finite.min() < finite.max():
        return float(finite.min()), float(finite.max())
    return (0.0, float(np.iinfo(volume.dtype).max)) if volume.dtype.kind in "ui" else (0.0, 1.0)
