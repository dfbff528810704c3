"""What it brings to average a prediction over more orientations, and what it costs.

    python benchmarks/orientations.py IMAGE LABELS MEDULLA [--run starter] [--slices 18:20] [--only time ...]

IMAGE and LABELS are the ISBI 2012 stack, MEDULLA is what `make_starter.py` takes. Three tables:

scores   V_rand, V_info and accuracy at the run's own threshold, gaps closed. Phantoms are stacks of three
         slices, of seeds that neither trained the starter nor chose its thresholds; the windows of the
         medulla are some that trained it; of ISBI 2012 the given slices.
places   slices are proposed with the default and searched with so many orientations: of the first twenty
         places of each slice, how many show an error; how many of the errors that cost .001 of V_rand or more
         they show, and which part of their cost; processor time of the search. A place shows an error if it
         is of its kind and comes within 5 pixels.
time     processor time of one thread for a megapixel, by turns, and that of closing its gaps beside it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from make_starter import labels_of, medulla
from phantoms import draw, render
from slice_faults import Fault, faults, is_inside

from emseg_napari import predict
from emseg_napari.annotation.label_state import proposed
from emseg_napari.annotation.suggest import Place, places_of_slice
from emseg_napari.core.labels import INTERIOR, from_probability
from emseg_napari.evaluation.evaluation import evaluate
from emseg_napari.evaluation.partitions import TrueCells
from emseg_napari.evaluation.predictions import interior_threshold
from emseg_napari.evaluation.thinning import thinned_regions
from emseg_napari.inference import load_predictor
from emseg_napari.io.stacks import parse_range, read_image, read_labels
from emseg_napari.models.run import Run, open_run
from emseg_napari.segmentation.close_gaps import close_gaps
from emseg_napari.settings import EvaluationSettings, PredictionSettings

ORIENTATIONS = 1, 2, 4, 8
FIRST_SEED, PHANTOMS, SHAPE = 810_000, 6, (3, 512, 512)
EVERY_WINDOW = 19  # of the medulla
BEST, WORTH = 20, 0.001
SHOWS = {"gap": "merge", "membrane": "split"}

Slices = tuple[np.ndarray, np.ndarray]  # image and labels, uint8 (z, y, x)


def drawn(kind: str) -> list[Slices]:
    """Return phantoms, each of its own tissue."""
    made = (render(draw(seed, kind), SHAPE, seed) for seed in range(FIRST_SEED, FIRST_SEED + PHANTOMS))
    return [(image, labels_of(labels)) for image, labels, _ in made]


def given_stacks(chosen: argparse.Namespace) -> dict[str, list[Slices]]:
    within = slice(*parse_range(chosen.slices))
    return {
        "phantoms of fly tissue": drawn("fly"),
        "phantoms of mouse cortex": drawn("cortex"),
        "medulla (seen)": medulla(chosen.medulla)[::EVERY_WINDOW],
        f"ISBI 2012, {chosen.slices}": [
            (read_image(chosen.image)[within], read_labels(chosen.labels)[within])
        ],
    }


def score(run: Run, stacks: list[Slices], orientations: int) -> list[float]:
    """Return V_rand, V_info and accuracy at the run's own threshold."""
    image, labels = (np.concatenate(part) for part in zip(*stacks, strict=True))
    settings = EvaluationSettings(threshold=interior_threshold(run.record.threshold))
    found = evaluate(1 - predict(image, run, orientations=orientations), labels, settings).at_threshold
    return [found.v_rand, found.v_info, found.accuracy]


def v_rand(truth: np.ndarray, labels: np.ndarray) -> float:
    return TrueCells(truth == INTERIOR).agreement(thinned_regions(is_inside(labels))).rand.score


def costs_of(truth: np.ndarray, labels: np.ndarray) -> list[tuple[Fault, float]]:
    """Return the errors of a slice, and by how much V_rand rises if each alone is mended."""
    before, found = v_rand(truth, labels), []
    for fault in faults(truth, labels):
        mended = labels.copy()
        mended[fault.pixels] = fault.right_value
        found.append((fault, v_rand(truth, mended) - before))
    return found


