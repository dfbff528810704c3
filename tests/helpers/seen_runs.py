"""Runs that say what they have seen, and predictions of slices that they may have seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from emseg_napari.evaluation.pairing import Pairing, paired
from emseg_napari.evaluation.predictions import Prediction
from emseg_napari.io.fingerprint import fingerprint
from emseg_napari.io.records import Kind
from emseg_napari.models.run import Run, RunRecord
from emseg_napari.settings import EvaluationSettings, TrainingSettings

IMAGE = np.random.default_rng(0).integers(0, 250, (6, 32, 32), dtype=np.uint8)
OTHER = 250 - IMAGE
TRUTH = np.where(IMAGE > 99, 2, 1).astype(np.uint8)
FOUND = TRUTH.copy()
FOUND[:, 0, 0] = 3 - TRUTH[:, 0, 0]  # one pixel of each slice is wrong, as predictions are
PROBABILITY = (FOUND == 1).astype(np.float32)
ALL = list(range(6))


def a_run(folder: Path, trained: list[int], held_out: list[int], **changes: object) -> Run:
    record = {
        "image_shape": IMAGE.shape,
        "image_dtype": "uint8",
        "trained_slices": trained,
        "held_out_slices": held_out,
        "fingerprints": [fingerprint(IMAGE[z]) for z in trained],
        "held_out_fingerprints": [fingerprint(IMAGE[z]) for z in held_out],
        "label_counts": {},
        "threshold": 0.6,
        "finished": True,
    }
    run = Run(folder, TrainingSettings(), RunRecord(**record | changes))
    folder.mkdir()
    run.save()
    return run


def scored(
    shown: np.ndarray | None,
    run: Run | None,
    slices: list[int] = ALL,
    kind: Kind = "probability",
    wanted: float | None = None,
    **parts: Any,
) -> Pairing:
    """Score a prediction of `shown`, whose slices are `slices` of what has labels."""
    record = {} if shown is None else {"fingerprints": [fingerprint(one) for one in shown]}
    values = (PROBABILITY if kind == "probability" else FOUND)[slices]
    runs, image = parts.pop("runs", {}), parts.pop("image", None)
    prediction = Prediction("p", values, kind, record | parts, "recorded", runs=runs)
    return paired(
        prediction,
        TRUTH[slices],
        EvaluationSettings(threshold=wanted),
        run if not runs else None,
        image=image,
    )
