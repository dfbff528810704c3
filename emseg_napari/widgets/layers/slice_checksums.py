"""A checksum for every slice of labels, by which changed slices are found."""

from __future__ import annotations

import zlib

import numpy as np

from emseg_napari.annotation.session.scratch import slices_in_use


def slice_checksums(labels: np.ndarray) -> dict[int, int]:
    """Return a number for each slice that may hold labels, which changes with it."""
    return {z: zlib.crc32(np.ascontiguousarray(labels[z]).data) for z in slices_in_use(labels)}
