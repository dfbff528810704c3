"""ImageJ's TIFF: one plain block of pixels, which Fiji opens as a stack with the size of its voxels.

Fiji takes 8 and 16 bit, and 32 bit as floats, in which every whole number up to 2^24 is exact. Its plain
reader takes no tiles, and files of more than 4 GB only uncompressed.
"""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from emseg_napari.core.jobs import JobContext, UserError
from emseg_napari.core.meter import Meter
from emseg_napari.io.axes import SliceWindow, shape_text
from emseg_napari.io.own_record import own_record, record_text
from emseg_napari.io.slabs import Slabs
from emseg_napari.io.writers.source import Source, as_type, limits

_MOST_PIXELS = 2**31 - 1  # of a slice in ImageJ
_BAND_PIXELS = 1 << 25  # that are read at once
_SHORT = {"nanometer": "nm", "micrometer": "um", "millimeter": "mm", "centimeter": "cm"}


def write_tiff(path: Path, source: Source, context: JobContext) -> None:
    """Write a volume as a file.

    Labels have 16 bit where their numbers fit, else 32 bit floats.

    Raises
    ------
    UserError
        If slices are larger than ImageJ's, or numbers are not exact in a float.
    OSError
        If it cannot be written.
    Cancelled
    """
    volume = source.volume
    if prod(volume.shape[1:]) > _MOST_PIXELS:
        raise UserError(
            f"{volume.name} has slices of {shape_text(volume.shape[1:])} pixels, and ImageJ opens none of "
            "more than 2^31; choose another format."
        )
    dtype = _dtype(source, context)
    placed: Any = tifffile.imwrite(
        path,
        shape=volume.shape,
        dtype=dtype,
        imagej=True,
        byteorder="<",
        returnoffset=True,
        metadata={
            "axes": "ZYX",
            "mode": "grayscale",
            **_calibration(source),
            "Info": record_text(source.record),
        },
        **_resolution(source),
    )
    bands = _bands(volume.shape[1:])
    slabs, meter = Slabs(volume, len(bands)), Meter(context, volume.size)
    with path.open("r+b") as file:
        file.seek(placed[0])
        for z in range(len(volume)):
            for band in bands:
                values = as_type(slabs.read(z, band), dtype, volume.name)
                file.write(values.astype(dtype.newbyteorder("<")).tobytes())
                meter.done(values.size, f"slice {z} written")


def record_in(path: Path) -> dict[str, Any]:
    """Return the record in a file that `write_tiff` wrote; empty of others."""
    try:
        with tifffile.TiffFile(path) as file:
            return own_record(str((file.imagej_metadata or {}).get("Info", "")), path.name)
    except (OSError, ValueError, tifffile.TiffFileError, UserError):
        return {}


def _dtype(source: Source, context: JobContext) -> np.dtype[Any]:
    """Return the type that is written: of those that ImageJ opens one that holds the source's values."""
    given = source.volume.dtype
    if given.kind == "b":
        return np.dtype(np.uint8)
    if given in (np.uint8, np.uint16):
        return given
    if not source.is_labels:
        return np.dtype(np.float32)
    lowest, highest = _ends(source, context)
    least, most = limits(np.dtype(np.float32))
    if lowest < least or highest > most:
        raise UserError(
            f"{source.volume.name} holds the number {highest if highest > most else lowest}, but Fiji tells "
            f"whole numbers apart only up to {most}; choose fewer slices, or another format."
        )
    fits = lowest >= 0 and highest <= np.iinfo(np.uint16).max
    return np.dtype(np.uint16 if fits else np.float32)


def _ends(source: Source, context: JobContext) -> tuple[int, int]:
    """Return the lowest and the highest number of labels."""
    volume, lowest, highest = source.volume, 0, 0
    bands = _bands(volume.shape[1:])
    slabs, meter = Slabs(volume, len(bands)), Meter(context, volume.size)
    for z in range(len(volume)):
        for band in bands:
            values = slabs.read(z, band)
            lowest, highest = min(lowest, int(values.min())), max(highest, int(values.max()))
            meter.done(values.size, f"slice {z} looked through")
    return lowest, highest


def _bands(shape: tuple[int, int]) -> list[SliceWindow]:
    """Return whole rows of a slice, as many as are read at once."""
    height, width = shape
    rows = max(1, _BAND_PIXELS // width)
    return [(slice(y, min(y + rows, height)), slice(0, width)) for y in range(0, height, rows)]


def _calibration(source: Source) -> dict[str, Any]:
    """Return the size and place of voxels as ImageJ states them: the origin in pixels from the first one."""
    voxel, origin = source.volume.voxel, source.volume.origin
    size = voxel.size if voxel else (1.0, 1.0, 1.0)
    place = {f"{axis}origin": -at / one for axis, at, one in zip("zyx", origin, size, strict=True) if at}
    return (
        place if voxel is None else {"unit": _SHORT.get(voxel.unit, voxel.unit), "spacing": size[0], **place}
    )


def _resolution(source: Source) -> dict[str, Any]:
    """Return the tags for pixels a unit, which the description names."""
    voxel = source.volume.voxel
    return {} if voxel is None else {"resolution": (1 / voxel.size[2], 1 / voxel.size[1])}
