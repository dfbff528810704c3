"""Computing: the engine process predicts and trains on the phantom, and comes to what is known.

What is compared is which pixels of a slice have a probability above an edge that lies in the middle of a gap:
none of the reference is nearer to it than 0.0002. So it is the same with one and two threads, and in the
training with oneDNN held to SSE 4.1 or AVX2, with AVX-512, and without oneDNN, which change the probabilities
by 0.0000004 (AMD EPYC, TensorFlow 2.21, ONNX Runtime 1.32, 1 December 2026). GPUs and other versions may
differ by more: then the share of such pixels says whether that is still rounding.
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
_MOST_SHARE = 0.01  # by which the share of boundary may differ
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
    """

    edge: float
    sum: str
    share: float


BY_STARTER = Expected(0.56475, "da55ea066b33", 0.21806)
BY_TRAINED = Expected(0.59968, "42ae400a1ff8", 0.21535)


def findings() -> Iterator[Finding]:
    """Give how the engine starts, predicts and trains; after a failure nothing else is tried."""
    image, labels = phantom()
    with Engine() as engine, tempfile.TemporaryDirectory() as folder:
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
    if abs(share - expected.share) <= _MOST_SHARE:
        return note(name, value, f"It differs as GPUs and other versions may ({wanted}).")
    return problem(name, value, f"That is another result than it should be ({wanted}).", _AGAIN)


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
