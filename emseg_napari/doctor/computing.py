"""Computing: the engine process predicts and trains on the phantom, and comes to what is known.

What is compared is which pixels of a slice have a probability above an edge that lies in the middle of a gap:
none of the reference is nearer to it than 0.0002. So it is the same with one and two threads, and in the
training with oneDNN held to SSE 4.1 or AVX2, with AVX-512, and without oneDNN, which change the probabilities
by 0.0000004 (AMD EPYC, TensorFlow 2.21, ONNX Runtime 1.32, 1 December 2026). GPUs and other versions may
differ by more: then the share of such pixels in each part of the slice says whether that is still rounding.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from emseg_napari.core.jobs import Failed, Finished, SlicePredicted, UserError
from emseg_napari.doctor.finding import Finding, note, problem
from emseg_napari.doctor.messages import recognised
from emseg_napari.engine.client import Engine
from emseg_napari.io.samples import phantom
from emseg_napari.models.starter import STARTER, STARTER_FOLDER
from emseg_napari.settings import PredictionSettings, TrainingSettings

_SLOW_START_S = 30
_MOST_DIFFERENCE = 1e-3  # of probabilities, between ONNX Runtime and Keras
_PREDICTION = PredictionSettings(close_gaps=False)
_TRAINING = TrainingSettings.recipe(
    start=STARTER, minutes=None, epochs=1, steps_per_epoch=20, batch_size=4, patch_px=96, seed=0
)
_TRAINED_PX = 192  # side of the two slices that it is trained on
_AGAIN = "Install the tested versions: pip install -r constraints.txt (it lies beside the source)."


class Expected(NamedTuple):
    """What a network finds in the first slice of the phantom.

    Attributes
    ----------
    edge : float
        Boundary probability that no pixel is near to.
    sum : str
        First digits of the SHA-256 of which pixels lie above it.
    share : float
        Of such pixels, 0 to 1.
    most : float
        By which their share in a part of the slice may differ from `_PARTS`.
    """

    edge: float
    sum: str
    share: float
    most: float


# Where probabilities differ by 0.002, the most that is allowed to GPUs, no part's share differs by more than
# 0.0023; in a slice that is shifted by one pixel, one differs by 0.021. The training itself changes one by
# 0.011, for which it has as much again.
BY_STARTER = Expected(0.56475, "da55ea066b33", 0.21806, 0.01)
BY_TRAINED = Expected(0.59968, "42ae400a1ff8", 0.21535, 0.02)
# Share of boundary in the 8 x 8 parts of the slice, by the starter, 0 to 1.
_PARTS = np.array(
    (
        (0.471, 0.236, 0.184, 0.429, 0.290, 0.267, 0.204, 0.311),
        (0.216, 0.296, 0.193, 0.175, 0.438, 0.262, 0.325, 0.085),
        (0.000, 0.259, 0.183, 0.131, 0.271, 0.122, 0.212, 0.075),
        (0.000, 0.148, 0.295, 0.346, 0.353, 0.229, 0.184, 0.040),
        (0.141, 0.301, 0.282, 0.106, 0.150, 0.068, 0.031, 0.177),
        (0.171, 0.235, 0.213, 0.315, 0.277, 0.121, 0.020, 0.086),
        (0.049, 0.408, 0.309, 0.187, 0.161, 0.146, 0.290, 0.371),
        (0.205, 0.366, 0.323, 0.243, 0.198, 0.240, 0.262, 0.272),
    )
)


def findings() -> Iterator[Finding]:
    """Give how the engine starts, predicts and trains; after a failure nothing else is tried."""
    image, labels = phantom()
    with tempfile.TemporaryDirectory() as folder, Engine() as engine:  # which ends before it is removed
        run = Path(folder) / "run"
        part = np.s_[:2, :_TRAINED_PX, :_TRAINED_PX]
        training = {"image": image[part], "labels": labels[part], "settings": _TRAINING, "folder": run}
        try:
            yield _started(engine, image[:1])
            yield as_expected("prediction", *_predicted(engine, image[:1], STARTER_FOLDER), BY_STARTER)
            _, seconds = _timed(engine, "train", training)
            yield Finding("training", f"{_TRAINING.steps_per_epoch} steps in {seconds:.0f} s")
            yield as_expected("trained network", *_predicted(engine, image[:1], run), BY_TRAINED)
            yield _against_keras(engine, image[0], run)
        except UserError as error:
            yield _failure(error)


def _started(engine: Engine, image: np.ndarray) -> Finding:
    """Return how long the engine needs until it has predicted for the first time."""
    seconds = _predicted(engine, image, STARTER_FOLDER)[1]
    value = f"starts and predicts in {seconds:.1f} s"
    if seconds > _SLOW_START_S:
        return note(
            "engine",
            value,
            "It starts slowly.",
            "Install Python's packages on a local disk, and let a virus scanner leave them out.",
        )
    return Finding("engine", value)


def as_expected(name: str, probability: np.ndarray, seconds: float, expected: Expected) -> Finding:
    """Return whether a network found in the first slice of the phantom what it should."""
    above = probability > expected.edge
    found, share = hashlib.sha256(above.tobytes()).hexdigest()[: len(expected.sum)], float(above.mean())
    value = f"{found}, boundary {share:.2%}, in {seconds:.1f} s"
    if found == expected.sum:
        return Finding(name, f"{value}: as expected")
    wanted = f"expected were {expected.sum} and {expected.share:.2%}"
    if (off := np.abs(_by_part(above) - _PARTS).max()) <= expected.most:
        return note(name, value, f"It differs as GPUs and other versions may ({wanted}).")
    wanted += f"; in a part of the slice the share is off by {off:.0%}"
    return problem(name, value, f"That is another result than it should be ({wanted}).", _AGAIN)


def _by_part(above: np.ndarray) -> np.ndarray:
    """Return the share of boundary in each of the 8 x 8 parts of a slice."""
    height, width = (size // 8 for size in above.shape)
    return above.reshape(8, height, 8, width).mean(axis=(1, 3))


def _against_keras(engine: Engine, image: np.ndarray, run: Path) -> Finding:
    difference, _ = _timed(engine, "compare_with_keras", {"image": image, "run": run})
    value = f"probabilities differ by at most {difference:.7f}"
    if difference <= _MOST_DIFFERENCE:
        return Finding("ONNX and Keras", value)
    return problem("ONNX and Keras", value, "They compute different results from the same weights.", _AGAIN)


def _predicted(engine: Engine, image: np.ndarray, run: Path) -> tuple[np.ndarray, float]:
    """Return the boundary probability of one slice, and the seconds that it took."""
    found: list[np.ndarray] = []
    _, seconds = _timed(engine, "predict", {"image": image, "run": run, "settings": _PREDICTION}, found)
    return found[0], seconds


def _timed(
    engine: Engine, job: str, arguments: dict[str, Any], slices: list[np.ndarray] | None = None
) -> tuple[Any, float]:
    """Do a job; return its result and the seconds that it took, and keep slices that it predicts."""
    began = time.perf_counter()
    for event in engine.run(job, **arguments):
        if isinstance(event, SlicePredicted) and slices is not None:
            slices.append(event.probability)
        elif isinstance(event, Failed):
            error = UserError(event.text)
            error.add_note(event.details)
            raise error
        elif isinstance(event, Finished):
            return event.result, time.perf_counter() - began
    raise UserError("The engine gave no answer.")


def _failure(error: UserError) -> Finding:
    details = "\n".join([str(error), *getattr(error, "__notes__", ())])
    advice = recognised(details)
    sentence = f"{advice.sentence} The engine says: {error}" if advice else str(error)
    last = (details.strip().splitlines() or [""])[-1][:300]
    return problem(
        "engine", "failed", sentence, advice.action if advice else f"Report it with this line: {last}"
    )
