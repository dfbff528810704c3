"""HDF5 files, such as those of CREMI (https://cremi.org/data)."""

from __future__ import annotations

import math
import os
import re
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from emseg_napari.core.jobs import UserError
from emseg_napari.core.lazy_property import lazy_property
from emseg_napari.io.axes import Size, VolumeWindow, name_of
from emseg_napari.io.chunk_errors import LazyFile, read_or_find_broken
from emseg_napari.io.datasets import Dataset, Wanted, choose, looks_like_labels, unknown_dataset
from emseg_napari.io.description import FileDescription, StackAxes, stack_axes
from emseg_napari.io.grey_values import FROM_WHITE, from_white, shown
from emseg_napari.io.placing import plain_place
from emseg_napari.io.stated_axes import ATTRIBUTES, attribute_axes
from emseg_napari.io.volume import PixelSource, Volume

_WHITE = "image_white_is_zero"  # of HDF5's own specification of images
# Attributes that are read; others may be anything at all.
_READ = {*ATTRIBUTES, "axis_units", "resolution", "offset", "element_size_um", "voxel_size", "units", _WHITE}
# A dataset of BigDataViewer: point in time, setup and level (https://imagej.net/plugins/bdv).
_BDV = re.compile(r"(t\d{5,}/s\d{2,})/(\d+)/cells")
_MOST_COUNTED = 100_000  # chunks, so that opening takes no longer than an instant
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
        Of its values; where that is not the file's, the same bytes are taken for it.
    axes : StackAxes
        Which axes of the dataset are z, y and x.
    """

    path: Path
    dataset: str
    shape: Size
    dtype: np.dtype[Any]
    chunks: Size | None
    axes: StackAxes

    @lazy_property
    def _array(self) -> h5py.Dataset:
        with _OPENING:
            return h5py.File(self.path, "r")[self.dataset]

    def read(self, window: VolumeWindow) -> np.ndarray:
        """Return the voxels of a window; several threads may read, one after the other."""
        name = name_of(self.path, self.dataset)
        return read_or_find_broken(self._read, window, self.shape, self.chunks or _PART, name)

    def _read(self, window: VolumeWindow) -> np.ndarray:
        found = self.axes.part(self._array, window)
        return found if found.dtype == self.dtype else found.view(self.dtype)


_OPENING = threading.Lock()


def open_hdf5(path: Path, dataset: str = "", wanted: Wanted = "image") -> Volume:
    """Open a dataset of an HDF5 file.

    Parameters
    ----------
    path : Path
        The file.
    dataset : str
        Its path in the file, or a group's; when not given, CREMI's volumes/raw or the only volume.
    wanted : str
        What is wanted where none is named.

    Raises
    ------
    UserError
        If there is no such dataset, several could be meant, or it is not a grey stack.
    """
    try:
        with h5py.File(path, "r") as file:
            return _open(file, path, dataset, wanted)
    except OSError as error:
        raise UserError(f"{path.name} is damaged or not an HDF5 file ({error}); copy it again.") from error


def hdf5_levels(path: Path, dataset: str) -> list[str]:
    """Return the datasets of all levels of the image that a dataset is a level of, the finest first."""
    match = _BDV.fullmatch(dataset)
    if match is None:
        return [dataset]
    with h5py.File(path, "r") as file:
        group: Any = file[match[1]]
        levels = sorted((name for name in group if name.isdigit()), key=int)
        return [f"{match[1]}/{level}/cells" for level in levels if f"{level}/cells" in group]


def _open(file: h5py.File, path: Path, dataset: str, wanted: Wanted) -> Volume:
    try:
        if dataset and dataset not in file:
            raise unknown_dataset(_datasets(file), dataset, path.name)
        found: Any = file[dataset or "/"]
    except (KeyError, ValueError, RuntimeError) as error:  # such as a link that leads nowhere
        name = name_of(path, dataset)
        raise UserError(f"{name} cannot be opened ({error}); choose another dataset.") from error
    if isinstance(found, h5py.Group):
        inner = choose(_datasets(found), name_of(path, dataset), inside=dataset, wanted=wanted)
        dataset, found = f"{dataset}/{inner}".strip("/"), found[inner]
    name = name_of(path, dataset)
    if not isinstance(found, h5py.Dataset) or found.shape is None:
        raise UserError(f"{name} is not an array; choose another dataset.")
    file_says = _described(found, dataset, name)
    axes = stack_axes(file_says)
    _check_filters(found, name)
    _check_sources(found, path, name)
    file_says = plain_place(file_says, axes, _attributes(found))
    file_says = replace(file_says, is_labels=looks_like_labels(dataset, found.dtype))
    if not file_says.is_labels:
        file_says = replace(file_says, notes=file_says.notes + _unwritten(found))
    chunks = None if found.chunks is None else axes.size(found.chunks)
    pixels = Hdf5Pixels(path, dataset, axes.size(found.shape), file_says.dtype, chunks, axes)
    return Volume.described(file_says, f"{path}/{dataset}", _shown(pixels, file_says))


def _shown(pixels: Hdf5Pixels, file: FileDescription) -> PixelSource:
    if file.photometric != "0 = white":
        return pixels
    return shown(pixels, from_white(file.dtype, 8 * file.dtype.itemsize, file.name))


def _described(found: h5py.Dataset, dataset: str, name: str) -> FileDescription:
    attributes = _attributes(found)
    words, notes = attribute_axes(attributes, found.ndim, name)
    if not _BDV.fullmatch(dataset):
        file = FileDescription(name, "HDF5", words, found.shape, found.dtype, notes=notes)
        inverted = any(key.casefold() == _WHITE and _is_set(value) for key, value in attributes.items())
        return replace(file, photometric="0 = white", notes=(*notes, FROM_WHITE)) if inverted else file
    dtype = found.dtype
    notes = (*notes, "the size of a voxel is in the XML file of BigDataViewer, which is not read")
    if dtype.kind == "i" and dtype.itemsize == 2:
        dtype = np.dtype(np.uint16).newbyteorder(dtype.byteorder)
        notes = (*notes, "its values are read as unsigned, which BigDataViewer stores as signed")
    return FileDescription(name, "BigDataViewer HDF5", words, found.shape, dtype, notes=notes)


def _is_set(value: Any) -> bool:
    flags = np.asarray(value)
    return flags.dtype.kind in "bui" and bool(flags.any())


def _attributes(dataset: h5py.Dataset) -> dict[str, Any]:
    """Return the attributes that may say something of the image, and the labels of its dimensions."""
    found: dict[str, Any] = {}
    for key in dataset.attrs:
        if key.casefold() in _READ:
            try:
                found[key] = dataset.attrs[key]
            except Exception:  # of a type that h5py lacks: as if it were not there
                continue
    return {key: value for key, value in found.items() if not isinstance(value, h5py.Empty)}


def _unwritten(dataset: h5py.Dataset) -> tuple[str, ...]:
    """Say how much of an image was never written: HDF5 gives its fill value there."""
    if dataset.chunks is None:
        plain = dataset.external is None and not dataset.is_virtual
        empty = plain and dataset.id.get_storage_size() == 0
        return ("none of it was ever written, so it is read as its fill value",) if empty else ()
    all_ = math.prod(-(-s // c) for s, c in zip(dataset.shape, dataset.chunks, strict=True))
    if all_ > _MOST_COUNTED:
        return ()
    missing = all_ - dataset.id.get_num_chunks()
    if missing <= 0:
        return ()
    return (f"{missing} of its {all_} chunks were never written, so they are read as its fill value",)


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


def _check_sources(dataset: h5py.Dataset, path: Path, name: str) -> None:
    """Raise `UserError` where a file of a virtual dataset is missing: HDF5 would give its fill value."""
    if not dataset.is_virtual or os.environ.get("HDF5_VDS_PREFIX"):
        return
    named = {one.file_name for one in dataset.virtual_sources()} - {"."}
    around = (path.parent, path.resolve().parent, Path())
    # HDF5 looks for the bare name, too, where an absolute path leads nowhere.
    missing = [
        one
        for one in sorted(named)
        if "%" not in one
        and not any((place / name).is_file() for place in around for name in (one, Path(one).name))
    ]
    if missing:
        raise UserError(
            f"{name} is put together from {len(named)} other files, of which {len(missing)} are missing "
            f"({missing[0]}); put them beside it."
        )


def _datasets(group: h5py.Group) -> dict[str, Dataset]:
    """Return the datasets of a group; of an image in several resolutions the finest only."""
    datasets: dict[str, Dataset] = {}

    def collect(path: str, one: Any) -> None:
        if not isinstance(one, h5py.Dataset) or one.shape is None:
            return
        level = _BDV.fullmatch(one.name.strip("/"))
        if level is None or level[2] == "0":
            datasets[path] = Dataset(one.shape, one.dtype, _axes(one))

    group.visititems(collect)
    return datasets


def _axes(dataset: h5py.Dataset) -> tuple[str, ...]:
    """Return the axes that a dataset names; none where that is malformed, which is said when it is opened."""
    try:
        return attribute_axes(_attributes(dataset), dataset.ndim, dataset.name)[0]
    except UserError:
        return ()
