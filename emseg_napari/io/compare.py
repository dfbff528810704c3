"""Comparison of two outputs, value by value: by the bytes of their slices, not by how files hold them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from emseg_napari.core.jobs import UserError
from emseg_napari.core.text import counted
from emseg_napari.io.address import Address, Location
from emseg_napari.io.axes import shape_text
from emseg_napari.io.decode import TIFF_SUFFIXES
from emseg_napari.io.export import export_files
from emseg_napari.io.stacks import as_stack


@dataclass(frozen=True)
class PartDifference:
    """A part of two outputs, such as a slice, whose values are not the same.

    Attributes
    ----------
    part : str
    count : int
        How many values differ.
    largest : float or None
        The largest difference of two values; None if they are not numbers of one meaning.
    """

    part: str
    count: int
    largest: float | None


@dataclass(frozen=True)
class Comparison:
    """What came of a comparison.

    Attributes
    ----------
    compared : str
        What was compared, such as "3 slices".
    differences : sequence of PartDifference
        Empty if all bytes agree.
    """

    compared: str
    differences: Sequence[PartDifference]


def compare_outputs(one: Location, other: Location) -> Comparison:
    """Compare two TIFF files or OME-Zarr outputs, slice by slice.

    Raises
    ------
    UserError
        If they have another size or type, or cannot be read.
    """
    stacks = _values(one), _values(other)
    found = list(_differences(stacks[0], stacks[1], one.name))
    return Comparison(counted(len(stacks[0]), "slice"), found)


def compare_exports(one: Path, other: Path, record: Mapping[str, Any]) -> Comparison:
    """Compare the images and labels of two exports, file by file.

    Parameters
    ----------
    one, other : Path
        Folders; or the labels' .tif, with the image beside it.
    record : mapping
        Of the first, which says what its files are.
    """
    pairs = list(zip(*(export_files(root, record) for root in (one, other)), strict=True))
    found: list[PartDifference] = []
    for files in pairs:
        if missing := [file for file in files if not file.is_file()]:
            raise UserError(f"{missing[0]} is missing, so the export is not whole; export it anew.")
        stacks = [_values(file) for file in files]
        found += _differences(stacks[0], stacks[1], files[0].name, f"{files[0].name}, ")
    return Comparison(counted(len(pairs), "file"), found)


def _values(path: Location) -> Any:
    """Return the values of a file or output as it holds them, (z, y, x)."""
    if isinstance(path, Address) or path.is_dir():
        from emseg_napari.io.ome_zarr_writer import VolumeOutput  # loads Zarr

        return VolumeOutput(path)
    if path.suffix.lower() in TIFF_SUFFIXES:
        return as_stack(tifffile.imread(path))
    from imageio.v3 import imread

    return as_stack(imread(path))


def _differences(one: Any, other: Any, name: str, prefix: str = "") -> Iterator[PartDifference]:
    if one.shape != other.shape or one.dtype != other.dtype:
        raise UserError(
            f"{name} holds {shape_text(one.shape)} values of {one.dtype}, and made again "
            f"{shape_text(other.shape)} of {other.dtype}, so they cannot be compared."
        )
    for z in range(len(one)):
        a, b = np.asarray(one[z]), np.asarray(other[z])
        if a.tobytes() != b.tobytes():
            apart = np.abs(a.astype(np.float64) - b.astype(np.float64))
            yield PartDifference(f"{prefix}slice {z}", int(np.count_nonzero(a != b)), float(apart.max()))
