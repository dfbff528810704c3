"""Do cells beat a threshold?

    python benchmarks/cells.py IMAGE LABELS RUN [--slices 20:24]

Predicts slices with a run that was not trained on them, and scores against the labels: plain
thresholds of the boundary probability (the best of all, and the run's own), and the cells that
`emseg_napari.segmentation.stack` makes of the same probability, parted by lines of one pixel.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from emseg_napari.core.labels import INTERIOR, normalise
from emseg_napari.evaluation.metrics import BestOfThresholds, v_info, v_rand
from emseg_napari.inference import predict
from emseg_napari.io.stacks import parse_range, read_image, read_labels
from emseg_napari.models.run import open_run
from emseg_napari.segmentation.stack import segment_stack
from emseg_napari.settings import CellSettings, PredictionSettings


def interior_of(cells: np.ndarray) -> np.ndarray:
    return (normalise(cells, "the cells", "instances") == INTERIOR).astype(np.float32)


def row(name: str, truth: np.ndarray, interior: np.ndarray) -> None:
    scores: list[BestOfThresholds] = [measure(truth, interior) for measure in (v_rand, v_info)]
    print(f"{name:38} V_rand {scores[0].best:.4f}  V_info {scores[1].best:.4f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("image", "labels", "run"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--slices", type=parse_range, default=(20, 24))
    chosen = parser.parse_args()
    run = open_run(chosen.run)
    seen = set(range(*chosen.slices)) & set(run.record.trained_slices)
    if seen:
        parser.error(f"the run was trained on the slices {sorted(seen)}")
    truth = read_labels(chosen.labels)[slice(*chosen.slices)] == INTERIOR
    probability = predict(
        read_image(chosen.image), run, PredictionSettings(slices=chosen.slices, close_gaps=False)
    )
    best, own = v_rand(truth, 1 - probability), run.record.threshold
    row(f"best threshold, {1 - best.threshold:.1f} for V_rand", truth, 1 - probability)
    row(f"run's own threshold, {own:.2f}", truth, (probability < own).astype(np.float32))
    for settings in (CellSettings(), CellSettings(link=True)):
        began = time.perf_counter()
        cells = segment_stack(probability, settings)
        seconds = (time.perf_counter() - began) / len(cells)
        row(f"cells{', linked' * settings.link}, {seconds:.2f} s a slice", truth, interior_of(cells))


if __name__ == "__main__":
    main()
