"""What `emseg segment` costs a voxel, measured on this machine for `scaling.py`."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from scaling_measurements import SIDE_PX, mirrored
from scaling_model import Size, blocks_of

from emseg_napari.core.jobs import Event, JobContext, Progress
from emseg_napari.inference import predict
from emseg_napari.io.volume import volume_of
from emseg_napari.models.starter import STARTER
from emseg_napari.segmentation.boundary import Boundary
from emseg_napari.segmentation.stages import FINISH, FLOOD, JOIN, NUMBER, OVERLAP
from emseg_napari.segmentation.tiles import Cut
from emseg_napari.segmentation.volume import Destination, segment_volume
from emseg_napari.settings import CellSettings, PredictionSettings

STAGES = (FLOOD, JOIN, OVERLAP, NUMBER, FINISH)
TABLES = 3  # files that a slice has beside those of its tiles: cells, overlaps, numbers
_TILES = 2  # of a slice, two slices: each tile has neighbours in its slice and in the next one


@dataclass(frozen=True)
class CellsMeasured:
    """What the cells of a volume cost on one processor core.

    Attributes
    ----------
    seconds : dict
        Of the processor, by stage, for a megavoxel.
    memory_bytes : int
        By which the process grew.
    bytes_per_voxel : float
        Of all files while it works, those of the output included.
    """

    seconds: dict[str, float]
    memory_bytes: int
    bytes_per_voxel: float


def measured_cells(image: np.ndarray) -> CellsMeasured:
    """Divide large slices into cells, in a process of its own; `image` is (1, y, x)."""
    settings = PredictionSettings(orientations=1, close_gaps=False)
    slice_ = predict(image[:, : SIDE_PX // 4, : SIDE_PX // 4], STARTER, settings)[0]
    probability = mirrored(np.round(255 * slice_).astype(np.uint8), _TILES * SIDE_PX)[:, :SIDE_PX]
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        found = pool.submit(_measured, np.repeat(probability, 2, axis=0)).result()
    for stage, seconds in found.seconds.items():
        print(f"{stage}: {seconds:.2f} processor seconds a megavoxel")
    print(f"memory: {found.memory_bytes / 1e9:.2f} GB; files: {found.bytes_per_voxel:.2f} bytes a voxel")
    return found


def _measured(probability: np.ndarray) -> CellsMeasured:
    spent: Counter[str] = Counter()
    last, most_bytes = time.process_time(), 0

    def report(event: Event) -> None:
        nonlocal last, most_bytes
        if isinstance(event, Progress):
            now = time.process_time()
            spent[event.text.partition(":")[0]] += now - last
            last, most_bytes = now, max(most_bytes, _bytes_in(folder))

    before = _memory()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cut = Cut(whole_px=SIDE_PX**2, tile_px=SIDE_PX)
        boundary, destination = (
            Boundary(volume_of(probability)),
            Destination(folder / "cells.zarr", {}, cut=cut),
        )
        segment_volume(boundary, destination, CellSettings(link=True), JobContext(report))
    megavoxels = probability.size / 1e6
    seconds = {stage: spent[stage] / megavoxels for stage in STAGES}
    return CellsMeasured(seconds, _memory() - before, most_bytes / probability.size)


def _memory() -> int:
    """Return the most memory that this process has had since it began, in bytes; Linux only.

    `getrusage` begins with what the process had that started it.
    """
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    return 1024 * int(line.split()[1])


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def files_at_work(shape: Size) -> int:
    """Count the files that `emseg segment` keeps while it works: two a tile, and some a slice."""
    return 2 * blocks_of(shape, (1, SIDE_PX, SIDE_PX)) + TABLES * shape[0]
