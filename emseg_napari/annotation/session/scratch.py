"""Labels larger than memory: an array over a sparse file, which takes disk space only where painted.

The file has no name (or is deleted with its last user), so nothing of it is left however the process
ends. It is not where labels are saved: that is the session.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from typing import IO, Any

import numpy as np

from emseg_napari.annotation.session.recovery import recovery_folder
from emseg_napari.core.files import writable_folder
from emseg_napari.core.jobs import UserError

LARGE_BYTES = 2**29
# The system ends a process that writes to a mapped file on a full disk, so free space is checked.
ROOM_BYTES = 2**30
_LOW_BYTES = 2**28


class ScratchLabels(np.memmap):
    """Labels over a file: used as the array that it is.

    Attributes
    ----------
    file : file
        What it lies in; only the array that `new_labels` returned has one.
    """

    file: IO[bytes] | None = None


def new_labels(shape: tuple[int, ...], dtype: Any = np.uint8) -> np.ndarray:
    """Return empty labels: in memory, or over a sparse file where they are large.

    Parameters
    ----------
    shape : tuple of int
        (z, y, x) or (y, x).
    dtype : numpy.dtype

    Raises
    ------
    UserError
        If the disk has not enough free space.
    """
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if size <= LARGE_BYTES:
        return np.zeros(shape, dtype)
    folder = writable_folder(recovery_folder())  # on a disk: the system's temporary folder may be in memory
    _check_free_space(folder)
    try:
        file: Any = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 -- open as long as the array lives
        file.truncate(size)
        labels = ScratchLabels(file, dtype, "r+", shape=shape)
    except (OSError, ValueError) as error:
        raise UserError(
            f"There is no space for labels of {size / 2**30:.0f} GiB in {folder} ({error}); its disk must "
            "support sparse files: set EMSEG_DATA_DIR to a folder on one that does."
        ) from None
    labels.file = file
    weakref.finalize(labels, file.close)
    return labels


def _check_free_space(folder: Any) -> None:
    free = shutil.disk_usage(folder).free
    if free < ROOM_BYTES:
        raise UserError(
            f"The disk of {folder} is nearly full ({free / 2**20:.0f} MiB are free, "
            f"{ROOM_BYTES / 2**20:.0f} are needed to paint on a stack of this size); free some, or set "
            "EMSEG_DATA_DIR to a folder on another disk."
        )


def low_disk_warning(labels: np.ndarray) -> str:
    """Return a warning when the disk of labels over a file is nearly full, else an empty text."""
    if getattr(labels, "file", None) is None:
        return ""
    folder = recovery_folder()
    free = shutil.disk_usage(folder).free if folder.is_dir() else 0
    if free >= _LOW_BYTES:
        return ""
    return (
        f"The disk of {folder} is nearly full ({free / 2**20:.0f} MiB are free); free some at once, or "
        "the system may end napari during a stroke."
    )


def slices_in_use(labels: np.ndarray) -> Sequence[int]:
    """Return the slices that may hold labels, without reading holes of a file; all of an ordinary array.

    Where the system's word on holes cannot be trusted, all of them.
    """
    if not isinstance(labels, ScratchLabels) or labels.file is None or not _knows_holes():
        return range(len(labels))
    try:
        labels.flush()  # file systems may take what is not on the disk yet for a hole
        parts = list(_written_parts(labels.file.fileno()))
    except OSError:
        return range(len(labels))
    slice_bytes = labels[0].nbytes
    found: dict[int, None] = {}
    for first, end in parts:
        found.update(dict.fromkeys(range(first // slice_bytes, -(-end // slice_bytes))))
    return [z for z in found if z < len(labels)]  # the last page reaches beyond


def _knows_holes() -> bool:
    return hasattr(os, "SEEK_DATA") and sys.platform != "darwin"  # APFS tells of holes that are none


def _written_parts(descriptor: int) -> Iterator[tuple[int, int]]:
    """Give first byte and end of the parts of a sparse file that are written."""
    end = 0
    while True:
        try:
            first = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # none follows
                return
            raise
        end = os.lseek(descriptor, first, os.SEEK_HOLE)
        yield first, end
