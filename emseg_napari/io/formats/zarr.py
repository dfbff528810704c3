"""Zarr 2 and 3, sharded or not, plain or as OME-Zarr (https://ngff.openmicroscopy.org)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import zarr

from emseg_napari.core.jobs import UserError
from emseg_napari.core.lazy_property import lazy_property
from emseg_napari.io.address import Location
from emseg_napari.io.axes import Size, name_of, shape_text
from emseg_napari.io.containers import ZARR, path_inside, webknossos_root
from emseg_napari.io.datasets import Dataset, Wanted, choose, looks_like_labels, unknown_dataset
from emseg_napari.io.description import FileDescription, StackAxes, stack_axes
from emseg_napari.io.formats.chunk_files import ChunkFilePixels, check_chunks
from emseg_napari.io.multiscale import Multiscale
from emseg_napari.io.placing import along_zyx, placed, plain_place
from emseg_napari.io.stated_axes import Named, attribute_axes, named_axes
from emseg_napari.io.volume import Volume
from emseg_napari.io.zarr_store import failing, readable_store


class ZarrPixels(ChunkFilePixels):
    """A Zarr array in a folder or at an address."""

    _metadata = ZARR.marks

    @lazy_property
    def _array(self) -> zarr.Array:
        with failing():
            return zarr.open_array(readable_store(self.folder, not self.fills), mode="r")

    @lazy_property
    def _in_a_file(self) -> Size:
        return self.axes.size(self._array.shards or self._array.chunks)

    @property
    def _fill_value(self) -> Any:
        return self._array.fill_value or 0  # of Zarr 2 it may be none

    def _file(self, place: tuple[int, ...]) -> str:
        return self._array.metadata.encode_chunk_key(place)

    def _values(self, window: tuple[int | slice, ...]) -> Any:
        with failing():
            return self._array[window]


def open_zarr(root: Location, dataset: str = "", fills: bool = False, wanted: Wanted = "image") -> Volume:
    """Open an array of a Zarr folder.

    Parameters
    ----------
    root : Path or Address
        The folder.
    dataset : str
        Path of an array or group in it. Of a multiscale image the level of full resolution is opened; of
        another group CREMI's volumes/raw or its only volume.
    fills : bool
        Whether chunks without a file are the array's fill value, and no error.
    wanted : str
        What is wanted where none is named.

    Raises
    ------
    UserError
        If there is no such dataset, several could be meant, or it is not a grey stack.
    """
    if dataset and not ZARR.is_node(root / dataset):
        raise unknown_dataset(_datasets(_node(root, root.name), root), dataset, root.name)
    found = _node(root / dataset, name_of(root, dataset))
    if isinstance(found, zarr.Group):
        inner = _default(found, root, dataset, wanted)
        dataset = f"{dataset}/{inner}".strip("/")
        found = _node(root / dataset, name_of(root, dataset))
    return _volume(found, root, dataset, fills)


def zarr_levels(folder: Location) -> list[Location]:
    """Return the arrays of all levels of the image that an array is a level of, the finest first.

    Raises
    ------
    UserError
        If a level lies outside of its group, by a link.
    """
    image = _image_around(folder)
    if image is None:
        return [folder]
    return [_inside(image.group, one) for one in image.multiscale.paths]


def _node(folder: Location, name: str) -> zarr.Array | zarr.Group:
    try:
        return _opened(folder)
    except UserError:
        raise
    except Exception as error:  # malformed metadata raises anything at all
        raise UserError(f"{name} is damaged or not a Zarr folder ({error}); copy it again.") from error


def _opened(folder: Location) -> zarr.Array | zarr.Group:
    with failing():
        found = zarr.open(readable_store(folder), mode="r")
        found.attrs.asdict()
    if isinstance(found, zarr.Array) and not all(found.chunks):
        raise ValueError(f"chunks of {shape_text(found.chunks)} voxels")
    return found


@dataclass(frozen=True)
class _Level:
    """Where an array belongs: the group of the image, and its own path there."""

    group: Location
    multiscale: Multiscale
    path: str


def _volume(array: Any, root: Location, dataset: str, fills: bool) -> Volume:
    name = name_of(root, dataset)
    if not isinstance(array, zarr.Array):
        raise UserError(f"{name} is not an array; choose another dataset.")
    folder = root / dataset
    level = _image_around(folder)
    file = _described(array, name, level)
    axes = stack_axes(file)
    whole = array.dtype.kind in "bui"
    labels = whole and level is not None and level.multiscale.is_labels
    file = replace(
        _placed(file, axes, array.attrs.asdict(), level),
        is_labels=labels or looks_like_labels(dataset, array.dtype),
    )
    chunks = axes.size(array.chunks)
    check_chunks(chunks, array.dtype, name)
    pixels = ZarrPixels(folder, name, axes.size(array.shape), array.dtype, chunks, axes, fills)
    return Volume.described(file, str(folder), pixels)


def _described(array: zarr.Array, name: str, level: _Level | None) -> FileDescription:
    """Describe an array by what its image, its own metadata or its attributes say of its axes."""
    own, notes = _own_axes(array, name)
    container = "Zarr"
    if level is not None:
        container = f"OME-Zarr {level.multiscale.version}".strip()
        axes, notes = level.multiscale.axes(array.ndim)
        if {"z", "y", "x"} & set(own) and own != axes:
            said = f"named {', '.join(own)} by the array and {', '.join(axes)} by its image"
            notes = (*notes, f"its axes are {said}, of which the latter was taken")
        own = axes
        if level.multiscale.shown_inverted:
            notes = (*notes, "OMERO shows it inverted; its values are read as they are stored")
    return FileDescription(name, container, own, array.shape, array.dtype, notes=notes)


def _own_axes(array: zarr.Array, name: str) -> Named:
    names = getattr(array.metadata, "dimension_names", None) or ()
    if any(names):
        return named_axes(names, array.ndim, name)
    return attribute_axes(array.attrs.asdict(), array.ndim, name)


def _placed(
    file: FileDescription, axes: StackAxes, attributes: Mapping[str, Any], level: _Level | None
) -> FileDescription:
    """Add size and place of the voxels: of the image, of ilastik, or `resolution` and `offset` of CREMI."""
    if level is None:
        return plain_place(file, axes, attributes)
    if not level.multiscale.has_scale(level.path):
        return file
    place = level.multiscale.placement(level.path, axes.ndim)
    if place.notes:
        return replace(file, notes=file.notes + place.notes)
    units = level.multiscale.units(axes.ndim)
    sizes, shifts = (along_zyx(axes, place.scale, 1.0), along_zyx(axes, place.translation, 0.0))
    return placed(file, sizes, along_zyx(axes, units, units[axes.order[2]]), shifts)


def _default(group: zarr.Group, root: Location, path: str, wanted: Wanted) -> str:
    name = name_of(root, path)
    image = Multiscale(group.attrs.asdict(), name)
    levels = image.paths
    if not levels or (wanted == "labels" and not image.is_labels):
        inner = choose(_datasets(group, root / path), name, inside=path, wanted=wanted)
        if inner not in levels[:1]:
            return inner
    _inside(root / path, levels[0])
    return levels[0]


def _inside(group: Location, path: str) -> Location:
    """Return where the level of an image lies.

    Raises
    ------
    UserError
        If a link leads out of the group.
    """
    if isinstance(group, Path) and not (group / path).resolve().is_relative_to(group.resolve()):
        raise UserError(
            f"{group.name} has a level {path} that is a link to another place; open that one by its own name."
        )
    return group / path


def _datasets(group: Any, folder: Location) -> dict[str, Dataset]:
    """Return the arrays of a group; of a multiscale image the level of full resolution only."""
    with failing():
        return dict(_walk(group, folder)) if isinstance(group, zarr.Group) else {}


def _walk(group: zarr.Group, folder: Location, above: str = "") -> Iterator[tuple[str, Dataset]]:
    image = Multiscale(group.attrs.asdict(), folder.name)
    shown = [image.paths[0], "labels"] if image.paths else sorted(name for name, _ in group.members())
    for path in shown:
        member: Any = group.get(path)
        if isinstance(member, zarr.Array):
            axes, _ = image.axes(member.ndim) if image.paths else _own_axes(member, above + path)
            yield above + path, Dataset(member.shape, member.dtype, axes)
        elif isinstance(member, zarr.Group) and not (folder / path).is_symlink():  # or round in a circle
            yield from _walk(member, folder / path, f"{above}{path}/")


def _image_around(folder: Location) -> _Level | None:
    """Return the multiscale image that an array is a level of."""
    around: Sequence[Location] = folder.parents
    for parent in around[:3]:
        if ZARR.is_node(parent) and webknossos_root(parent) is None:  # whose groups are no image
            image = Multiscale(_node(parent, parent.name).attrs.asdict(), parent.name)
            path = path_inside(parent, folder)
            if path in image.paths:
                return _Level(parent, image, path)
    return None
