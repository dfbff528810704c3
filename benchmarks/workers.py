"""What does a worker cost that is killed in the middle of a prediction, and what the scheduler's loss?

    python benchmarks/workers.py [--slices 48] [--side 512] [--run RUN] [--folder FOLDER]

A made-up volume (`phantom.tif` of the sample data, repeated) is predicted four times: by one process; by two
workers started with `dask worker`; by two of which one is killed with signal 9 after a quarter of the blocks;
and by two whose scheduler is killed there, after which scheduler and workers are started anew and the same
call is made again. To hold: the files of all four are the same, byte by byte. The seconds are those of the
prediction; the processes stand ready by then, but have not loaded the network.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from dask_processes import Hands, kill

from emseg_napari.core.blockwise import LOCAL, Scheduler
from emseg_napari.core.jobs import BlockDone, Event, JobContext, UserError
from emseg_napari.inference.volume import VolumeTask, predict_volume
from emseg_napari.io.open import open_volume
from emseg_napari.models.run import Run, open_run
from emseg_napari.models.starter import STARTER
from emseg_napari.settings import PredictionSettings

PHANTOM = Path(__file__).parents[1] / "sample_data" / "phantom.tif"


@dataclass
class Watched:
    """Counts the blocks that were reported, and does something when a share of them is."""

    at: int
    action: Callable[[], None] = lambda: None
    told: int = 0
    seconds: float = 0.0

    def __call__(self, event: Event) -> None:
        if isinstance(event, BlockDone):
            self.told += 1
            if self.told == self.at:
                self.action()


@dataclass(frozen=True)
class Trial:
    """The same prediction under several misfortunes."""

    volume: Path
    run: Run
    folder: Path
    blocks: int

    def predict(self, name: str, scheduler: Scheduler, watched: Watched) -> None:
        # One thread also here: what the processor adds up in another order must not differ.
        settings = PredictionSettings(orientations=1, threads=1)
        output = self.folder / name / "out.zarr"
        output.parent.mkdir(exist_ok=True)
        started = time.monotonic()
        try:
            predict_volume(
                open_volume(self.volume),
                self.run,
                VolumeTask(output, settings, scheduler=scheduler),
                context=JobContext(report=watched),
            )
        finally:
            watched.seconds += time.monotonic() - started

    def here(self, name: str) -> Watched:
        watched = Watched(-1)
        self.predict(name, LOCAL, watched)
        return watched

    def workers(self, name: str, watched: Watched | None = None) -> Watched:
        watched = watched or Watched(-1)
        with Hands(2, self.folder / "log") as hands:
            self.predict(name, Scheduler(hands.address), watched)
        return watched

    def lost_worker(self, name: str) -> Watched:
        with Hands(2, self.folder / "log") as hands:
            watched = Watched(self.blocks // 4, lambda: kill(hands.workers[0]))
            self.predict(name, Scheduler(hands.address), watched)
        return watched

    def lost_scheduler(self, name: str) -> Watched:
        with Hands(2, self.folder / "log") as hands:
            watched = Watched(self.blocks // 4, lambda: kill(hands.scheduler))
            with suppress(UserError):
                self.predict(name, Scheduler(hands.address), watched)
        return self.workers(name, watched)


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def make_volume(path: Path, slices: int, side: int) -> None:
    phantom = tifffile.imread(PHANTOM)
    repeats = [-(-n // of) for n, of in zip((slices, side, side), phantom.shape, strict=True)]
    tifffile.imwrite(path, np.tile(phantom, repeats)[:slices, :side, :side], photometric="minisblack")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--slices", type=int, default=48)
    parser.add_argument("--side", type=int, default=512, help="of a slice in pixels, at most 2048: one block")
    parser.add_argument("--run", default=STARTER)
    parser.add_argument("--folder", type=Path, help="for the outputs; a temporary one when not given")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        volume = folder / "volume.tif"
        make_volume(volume, given.slices, given.side)
        show(Trial(volume, open_run(given.run), folder, given.slices))


def show(trial: Trial) -> None:
    print("| predicted by | s | blocks reported | files of other bytes |\n|---|---|---|---|")
    cases = {
        "one process, one thread": trial.here,
        "two workers": trial.workers,
        "two, one killed after a quarter": trial.lost_worker,
        "two, the scheduler killed there, then started again": trial.lost_scheduler,
    }
    expected: dict[str, bytes] = {}
    for number, (words, predict) in enumerate(cases.items()):
        watched = predict(str(number))
        found = files_of(trial.folder / str(number) / "out.zarr")
        expected = expected or found
        differing = [name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)]
        reported = f"{watched.told} of {trial.blocks}"
        print(
            f"| {words} | {watched.seconds:.0f} | {reported} | {', '.join(differing) or 'none'} |", flush=True
        )


if __name__ == "__main__":
    main()