@dataclass
class Searched:
    """Sums over slices."""

    right: int = 0
    places: int = 0
    shown: int = 0
    errors: int = 0
    shown_cost: float = 0.0
    cost: float = 0.0
    seconds: float = 0.0

    def add(self, places: list[Place], costs: list[tuple[Fault, float]]) -> None:
        """Count the first places of a slice, and which of its errors they show."""
        shows = np.array(
            [[SHOWS[p.kind] == f.kind and f.touches(p) for f, _ in costs] for p in places], bool
        ).reshape(len(places), len(costs))
        by_error = np.array([worth for _, worth in costs])
        large = by_error >= WORTH
        self.right, self.places = self.right + int(shows.any(1).sum()), self.places + len(places)
        self.shown, self.errors = self.shown + int(shows.any(0)[large].sum()), self.errors + int(large.sum())
        self.shown_cost += float(by_error[shows.any(0) & large].sum())
        self.cost += float(by_error[large].sum())


def search(run: Run, stacks: list[Slices]) -> dict[int, Searched]:
    """Search slices that are proposed with the default for places, with more and fewer orientations."""
    result = {n: Searched() for n in ORIENTATIONS}
    predictors = {n: load_predictor(run, PredictionSettings(orientations=n, threads=1)) for n in ORIENTATIONS}
    for image, truth in stacks:
        labels = np.stack([from_probability(one, run.record.threshold) for one in predict(image, run)])
        for z, plane in enumerate(image):
            costs = costs_of(truth[z], labels[z])
            around = [labels[n] if 0 <= n < len(labels) else None for n in (z - 1, z + 1)]
            for n, searched in result.items():
                began = time.process_time()
                seen = predictors[n].probability_and_spread(plane)
                places = places_of_slice(z, proposed(labels[z]), *seen, around)
                searched.seconds += time.process_time() - began
                searched.add(places[:BEST], costs)
    return result


def times(run: Run, plane: np.ndarray, rounds: int) -> dict[str, float]:
    """Return seconds of the processor for a megapixel by what was done, medians of rounds in turns."""
    record = run.record
    predictors = {n: load_predictor(run, PredictionSettings(orientations=n, threads=1)) for n in ORIENTATIONS}
    probability = predictors[1].probability(plane)
    works: dict[str, Callable[[], object]] = {
        f"{n}": lambda one=one: one.probability(plane) for n, one in predictors.items()
    }
    works["closing gaps"] = lambda: close_gaps(probability, record.threshold, record.merge_threshold)
    spent: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name, work in works.items():
            began = time.process_time()
            work()
            if turn:  # the first warms up
                spent[name].append(time.process_time() - began)
    return {name: float(np.median(s)) / plane.size * 1e6 for name, s in spent.items()}


def score_table(run: Run, given: dict[str, list[Slices]]) -> Iterator[str]:
    yield "| images | " + " | ".join(f"{n}" for n in ORIENTATIONS) + " |\n|---" + "|---" * 4 + "|"
    for name, stacks in given.items():
        cells = (" / ".join(f"{figure:.4f}" for figure in score(run, stacks, n)) for n in ORIENTATIONS)
        yield f"| {name} ({_count(stacks)}) | {' | '.join(cells)} |"


def place_table(run: Run, given: dict[str, list[Slices]]) -> Iterator[str]:
    yield "| images | orientations | places right | errors shown | of their cost | s a slice |"
    yield "|---|---|---|---|---|---|"
    for name, stacks in given.items():
        for n, found in search(run, stacks).items():
            yield (
                f"| {name} | {n} | {found.right} of {found.places} | {found.shown} of {found.errors} | "
                f"{found.shown_cost / found.cost:.2f} | {found.seconds / _count(stacks):.2f} |"
            )


def time_table(run: Run, given: dict[str, list[Slices]], rounds: int) -> Iterator[str]:
    yield "| | processor s a megapixel | of one orientation |\n|---|---|---|"
    image, _ = next(iter(given.values()))[0]
    found = times(run, image[0], rounds)
    for name, seconds in found.items():
        yield f"| {name} | {seconds:.2f} | {seconds / found['1']:.2f} |"


def _count(stacks: list[Slices]) -> int:
    return sum(len(image) for image, _ in stacks)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("image", "labels", "medulla"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--run", default="starter")
    parser.add_argument("--slices", default="18:20", help="of ISBI 2012")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="*", choices=("scores", "places", "time"))
    chosen = parser.parse_args()
    run, given = open_run(chosen.run), given_stacks(chosen)
    tables = {
        "scores": score_table(run, given),
        "places": place_table(run, given),
        "time": time_table(run, given, chosen.rounds),
    }
    for name in chosen.only or tables:
        print(f"\n{name}")
        for line in tables[name]:
            print(line, flush=True)


if __name__ == "__main__":
    main()
