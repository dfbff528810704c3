"""HDF5 files, such as those of CREMI (https://cremi.org/data)."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from emseg_napari.core.jobs import UserError
from emseg_napari.io.axes import Size, VolumeWindow, check_grey, last_three, name_of, part_of
from emseg_napari.io.chunk_errors import LazyFile, read_or_find_broken
from emseg_napari.io.datasets import Dataset, choose, looks_like_labels, unknown_dataset
from emseg_napari.io.units import voxel_of
from emseg_napari.io.volume import Volume, Voxel

# A window of a dataset without chunks is searched in parts of this size for what cannot be read.
_PART = (1, 1024, 1024)


@dataclass(frozen=True)
class Hdf5Pixels(LazyFile):
    """A dataset of an HDF5 file, opened in each process at the first reading.

    Attributes
    ----------
    path : Path
        The file.
    dataset : str
        Its path in the file.
    shape, chunks : (int, int, int)
    dtype : numpy.dtype
    """

    path: Path
    dataset: str
    shape: Size
    dtype: np.dtype[Any]
    chunks: Size | None

    @cached_property
    def _array(self) -> h5py.Dataset:
        with _OPENING:
            return h5py.File(self.path, "r")[self.dataset]

    def read(self, window: VolumeWindow) -> np.ndarray:
        """Return the voxels of a window; several threads may read, one after the other."""
        name = name_of(self.path, self.dataset)
        return read_or_find_broken(self._read, window, self.shape, self.chunks or _PART, name)

    def _read(self, window: VolumeWindow) -> np.ndarray:
        return part_of(self._array, window)


_OPENING = threading.Lock()


def open_hdf5(path: Path, dataset: str = "", labels: bool = False) -> Volume:
    """Open a dataset of an HDF5 file.

    Parameters
    ----------
    path : Path
        The file.
    dataset : str
        Its path in the file, or a group's; when not given, CREMI's volumes/raw or the only volume.
    labels : bool
        Whether labels are wanted where none is named.

    Raises
    ------
    UserError
        If there is no such dataset, several could be meant, or it is not a grey stack.
    """
    try:
        with h5py.File(path, "r") as file:
            return _open(file, path, dataset, labels)
    except OSError as error:
        raise UserError(f"{path.name} is damaged or not an HDF5 file ({error}); copy it again.") from error


def _open(file: h5py.File, path: Path, dataset: str, wants_labels: bool) -> Volume:
    if dataset and dataset not in file:
        raise unknown_dataset(_datasets(file), dataset, path.name)
    found: Any = file[dataset or "/"]
    if isinstance(found, h5py.Group):
        inner = choose(_datasets(found), name_of(path, dataset), inside=dataset, labels=wants_labels)
        dataset, found = f"{dataset}/{inner}".strip("/"), found[inner]
    name = name_of(path, dataset)
    if not isinstance(found, h5py.Dataset) or found.shape is None:
        raise UserError(f"{name} is not an array; choose another dataset.")
    check_grey(found.shape, found.dtype, name)
    _check_filters(found, name)
    chunks = None if found.chunks is None else last_three(found.chunks)
    pixels = Hdf5Pixels(path, dataset, last_three(found.shape), found.dtype, chunks)
    labels = looks_like_labels(dataset, found.dtype)
    return Volume(name, f"{path}/{dataset}", pixels, _voxel(found.attrs), labels)


def _check_filters(dataset: h5py.Dataset, name: str) -> None:
    """Raise `UserError` where a library is missing without which no chunk could be decoded."""
    steps = dataset.id.get_create_plist()
    for step in range(steps.get_nfilters()):
        code, _, _, text = steps.get_filter(step)
        if not h5py.h5z.filter_avail(code):
            filter_name = text.decode(errors="replace") or f"HDF5 filter {code}"
            raise UserError(
                f"{name} is compressed by {filter_name}, which HDF5 lacks here; save it again with gzip."
            )


def _datasets(group: h5py.Group) -> dict[str, Dataset]:
    datasets: dict[str, Dataset] = {}

    def collect(path: str, one: Any) -> None:
        if isinstance(one, h5py.Dataset) and one.shape is not None:
            datasets[path] = Dataset(one.shape, one.dtype)

    group.visititems(collect)
    return datasets


def _voxel(attributes: Mapping[str, Any]) -> Voxel | None:
    """Read `resolution` of CREMI in nm, or `element_size_um` of Fiji and ilastik, both z, y, x."""
    for key, unit in (("resolution", "nanometer"), ("element_size_um", "micrometer")):
        stated: Any = attributes.get(key)
        if np.shape(stated) == (3,):
            return voxel_of(stated, unit)
    return None
