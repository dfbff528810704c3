"""A webKnossos dataset: a folder with layers in Zarr 3, as the library of webKnossos writes them.

It is written without that library, which cannot be installed beside napari: webknossos 4.3 needs typer 0.12,
napari's npe2 0.15 or later. The tests read it back by that library. Labels come as an annotation, too: a file
that is dropped on a dataset of the same size. Source: https://docs.webknossos.org/webknossos/data.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import numpy as np

from emseg_napari.core.jobs import JobContext, Message
from emseg_napari.io.axes import Size, VolumeWindow, Voxel
from emseg_napari.io.layout import Layout
from emseg_napari.io.pyramid import level_factors
from emseg_napari.io.writers.scales import Extent, Scale, write_scales
from emseg_napari.io.writers.source import Source, voxel_in_nm, whole_offset
from emseg_napari.io.writers.tensors import TensorArray

PROPERTIES, ANNOTATION = "datasource-properties.json", "annotation.zip"
_CHUNK: Size = (32, 32, 32)
_SHARD: Size = (32, 1024, 1024)
_COARSEST: Size = (1, 256, 256)  # or smaller, in slices
_MOST_VOXELS = 2**32  # of an annotation, which is a file for each chunk until it is packed
_PACKED_NAME = "data_0_Cells.zip"
_VOLUME = "volumeAnnotationData"  # the name of the layer in an annotation
_AXES = {"c": 0, "x": 1, "y": 2, "z": 3}
_TYPES = ("uint8", "uint16", "uint32", "uint64", "float32")
# as the library packs the chunks of an annotation, each a file
_PACKED = {
    "name": "blosc",
    "configuration": {"cname": "lz4", "clevel": 5, "shuffle": "shuffle", "blocksize": 0},
}


def write_webknossos(
    folder: Path, name: str, source: Source, context: JobContext, image: Source | None = None
) -> None:
    """Write a dataset into an empty folder.

    Parameters
    ----------
    folder : Path
    name : str
        Of the dataset.
    source : Source
        Becomes the layer "segmentation" if it holds labels, else "color".
    context : JobContext
    image : Source, optional
        Becomes the layer "color" below labels.

    Raises
    ------
    UserError
        If it cannot be written, or its numbers cannot.
    Cancelled
    """
    voxel = voxel_in_nm(source, context)
    layers = [_write_layer(folder, one, context) for one in (source, image) if one is not None]
    _write_properties(folder, name, voxel, layers)
    if not source.is_labels:
        return
    if source.volume.size > _MOST_VOXELS:
        context.report(
            Message(f"{source.volume.name} is too large for an annotation; use the layer of the dataset.")
        )
        return
    _write_annotation(folder, name, source, voxel, layers[0], context)


@dataclass
class _Layer:
    """A layer as it is written: its name and kind, the type of its voxels, and where each scale lies."""

    name: str
    is_labels: bool
    dtype: np.dtype[Any]
    extents: list[Extent]
    largest: int = 0

    def properties(self) -> dict[str, Any]:
        """Return what the file of the dataset says of it."""
        finest = self.extents[0]
        x, y, z = finest.shape[::-1]
        of_labels = {"largestSegmentId": self.largest} if self.is_labels else {}
        return {
            "name": self.name,
            "category": "segmentation" if self.is_labels else "color",
            "boundingBox": {"topLeft": finest.begin[::-1], "width": x, "height": y, "depth": z},
            "dataFormat": "zarr3",
            "mags": [
                {"mag": one.factor[::-1], "path": f"./{self.name}/{_mag(one)}", "axisOrder": _AXES}
                for one in self.extents
            ],
            "numChannels": 1,
            "elementClass": "float" if self.dtype.kind == "f" else self.dtype.name,
            **of_labels,
        }


def _write_layer(folder: Path, source: Source, context: JobContext) -> _Layer:
    volume, begin = source.volume, _begin(source, context)
    layout = Layout(volume.shape, "uint8", _COARSEST, None, volume.voxel)
    extents = [Extent.of(begin, volume.shape, factor) for factor in level_factors(layout)]
    name = "segmentation" if source.is_labels else "color"
    layer = _Layer(name, source.is_labels, _dtype(source), extents)
    scales = []
    for extent in extents:
        array = TensorArray(
            folder / name / _mag(extent), _spec(extent, layer.dtype, _SHARD), channel_first=True
        )
        scales.append(Scale(extent, _SHARD, (0, 0, 0), array.read, array.write))
    read = source.reader(begin, layer.dtype)

    def noting(window: VolumeWindow) -> np.ndarray:
        values = read(window)
        if layer.is_labels:
            layer.largest = max(layer.largest, int(values.max()))
        return values

    write_scales(noting, scales, source.is_labels, context, f"{name}, scale")
    return layer


def _write_properties(folder: Path, name: str, voxel: Voxel, layers: list[_Layer]) -> None:
    content = {
        "id": {"name": name, "team": ""},
        "scale": {"factor": voxel.size[::-1], "unit": voxel.unit},
        "dataLayers": [layer.properties() for layer in layers],
        "version": 1,
    }
    (folder / PROPERTIES).write_text(json.dumps(content, indent=4), "utf-8")


def _write_annotation(
    folder: Path, name: str, source: Source, voxel: Voxel, segmentation: _Layer, context: JobContext
) -> None:
    """Write labels as a volume annotation: a description, and a dataset of single chunks, both packed."""
    layer = replace(segmentation, name=_VOLUME, extents=segmentation.extents[:1])
    (extent,) = layer.extents
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        data = Path(temporary) / "data"
        data.mkdir()
        spec = _spec(extent, layer.dtype, None)
        array = TensorArray(data / _VOLUME / "1", spec, channel_first=True)
        scale = Scale(extent, _SHARD, (0, 0, 0), array.read, array.write)
        write_scales(source.reader(extent.begin, layer.dtype), [scale], True, context, "annotation, part")
        _write_properties(data, name, voxel, [layer])
        packed = Path(temporary) / "data.zip"
        with ZipFile(packed, "w", ZIP_DEFLATED) as archive:
            for path in sorted(path for path in data.rglob("*") if path.is_file()):
                archive.write(path, path.relative_to(data).as_posix())
        with ZipFile(folder / ANNOTATION, "w", ZIP_STORED) as archive:
            archive.writestr("annotation.nml", _nml(name, voxel, layer.largest))
            archive.write(packed, _PACKED_NAME)


def _nml(name: str, voxel: Voxel, largest: int) -> str:
    z, y, x = voxel.size
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<things>\n  <parameters>\n'
        f"    <experiment name={quoteattr(name)} />\n"
        f'    <scale x="{x!r}" y="{y!r}" z="{z!r}" unit="{voxel.unit}" />\n  </parameters>\n'
        "  <branchpoints />\n  <comments />\n  <groups />\n"
        f'  <volume id="0" name="Cells" format="zarr3" location="{_PACKED_NAME}" '
        f'largestSegmentId="{largest}">\n    <segments />\n  </volume>\n</things>\n'
    )


def _begin(source: Source, context: JobContext) -> Size:
    """Return the place of the first voxel, which webKnossos counts from 0."""
    z, y, x = whole_offset(source, context)
    if min(z, y, x) < 0:
        context.report(
            Message(
                f"{source.volume.name} begins before the origin, where webKnossos has no voxels: it is moved."
            )
        )
    return max(z, 0), max(y, 0), max(x, 0)


def _dtype(source: Source) -> np.dtype[Any]:
    """Return the type that is written: of those that webKnossos knows one that holds the source's values."""
    given = source.volume.dtype
    if source.is_labels and given.kind != "u":
        return np.dtype(np.uint64 if given.itemsize > 4 else np.uint32)
    if given.kind == "b":
        return np.dtype(np.uint8)
    return given if given.name in _TYPES else np.dtype(np.float32)


