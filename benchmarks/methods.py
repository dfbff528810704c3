"""Five methods in one table: are learning and networks worth their time?

    python benchmarks/methods.py IMAGE LABELS FOLDER [--only ridge,trees] [--reference-minutes M]
                                 [--run NAME=RUN ...]

Trains every method on the slices 0:20 (of which it holds out two, for threshold and kept weights)
and scores 20:24. Runs are kept in FOLDER, and one that is finished there is not trained again;
`--run` takes a run from elsewhere into the table. Prints Markdown.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from emseg_napari import train
from emseg_napari.core.files import read_json, write_json
from emseg_napari.evaluation.evaluation import Evaluation, evaluate
from emseg_napari.inference import predict
from emseg_napari.io.stacks import read_image, read_labels
from emseg_napari.models.run import Run, is_run, open_run
from emseg_napari.settings import EvaluationSettings, PredictionSettings

TRAINED, SCORED = (0, 20), (20, 24)
HEAD = (
    "| method | V_rand | V_info | accuracy | best V_rand | best V_info | s to train | s a slice |",
    "|---|---|---|---|---|---|---|---|",
)


def methods(reference_minutes: float) -> dict[str, dict[str, Any]]:
    """Name of a row and the settings of its training."""
    return {
        "ridge": {"network": "ridge"},
        "trees": {"network": "trees"},
        "compact, 1 min": {"network": "compact", "minutes": 1.0},
        "compact, 3 min": {"network": "compact", "minutes": 3.0},
        f"reference, {reference_minutes:g} min": {"network": "reference", "minutes": reference_minutes},
    }


def trained(
    image: np.ndarray, labels: np.ndarray, folder: Path, settings: dict[str, Any]
) -> tuple[Run, float]:
    """Return the finished run in a folder and how many seconds it took, training it if it is not there."""
    note = folder.with_suffix(".json")
    if is_run(folder) and open_run(folder).record.finished and note.is_file():
        return open_run(folder), read_json(note)["seconds"]
    began = time.monotonic()
    run = train(image, labels, folder, resume=is_run(folder), start="nothing", slices=TRAINED, **settings)
    seconds = time.monotonic() - began
    write_json(note, {"seconds": seconds})
    return run, seconds


def scored(image: np.ndarray, labels: np.ndarray, run: Run) -> tuple[Evaluation, float]:
    """Return the scores of a run and the seconds that it takes for a slice."""
    seen = set(range(*SCORED)) & set(run.record.seen_slices)
    if seen:
        raise SystemExit(f"{run.folder} was trained on the slices {sorted(seen)}, which are to be scored")
    began = time.monotonic()
    probability = predict(image, run, PredictionSettings(slices=SCORED))
    seconds = (time.monotonic() - began) / len(probability)
    own = EvaluationSettings(threshold=1 - run.record.threshold)
    return evaluate(1 - probability, labels[slice(*SCORED)], own), seconds


def row(name: str, to_train: float, found: Evaluation, a_slice: float) -> str:
    at = found.at_threshold
    figures = (at.v_rand, at.v_info, at.accuracy, found.v_rand, found.v_info)
    return f"| {name} | {' | '.join(f'{f:.4f}' for f in figures)} | {to_train:.0f} | {a_slice:.2f} |"


def named_run(text: str) -> tuple[str, Path]:
    name, _, folder = text.partition("=")
    if not folder:
        raise argparse.ArgumentTypeError(f"{text} is not NAME=RUN")
    return name, Path(folder)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("image", "labels", "folder"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--only", help="methods to train, with commas; all when not given")
    parser.add_argument("--reference-minutes", type=float, default=10.0)
    parser.add_argument("--run", type=named_run, action="append", default=[], metavar="NAME=RUN")
    chosen = parser.parse_args()
    image, labels = read_image(chosen.image), read_labels(chosen.labels)
    os.makedirs(chosen.folder, exist_ok=True)
    wanted = None if chosen.only is None else chosen.only.split(",")
    print(*HEAD, sep="\n", flush=True)
    for name, settings in methods(chosen.reference_minutes).items():
        if wanted is None or settings["network"] in wanted:
            folder = chosen.folder / name.replace(", ", "-").replace(" ", "")
            run, seconds = trained(image, labels, folder, settings)
            print(row(name, seconds, *scored(image, labels, run)), flush=True)
    for name, folder in chosen.run:
        run = open_run(folder)
        print(row(name, run.history[-1].seconds, *scored(image, labels, run)), flush=True)


if __name__ == "__main__":
    main()
