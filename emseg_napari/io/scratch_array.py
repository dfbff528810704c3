"""Arrays in temporary files, for what is read slice by slice and is too large to be kept in memory."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from emseg_napari.io.axes import Size, SliceWindow, VolumeWindow, size_of
from emseg_napari.io.volume import Volume

_MOUNTS, _ON_DISK = Path("/proc/mounts"), Path("/var/tmp")  # what Linux mounts; a folder that stays on a disk


def scratch_folder() -> Path:
    """Return where temporary files lie: the usual folder, or another one if that is memory (tmpfs)."""
    usual = Path(tempfile.gettempdir()).resolve()
    return _ON_DISK if _is_in_memory(usual) and os.access(_ON_DISK, os.W_OK) else usual


def _is_in_memory(folder: Path) -> bool:
    """Whether what is mounted nearest above a folder is memory; where that is unknown, it is not."""
    try:
        lines = _MOUNTS.read_text("utf-8", "replace").splitlines()
    except OSError:  # another system
        return False
    mounts = {place: kind for _, place, kind, *_ in map(str.split, lines)}  # of two, the later is seen
    nearest = next((one for one in map(str, (folder, *folder.parents)) if one in mounts), "")
    return mounts.get(nearest) in ("tmpfs", "ramfs")


class ScratchArray:
    """An array (z, y, x) in a file that goes with it, also when the process is killed.

    Parameters
    ----------
    shape : (int, int, int)
    dtype : numpy.dtype
    """

    def __init__(self, shape: Size, dtype: np.dtype) -> None:
        self._shape, self._dtype = shape, dtype
        self._file = cast(BinaryIO, tempfile.TemporaryFile(dir=scratch_folder()))  # noqa: SIM115 - closed with the array
        weakref.finalize(self, self._file.close)

    def put(self, row: int, values: np.ndarray) -> None:
        """Write rows of all slices, (z, y, x) with y from `row` on; raises `OSError` if the disk is full."""
        for z, rows in enumerate(values):
            self._seek(z, row)
            self._file.write(np.ascontiguousarray(rows).tobytes())
        self._file.flush()

    def read(self, z: int, window: SliceWindow) -> np.ndarray:
        """Return a window of a slice."""
        rows, columns = window
        shape = (rows.stop - rows.start, self._shape[2])
        self._seek(z, rows.start)
        values = self._file.read(shape[0] * shape[1] * self._dtype.itemsize)
        return np.frombuffer(values, self._dtype).reshape(shape)[:, columns].copy()

    def _seek(self, z: int, row: int) -> None:
        _, height, width = self._shape
        self._file.seek((z * height + row) * width * self._dtype.itemsize)


def scratch_copy(volume: Volume, window: VolumeWindow, band_bytes: int) -> ScratchArray | None:
    """Copy a window of a volume to a temporary file, each of its chunks decoded once.

    Parameters
    ----------
    volume : Volume
        Whose chunks are no deeper than the window.
    window : (slice, slice, slice)
    band_bytes : int
        Rows of all slices that are read at once take so much memory, or one row of chunks.

    Returns
    -------
    ScratchArray or None
        None if it cannot be written, or the disk of temporary files has not twice as much room as it needs.

    Raises
    ------
    BrokenChunk
        If a chunk of the window is missing or damaged.
    """
    shape = size_of(window)
    try:
        if 2 * math.prod(shape) * volume.dtype.itemsize > shutil.disk_usage(scratch_folder()).free:
            return None
        found = ScratchArray(shape, volume.dtype)
        for rows in _bands(volume, window, band_bytes):
            found.put(rows.start - window[1].start, volume[window[0], rows, window[2]])
    except OSError:  # another program filled the disk meanwhile
        return None
    return found


def _bands(volume: Volume, window: VolumeWindow, band_bytes: int) -> Iterator[slice]:
    """Give the rows of a window in bands that share no chunk."""
    depth, _, width = size_of(window)
    chunk = volume.chunks[1] if volume.chunks else 1
    chunk_row = max(1, depth * chunk * width * volume.dtype.itemsize)
    step = max(1, band_bytes // chunk_row) * chunk
    first = window[1].start
    while first < window[1].stop:
        end = min((first // step + 1) * step, window[1].stop)
        yield slice(first, end)
        first = end
