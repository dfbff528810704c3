"""N5 (https://github.com/saalfeldlab/n5), which lists its axes as x, y, z; read by TensorStore."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore

from emseg_napari.core.jobs import UserError
from emseg_napari.io.axes import Size, check_grey, last_three, name_of
from emseg_napari.io.containers import N5
from emseg_napari.io.datasets import Dataset, choose, looks_like_labels, unknown_dataset
from emseg_napari.io.formats.chunk_files import ChunkFilePixels
from emseg_napari.io.units import voxel_of
from emseg_napari.io.volume import Volume, Voxel

(_ATTRIBUTES,) = N5.marks


class N5Pixels(ChunkFilePixels):
    """An N5 dataset in a folder."""

    _fill_value = 0

    @cached_property
    def _array(self) -> Any:
        return _open(self.folder)

    @property
    def _in_a_file(self) -> Size:
        return self.chunks

    def _file(self, place: tuple[int, ...]) -> str:
        return "/".join(map(str, reversed(place)))

    def _values(self, window: tuple[int | slice, ...]) -> Any:
        return self._array[window].read().result()


def open_n5(root: Path, dataset: str = "", fills: bool = False, labels: bool = False) -> Volume:
    """Open a dataset of an N5 container.

    Parameters
    ----------
    root : Path
        The container's folder.
    dataset : str
        Path of a dataset or group in it. Of a multiscale group (s0, s1, ...) the level of full
        resolution is opened; of another group CREMI's volumes/raw or its only volume.
    fills : bool
        Whether chunks without a file are 0, and no error.
    labels : bool
        Whether labels are wanted where none is named.

    Raises
    ------
    UserError
        If there is no such dataset, several could be meant, or it is not a grey stack.
    """
    if not (root / dataset).is_dir():
        raise unknown_dataset(_datasets(root), dataset, root.name)
    if "dimensions" not in _attributes(root / dataset):
        found = _datasets(root / dataset)
        inner = choose(found, name_of(root, dataset), inside=dataset, labels=labels)
        dataset = f"{dataset}/{inner}".strip("/")
    folder, name = root / dataset, name_of(root, dataset)
    try:
        array = _open(folder)
    except ValueError as error:
        raise UserError(f"{name} is damaged or not an N5 dataset ({error}); copy it again.") from error
    dtype = array.dtype.numpy_dtype
    check_grey(array.shape, dtype, name)
    chunks = last_three(array.chunk_layout.read_chunk.shape)
    pixels = N5Pixels(folder, name, last_three(array.shape), dtype, chunks, fills)
    return Volume(name, str(folder), pixels, _voxel(folder), looks_like_labels(dataset, dtype))


def n5_levels(folder: Path) -> list[Path]:
    """Return the datasets of all levels of the image that a dataset is a level of, the finest first."""
    siblings = _children(folder.parent)
    levels = folder.name in siblings and _are_levels(siblings)
    return [folder.parent / f"s{n}" for n in range(len(siblings))] if levels else [folder]


def _open(folder: Path) -> Any:
    spec = {"driver": "n5", "kvstore": {"driver": "file", "path": str(folder)}}
    return tensorstore.open(spec, read=True, open=True).result().T


def _datasets(folder: Path, above: str = "") -> dict[str, Dataset]:
    """Return the datasets of a group; of a multiscale group the level of full resolution only."""
    datasets: dict[str, Dataset] = {}
    children = _children(folder)
    for name in children[:1] if _are_levels(children) else children:
        attributes = _attributes(folder / name)
        if "dimensions" in attributes:
            datasets[above + name] = Dataset(attributes["dimensions"][::-1], _dtype(attributes))
        else:
            datasets |= _datasets(folder / name, f"{above}{name}/")
    return datasets


def _dtype(attributes: Mapping[str, Any]) -> np.dtype[Any]:
    stated = str(attributes.get("dataType"))
    return np.dtype(stated if re.fullmatch(r"u?int\d+|float\d+", stated) else object)


def _children(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir() if one.is_dir())


def _are_levels(children: list[str]) -> bool:
    return len(children) > 1 and sorted(children) == sorted(f"s{n}" for n in range(len(children)))


def _attributes(folder: Path) -> Mapping[str, Any]:
    file = folder / _ATTRIBUTES
    try:
        content = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read ({error}); copy it again.") from error
    return content if isinstance(content, Mapping) else {}


def _voxel(folder: Path) -> Voxel | None:
    """Read `pixelResolution` or `resolution` (nm where no unit is stated), both x, y, z.

    A level may have it from its group, multiplied by its own downsampling.
    """
    own, group = _attributes(folder), _attributes(folder.parent)
    factors = own.get("downsamplingFactors", [1, 1, 1])
    for attributes, factor in ((own, [1, 1, 1]), (group, factors)):
        stated: Any = attributes.get("pixelResolution", attributes.get("resolution"))
        unit = "nanometer"
        if isinstance(stated, Mapping):
            stated, unit = stated.get("dimensions"), stated.get("unit", unit)
        if np.shape(stated) == (3,) and np.shape(factor) == (3,):
            return voxel_of(np.multiply(stated, factor)[::-1], unit)
    return None
