"""Neuroglancer's precomputed format, written with TensorStore.

Specification: https://github.com/google/neuroglancer/tree/master/src/datasource/precomputed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from emseg_napari.core.jobs import JobContext
from emseg_napari.io.axes import Size
from emseg_napari.io.layout import Layout
from emseg_napari.io.pyramid import level_factors
from emseg_napari.io.writers.scales import Extent, Scale, write_scales
from emseg_napari.io.writers.source import Source, voxel_in_nm, whole_offset
from emseg_napari.io.writers.tensors import TensorArray

# As many voxels as Neuroglancer's usual 64 x 64 x 64, flat as the slices of a microscope are.
_CHUNK: Size = (16, 128, 128)
_BLOCK: Size = (16, 1024, 1024)  # whole chunks; TensorStore holds it several times
_CELLS = (8, 8, 8)  # blocks of compressed_segmentation, the usual ones


def write_precomputed(folder: Path, source: Source, context: JobContext) -> None:
    """Write a volume with all its scales into an empty folder.

    Labels are a "segmentation" of 32 bit, or of 64 where the source has that many, images an "image".

    Raises
    ------
    UserError
        If it cannot be written, or its numbers cannot.
    Cancelled
    """
    volume = source.volume
    voxel, begin = voxel_in_nm(source, context), whole_offset(source, context)
    dtype = _dtype(source)
    layout = Layout(volume.shape, "uint8", _CHUNK, None, volume.voxel)
    scales = []
    for factor in level_factors(layout):
        extent = Extent.of(begin, volume.shape, factor)
        array = TensorArray(folder, _spec(extent, voxel.size, dtype, source.is_labels), channel_first=False)
        scales.append(Scale(extent, _BLOCK, extent.begin, array.read, array.write))
    write_scales(source.reader(begin, dtype), scales, source.is_labels, context)


def _dtype(source: Source) -> np.dtype[Any]:
    """Return the type that is written: one that Neuroglancer shows and that holds the source's values."""
    given = source.volume.dtype
    if source.is_labels:
        return np.dtype(np.uint64 if given.itemsize > 4 else np.uint32)
    if given.kind == "b":
        return np.dtype(np.uint8)
    return given if given in (np.uint8, np.uint16) else np.dtype(np.float32)


def _spec(extent: Extent, size_nm: tuple[float, ...], dtype: np.dtype[Any], labels: bool) -> dict[str, Any]:
    """Return TensorStore's description of a scale, whose axes are x, y, z and channel."""
    encoding: dict[str, Any] = {"encoding": "raw"}
    if labels:
        encoding = {"encoding": "compressed_segmentation", "compressed_segmentation_block_size": _CELLS}
    return {
        "driver": "neuroglancer_precomputed",
        "multiscale_metadata": {
            "type": "segmentation" if labels else "image",
            "data_type": dtype.name,
            "num_channels": 1,
        },
        "scale_metadata": {
            "size": extent.shape[::-1],
            "voxel_offset": extent.begin[::-1],
            "resolution": [size * f for size, f in zip(size_nm, extent.factor, strict=True)][::-1],
            "chunk_size": _CHUNK[::-1],
            **encoding,
        },
    }
