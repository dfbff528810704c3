"""Labels larger than memory: an array over a sparse file, which takes disk space only where painted.

The file has no name (or is deleted with its last user), so nothing of it is left however the process
ends. It is not where labels are saved: that is the session.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Sequence
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
    """Return the slices that may hold labels, without reading holes of a file; all of an ordinary array."""
    file = getattr(labels, "file", None)
    if file is None or not hasattr(os, "SEEK_DATA"):
        return range(len(labels))
    slice_bytes = labels[0].nbytes
    found: dict[int, None] = {}
    position = 0
    while (written := _next_written(file.fileno(), position)) is not None:
        first, position = written
        found.update(dict.fromkeys(range(first // slice_bytes, -(-position // slice_bytes))))
    return [z for z in found if z < len(labels)]  # the last page reaches beyond


def _next_written(descriptor: int, position: int) -> tuple[int, int] | None:
    """Return the next part of a sparse file, from a position on, that is written."""
    try:
        first = os.lseek(descriptor, position, os.SEEK_DATA)
        return first, os.lseek(descriptor, first, os.SEEK_HOLE)
    except OSError:  # none follows
        return None
