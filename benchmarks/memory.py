"""How much memory the prediction of a volume takes, whatever its size.

    python benchmarks/memory.py RUN IMAGE [--gib 2 6 20] [--minutes 10] [--quick] [--plot memory.png]

IMAGE is repeated without end: volumes of slices of 4096 x 4096 pixels of which nothing is made before it is
asked for. The largest is predicted for so many minutes, the smaller ones shorter by the square root of their
share, with default settings (--quick: in one orientation, with gaps left open, so that more of it is done),
as OME-Zarr into a temporary folder. The resident memory of the process and of its children is read five times
a second.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from emseg_napari.core.jobs import BlockDone, Cancelled, JobContext
from emseg_napari.inference.volume import VolumeTask, predict_volume
from emseg_napari.io.stacks import read_image
from emseg_napari.io.volume import Volume
from emseg_napari.settings import PredictionSettings

SIDE_PX, GIB = 4096, 2**30


@dataclass(frozen=True)
class Repeated:
    """Voxels of an image, again and again."""

    image: np.ndarray
    shape: tuple[int, int, int]
    chunks: None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.image.dtype

    def read(self, window: tuple[slice, ...]) -> np.ndarray:
        places = (
            np.arange(part.start, part.stop) % n for part, n in zip(window, self.image.shape, strict=True)
        )
        return self.image[np.ix_(*places)]


def volume(image: Path, gib: float) -> Volume:
    pixels = read_image(image)
    depth = round(gib * GIB / pixels.itemsize / SIDE_PX**2)
    return Volume(f"{gib:g} GiB", "", Repeated(pixels, (depth, SIDE_PX, SIDE_PX)))


def predict(chosen: argparse.Namespace) -> dict[str, float]:
    """Predict the beginning of a volume; tells how much of it was done."""
    ends, voxels = time.monotonic() + chosen.serve, 0
    quick = {"orientations": 1, "close_gaps": False} if chosen.quick else {}

    def report(event: Any) -> None:
        nonlocal voxels
        if isinstance(event, BlockDone):
            voxels += int(np.prod([part.stop - part.start for part in event.block.window]))

    with tempfile.TemporaryDirectory() as folder, suppress(Cancelled):
        predict_volume(
            volume(chosen.image, chosen.gib[0]),
            chosen.run,
            VolumeTask(Path(folder) / "out.zarr", PredictionSettings(**quick)),
            context=JobContext(report=report, should_stop=lambda: time.monotonic() > ends),
        )
    return {"megavoxels": voxels / 1e6}


def watched(words: list[str]) -> tuple[list[int], dict[str, float]]:
    """Run a command; returns the resident bytes of it and its children over time, and what it says."""
    process = psutil.Popen(words, stdout=subprocess.PIPE, text=True)
    samples = []
    while process.poll() is None:
        samples.append(sum(resident(process)))
        time.sleep(0.2)
    if process.returncode:
        sys.exit(f"{' '.join(words)} ended with {process.returncode}")
    return [sample for sample in samples if sample], json.loads(process.stdout.read())


def resident(process: psutil.Process) -> Iterator[int]:
    try:
        for one in [process, *process.children(recursive=True)]:
            yield one.memory_info().rss
    except psutil.NoSuchProcess:
        return


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    sizes = [row["gib"] for row in rows]
    axes.plot(sizes, [row["peak"] for row in rows], "o-", label="highest")
    axes.plot(sizes, [row["median"] for row in rows], "o-", label="median")
    axes.axhline(2, color="grey", linewidth=0.5)
    axes.set(xlabel="volume, GiB", ylabel="resident memory, GiB", ylim=(0, 2.2), xlim=(0, None))
    axes.legend()
    figure.savefig(path, dpi=100)


def measured(chosen: argparse.Namespace, gib: float) -> dict[str, Any]:
    minutes = chosen.minutes * (gib / max(chosen.gib)) ** 0.5
    words = [sys.executable, __file__, str(chosen.run), str(chosen.image), "--gib", str(gib)]
    quick = ["--quick"] if chosen.quick else []
    samples, told = watched([*words, *quick, "--serve", str(60 * minutes)])
    in_gib = np.array(samples) / GIB
    half = in_gib[len(in_gib) // 2 :]
    return told | {
        "gib": gib,
        "minutes": minutes,
        "peak": float(in_gib.max()),
        "median": float(np.median(in_gib)),
        "peak of the second half": float(half.max()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("--gib", type=float, nargs="+", default=[2, 6, 20])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--quick", action="store_true", help="one orientation, gaps left open")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--serve", type=float, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        print(json.dumps(predict(chosen)))
        return
    rows = [measured(chosen, gib) for gib in chosen.gib]
    print("| volume | minutes | megavoxels | highest, GiB | second half, highest | median |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['gib']:g} GiB | {row['minutes']:g} | {row['megavoxels']:.0f} | {row['peak']:.2f} | "
            f"{row['peak of the second half']:.2f} | {row['median']:.2f} |"
        )
    if chosen.plot:
        plot(rows, chosen.plot)


if __name__ == "__main__":
    main()