def _mag(extent: Extent) -> str:
    """Return how webKnossos names a scale."""
    z, y, x = extent.factor
    return str(x) if x == y == z else f"{x}-{y}-{z}"


def _spec(extent: Extent, dtype: np.dtype[Any], shard: Size | None) -> dict[str, Any]:
    """Return TensorStore's description of a scale, from voxel 0; without shards each chunk is a file."""
    cut = shard or _CHUNK
    shape = [-(-end // n) * n for end, n in zip(extent.end, cut, strict=True)]
    turned = {"name": "transpose", "configuration": {"order": [3, 2, 1, 0]}}
    plain = {"name": "bytes", "configuration": {"endian": "little"}}
    codecs: list[dict[str, Any]] = [turned, plain, _PACKED]
    key: dict[str, Any] = {"name": "default", "configuration": {"separator": "."}}
    if shard:
        inner = [turned, plain, {"name": "zstd", "configuration": {"level": 5, "checksum": True}}]
        index = [plain, {"name": "crc32c"}]
        key = {"name": "default"}
        codecs = [
            {
                "name": "sharding_indexed",
                "configuration": {"chunk_shape": [1, *_CHUNK], "codecs": inner, "index_codecs": index},
            }
        ]
    return {
        "driver": "zarr3",
        "metadata": {
            "shape": [1, *shape[::-1]],
            "data_type": dtype.name,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, *cut[::-1]]}},
            "chunk_key_encoding": key,
            "codecs": codecs,
            "fill_value": 0,
            "dimension_names": ["c", "x", "y", "z"],
        },
    }
