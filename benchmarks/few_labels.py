"""Do few labels ever make the network worse on other slices?

    python benchmarks/few_labels.py IMAGE LABELS RESULTS [--only ISBI ...] [--seeds 0] [--steps 300]

IMAGE and LABELS are the ISBI 2012 stack. Each row trains from the starter network on labels of slices of 0:20
and is scored on 20:24, as is the starter itself, at its own threshold and with gaps closed. One gap more or
less moves V_rand of four slices by .01, so the last columns say by how much it is better than the starter on
all slices of 0:24 without labels (the mean, and how many standard errors that is). Three kinds of
tissue: the stack; the stack inverted, on which the starter fails; a phantom of mouse cortex. Trainings
last so many steps, and not minutes, so that a busy machine gives the same figures; "live" is live learning on
strokes, or on corrections of what the starter has wrong, ended after so many seconds. Rows that stand in
RESULTS are not trained again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from make_starter import labels_of
from phantoms import draw, render
from scipy import ndimage
from training import only, strokes

from emseg_napari import predict, train
from emseg_napari.core.jobs import Failed, Finished, PreviewReady
from emseg_napari.core.labels import BOUNDARY, UNLABELLED
from emseg_napari.engine.client import Engine
from emseg_napari.evaluation.evaluation import evaluate
from emseg_napari.evaluation.predictions import interior_threshold
from emseg_napari.io.stacks import read_image, read_labels
from emseg_napari.models.run import Run, is_run, open_run
from emseg_napari.settings import EvaluationSettings, LiveSettings

TRAINED, SCORED = slice(0, 20), slice(20, 24)
LABELLED = [[10], [5, 14], [3, 10, 17], [2, 6, 10, 14, 18], [*range(0, 20, 2)], [*range(20)]]
LIVE_SECONDS = 20, 60
CORTEX_SEED = 800_000  # no phantom that chose the starter's thresholds
MEASURES = "v_rand", "v_info", "accuracy"
HEAD = (
    "| tissue | trained on | seed | steps | V_rand | V_info | accuracy | share kept "
    "| more V_rand | more V_info | more accuracy |\n|" + 11 * "---|"
)
Slices = tuple[np.ndarray, np.ndarray]
Make = Callable[[np.ndarray, np.ndarray, int, Path], Run]


def cortex() -> Slices:
    """24 slices of a phantom of mouse cortex, and their labels."""
    image, labels, _ = render(draw(CORTEX_SEED, "cortex"), (24, 384, 384), CORTEX_SEED)
    return image, labels_of(labels)


def corrections(image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Labels where the starter is most wrong in slice 10, at the twenty largest places and 2 px around."""
    z, start = 10, open_run("starter")
    wrong = (predict(image[z : z + 1], start)[0] >= start.record.threshold) != (labels[z] == BOUNDARY)
    places, _ = ndimage.label(ndimage.binary_opening(wrong))
    largest = 1 + np.argsort(np.bincount(places.ravel())[1:])[-20:]
    near = ndimage.binary_dilation(np.isin(places, largest), iterations=2)
    result = np.zeros_like(labels)
    result[z] = np.where(near, labels[z], UNLABELLED)
    return result


def learn_live(
    seconds: float,
    kept: Callable[[np.ndarray, np.ndarray], np.ndarray],
    image: np.ndarray,
    labels: np.ndarray,
    seed: int,
    folder: Path,
) -> Run:
    """Learn live on few labels until the first preview after so many seconds."""
    settings = LiveSettings(seed=seed, idle_seconds=3600, on_battery=True)
    with Engine() as engine:
        engine.steer(z=0)
        began = None
        for event in engine.run(
            "live", image=image, labels=kept(image, labels), settings=settings, folder=folder
        ):
            if isinstance(event, PreviewReady):
                began = began or time.monotonic()
                engine.steer(enough=time.monotonic() - began >= seconds)
            elif isinstance(event, Finished):
                return event.result
            elif isinstance(event, Failed):
                raise RuntimeError(event.text)
    raise RuntimeError("the engine ended without a run")


