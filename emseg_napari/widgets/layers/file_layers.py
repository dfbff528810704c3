"""Files of images as napari layers: what is small is in memory, what is large is read as it is looked at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from napari.layers import Layer

from emseg_napari.core.jobs import JobContext, Progress
from emseg_napari.io.address import Address, Location
from emseg_napari.io.containers import FOLDER_SUFFIXES, path_inside
from emseg_napari.io.description import FileDescription, plain_axes
from emseg_napari.io.open import HDF5_SUFFIXES, is_container, open_volume, read_whole
from emseg_napari.io.stack_or_volume import LARGE_BYTES
from emseg_napari.io.stacks import check_image, supported
from emseg_napari.io.volume import BrokenChunk, Volume
from emseg_napari.widgets.layers.layer_info import LayerData, LayerInfo, info_in, info_of
from emseg_napari.widgets.layers.layer_pixels import finest
from emseg_napari.widgets.layers.placement import transform_of_voxel, voxel_of_layer
from emseg_napari.widgets.layers.volume_layers import volume_layers

_CHUNKS = 8  # are fetched at the same time
_LARGE_AT_ADDRESS_BYTES = 2**26  # more takes too long to be fetched before it is shown


def opened_layers(path: Location, context: JobContext | None = None) -> list[LayerData]:
    """Open a file or folder as layers; what is small is in memory.

    Parameters
    ----------
    path : Path or Address
    context : JobContext, optional
        Of a volume that is read into memory, it is told how far that is, and can stop it.

    Raises
    ------
    UserError
        If it cannot be read.
    Cancelled
    """
    if is_container(path):
        most = _LARGE_AT_ADDRESS_BYTES if isinstance(path, Address) else LARGE_BYTES
        return [_in_memory(one, most, context or JobContext()) for one in volume_layers(path)]
    volume = open_volume(path)
    if volume.nbytes > LARGE_BYTES:
        return volume_layers(path)
    image = supported(read_whole(volume))
    check_image(image, path.name)
    file, place = volume.description, transform_of_voxel(volume.voxel, volume.origin)
    known = LayerInfo(source=str(path), notes=file.notes if file else ())
    return [(image, {"name": path.stem, "metadata": known.as_metadata()} | place, "image")]


def _in_memory(layer: LayerData, most: int, context: JobContext) -> LayerData:
    """Return the layer of a volume with its pixels in memory if they are few and all there."""
    _, shown, kind = layer
    behind = info_in(shown["metadata"]).volume
    if behind is None:
        return layer
    volume = behind[1]
    if volume.nbytes > most:
        return layer
    try:
        pixels = _read(volume, context)
    except BrokenChunk:  # the rest can be worked on
        return layer
    if kind == "image":
        check_image(pixels, volume.name)
    kept = {name: value for name, value in shown.items() if name not in ("multiscale", "contrast_limits")}
    return pixels, kept, kind


def _read(volume: Volume, context: JobContext) -> np.ndarray:
    """Read a whole volume, some chunks at a time."""
    depth, height, width = volume.chunks or volume.shape
    beside = -(-volume.shape[1] // height) * -(-volume.shape[2] // width)
    depth *= -(-_CHUNKS // beside)
    pixels = np.empty(volume.shape, volume.dtype)
    for z in range(0, len(volume), depth):
        context.check_stop()
        pixels[z : z + depth] = volume[z : z + depth]
        context.report(Progress(min(z + depth, len(volume)) / len(volume)))
    return pixels


def container_of(path: Location) -> Location:
    """Return the file or folder that contains a path such as ``a.h5/volumes/raw``; else the path itself."""
    suffixes = (*HDF5_SUFFIXES, *FOLDER_SUFFIXES)
    around: list[Location] = [*path.parents]
    return next((one for one in reversed(around) if one.suffix.lower() in suffixes), path)


def moved_to(old: Location, new: Path) -> Path:
    """Return where an image is whose container the user has found again: the same dataset in it."""
    inner = path_inside(container_of(old), old)
    has_inner = new.suffix.lower() in HDF5_SUFFIXES if new.is_file() else (new / inner).exists()
    return new / inner if has_inner else new


def description_of(layer: Layer) -> str:
    """Return size, bits and size of a voxel of a layer in words, and how its file was read."""
    pixels, info = finest(layer), info_of(layer)
    shape, axes = tuple(pixels.shape), plain_axes(len(pixels.shape))
    voxel = voxel_of_layer(layer)
    file = FileDescription(layer.name, "", axes, shape, np.dtype(pixels.dtype), voxel=voxel, notes=info.notes)
    return file.sentence()
