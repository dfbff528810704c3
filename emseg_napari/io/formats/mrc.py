"""MRC files (Cheng et al. 2015, doi:10.1016/j.jsb.2015.04.002), read through the memory map."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mrcfile
import numpy as np

from emseg_napari.core.jobs import UserError
from emseg_napari.io.axes import check_grey, last_three
from emseg_napari.io.memmap import MappedPixels
from emseg_napari.io.units import voxel_of
from emseg_napari.io.volume import Volume, Voxel

# IMOD's part of the header: its stamp and its flags, of which the first bit says that bytes are signed
# (https://bio3d.colorado.edu/imod/doc/mrc_format.txt). In `extra2`, which begins at byte 112.
_STAMP, _SIGNED = 1146047817, 1
_STAMP_AT = 152 - 112


def open_mrc(path: Path) -> Volume:
    """Open an MRC file.

    Parameters
    ----------
    path : Path

    Raises
    ------
    UserError
        If it is damaged, or not a grey stack.
    """
    try:
        with mrcfile.mmap(path, mode="r") as file:
            shape, dtype, voxel, offset = file.data.shape, _dtype(file), _voxel(file), file.data.offset
    except (OSError, ValueError) as error:
        raise UserError(f"{path.name} is damaged or not an MRC file ({error}); copy it again.") from error
    check_grey(shape, dtype, path.name)
    return Volume(path.name, str(path), MappedPixels(path, last_three(shape), dtype, offset), voxel)


def _dtype(file: Any) -> np.dtype[Any]:
    """Bytes are signed in MRC 2014, but unsigned in IMOD's files unless they say so."""
    order = file.header.mode.dtype.byteorder
    extra = bytes(file.header.extra2)
    stamp, flags = np.frombuffer(extra, np.dtype("i4").newbyteorder(order), 2, _STAMP_AT)
    unsigned = stamp == _STAMP and not flags & _SIGNED
    return np.dtype(np.uint8) if file.data.dtype == np.int8 and unsigned else file.data.dtype


def _voxel(file: Any) -> Voxel | None:
    """Read the size in angstrom, which becomes nanometres as in the other formats."""
    sizes = [file.voxel_size[axis] / 10 for axis in "zyx"]
    return voxel_of([round(float(size), 6) for size in sizes], "nanometer")
