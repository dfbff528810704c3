"""Do few labels ever make the network worse on other slices?

    python benchmarks/few_labels.py IMAGE LABELS RESULTS [--only ISBI ...] [--seeds 0] [--steps 300]

IMAGE and LABELS are the ISBI 2012 stack. Each row trains from the starter network on labels of slices of 0:20
and is scored on 20:24, as is the starter itself, at its own threshold and with gaps closed. Three kinds of
tissue: the stack; the stack inverted, on which the starter fails; a phantom of mouse cortex. Trainings
last so many steps, and not minutes, so that a busy machine gives the same figures; "live" is live learning on
strokes, ended after so many seconds. Rows that stand in RESULTS are not trained again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from make_starter import labels_of
from phantoms import draw, render
from training import only, strokes

from emseg_napari import predict, train
from emseg_napari.core.jobs import Failed, Finished, PreviewReady
from emseg_napari.engine.client import Engine
from emseg_napari.evaluation.evaluation import evaluate
from emseg_napari.evaluation.predictions import interior_threshold
from emseg_napari.io.stacks import read_image, read_labels
from emseg_napari.models.run import Run, open_run, starter_folder
from emseg_napari.settings import EvaluationSettings, LiveSettings

TRAINED, SCORED = slice(0, 20), slice(20, 24)
LABELLED = [[10], [5, 14], [3, 10, 17], [2, 6, 10, 14, 18], [*range(0, 20, 2)], [*range(20)]]
LIVE_SECONDS = 20, 60
CORTEX_SEED = 800_000  # no phantom that chose the starter's thresholds
HEAD = "| tissue | trained on | seed | steps | V_rand | V_info | accuracy | share kept |\n|" + 8 * "---|"
Slices = tuple[np.ndarray, np.ndarray]
Make = Callable[[np.ndarray, np.ndarray, int, Path], Run]


def cortex() -> Slices:
    """24 slices of a phantom of mouse cortex, and their labels."""
    image, labels, _ = render(draw(CORTEX_SEED, "cortex"), (24, 384, 384), CORTEX_SEED)
    return image, labels_of(labels)


def learn_live(seconds: float, image: np.ndarray, labels: np.ndarray, seed: int, folder: Path) -> Run:
    """Learn live on strokes until the first preview after so many seconds."""
    settings = LiveSettings(seed=seed, idle_seconds=3600, on_battery=True)
    with Engine() as engine:
        engine.steer(z=0)
        began = None
        for event in engine.run(
            "live", image=image, labels=strokes(labels), settings=settings, folder=folder
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
        **{f"live, {seconds} s": partial(learn_live, seconds) for seconds in LIVE_SECONDS},
    }


def scored(make: Make, slices: Slices, seed: int, folder: Path) -> list[float | None]:
    """Return steps, V_rand, V_info, accuracy and the share that was kept, from a file if there is one."""
    done, (image, labels) = folder / "score.json", slices
    if not done.is_file():
        shutil.rmtree(folder, ignore_errors=True)  # of a row that was interrupted
        folder.mkdir(parents=True)
        run = make(image[TRAINED], labels[TRAINED], seed, folder / "run")
        settings = EvaluationSettings(threshold=interior_threshold(run.record.threshold))
        found = evaluate(1 - predict(image[SCORED], run), labels[SCORED], settings).at_threshold
        steps = 0 if run.folder == starter_folder() else run.history[-1].step
        figures = steps, found.v_rand, found.v_info, found.accuracy, run.record.kept_share
        done.write_text(json.dumps(figures))
    return json.loads(done.read_text())


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
                steps, *figures = scored(make, tissues[tissue], seed, folder)
                cells = ["" if figure is None else f"{figure:.3f}" for figure in figures]
                print(f"| {tissue} | {name} | {seed} | {steps} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
