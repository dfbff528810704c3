"""Computing: the phantom is predicted as it should be, and what differs or fails is said."""

import numpy as np
import pytest

from emseg_napari.core.jobs import Failed
from emseg_napari.doctor import computing
from emseg_napari.doctor.checks import checks
from emseg_napari.doctor.computing import BY_STARTER, BY_TRAINED, as_expected
from emseg_napari.inference.execution_trials import MOST_DIFFERENCE
from emseg_napari.io.samples import phantom
from emseg_napari.models.starter import STARTER_FOLDER


@pytest.fixture(scope="module")
def predicted(engine):
    """Boundary probability of the phantom's first slice by the starter."""
    return computing._predicted(engine, phantom()[0][:1], STARTER_FOLDER)[0]


def test_the_starter_finds_in_the_phantom_what_it_should(predicted):
    found = as_expected("prediction", predicted, 1.0, BY_STARTER)
    assert found.state == "ok"
    assert BY_STARTER.sum in found.value
    assert float(predicted.mean() > 0) == 1
    assert float((predicted > BY_STARTER.edge).mean()) == pytest.approx(BY_STARTER.share, abs=1e-5)


def test_roundings_of_other_machines_change_nothing(predicted):
    for change in (-2e-4, 2e-4):
        assert as_expected("prediction", predicted + np.float32(change), 1.0, BY_STARTER).state == "ok"


def test_a_small_difference_is_a_note_and_a_large_one_a_problem(predicted):
    assert as_expected("prediction", predicted + np.float32(0.004), 1.0, BY_STARTER).state == "note"
    assert as_expected("prediction", predicted + np.float32(0.2), 1.0, BY_STARTER).state == "problem"
    assert as_expected("prediction", predicted * np.float32("nan"), 1.0, BY_STARTER).state == "problem"


def test_the_boundary_must_lie_where_it_should(predicted):
    noise = np.random.default_rng(0).permuted(predicted.ravel()).reshape(predicted.shape)
    for other in (noise, predicted[::-1], predicted.T, np.roll(predicted, 1, axis=1)):
        for expected in (BY_STARTER, BY_TRAINED):
            assert as_expected("prediction", np.ascontiguousarray(other), 1.0, expected).state == "problem"


@pytest.mark.parametrize("change", [-1, 1])
def test_what_half_precision_changes_at_most_is_far_within_the_tolerance(predicted, change):
    above = predicted + np.float32(change * MOST_DIFFERENCE) > BY_STARTER.edge
    assert np.abs(computing._by_part(above) - computing._PARTS).max() < BY_STARTER.most / 3


class FailingEngine:
    """An engine whose jobs fail."""

    def __init__(self, failure):
        self.failure = failure

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def run(self, job, **arguments):
        yield self.failure


@pytest.mark.parametrize(
    ("failure", "sentence", "action"),
    [
        (Failed("The engine process ended unexpectedly (exit code -9)"), "too little memory", "4 GB"),
        (Failed("The predict job failed: OSError", details="x\nOSError: odd"), "predict job", "OSError: odd"),
    ],
)
def test_an_engine_that_fails_is_one_problem(monkeypatch, failure, sentence, action):
    monkeypatch.setattr(computing, "Engine", lambda: FailingEngine(failure))
    (found,) = computing.findings()
    assert found.state == "problem"
    assert sentence in found.sentence
    assert action in found.action


def test_a_group_that_cannot_be_checked_is_a_problem_of_its_own(monkeypatch):
    def fail():
        raise ImportError("DLL load failed while importing something")

    monkeypatch.setattr(computing, "phantom", fail)
    (found,) = list(checks().values())[-1]()
    assert found.state == "problem"
    assert "DLL load failed" in found.sentence
    assert "Redistributable" in found.action


@pytest.mark.slow
def test_a_training_ends_as_it_should_and_both_runtimes_agree():
    found = {one.name: one for one in computing.findings()}
    assert list(found) == ["engine", "prediction", "training", "trained network", "ONNX and Keras"]
    assert {one.state for one in found.values()} == {"ok"}
