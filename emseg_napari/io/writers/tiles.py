"""Tiles as CATMAID reads them: the tile source "file-based image stack", of type 1.

A tile is ``tiles/SLICE/ROW_COLUMN_ZOOM.png``, of zoom 0 at full resolution, each next one half as fine along
y and x. ``project.yaml`` beside them is what CATMAID's importer of image data reads. Sources:
https://catmaid.readthedocs.io/en/stable/tile_sources.html and
https://catmaid.readthedocs.io/en/stable/importing_data.html.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from emseg_napari.core import files
from emseg_napari.core.jobs import JobContext, Message
from emseg_napari.core.meter import Meter
from emseg_napari.io.axes import Voxel
from emseg_napari.io.formats.png import encoded_png
from emseg_napari.io.layout import Blocks
from emseg_napari.io.pyramid import reduced
from emseg_napari.io.records import recorded_kind
from emseg_napari.io.slabs import Slabs
from emseg_napari.io.writers.source import Source, nanometres, voxel_in_nm

TILE_PX = 512
FOLDER, PROJECT = "tiles", "project.yaml"
_SAMPLES = 32  # blocks in which the darkest and the brightest grey values are looked for
_CUT_OFF = (0.1, 99.9)  # percentiles of them that become black and white
_GOLDEN = 0.6180339887  # of a turn: neighbouring numbers have hues that lie far apart


def write_tiles(folder: Path, source: Source, context: JobContext) -> None:
    """Write a volume into an empty folder: images in grey, labels in colours, transparent where they are 0.

    Raises
    ------
    OSError
        If it cannot be written.
    Cancelled
    """
    voxel = voxel_in_nm(source, context)
    tiles = _Tiles(folder / FOLDER, source, _grey(source, context))
    meter = Meter(context, source.volume.size)
    for z in range(len(source.volume)):
        (tiles.folder / str(z)).mkdir(parents=True)
        tiles.write(z, tiles.coarsest, 0, 0, meter)
    # JSON is YAML, too
    (folder / PROJECT).write_text(
        json.dumps(_project(source, voxel, tiles.coarsest), indent=2) + "\n", "utf-8"
    )


@dataclass(frozen=True)
class _Grey:
    """Which values become black and white."""

    black: float
    white: float

    def of(self, values: np.ndarray) -> np.ndarray:
        """Return uint8; pixels without a value are black."""
        part = (values.astype(np.float32) - self.black) / max(self.white - self.black, 1e-30)
        return (np.nan_to_num(np.clip(part, 0, 1)) * 255 + 0.5).astype(np.uint8)


class _Tiles:
    """The tiles of a volume.

    Parameters
    ----------
    folder : Path
    source : Source
    grey : _Grey or None
        None of labels, and of what is 8 bit.
    """

    def __init__(self, folder: Path, source: Source, grey: _Grey | None) -> None:
        self.folder, self._source, self._grey = folder, source, grey
        _, self._height, self._width = source.volume.shape
        grid = Blocks((1, self._height, self._width), (1, TILE_PX, TILE_PX)).grid
        self.coarsest = (max(grid) - 1).bit_length()  # the zoom at which a slice is one tile
        self._slabs = Slabs(source.volume, prod(grid))

    def write(self, z: int, zoom: int, row: int, column: int, meter: Meter) -> np.ndarray:
        """Write a tile and all finer ones from which it is made, and return its values (y, x).

        So a few tiles of each zoom are in memory, however large a slice is.
        """
        if zoom == 0:
            values = self._read(z, row, column)
            meter.done(values.size, f"slice {z} written")
        else:
            values = self._halved(z, zoom, row, column, meter)
        path = self.folder / str(z) / f"{row}_{column}_{zoom}.png"
        path.write_bytes(encoded_png(_filled(self._shown(values))))
        files.flush(path)
        return values

    def _read(self, z: int, row: int, column: int) -> np.ndarray:
        top, left = row * TILE_PX, column * TILE_PX
        rows, columns = (
            slice(top, min(top + TILE_PX, self._height)),
            slice(left, min(left + TILE_PX, self._width)),
        )
        return self._slabs.read(z, (rows, columns))

    def _halved(self, z: int, zoom: int, row: int, column: int, meter: Meter) -> np.ndarray:
        side = TILE_PX << (zoom - 1)
        rows = [
            np.hstack(
                [
                    self.write(z, zoom - 1, j, i, meter)
                    for i in (2 * column, 2 * column + 1)
                    if i * side < self._width
                ]
            )
            for j in (2 * row, 2 * row + 1)
            if j * side < self._height
        ]
        return reduced(np.vstack(rows)[np.newaxis], (1, 2, 2), self._source.is_labels)[0]

    def _shown(self, values: np.ndarray) -> np.ndarray:
        if self._source.is_labels:
            return coloured(values)
        return values if self._grey is None else self._grey.of(values)


def coloured(numbers: np.ndarray) -> np.ndarray:
    """Return the colours of labels.

    Parameters
    ----------
    numbers : numpy.ndarray
        int (y, x).

    Returns
    -------
    numpy.ndarray
        uint8 (y, x, 4): red, green, blue and opacity; the same for the same number, transparent for 0.
    """
    found, where = np.unique(numbers, return_inverse=True)
    hue = (found.astype(np.float64) * _GOLDEN) % 1.0
    value = np.where(found % 2, 1.0, 0.75)
    channels = [np.clip(np.abs((hue * 6 + shift) % 6 - 3) - 1, 0, 1) * value for shift in (0, 4, 2)]
    table = np.stack([*channels, np.ones_like(hue)], axis=-1) * 255
    table[found == 0] = 0
    return table.round().astype(np.uint8)[where.reshape(numbers.shape)]


def _filled(picture: np.ndarray) -> np.ndarray:
    """Return a picture (y, x) or (y, x, channel) as a whole tile, with 0 behind the end of the slice."""
    missing = [(0, TILE_PX - length) for length in picture.shape[:2]]
    return np.pad(picture, [*missing, (0, 0)][: picture.ndim])


def _grey(source: Source, context: JobContext) -> _Grey | None:
    """Return what becomes black and white of images that have no 8 bit, and say it."""
    volume = source.volume
    if source.is_labels or volume.dtype == np.uint8:
        return None
    if volume.dtype.kind in "bf" and (volume.dtype.kind == "b" or recorded_kind(source.record)):
        return _Grey(0.0, 1.0)
    blocks = Blocks(volume.shape, (1, TILE_PX, TILE_PX)).some(_SAMPLES)
    values = np.concatenate([volume[block.window].ravel() for block in blocks])
    values = values[np.isfinite(values)]
    black, white = np.percentile(values, _CUT_OFF) if values.size else (0.0, 1.0)
    context.report(
        Message(
            f"Tiles have 8 bit: of {volume.name}, {black:g} and less becomes black, {white:g} and more white."
        )
    )
    return _Grey(float(black), float(white))


def _project(source: Source, voxel: Voxel, zoom: int) -> dict[str, Any]:
    """Return what the importer reads: sizes as text along x, y, z, lengths in nanometres."""
    volume = source.volume
    place = nanometres(volume.voxel, volume.origin) if volume.voxel else volume.origin
    stack = {
        "title": volume.name,
        "dimension": _tuple(volume.shape),
        "resolution": _tuple(voxel.size),
        "translation": _tuple(place),
        "zoomlevels": zoom,
        "description": json.dumps(dict(source.record)),
        "mirrors": [
            {
                "title": volume.name,
                "folder": f"{FOLDER}/",
                "fileextension": "png",
                "tile_width": TILE_PX,
                "tile_height": TILE_PX,
                "tile_source_type": 1,
            }
        ],
    }
    return {"project": {"title": volume.name, "stacks": [stack]}}


def _tuple(zyx: tuple[float, ...]) -> str:
    return f"({','.join(f'{one:.12g}' for one in reversed(zyx))})"
