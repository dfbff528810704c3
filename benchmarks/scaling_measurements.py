"""The figures that `scaling.py` counts with, taken on this machine."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from emseg_napari.core.blockwise import Scheduler, run_blocks
from emseg_napari.core.jobs import BlockDone, Event, JobContext, ShouldStop, never
from emseg_napari.inference.block_work import PredictionWork
from emseg_napari.io.layout import Block, Layout
from emseg_napari.io.ome_zarr_writer import VolumeOutput
from emseg_napari.io.open import open_volume
from emseg_napari.io.volume import VolumeWindow, volume_of
from emseg_napari.models.run import open_run
from emseg_napari.models.starter import STARTER
from emseg_napari.settings import PredictionSettings

SIDE_PX, MARGIN_PX = 2048, 192


def mirrored(slice_: np.ndarray, side: int) -> np.ndarray:
    """Give a volume (1, side, side) without edges inside."""
    four = np.block([[slice_, slice_[:, ::-1]], [slice_[::-1], slice_[::-1, ::-1]]])
    return np.tile(four, [-(-side // n) for n in four.shape])[None, :side, :side]


def measured_speed(image: np.ndarray, settings: PredictionSettings) -> float:
    """Return megavoxels a second of one thread on an inner block, with all that it sees around it."""
    work = PredictionWork(volume_of(image), open_run(STARTER).folder, Path(), settings, "probability")
    side = slice(MARGIN_PX, MARGIN_PX + SIDE_PX)
    warm = Block((0, 0, 0), (slice(0, 1), slice(0, 64), slice(0, 64)))
    work.compute(warm, work.read(warm), never)
    block = Block((0, 1, 1), (slice(0, 1), side, side))
    started = time.process_time()
    work.compute(block, work.read(block), never)
    speed = SIDE_PX**2 / 1e6 / (time.process_time() - started)
    print(f"a block of {SIDE_PX} x {SIDE_PX}: {speed:.2f} megavoxels per processor second", flush=True)
    return speed


@dataclass(frozen=True)
class Nothing:
    """Work that costs nothing but being ordered."""

    paths: tuple[Path, ...] = ()

    def read(self, block: Block) -> None:
        pass

    def compute(self, block: Block, given: None, should_stop: ShouldStop) -> None:
        pass

    def write(self, block: Block, result: None) -> None:
        pass


def measured_ordering_s(count: int = 3000) -> float:
    """Return the processor seconds per block of this process, in which Dask's scheduler runs, too."""
    from distributed import LocalCluster

    begun: list[float] = []

    def report(event: Event) -> None:
        if isinstance(event, BlockDone):
            begun.append(time.process_time())

    window: VolumeWindow = (slice(0, 1), slice(0, 1), slice(0, 1))
    blocks = [Block((n, 0, 0), window) for n in range(count)]
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster:
        run_blocks(Nothing(), blocks, Scheduler(cluster.scheduler_address), JobContext(report))
    seconds = (begun[-1] - begun[100]) / (len(begun) - 101)
    print(f"ordering a block: {1000 * seconds:.2f} ms of the processor", flush=True)
    return seconds


@dataclass(frozen=True)
class Spent:
    """What a worker spent on a block: when, in seconds of the clock, and seconds of the processor."""

    begin: float
    end: float
    processor: float


@dataclass(frozen=True)
class Timed:
    """Prediction of a block that tells what it took, by workers that keep to a processor core each.

    Attributes
    ----------
    work : PredictionWork
    cores : Path
        An empty folder, in which each worker notes the core that it takes.
    """

    work: PredictionWork
    cores: Path

    @property
    def paths(self) -> Sequence[Path]:
        return self.work.paths

    def read(self, block: Block) -> tuple[Spent, Any]:
        keep_to_a_core(self.cores)
        return Spent(time.time(), 0.0, -time.process_time()), self.work.read(block)

    def compute(self, block: Block, given: tuple[Spent, Any], should_stop: ShouldStop) -> tuple[Spent, Any]:
        return given[0], self.work.compute(block, given[1], should_stop)

    def write(self, block: Block, result: tuple[Spent, Any]) -> Spent:
        self.work.write(block, result[1])
        return replace(result[0], end=time.time(), processor=result[0].processor + time.process_time())


def keep_to_a_core(taken: Path) -> None:
    """Keep all threads of this process to the first core that no other process has taken."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) == 1:
        return
    for core in allowed:
        with suppress(FileExistsError):
            (taken / str(core)).touch(exist_ok=False)
            for thread in os.listdir("/proc/self/task"):
                os.sched_setaffinity(int(thread), {core})
            return


def show_two_workers(image: np.ndarray, slices: int = 48, rounds: int = 3) -> None:
    """Predict with one worker and with two by turns, from and to disk; each has a core to itself."""
    titles = ("workers", "s a block", "processor s a block", "share of the time in which workers work")
    print(f"\n| {' | '.join(titles)} |\n|---|---|---|---|")
    seconds: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "image.tif"
        tifffile.imwrite(file, np.repeat(image[:, :1024, :1024], slices, axis=0), photometric="minisblack")
        for number in range(rounds):
            for workers in seconds:
                spent = predicted(file, Path(name) / f"{workers}-{number}", workers)
                found = shares(spent, workers)
                seconds[workers].append(found[0])
                print(f"| {workers} | {' | '.join(f'{value:.3f}' for value in found)} |", flush=True)
    by_round = [one / two / 2 for one, two in zip(*seconds.values(), strict=True)]
    print(f"efficiency of two, by round: {', '.join(f'{value:.2f}' for value in by_round)}", flush=True)


def predicted(file: Path, folder: Path, workers: int) -> list[Spent]:
    """Predict a volume, and return what each block took once each worker has loaded its network."""
    spent: list[Spent] = []

    def report(event: Event) -> None:
        if isinstance(event, BlockDone):
            spent.append(event.result)

    (folder / "cores").mkdir(parents=True)
    volume, output = open_volume(file), folder / "output.zarr"
    written = VolumeOutput.prepare(output, Layout(volume.shape, "uint8", shard=(1, 1024, 1024)))
    settings = PredictionSettings(orientations=1, close_gaps=False, threads=1)
    work = PredictionWork(volume, open_run(STARTER).folder, output, settings, "probability")
    timed = Timed(work, folder / "cores")
    run_blocks(timed, written.blocks, Scheduler("local", workers), context=JobContext(report=report))
    return sorted(spent, key=lambda one: one.begin)[2 * workers :]


def shares(spent: list[Spent], workers: int) -> tuple[float, float, float]:
    """Return seconds a block, of the clock and of the processor, and the share of the time that was used."""
    clock = max(one.end for one in spent) - spent[0].begin
    used = sum(one.end - one.begin for one in spent)
    return clock / len(spent), sum(one.processor for one in spent) / len(spent), used / clock / workers
