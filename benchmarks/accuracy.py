"""How good is a network on slices that it has not seen?

    python benchmarks/accuracy.py IMAGE LABELS [--network compact|reference] [--minutes M] [--seed S]

Trains on the slices 0:20 (of which it holds out two, for the threshold and the kept weights)
and scores 20:24: pixel accuracy at the run's own threshold and at 0.5, and V_rand of the
labels at the own threshold beside the best over all thresholds.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from emseg_napari import predict, train
from emseg_napari.labels import INTERIOR, from_probability
from emseg_napari.scoring.metrics import pixel_accuracy, v_rand
from emseg_napari.stacks import read_image, read_labels

TRAINED, SCORED = (0, 20), (20, 24)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("image", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--network", default="compact")
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    image, truth = read_image(chosen.image), read_labels(chosen.labels)[slice(*SCORED)]
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        settings = {"network": chosen.network, "minutes": chosen.minutes, "seed": chosen.seed}
        run = train(image, read_labels(chosen.labels), Path(folder) / "run", slices=TRAINED, **settings)
        trained = time.monotonic() - began
        probability = predict(image, run, slices=SCORED)
    labels = {t: from_probability(probability, t) for t in (run.record.threshold, 0.5)}
    own = labels[run.record.threshold]
    best = v_rand(truth == INTERIOR, 1 - probability)
    print(f"{chosen.network}, seed {chosen.seed}: {run.history[-1].step} steps, {trained:.0f} s in all")
    print(f"threshold chosen on held-out slices: {run.record.threshold:.2f}")
    print(
        f"pixel accuracy: {pixel_accuracy(truth, own):.4f}, at 0.5: {pixel_accuracy(truth, labels[0.5]):.4f}"
    )
    at_own = v_rand(truth == INTERIOR, (own == INTERIOR).astype("float32")).best
    print(f"V_rand: {at_own:.4f}, at the best threshold ({1 - best.threshold:.1f}): {best.best:.4f}")


if __name__ == "__main__":
    main()
