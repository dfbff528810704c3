"""Opening of any file, folder or address of a store as a volume.

Libraries are imported with the format that needs them: together they take most of a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from emseg_napari.core.jobs import UserError
from emseg_napari.core.machine import free_memory
from emseg_napari.io.address import Address, Location, location_of
from emseg_napari.io.axes import name_of
from emseg_napari.io.containers import (
    N5,
    ZARR,
    L,
    check_access,
    container_of,
    existing_part,
    path_inside,
    precomputed_info,
    precomputed_root,
    webknossos_root,
)
from emseg_napari.io.datasets import Wanted
from emseg_napari.io.decode import PNG_SUFFIXES, TIFF_SUFFIXES
from emseg_napari.io.description import FileDescription
from emseg_napari.io.formats.foreign import conversion
from emseg_napari.io.volume import Volume

HDF5_SUFFIXES = (".h5", ".hdf5", ".hdf", ".he5")
MRC_SUFFIXES = (".mrc", ".rec", ".st", ".mrcs", ".ali", ".preali", ".map", ".ccp4")
FILE_SUFFIXES = (*TIFF_SUFFIXES, *PNG_SUFFIXES, *HDF5_SUFFIXES, *MRC_SUFFIXES)
_GIB = 1 << 30


def open_volume(
    path: str | Location,
    dataset: str | None = None,
    *,
    fills: bool = False,
    labels: bool = False,
    prediction: bool = False,
) -> Volume:
    """Open a stack of any size; nothing but what describes it is read.

    Parameters
    ----------
    path : str, Path or Address
        OME-Zarr, Zarr, N5, precomputed (Neuroglancer), a dataset of webKnossos, HDF5, MRC, TIFF, PNG, or a
        folder of numbered slices; or the address (``s3://bucket/b.zarr``, ``gs://...``, ``https://...``) of
        one of the first four. A
        dataset inside a container is addressed by appending its path (``a.h5/volumes/raw``, ``b.zarr/0``).
        Where none is given it is a multiscale image's full resolution, CREMI's volumes/raw, or the only
        volume.
    dataset : str, optional
        Path of a dataset in the container, instead of appending it to the path.
    fills : bool
        Whether a chunk of Zarr or N5 without a file is the fill value, as where a writer leaves out what
        is empty, and not a `BrokenChunk`.
    labels : bool
        Whether labels are wanted, and not an image: of a table of colours they are the numbers, and the
        image is what is shown; of a container with several volumes they are CREMI's
        volumes/labels/neuron_ids, or the only volume in a folder of labels, and never a raw image.
    prediction : bool
        Whether a prediction is wanted, of labels or not: of a container with several volumes the only one
        that is neither a raw image nor in a folder of labels.

    Returns
    -------
    Volume
        Axes (z, y, x); leading axes of length 1 are dropped.

    Raises
    ------
    UserError
        If it is missing, damaged, of another format or not a single grey stack, or several datasets could
        be meant.
    """
    whole = location_of(path).absolute() / (dataset or "").strip("/")
    wanted: Wanted = "prediction" if prediction else "labels" if labels else "image"
    if isinstance(whole, Address):
        return _open_address(whole, fills, wanted)
    there = existing_part(whole)
    inner = path_inside(there, whole)
    if there.is_file() and there.suffix.lower() not in HDF5_SUFFIXES:
        return _open_file(there, inner, whole, labels)
    return _open_container(there, whole, fills, wanted) or _open_folder(there, inner, whole, labels)


def describe(path: str | Location, *, labels: bool = False) -> FileDescription:
    """Return what a file or folder says of the image in it, without reading the pixels.

    Parameters
    ----------
    path, labels
        As for `open_volume`.

    Raises
    ------
    UserError
        As `open_volume`.
    """
    volume = open_volume(path, fills=True, labels=labels)
    return volume.description or FileDescription(
        volume.name, "", ("z", "y", "x"), volume.shape, volume.dtype, voxel=volume.voxel
    )


def open_levels(path: str | Location, *, fills: bool = False) -> list[Volume]:
    """Open all resolutions of a multiscale image, the finest first.

    Parameters
    ----------
    path : str, Path or Address
        As for `open_volume`. Where it names one level, or anything that has no others, that is all.
    fills : bool
        As for `open_volume`.

    Raises
    ------
    UserError
        As `open_volume`.
    """
    volume = open_volume(path, fills=fills)
    source = location_of(volume.source)
    if source == location_of(path).absolute():
        return [volume]
    others = [level for level in _levels(source) if level != source]
    return [volume, *(open_volume(level, fills=fills) for level in others)]


def display_name(path: str | Location) -> str:
    """Return what a file, or a dataset in a container, is called in sentences: ``a.h5/volumes/raw``."""
    whole = location_of(path).absolute()
    if isinstance(whole, Address):
        return whole.name_in_container
    there = existing_part(whole)
    container = container_of(there) if there.is_dir() else there
    return name_of(container, path_inside(container, whole)) if container else whole.name


def is_container(path: str | Location) -> bool:
    """Whether a path is a container, as all addresses are, and not a file or folder of slices."""
    whole = location_of(path).absolute()
    if isinstance(whole, Address):
        return True
    there = existing_part(whole)
    if there.is_dir():
        return container_of(there) is not None
    return there.suffix.lower() in HDF5_SUFFIXES + MRC_SUFFIXES


def read_whole(volume: Volume) -> np.ndarray:
    """Read all of a volume into memory.

    Returns
    -------
    numpy.ndarray
        (z, y, x), of the volume's dtype.

    Raises
    ------
    UserError
        If there is not enough memory, or a part of it cannot be read.
    """
    free = free_memory()
    if volume.nbytes > free:
        raise UserError(
            f"{volume.name} takes {volume.nbytes / _GIB:.1f} GiB of memory, of which "
            f"{free / _GIB:.1f} GiB are free; save a part of it as a file."
        )
    return volume[...]


def _open_file(file: Path, inner: str, whole: Path, labels: bool) -> Volume:
    suffix = file.suffix.lower()
    if inner:
        raise UserError(f"{whole} does not exist: {file.name} is a file without datasets; check the name.")
    if suffix in MRC_SUFFIXES:
        from emseg_napari.io.formats.mrc import open_mrc

        return open_mrc(file)
    if suffix in TIFF_SUFFIXES:
        from emseg_napari.io.formats.tiff import open_tiff

        return open_tiff(file, labels)
    if suffix in PNG_SUFFIXES:
        from emseg_napari.io.formats.slices import open_slices

        return open_slices(file, labels)
    reason = conversion(file.name)
    if reason:
        raise UserError(f"{file.name} {reason}.")
    raise UserError(f"{file.name} has a format that cannot be read; save it as OME-Zarr, HDF5, MRC or TIFF.")


def _open_container(there: Path, whole: Path, fills: bool, wanted: Wanted) -> Volume | None:
    """Open a dataset of an HDF5 file, or of the container that a folder lies in; None if it lies in none."""
    if there.is_file():
        from emseg_napari.io.formats.hdf5 import open_hdf5

        return open_hdf5(there, path_inside(there, whole), wanted)
    return _open_chunks(there, whole, fills, wanted)


def _open_chunks(there: L, whole: Location, fills: bool, wanted: Wanted) -> Volume | None:
    """Open a dataset of the container that a folder or address lies in; None if it lies in none."""
    if (dataset := webknossos_root(there)) is not None:
        from emseg_napari.io.formats.webknossos import open_webknossos

        return open_webknossos(dataset, path_inside(dataset, whole), fills, wanted)
    if (root := ZARR.root(there)) is not None:
        from emseg_napari.io.formats.zarr import open_zarr

        return open_zarr(root, path_inside(root, whole), fills, wanted)
    if (root := N5.root(there)) is not None:
        from emseg_napari.io.formats.n5 import open_n5

        return open_n5(root, path_inside(root, whole), fills, wanted)
    if (root := precomputed_root(there)) is not None:
        from emseg_napari.io.formats.precomputed import open_precomputed

        return open_precomputed(root, path_inside(root, whole), fills)
    return None


def _open_address(address: Address, fills: bool, wanted: Wanted) -> Volume:
    volume = _open_chunks(address, address, fills, wanted)
    if volume is not None:
        return volume
    check_access(address)
    raise UserError(
        f"At {address} there is no OME-Zarr, Zarr, N5 or precomputed volume; check the address, or download "
        "a file of another format and open that."
    )


def _open_folder(folder: Path, inner: str, whole: Path, labels: bool) -> Volume:
    if inner:
        raise UserError(f"{whole} does not exist; check the name.")
    from emseg_napari.io.formats.slices import open_slices

    return open_slices(folder, labels)


def _levels(folder: Location) -> Sequence[Location]:
    file = None if isinstance(folder, Address) else existing_part(folder)
    if file is not None and file.is_file() and file.suffix.lower() in HDF5_SUFFIXES:
        from emseg_napari.io.formats.hdf5 import hdf5_levels

        return [file / level for level in hdf5_levels(file, path_inside(file, folder))]
    if (dataset := webknossos_root(folder)) is not None and isinstance(folder, Path):
        from emseg_napari.io.formats.webknossos import webknossos_levels

        return webknossos_levels(folder, dataset)
    if ZARR.is_node(folder):
        from emseg_napari.io.formats.zarr import zarr_levels

        return zarr_levels(folder)
    if N5.is_node(folder):
        from emseg_napari.io.formats.n5 import n5_levels

        return n5_levels(folder)
    if precomputed_info(folder.parent) is not None:
        from emseg_napari.io.formats.precomputed import precomputed_levels

        return precomputed_levels(folder.parent)
    return [folder]
