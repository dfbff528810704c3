"""What do 10^12 and 10^15 voxels cost, and which limit comes first?

    python benchmarks/scaling.py [--measure IMAGE]

Prints the tables of `docs/scaling.md` from the figures below. With `--measure` it first takes these figures
anew (a few minutes), and how well two workers scale: IMAGE is a stack such as ISBI's, whose first slice is
mirrored and repeated. Speeds are those of one thread per second of the processor, so that other programs
matter little.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from scaling_measurements import (
    MARGIN_PX,
    SIDE_PX,
    measured_ordering_s,
    measured_speed,
    mirrored,
    show_two_workers,
)
from scaling_model import Job, Measured, Store, limits, simulated_efficiency
from scaling_segment import CellsMeasured, files_at_work, measured_cells

from emseg_napari.io.open import open_volume
from emseg_napari.segmentation.stages import FINISH, FLOOD, JOIN, NUMBER, OVERLAP
from emseg_napari.settings import PredictionSettings

# Taken with --measure; docs/scaling.md says where and when. Megavoxels per second of one thread.
SPEEDS = {
    "once, gaps left": (PredictionSettings(orientations=1, close_gaps=False, threads=1), 2.91),
    "once": (PredictionSettings(orientations=1, threads=1), 2.44),
    "2 orientations": (PredictionSettings(orientations=2, threads=1), 1.45),
    "8 orientations": (PredictionSettings(orientations=8, threads=1), 0.41),
}
CELLS = CellsMeasured({FLOOD: 0.28, JOIN: 0.01, OVERLAP: 0.07, NUMBER: 0.04, FINISH: 0.05}, 220_000_000, 0.25)
ORDERING_S, COMPRESSED, BYTES_PER_BLOCK = 0.005, 0.5, 1
# Sources in docs/scaling.md.
STORES = [
    Store("file server, 10 Gb/s", 10e9 / 8, 5_000, 1_000),
    Store("parallel file system, 700 GB/s", 700e9, 400_000, 15_000),
    Store("object store, one prefix, 100 Gb/s", 100e9 / 8, 5_500, 3_500),
]
CUBES = {"10^12": (10_000, 10_000, 10_000), "10^15": (100_000, 100_000, 100_000)}
SHARDS = [(1, 512, 512), (1, 2048, 2048), (16, 2048, 2048), (64, 4096, 4096)]
# What is read of the image for one block: its chunks, the shards of the result, whether the slices of a block
# are read at once, and the windows a slice from which its grey levels are known.
READINGS = [
    ((1, 512, 512), (1, 2048, 2048), False, 64),
    ((1, 512, 512), (1, 2048, 2048), False, 0),
    ((64, 64, 64), (1, 2048, 2048), False, 64),
    ((64, 64, 64), (1, 2048, 2048), False, 0),
    ((64, 64, 64), (16, 2048, 2048), True, 0),
    ((64, 64, 64), (64, 2048, 2048), True, 0),
]
WORKERS = [1, 2, 16, 128, 1024, 8192]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--measure", type=Path, metavar="IMAGE")
    given = parser.parse_args()
    speeds, ordering_s, cells = {name: speed for name, (_, speed) in SPEEDS.items()}, ORDERING_S, CELLS
    if given.measure:
        image = mirrored(open_volume(given.measure)[0], SIDE_PX + 2 * MARGIN_PX)
        speeds = {name: measured_speed(image, settings) for name, (settings, _) in SPEEDS.items()}
        ordering_s, cells = measured_ordering_s(), measured_cells(image)
        show_two_workers(image)
    measured = {name: Measured(speed, ordering_s, COMPRESSED) for name, speed in speeds.items()}
    fast = measured["once, gaps left"]
    show_core_hours(measured)
    show_cells(cells)
    show_files()
    show_reading(fast)
    show_limits(measured)
    show_efficiency(fast)


def show_core_hours(measured: dict[str, Measured]) -> None:
    print(row("core-hours", *measured), row(*["---"] * (1 + len(measured))), sep="\n")
    for name, shape in CUBES.items():
        voxels = Job(shape).voxels
        print(row(name, *(f"{voxels / 1e6 / one.megavoxels_per_s / 3600:,.0f}" for one in measured.values())))


def show_files() -> None:
    titles = ("voxels", "shards", "blocks", "files with coarser levels", "GB to list blocks")
    print("", row(*titles), row(*["---"] * len(titles)), sep="\n")
    for name, shape in CUBES.items():
        for shard in SHARDS:
            job = Job(shape, shard=shard)
            memory = job.blocks * BYTES_PER_BLOCK / 1e9
            print(row(name, spelt(shard), f"{job.blocks:.1e}", f"{job.files():.1e}", f"{memory:.1g}"))


def show_cells(measured: CellsMeasured) -> None:
    titles = ("cells", "core-hours", "files while at work", "TB while at work")
    print("", row(*titles), row(*["---"] * len(titles)), sep="\n")
    seconds = sum(measured.seconds.values())
    for name, shape in CUBES.items():
        voxels = Job(shape).voxels
        stored = f"{voxels * measured.bytes_per_voxel / 1e12:,.1f}"
        print(row(name, f"{voxels / 1e6 * seconds / 3600:,.0f}", f"{files_at_work(shape):.1e}", stored))


def show_reading(measured: Measured) -> None:
    titles = ("image's chunks", "shards", "slices at once", "windows for grey levels")
    titles += ("chunks a block", "MB read for a MB of voxels", "MB/s a core")
    print("", row(*titles), row(*["---"] * len(titles)), sep="\n")
    for chunk, shard, at_once, windows in READINGS:
        job = Job(CUBES["10^12"], chunk, shard, at_once, windows)
        volume = shard[0] * shard[1] * shard[2]
        figures = (f"{job.chunks_per_block}", f"{job.bytes_read_per_block / volume:.1f}")
        speed = f"{job.bytes_read_per_block / 1e6 / job.block_s(measured):.1f}"
        print(row(spelt(chunk), spelt(shard), "yes" if at_once else "no", str(windows), *figures, speed))


def show_limits(measured: dict[str, Measured]) -> None:
    titles = ("cores kept busy at most", "storage", "ordering", "bandwidth", "reads", "writes")
    print("", row(*titles), row(*["---"] * len(titles)), sep="\n")
    for name, one in measured.items():
        for store in STORES:
            found = limits(Job(CUBES["10^12"], windows=64), one, store)
            least = min(found.values())
            figures = (f"**{value:,.0f}**" if value == least else f"{value:,.0f}" for value in found.values())
            print(row(name, store.name, *figures))


def show_efficiency(measured: Measured) -> None:
    print("", row("efficiency, simulated", *map(str, WORKERS)), row(*["---"] * (1 + len(WORKERS))), sep="\n")
    for windows in (64, 0):
        for store in STORES:
            job = Job(CUBES["10^12"], windows=windows)
            found = (simulated_efficiency(job, measured, store, workers) for workers in WORKERS)
            print(row(f"{store.name}, {windows} windows", *(f"{value:.2f}" for value in found)))


def spelt(size: tuple[int, ...]) -> str:
    return " x ".join(map(str, size))


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
