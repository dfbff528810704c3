"""Zarr 2 and 3, sharded or not, plain or as OME-Zarr (https://ngff.openmicroscopy.org)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from emseg_napari.core.jobs import UserError
from emseg_napari.io.axes import Size, check_grey, last_three, name_of
from emseg_napari.io.containers import ZARR
from emseg_napari.io.datasets import Dataset, choose, looks_like_labels, unknown_dataset
from emseg_napari.io.formats.chunk_files import ChunkFilePixels
from emseg_napari.io.ome_zarr_metadata import Multiscale
from emseg_napari.io.units import voxel_of
from emseg_napari.io.volume import Volume, Voxel


class ZarrPixels(ChunkFilePixels):
    """A Zarr array in a folder."""

    @cached_property
    def _array(self) -> zarr.Array:
        return zarr.open_array(self.folder, mode="r")

    @cached_property
    def _in_a_file(self) -> Size:
        return last_three(self._array.shards or self._array.chunks)

    @property
    def _fill_value(self) -> Any:
        return self._array.fill_value or 0  # of Zarr 2 it may be none

    def _file(self, place: tuple[int, ...]) -> str:
        return self._array.metadata.encode_chunk_key(place)

    def _values(self, window: tuple[int | slice, ...]) -> Any:
        return self._array[window]


def open_zarr(root: Path, dataset: str = "", fills: bool = False, labels: bool = False) -> Volume:
    """Open an array of a Zarr folder.

    Parameters
    ----------
    root : Path
        The folder.
    dataset : str
        Path of an array or group in it. Of a multiscale image the level of full resolution is opened; of
        another group CREMI's volumes/raw or its only volume.
    fills : bool
        Whether chunks without a file are the array's fill value, and no error.
    labels : bool
        Whether labels are wanted where none is named.

    Raises
    ------
    UserError
        If there is no such dataset, several could be meant, or it is not a grey stack.
    """
    if dataset and not ZARR.is_node(root / dataset):
        raise unknown_dataset(_datasets(_node(root, root.name)), dataset, root.name)
    found = _node(root / dataset, name_of(root, dataset))
    if isinstance(found, zarr.Group):
        dataset = f"{dataset}/{_default(found, root, dataset, labels)}".strip("/")
        found = _node(root / dataset, name_of(root, dataset))
    return _volume(found, root, dataset, fills)


def zarr_levels(folder: Path) -> list[Path]:
    """Return the arrays of all levels of the image that an array is a level of, the finest first."""
    image, path = _image_around(folder)
    if image is None:
        return [folder]
    group = folder.parents[path.count("/")]
    return [group / one for one in image.paths]


def _node(folder: Path, name: str) -> zarr.Array | zarr.Group:
    try:
        return zarr.open(folder, mode="r")
    except Exception as error:  # malformed metadata raises anything at all
        raise UserError(f"{name} is damaged or not a Zarr folder ({error}); copy it again.") from error


def _volume(array: Any, root: Path, dataset: str, fills: bool) -> Volume:
    name = name_of(root, dataset)
    if not isinstance(array, zarr.Array):
        raise UserError(f"{name} is not an array; choose another dataset.")
    check_grey(array.shape, array.dtype, name)
    folder = root / dataset
    pixels = ZarrPixels(folder, name, last_three(array.shape), array.dtype, last_three(array.chunks), fills)
    image, path = _image_around(folder)
    voxel = image.voxel(path, name) if image else _plain_voxel(array.attrs.asdict())
    whole = array.dtype.kind in "bui"
    labels = whole and image is not None and image.is_labels
    return Volume(name, str(folder), pixels, voxel, labels or looks_like_labels(dataset, array.dtype))


def _default(group: zarr.Group, root: Path, path: str, labels: bool) -> str:
    levels = Multiscale(group.attrs.asdict()).paths
    if levels and not labels:
        return levels[0]
    return choose(_datasets(group), name_of(root, path), inside=path, labels=labels)


def _datasets(group: Any) -> dict[str, Dataset]:
    """Return the arrays of a group; of a multiscale image the level of full resolution only."""
    return dict(_walk(group)) if isinstance(group, zarr.Group) else {}


def _walk(group: zarr.Group, above: str = "") -> Iterator[tuple[str, Dataset]]:
    paths = Multiscale(group.attrs.asdict()).paths
    shown = [paths[0], "labels"] if paths else sorted(name for name, _ in group.members())
    for path in shown:
        member: Any = group.get(path)
        if isinstance(member, zarr.Array):
            yield above + path, Dataset(member.shape, member.dtype)
        elif isinstance(member, zarr.Group):
            yield from _walk(member, f"{above}{path}/")


def _image_around(folder: Path) -> tuple[Multiscale | None, str]:
    """Return the multiscale image that an array is a level of, and the level's path there."""
    for parent in list(folder.parents)[:3]:
        if ZARR.is_node(parent):
            image = Multiscale(_node(parent, parent.name).attrs.asdict())
            path = folder.relative_to(parent).as_posix()
            if path in image.paths:
                return image, path
    return None, ""


def _plain_voxel(attributes: Mapping[str, Any]) -> Voxel | None:
    """Read CREMI's `resolution` in nm, z, y, x."""
    resolution: Any = attributes.get("resolution")
    return voxel_of(resolution, "nanometer") if np.shape(resolution) == (3,) else None
