"""Files of images as napari layers: what is small is in memory, what is large is read as it is looked at."""

from __future__ import annotations

from pathlib import Path

from napari.layers import Layer
from pint import Unit

from emseg_napari.io.axes import shape_text
from emseg_napari.io.containers import FOLDER_SUFFIXES
from emseg_napari.io.open import HDF5_SUFFIXES, is_container
from emseg_napari.io.stack_or_volume import LARGE_BYTES, open_image, place_of_file
from emseg_napari.io.stacks import check_image
from emseg_napari.io.volume import BrokenChunk, Volume
from emseg_napari.widgets.layers.layer_info import LayerData, LayerInfo, info_in
from emseg_napari.widgets.layers.layer_pixels import finest
from emseg_napari.widgets.layers.placement import transform_of_voxel, voxel_of_layer
from emseg_napari.widgets.layers.volume_layers import volume_layers


def opened_layers(path: Path) -> list[LayerData]:
    """Open a file or folder as layers; what is small is in memory.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    if is_container(path):
        return [_in_memory(one) for one in volume_layers(path)]
    image = open_image(path)
    if isinstance(image, Volume):
        return volume_layers(path)
    check_image(image, path.name)
    place = transform_of_voxel(*place_of_file(path))
    return [
        (image, {"name": path.stem, "metadata": LayerInfo(source=str(path)).as_metadata()} | place, "image")
    ]


def _in_memory(layer: LayerData) -> LayerData:
    """Return the layer of a volume with its pixels in memory if they are few and all there."""
    _, shown, kind = layer
    behind = info_in(shown["metadata"]).volume
    if behind is None:
        return layer
    volume = behind[1]
    if volume.nbytes > LARGE_BYTES:
        return layer
    try:
        pixels = volume[...]
    except BrokenChunk:  # the rest can be worked on
        return layer
    if kind == "image":
        check_image(pixels, volume.name)
    kept = {name: value for name, value in shown.items() if name not in ("multiscale", "contrast_limits")}
    return pixels, kept, kind


def container_of(path: Path) -> Path:
    """Return the file or folder that contains a path such as ``a.h5/volumes/raw``; else the path itself."""
    suffixes = (*HDF5_SUFFIXES, *FOLDER_SUFFIXES)
    return next((one for one in reversed(path.parents) if one.suffix.lower() in suffixes), path)


def moved_to(old: Path, new: Path) -> Path:
    """Return where an image is whose container the user has found again: the same dataset in it."""
    inner = old.relative_to(container_of(old))
    has_inner = new.suffix.lower() in HDF5_SUFFIXES if new.is_file() else (new / inner).exists()
    return new / inner if has_inner else new


def description_of(layer: Layer) -> str:
    """Return size, size of a voxel and kind of the numbers of a layer in words."""
    shape, voxel = finest(layer).shape, voxel_of_layer(layer)
    words = [shape_text(shape), str(finest(layer).dtype)]
    if voxel is not None:
        words.insert(1, f"{shape_text(voxel.size)} {_short(voxel.unit)}")
    return ", ".join(words)


def _short(unit: str) -> str:
    return f"{Unit(unit):~P}"
