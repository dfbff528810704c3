"""A prediction beside labels: which slices are compared, and what its run has seen of them."""

import numpy as np
import pytest

from emseg_napari.core.jobs import UserError
from emseg_napari.evaluation.pairing import paired
from emseg_napari.evaluation.predictions import Prediction
from emseg_napari.io.fingerprint import fingerprint
from emseg_napari.settings import EvaluationSettings
from helpers.tiny_runs import tiny_network_run

IMAGE = np.random.default_rng(0).integers(0, 255, (4, 64, 64), dtype=np.uint8)
TRUTH = np.where(IMAGE > 99, 2, 1).astype(np.uint8)
PROBABILITY = (TRUTH == 1).astype(np.float32)


@pytest.fixture
def run(tmp_path):
    """A run that has seen slice 0."""
    found = tiny_network_run(tmp_path / "run")
    found.update(image_shape=IMAGE.shape, trained_slices=[0], fingerprints=[fingerprint(IMAGE[0])])
    return found


def test_only_the_image_of_scored_slices_is_read(run):
    """The others may be damaged, which is why they were not predicted."""

    class Image:
        def __getitem__(self, z: int) -> np.ndarray:
            assert z != 2, "a slice that is not scored was read"
            return IMAGE[z]

    prediction = Prediction("p", PROBABILITY, "probability", {}, "recorded", lambda z: z != 2)
    pair = paired(prediction, TRUTH, EvaluationSettings(), run, image=Image())
    assert pair.slices == [0, 1, 3]
    assert pair.overlap.trained == [0]
    assert any("not scored: slice 2" in note for note in pair.notes)


def test_slices_that_a_record_names_are_aligned_by_it():
    prediction = Prediction("p", PROBABILITY[1:3], "probability", {"slices": [1, 3]}, "recorded")
    assert paired(prediction, TRUTH, EvaluationSettings()).slices == [1, 2]
    with pytest.raises(UserError, match="shows the slices 1:3"):
        paired(prediction, TRUTH, EvaluationSettings(slices=(0, 4)))
