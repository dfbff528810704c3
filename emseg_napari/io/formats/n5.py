"""N5 (https://github.com/saalfeldlab/n5), which lists its axes as x, y, z; read by TensorStore."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emseg_napari.core.jobs import UserError
from emseg_napari.core.lazy_property import lazy_property
from emseg_napari.io.address import Address, Location
from emseg_napari.io.axes import Size, name_of
from emseg_napari.io.containers import N5
from emseg_napari.io.datasets import Dataset, Wanted, choose, looks_like_labels, unknown_dataset
from emseg_napari.io.description import FileDescription, StackAxes, stack_axes
from emseg_napari.io.formats.chunk_files import ChunkFilePixels, check_chunks
from emseg_napari.io.object_store import open_array, read_array
from emseg_napari.io.placing import along_zyx, placed
from emseg_napari.io.stated_axes import Named, attribute_axes, named_axes
from emseg_napari.io.volume import Volume

(_ATTRIBUTES,) = N5.marks
_TIMEPOINT = re.compile(r"timepoint\d+")  # of BigDataViewer, which states a resolution without its unit
_SHOWN = 200  # characters of what is wrong


class N5Pixels(ChunkFilePixels):
    """An N5 dataset in a folder or at an address."""

    _fill_value = 0
    _metadata = N5.marks

    @lazy_property
    def _array(self) -> Any:
        return _open(self.folder, self.fills)

    @property
    def _in_a_file(self) -> Size:
        return self.chunks

    def _file(self, place: tuple[int, ...]) -> str:
        return "/".join(map(str, reversed(place)))

    def _values(self, window: tuple[int | slice, ...]) -> Any:
        return read_array(self.folder, self._array[window])


def open_n5(root: Location, dataset: str = "", fills: bool = False, wanted: Wanted = "image") -> Volume:
    """Open a dataset of an N5 container.

    Parameters
    ----------
    root : Path or Address
        The container's folder.
    dataset : str
        Path of a dataset or group in it. Of a multiscale group (s0, s1, ...) the level of full
        resolution is opened; of another group CREMI's volumes/raw or its only volume.
    fills : bool
        Whether chunks without a file are 0, and no error.
    wanted : str
        What is wanted where none is named.

    Raises
    ------
    UserError
        If there is no such dataset, several could be meant, or it is not a grey stack.
    """
    if not _is_there(root / dataset):
        raise unknown_dataset(_datasets(root), dataset, root.name)
    if "dimensions" not in _attributes(root / dataset):
        found = _datasets(root / dataset)
        inner = choose(found, name_of(root, dataset), inside=dataset, wanted=wanted)
        dataset = f"{dataset}/{inner}".strip("/")
    folder, name = root / dataset, name_of(root, dataset)
    try:
        array = _open(folder, fills)
    except ValueError as error:
        raise UserError(
            f"{name} is damaged or not an N5 dataset ({_reason(error)}); copy it again."
        ) from error
    words, notes = _axes(_attributes(folder), array.ndim, name)
    file = FileDescription(name, "N5", words, array.shape, array.dtype.numpy_dtype, notes=notes)
    axes = stack_axes(file)
    file = replace(_placed(file, axes, folder), is_labels=looks_like_labels(dataset, file.dtype))
    chunks = axes.size(array.chunk_layout.read_chunk.shape)
    check_chunks(chunks, file.dtype, name)
    pixels = N5Pixels(folder, name, axes.size(array.shape), file.dtype, chunks, axes, fills)
    return Volume.described(file, str(folder), pixels)


def n5_levels(folder: Location) -> list[Location]:
    """Return the datasets of all levels of the image that a dataset is a level of, the finest first."""
    siblings = _children(folder.parent) if re.fullmatch(r"s\d+", folder.name) else []
    levels = folder.name in siblings and _are_levels(siblings)
    return [folder.parent / f"s{n}" for n in range(len(siblings))] if levels else [folder]


def _open(folder: Location, fills: bool) -> Any:
    return open_array(folder, {"driver": "n5", "fill_missing_data_reads": fills}).T


def _reason(error: ValueError) -> str:
    """Return what TensorStore says is wrong, without its code, the file and what it was asked for."""
    text = " ".join(str(error).split()).partition(" [tensorstore_spec")[0]
    return re.split(rf'{re.escape(_ATTRIBUTES)}"?: ', text)[-1][:_SHOWN]


def _datasets(folder: Location, above: str = "") -> dict[str, Dataset]:
    """Return the datasets of a group; of a multiscale group the level of full resolution only."""
    datasets: dict[str, Dataset] = {}
    children = _children(folder)
    for name in children[:1] if _are_levels(children) else children:
        attributes = _attributes(folder / name)
        if "dimensions" in attributes:
            shape = _shape(attributes, folder / name)
            datasets[above + name] = Dataset(shape, _dtype(attributes), _known_axes(attributes, len(shape)))
        elif not (folder / name).is_symlink():  # which may lead round in a circle
            datasets |= _datasets(folder / name, f"{above}{name}/")
    return datasets


def _shape(attributes: Mapping[str, Any], folder: Location) -> tuple[int, ...]:
    stated = attributes["dimensions"]
    if not isinstance(stated, list) or not all(isinstance(one, int) and one >= 0 for one in stated):
        raise UserError(
            f"{folder / _ATTRIBUTES} states dimensions that are no sizes ({stated}); copy it again."
        )
    return tuple(reversed(stated))


def _dtype(attributes: Mapping[str, Any]) -> np.dtype[Any]:
    stated = str(attributes.get("dataType"))
    return np.dtype(stated if re.fullmatch(r"u?int\d+|float\d+", stated) else object)


def _is_there(folder: Location) -> bool:
    """Whether there is a dataset or group; of a store objects are listed only where none has attributes."""
    return N5.is_node(folder) or N5.is_node(folder / "s0") or folder.is_dir()


def _children(folder: Location) -> list[str]:
    if isinstance(folder, Address) and N5.is_node(folder / "s0"):
        # Cheaper than to list all chunks, which a store may refuse, too.
        levels = (f"s{n}" for n in itertools.count())
        return list(itertools.takewhile(lambda level: N5.is_node(folder / level), levels))
    return sorted(one.name for one in folder.iterdir() if _is_there(one))


def _are_levels(children: list[str]) -> bool:
    return len(children) > 1 and sorted(children) == sorted(f"s{n}" for n in range(len(children)))


def _attributes(folder: Location) -> Mapping[str, Any]:
    file = folder / _ATTRIBUTES
    try:
        content = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file} cannot be read ({error}); copy it again.") from error
    return content if isinstance(content, Mapping) else {}


def _axes(attributes: Mapping[str, Any], ndim: int, name: str) -> Named:
    """Return the axes in the order z, y, x: the reverse of the file's, in which `axes` names them.

    The other attributes come from Python, where the arrays of N5 have the order z, y, x.
    """
    transform = attributes.get("transform")
    if isinstance(transform, Mapping) and isinstance(transform.get("axes"), list):  # of COSEM
        return named_axes(transform["axes"], ndim, name)
    stated = attributes.get("axes")
    turned = {"axes": stated[::-1]} if isinstance(stated, list) else {}
    return attribute_axes({**attributes, **turned}, ndim, name)


def _known_axes(attributes: Mapping[str, Any], ndim: int) -> tuple[str, ...]:
    """Return the axes of a dataset; none where that is malformed, which is said when it is opened."""
    try:
        return _axes(attributes, ndim, "")[0]
    except UserError:
        return ()


def _placed(file: FileDescription, axes: StackAxes, folder: Location) -> FileDescription:
    """Add size and place of the voxels.

    They are in COSEM's `transform`; or `pixelResolution` or `resolution` (nm where no unit is stated) and
    `offset` list x, y, z. A level may have them from its group, multiplied by its own downsampling: then the
    centre of its first voxel is that of all those that it stands for.
    """
    own, group = _attributes(folder), _attributes(folder.parent)
    transform = own.get("transform")
    if isinstance(transform, Mapping) and isinstance(transform.get("scale"), list):
        sizes, shifts = (_zyx(axes, transform.get(key)) for key in ("scale", "translate"))
        return placed(
            file, sizes, _zyx(axes, transform.get("units")), shifts if "translate" in transform else None
        )
    factors = _factors(own, group, folder.name)
    for attributes, factor in ((own, [1.0] * axes.ndim), (group, factors)):
        stated: Any = attributes.get("pixelResolution", attributes.get("resolution"))
        units: Any = attributes.get("units", "nanometer")
        if isinstance(stated, Mapping):
            stated, units = stated.get("dimensions"), stated.get("unit", "nanometer")
        if stated is None:
            continue
        if _TIMEPOINT.fullmatch(folder.parent.name):
            note = "the size of a voxel is in the XML file of BigDataViewer, which is not read"
            return replace(file, notes=(*file.notes, note))
        return _scaled(file, axes, _Stated(stated, units, attributes.get("offset"), factor))
    return file


@dataclass(frozen=True)
class _Stated:
    """What N5 says of size and place, along x, y, z, and how many voxels of level 0 make one."""

    sizes: Any
    units: Any
    offset: Any
    factors: Sequence[float]


def _scaled(file: FileDescription, axes: StackAxes, stated: _Stated) -> FileDescription:
    units = stated.units if isinstance(stated.units, str) else _zyx(axes, _reversed(stated.units))
    sizes, factors = (_zyx(axes, _reversed(one)) for one in (stated.sizes, stated.factors))
    shifts = [0.0] * 3 if stated.offset is None else _zyx(axes, _reversed(stated.offset))
    try:
        own = [float(size) * factor for size, factor in zip(sizes, factors, strict=True)]
        centres = [
            float(shift) + float(size) * (factor - 1) / 2
            for shift, size, factor in zip(shifts, sizes, factors, strict=True)
        ]
    except (TypeError, ValueError, OverflowError):
        own, centres = sizes, shifts
    return placed(file, own, units, centres)


def _factors(own: Mapping[str, Any], group: Mapping[str, Any], level: str) -> list[float]:
    """Return how many voxels of level 0 make one of a level along x, y, z."""
    scales = group.get("scales", group.get("downsamplingFactors"))
    number = int(level[1:]) if re.fullmatch(r"s\d{1,3}", level) else 0
    listed = scales[number] if isinstance(scales, list) and number < len(scales) else None
    for stated in (own.get("downsamplingFactors"), listed):
        if isinstance(stated, list) and all(isinstance(one, int | float) and one >= 1 for one in stated):
            return [float(one) for one in stated]
    return [1.0] * 3


def _reversed(stated: Any) -> Any:
    return stated[::-1] if isinstance(stated, list) else stated


def _zyx(axes: StackAxes, stated: Any) -> list[Any]:
    """Return what belongs to z, y, x of what is listed for all axes; what is malformed as it is."""
    values = stated if isinstance(stated, list) else [stated]
    return along_zyx(axes, values, 1.0) if len(values) == axes.ndim else values
