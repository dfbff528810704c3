"""What a network reaches in a given time, from few and many labels.

    python benchmarks/training.py IMAGE LABELS RESULTS [--only NAME ...] [--seeds 0 1 2] [--plot PNG]

One row a training, each by the command line and with the wall clock from its start. Trained on
slices of 0:20, scored on 20:24 at the threshold that the run chose by itself. Trainings start from the
starter network, which has seen nothing of the stack, unless their row says "from nothing". A row that
stands in the RESULTS folder is not trained again, so the hours can be spent in parts; what is there is
printed as tables. `--plot` draws the accuracy on the two held-out
slices over time (needs matplotlib).
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tifffile
from scribbles import scribble

from emseg_napari import predict
from emseg_napari.core.labels import to_isbi
from emseg_napari.evaluation.evaluation import evaluate
from emseg_napari.evaluation.predictions import interior_threshold
from emseg_napari.io.stacks import read_image, read_labels
from emseg_napari.models.run import Run, is_run, open_run
from emseg_napari.settings import EvaluationSettings

SCORED = (20, 24)
PLOTTED = (*(f"{s} s, from nothing" for s in (60, 180, 600)), "reference 600 s")
Labels = Callable[[np.ndarray], np.ndarray]


def only(slices: list[int]) -> Labels:
    """Labels on some slices only."""

    def kept(labels: np.ndarray) -> np.ndarray:
        result = np.zeros_like(labels)
        result[slices] = labels[slices]
        return result

    return kept


LABELLED = {1: only([10]), 3: only([3, 10, 17]), 10: only(list(range(0, 20, 2)))}


def strokes(labels: np.ndarray) -> np.ndarray:
    """Labels under some twenty strokes on one slice."""
    return scribble(only([10])(labels), 0.03, seed=0)


@dataclass(frozen=True)
class Row:
    """One training: its labels, its options, and what it starts from; 0 seconds: the starter as it is."""

    name: str
    seconds: float
    options: list[str] = field(default_factory=list)
    labels: Labels = lambda labels: labels
    start: str = "starter"


FROM_NOTHING = [
    *(Row(f"{s} s, from nothing", s, start="nothing") for s in (60, 180, 600)),
    Row("reference 600 s", 600, ["--network", "reference"], start="nothing"),
    Row("scribbles 180 s, from nothing", 180, labels=lambda known: scribble(known, 0.03, 0), start="nothing"),
    *(
        Row(f"{n} labelled, 60 s, from nothing", 60, labels=kept, start="nothing")
        for n, kept in LABELLED.items()
    ),
]
ROWS = [
    Row("starter, no label", 0),
    *(Row(f"{s} s", s) for s in (20, 60, 180, 600)),
    *(Row(f"{n} labelled, 60 s", 60, labels=kept) for n, kept in LABELLED.items()),
    Row("strokes on one slice, 30 s", 30, labels=strokes),
    Row("3 labelled, 30 s, from 1", 30, labels=LABELLED[3], start="1 labelled, 60 s"),
    *FROM_NOTHING,
]


class Bench:
    def __init__(self, image: Path, labels: Path, results: Path) -> None:
        self.image, self.results = image, results
        self._known = read_labels(labels)
        self._stack = read_image(image)

    def do(self, row: Row, seed: int) -> None:
        folder = self.folder(row.name, seed)
        if (folder / "score.json").is_file():
            return
        shutil.rmtree(folder, ignore_errors=True)  # of a row that was interrupted
        folder.mkdir(parents=True)
        if not row.seconds:
            figures = self.score(open_run("starter")) | {"wall_seconds": 0.0}
        else:
            figures = self._train(row, seed, folder)
        (folder / "score.json").write_text(json.dumps(figures))

    def _train(self, row: Row, seed: int, folder: Path) -> dict[str, float]:
        taught = folder / "labels.tif"
        within = self._known.copy()
        within[20:] = 0
        tifffile.imwrite(taught, to_isbi(row.labels(within)))
        words = [sys.executable, "-m", "emseg_napari", "train", str(self.image), str(taught)]
        words += ["--output", str(folder / "run"), "--minutes", str(row.seconds / 60), "--seed", str(seed)]
        words += [*row.options, "--from", self.start(row.start, seed)]
        began = time.monotonic()
        subprocess.run(words, check=True, stderr=subprocess.DEVNULL)
        wall = time.monotonic() - began
        return self.score(open_run(folder / "run")) | {"wall_seconds": wall}

    def start(self, name: str, seed: int) -> str:
        known = name in ("starter", "nothing")
        return name if known else str(self.folder(name, seed).absolute() / "run")

    def folder(self, name: str, seed: int) -> Path:
        # Earlier results, of trainings from nothing, had the same names.
        return self.results / "default-start" / name.replace(" ", "-").replace(",", "") / str(seed)

    def score(self, run: Run) -> dict[str, float]:
        settings = EvaluationSettings(slices=SCORED, threshold=interior_threshold(run.record.threshold))
        interior = np.zeros(self._stack.shape, np.float32)
        interior[slice(*SCORED)] = 1 - predict(self._stack, run, slices=SCORED)
        found = evaluate(interior, self._known, settings)
        return {
            "steps": run.history[-1].step,
            "threshold": run.record.threshold,
            "v_rand": found.at_threshold.v_rand,
            "v_info": found.at_threshold.v_info,
            "accuracy": found.at_threshold.accuracy,
            "best_v_rand": found.v_rand,
            "best_v_info": found.v_info,
            "seconds_to_90": _seconds_to(run, 0.90),
            "seconds_to_92": _seconds_to(run, 0.92),
        }

    def table(self, rows: list[Row], seeds: list[int]) -> Iterator[str]:
        names = ["wall_seconds", "steps", "v_rand", "best_v_rand", "v_info", "best_v_info", "accuracy"]
        names += ["threshold", "seconds_to_90", "seconds_to_92"]
        yield "| training | seeds | " + " | ".join(n.replace("_", " ") for n in names) + " |"
        yield "|---|---" + "|---" * len(names) + "|"
        for row in rows:
            done = [self.folder(row.name, seed) / "score.json" for seed in seeds]
            scores = [json.loads(path.read_text()) for path in done if path.is_file()]
            if scores:
                middle = [np.median([s[n] for s in scores]) for n in names]
                cells = ["never" if np.isinf(v) else f"{v:.0f}" if v > 2 else f"{v:.4f}" for v in middle]
                yield f"| {row.name} | {len(scores)} | " + " | ".join(cells) + " |"


def sooner(compact: list[Run], reference: Run) -> Iterator[str]:
    """Say how many times sooner `compact` was as accurate as the levels, at 0.5 on the held-out slices."""
    for level in (0.90, 0.92):
        one, other = min(_seconds_to(run, level) for run in compact), _seconds_to(reference, level)
        more = "more than " if np.isinf(other) else ""
        times = min(other, reference.history[-1].seconds) / one
        yield f"{level:.0%}: `compact` after {one:.0f} s, {more}{times:.0f} times sooner than `reference`"


def _seconds_to(run: Run, accuracy: float) -> float:
    """Return the training time after which held-out slices were so accurate; infinity if never."""
    reached = [row.seconds for row in run.history if (row.held_out_accuracy or 0) >= accuracy]
    return reached[0] if reached else float("inf")


def plot(runs: list[Run], path: Path) -> None:
    """Draw the accuracy on held-out slices over the minutes of training."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for run in runs:
        minutes = [row.seconds / 60 for row in run.history]
        name = f"{run.settings.network}, {run.settings.minutes:g} min"
        axes.plot(minutes, [row.held_out_accuracy for row in run.history], label=name)
    for level in (0.90, 0.92):
        axes.axhline(level, color="grey", linewidth=0.5)
    axes.set(xlabel="minutes", ylabel="pixel accuracy at 0.5, held-out slices", ylim=(0.7, 0.95))
    axes.legend()
    figure.savefig(path, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("image", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--only", nargs="*", help="names of rows")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--plot", type=Path, help="a PNG file to draw accuracy over time into")
    chosen = parser.parse_args()
    bench = Bench(chosen.image, chosen.labels, chosen.results)
    rows = [row for row in ROWS if not chosen.only or row.name in chosen.only]
    for seed in chosen.seeds:
        for row in rows:
            bench.do(row, seed)
    print("\n".join(bench.table(ROWS, chosen.seeds)))
    folders = [bench.folder(name, chosen.seeds[0]) / "run" for name in PLOTTED]
    if all(map(is_run, folders)):
        *compact, reference = map(open_run, folders)
        print("\n".join(sooner(compact, reference)))
        if chosen.plot:
            plot([*compact, reference], chosen.plot)


if __name__ == "__main__":
    main()
