"""Size and place of the voxels of a TIFF file, which each program states in its own way."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

import tifffile

from emseg_napari.io.axes import Point, Voxel
from emseg_napari.io.formats.tiff_claims import ome_pixels
from emseg_napari.io.own_record import DamagedRecord, own_record
from emseg_napari.io.placing import recorded_origin
from emseg_napari.io.units import not_stated, pixel_note, stated_voxel

Stated = tuple[Voxel | None, tuple[str, ...]]  # a voxel, and notes on what was not understood

_UNITS = {2: "inch", 3: "centimeter"}  # of the tag ResolutionUnit
_DEFAULTS = (0.0, 1.0, 1 / 72)  # sizes of pixels that are written where none is known


def stated_place(file: tifffile.TiffFile, name: str) -> tuple[Voxel | None, Point | None, tuple[str, ...]]:
    """Return the size of a voxel, the centre of the first one, and notes on what was not understood.

    Parameters
    ----------
    file : tifffile.TiffFile
    name : str
        What the user calls it.
    """
    try:
        record = own_record(file.pages.first.description, name)
    except DamagedRecord:
        return None, None, ("no size of a voxel is known, since its record of emseg-napari is damaged",)
    voxel, notes = _voxel(file, record)
    return voxel, recorded_origin(record, voxel) if record else _imagej_origin(file, voxel), notes


def _voxel(file: tifffile.TiffFile, record: Mapping[str, Any]) -> Stated:
    own = record.get("voxel")
    if isinstance(own, dict):
        return stated_voxel(own.get("size", ()), own.get("unit"))
    if file.ome_metadata:
        return _ome_voxel(file.ome_metadata)
    return _imagej_voxel(file, file.imagej_metadata) if file.imagej_metadata else _of_tags(file)


def _ome_voxel(text: str) -> Stated:
    """Read the physical sizes of OME-XML, which are in micrometres where no unit is stated."""
    pixels = ome_pixels(text)
    sizes = {} if pixels is None else {axis: pixels.get(f"PhysicalSize{axis}") for axis in "ZYX"}
    missing = [axis.lower() for axis, size in sizes.items() if size is None]
    if pixels is None or missing:
        return None, not_stated(missing) if 0 < len(missing) < 3 else ()
    units = [pixels.get(f"PhysicalSize{axis}Unit", "\N{MICRO SIGN}m") for axis in "ZYX"]
    return stated_voxel([*sizes.values()], units)


def _imagej_voxel(file: tifffile.TiffFile, metadata: Mapping[str, Any]) -> Stated:
    """Read ImageJ's spacing of slices, and pixels a unit; each axis may have a unit of its own."""
    unit, spacing = metadata.get("unit"), _positive(metadata.get("spacing", 1.0))
    pixel = _pixel(file)
    if unit in (None, "") and spacing == 1 and (pixel is None or all(one in _DEFAULTS for one in pixel)):
        return None, ()
    if pixel is None:
        return None, not_stated("yx")
    units = [metadata.get("zunit", unit), metadata.get("yunit", unit), unit]
    return stated_voxel([spacing, *pixel], units)


def _imagej_origin(file: tifffile.TiffFile, voxel: Voxel | None) -> Point | None:
    """Return the centre of the first voxel: ImageJ states how many voxels the origin lies behind it."""
    told = file.imagej_metadata or {}
    behind = [told.get(f"{axis}origin", 0) for axis in "zyx"]
    if not any(behind) or not all(isinstance(one, int | float) and isfinite(one) for one in behind):
        return None
    size = voxel.size if voxel else (1.0, 1.0, 1.0)
    z, y, x = (0.0 - one * length for one, length in zip(behind, size, strict=True))
    return z, y, x


def _of_tags(file: tifffile.TiffFile) -> Stated:
    """Say that tags state the size of a pixel: they know no slices."""
    if file.is_fei or file.is_sem:
        return None, not_stated("z")
    pixel, tag = _pixel(file), file.pages.first.tags.get("ResolutionUnit")
    unit = _UNITS.get(tag.value if tag and isinstance(tag.value, int) else 2, "")
    return None, pixel_note(pixel, unit) if pixel else ()


def _pixel(file: tifffile.TiffFile) -> tuple[float, float] | None:
    """Return the size of a pixel along y and x in the file's unit; None if it is not stated."""
    tags = file.pages.first.tags
    if "XResolution" not in tags or "YResolution" not in tags:
        return None
    return _inverse(tags["YResolution"].value), _inverse(tags["XResolution"].value)


def _positive(spacing: Any) -> Any:
    """Return a spacing without its sign, which says from which side ImageJ's stack was cut."""
    return abs(spacing) if isinstance(spacing, int | float) else spacing


def _inverse(ratio: Any) -> float:
    """Return the size of a pixel from the number of pixels a unit, 0 where that is not known."""
    known = isinstance(ratio, tuple) and all(isinstance(n, int) for n in ratio) and len(ratio) == 2
    return ratio[1] / ratio[0] if known and ratio[0] else 0.0