def rows(steps: int) -> dict[str, Make]:
    """Return how the run of each row is made."""
    by_steps = {"epochs": 3, "steps_per_epoch": steps // 3}

    def learn(
        kept: Callable[[np.ndarray], np.ndarray],
        image: np.ndarray,
        labels: np.ndarray,
        seed: int,
        folder: Path,
    ) -> Run:
        return train(image, kept(labels), folder, **by_steps, seed=seed)

    return {
        "starter": lambda *_: open_run("starter"),
        **{f"{len(slices)} labelled": partial(learn, only(slices)) for slices in LABELLED},
        "strokes on 1": partial(learn, strokes),
        **{
            f"live on {name}, {seconds} s": partial(learn_live, seconds, kept)
            for name, kept in (("strokes", lambda _, labels: strokes(labels)), ("corrections", corrections))
            for seconds in LIVE_SECONDS
        },
    }


def scored(make: Make, slices: Slices, seed: int, folder: Path) -> dict[str, Any]:
    """Return steps, the share that was kept, and the figures slice by slice, from a file if there is one."""
    done, (image, labels) = folder / "scores.json", slices
    if not done.is_file():
        run = open_run(folder / "run") if is_run(folder / "run") else None
        if run is None or not run.record.finished:
            shutil.rmtree(folder, ignore_errors=True)  # of a row that was interrupted
            folder.mkdir(parents=True)
            run = make(image[TRAINED], labels[TRAINED], seed, folder / "run")
        record = run.record
        settings = EvaluationSettings(threshold=interior_threshold(record.threshold))
        taught = {*record.trained_slices, *record.validation_slices} if record.start else set()
        found = evaluate(1 - predict(image[: SCORED.stop], run), labels[: SCORED.stop], settings)
        figures = {
            one.z: [getattr(one.scores, name) for name in MEASURES]
            for one in found.per_slice
            if one.z not in taught
        }
        steps = run.history[-1].step if record.start else 0
        done.write_text(json.dumps({"steps": steps, "share": record.kept_share, "slices": figures}))
    return json.loads(done.read_text())


def cells(row: dict[str, Any], starter: dict[str, Any]) -> Iterator[str]:
    """Return the cells of a row of the table."""
    yield str(row["steps"])
    slices = {int(z): np.array(figures) for z, figures in row["slices"].items()}
    means = np.mean([figures for z, figures in slices.items() if z >= SCORED.start], axis=0)
    yield from (f"{mean:.3f}" for mean in means)
    yield "" if row["share"] is None else f"{row['share']:.2f}"
    gains = np.array([figures - starter["slices"][str(z)] for z, figures in slices.items()])
    errors = np.maximum(1e-12, gains.std(axis=0, ddof=1) / np.sqrt(len(gains)))
    for mean, error in zip(gains.mean(axis=0), errors, strict=True):
        yield f"{mean:+.4f} ({mean / error:+.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("image", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--only", nargs="*", help="names of tissues")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=300)
    chosen = parser.parse_args()
    image, labels = read_image(chosen.image), read_labels(chosen.labels)
    tissues = {"ISBI": (image, labels), "inverted": (255 - image, labels), "cortex": cortex()}
    print(HEAD)
    for seed in chosen.seeds:
        for tissue in chosen.only or tissues:
            for name, make in rows(chosen.steps).items():
                folder = (
                    chosen.results
                    / f"few-labels-{chosen.steps}"
                    / tissue
                    / name.replace(" ", "-")
                    / str(seed)
                )
                row = scored(make, tissues[tissue], seed, folder)
                if name == "starter":
                    starter = row
                figures = " | ".join(cells(row, starter))
                print(f"| {tissue} | {name} | {seed} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
