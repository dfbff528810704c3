"""Datasets of webKnossos: a folder of layers, each in several magnifications, that a JSON file describes.

Layers in Zarr are read (https://docs.webknossos.org/webknossos/data/zarr.html); the arrays are larger than
the bounding box, outside of which nothing is stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import zarr

from emseg_napari.core.jobs import UserError
from emseg_napari.io.axes import Size, VolumeWindow, name_of, size_of
from emseg_napari.io.chunk_errors import chunks_over
from emseg_napari.io.containers import webknossos_properties
from emseg_napari.io.datasets import Dataset, Wanted, choose, unknown_dataset
from emseg_napari.io.description import FileDescription, stack_axes
from emseg_napari.io.formats.chunk_files import check_chunks
from emseg_napari.io.formats.zarr import ZarrPixels
from emseg_napari.io.placing import placed
from emseg_napari.io.volume import Volume
from emseg_napari.io.zarr_store import failing, readable_store

_ZARR = ("zarr", "zarr3")
_KINDS = {"color": "image", "segmentation": "labels"}  # what a category of layers holds


@dataclass(frozen=True)
class _Magnification:
    """One array of a layer.

    Attributes
    ----------
    folder : str
        From the dataset.
    factor : (int, int, int)
        How many voxels of the finest magnification one of it has along z, y, x.
    axes : tuple of str
        Of the array.
    """

    folder: str
    factor: Size
    axes: tuple[str, ...]

    @property
    def is_inside(self) -> bool:
        """Whether it lies in the dataset, and not anywhere on this or another computer."""
        path = Path(self.folder)
        return not path.anchor and ".." not in path.parts and "://" not in self.folder


@dataclass(frozen=True)
class _Layer:
    """A layer of a dataset, with its bounding box (z, y, x) in voxels of the finest magnification."""

    name: str
    kind: str
    container: str
    dtype: str
    corner: Size
    size: Size
    magnifications: tuple[_Magnification, ...]

    def box(self, factor: Size) -> VolumeWindow:
        """Return the voxels of a magnification that the bounding box touches."""
        z, y, x = (
            slice(corner // one, -(-(corner + size) // one))
            for corner, size, one in zip(self.corner, self.size, factor, strict=True)
        )
        return z, y, x


@dataclass(frozen=True)
class WebknossosPixels(ZarrPixels):
    """The bounding box of an array, which begins at `corner` (z, y, x) of it."""

    corner: Size = (0, 0, 0)

    def _read(self, window: VolumeWindow) -> Any:
        return super()._read(self._moved(window))

    def _files(self, window: VolumeWindow) -> Iterator[tuple[VolumeWindow, str]]:
        stored = self.axes.size(self._array.shape)
        for index, part in chunks_over(self._moved(window), stored, self._in_a_file):
            z, y, x = (
                slice(max(one.start - corner, 0), min(one.stop - corner, length))
                for one, corner, length in zip(part, self.corner, self.shape, strict=True)
            )
            yield (z, y, x), self._file(self.axes.places(index))

    def _moved(self, window: VolumeWindow) -> VolumeWindow:
        """Return a window of the bounding box as one of the array."""
        z, y, x = (
            slice(one.start + corner, one.stop + corner)
            for one, corner in zip(window, self.corner, strict=True)
        )
        return z, y, x


def open_webknossos(root: Path, dataset: str = "", fills: bool = False, wanted: Wanted = "image") -> Volume:
    """Open a layer of a dataset.

    Parameters
    ----------
    root : Path
        The folder with ``datasource-properties.json``.
    dataset : str
        A layer, whose finest magnification is opened, or the folder of a magnification, such as
        ``color/2-2-1``; when not given, the only layer of what is wanted.
    fills : bool
        Whether chunks without a file are the array's fill value, and no error.
    wanted : str
        "labels" are segmentation layers, all else is in the others.

    Raises
    ------
    UserError
        If there is no such layer, several could be meant, it is not Zarr, or it is damaged.
    """
    layers = {layer.name: layer for layer in _layers(root)}
    if not dataset:
        kind = "labels" if wanted == "labels" else "image"
        meant = {name: layer for name, layer in layers.items() if layer.kind == kind} or layers
        dataset = choose({name: Dataset(one.size, one.dtype) for name, one in meant.items()}, root.name)
    for layer in layers.values():
        for magnification in layer.magnifications:
            if dataset in (layer.name, magnification.folder):
                return _open(root, layer, magnification, fills)
    raise unknown_dataset(
        {name: Dataset(one.size, one.dtype) for name, one in layers.items()}, dataset, root.name
    )


def webknossos_levels(folder: Path, root: Path) -> list[Path]:
    """Return the arrays of all magnifications of the layer that an array is one of, the finest first."""
    for layer in _layers(root):
        folders = [root / one.folder for one in layer.magnifications if one.is_inside]
        if folder in folders:
            return folders
    return [folder]


def _open(root: Path, layer: _Layer, magnification: _Magnification, fills: bool) -> Volume:
    if not magnification.is_inside:
        raise UserError(
            f"{layer.name} of {root.name} lies outside of it ({magnification.folder}); copy the dataset "
            "together with the voxels of all its layers."
        )
    folder, name = root / magnification.folder, name_of(root, magnification.folder)
    if layer.container not in _ZARR:
        raise UserError(
            f"{name} is stored as {layer.container}, which cannot be read; save it as zarr3, such as "
            f'with webknossos.Dataset.open("{root.name}").copy_dataset("NEW", data_format="zarr3").'
        )
    try:
        with failing():
            array = zarr.open_array(readable_store(folder), mode="r")
    except UserError:
        raise
    except Exception as error:  # malformed metadata raises anything at all
        raise UserError(f"{name} is damaged or not a Zarr array ({error}); copy it again.") from error
    file = FileDescription(name, "webKnossos", magnification.axes, array.shape, array.dtype)
    axes = stack_axes(file)
    box = layer.box(magnification.factor)
    if any(part.stop > length for part, length in zip(box, axes.size(array.shape), strict=True)):
        raise UserError(f"{name} is smaller than the bounding box of its layer; copy the dataset again.")
    file = replace(_placed(file, root, box, magnification), is_labels=layer.kind == "labels")
    chunks = axes.size(array.chunks)
    check_chunks(chunks, array.dtype, name)
    corner = box[0].start, box[1].start, box[2].start
    size = size_of(box)
    pixels = WebknossosPixels(folder, name, size, array.dtype, chunks, axes, fills, corner)
    # what is described is the bounding box, with the axes of a stack
    file = replace(file, axes=("z", "y", "x"), shape=size)
    return Volume.described(file, str(folder), pixels)


def _placed(
    file: FileDescription, root: Path, box: VolumeWindow, magnification: _Magnification
) -> FileDescription:
    """Add size and place of the voxels; voxels of all magnifications begin at the same corner."""
    scale = (webknossos_properties(root) or {}).get("scale")
    stated = scale if isinstance(scale, Mapping) else {"factor": scale}  # older ones list nanometres
    factor, unit = stated.get("factor"), stated.get("unit", "nanometer")
    if factor is None:
        return file
    fine = factor[::-1] if isinstance(factor, list) else [factor]
    if len(fine) != 3 or not all(isinstance(one, int | float) for one in fine):
        return placed(file, fine, unit)  # which says that
    sizes = [size * one for size, one in zip(fine, magnification.factor, strict=True)]
    shifts = [
        part.start * size + (size - first) / 2 for part, size, first in zip(box, sizes, fine, strict=True)
    ]
    return placed(file, sizes, unit, shifts)


def _layers(root: Path) -> list[_Layer]:
    try:
        layers = [_layer(one) for one in (webknossos_properties(root) or {})["dataLayers"]]
        return [layer for layer in layers if layer.magnifications and all(layer.size)]
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UserError(
            f"{root.name} has a damaged datasource-properties.json ({error!r}); copy it again."
        ) from error


def _layer(stated: Mapping[str, Any]) -> _Layer:
    box = stated["boundingBox"]
    magnifications = [
        _magnification(stated["name"], one) for one in stated.get("mags") or stated.get("wkwResolutions", [])
    ]
    return _Layer(
        str(stated["name"]),
        _KINDS.get(stated["category"], ""),
        str(stated["dataFormat"]),
        str(stated["elementClass"]),
        _zyx(box["topLeft"], 0),
        _zyx((box["width"], box["height"], box["depth"]), 0),
        tuple(sorted(magnifications, key=lambda one: one.factor)),
    )


def _magnification(layer: str, stated: Mapping[str, Any]) -> _Magnification:
    factor = stated.get("mag", stated.get("resolution"))
    z, y, x = _zyx((factor,) * 3 if isinstance(factor, int) else factor, 1)
    name = str(x) if x == y == z else f"{x}-{y}-{z}"
    places = stated.get("axisOrder") or {"c": 0, "x": 1, "y": 2, "z": 3}
    folder = str(stated.get("path") or f"{layer}/{name}").removeprefix("./")
    return _Magnification(folder, (z, y, x), tuple(sorted(places, key=lambda axis: places[axis])))


def _zyx(stated: Sequence[Any], least: int) -> Size:
    """Return whole numbers along z, y, x of those stated along x, y, z, none of them below `least`."""
    x, y, z = map(int, stated)
    if min(x, y, z) < least:
        raise ValueError(f"{[x, y, z]} where no number is below {least}")
    return z, y, x
