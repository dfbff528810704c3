"""Image of a session: whether its file exists, and how it is copied into the session."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import numpy as np
import tifffile

from emseg_napari.core import files
from emseg_napari.io import stacks
from emseg_napari.io.address import Address, Location
from emseg_napari.io.stacks import BIGTIFF_BYTES
from emseg_napari.io.volume import Volume


def is_there(path: Location) -> bool:
    """Whether a file or folder exists, or the container file that a path points into.

    Of an address it is assumed: what is wrong with it is said when it is opened.
    """
    if isinstance(path, Address):
        return True
    return path.exists() or any(parent.is_file() for parent in path.parents)


def write_image(path: Path, image: np.ndarray | Volume) -> None:
    """Write an image as a TIFF file, whole or not at all; a volume slice by slice."""
    if isinstance(image, np.ndarray):
        stacks.write_stack(path, image)
        return
    for _ in pages(path, image):
        pass


def pages(path: Path, image: np.ndarray | Volume) -> Generator[None, None, None]:
    """Write an image slice by slice, uncompressed: noise hardly shrinks, and this takes no processor."""
    big = image.nbytes > BIGTIFF_BYTES
    with files.atomic_write(path) as temporary, tifffile.TiffWriter(temporary, bigtiff=big) as file:
        for plane in image:
            values = np.asarray(plane, np.uint8 if image.dtype == bool else image.dtype)
            file.write(values, photometric="minisblack", contiguous=True, metadata=None)
            yield
