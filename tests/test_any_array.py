"""Arrays of any type, order and sign, with and without NaN, through every function of the API."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emseg_napari import api
from emseg_napari.core.jobs import Cancelled, Failed, Finished, JobContext, UserError
from emseg_napari.engine import server
from emseg_napari.engine.protocol import packed, unpacked
from emseg_napari.settings import TrainingSettings
from emseg_napari.training.dataset import prepare
from helpers.odd_arrays import ODD
from helpers.tiny_runs import tiny_network_run

DTYPES = ("u1", "u2", "i1", "i2", "i4", "i8", "f2", "f4", "f8", "?", ">u2", ">f4", "c8", "U1")


class EngineHere:
    """An engine that does its jobs in this process."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def run(self, job, **arguments):
        events = []
        try:
            result = server._JOBS[job](**unpacked(packed(arguments)), context=JobContext(events.append))
        except (UserError, Cancelled) as error:
            yield Failed(str(error))
            return
        yield from events
        yield Finished(result)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tiny_network_run(tmp_path_factory.mktemp("run"))


@st.composite
def stacks(draw):
    """A stack (z, y, x), and one that lies otherwise in memory with the same values."""
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40)))
    values = np.random.default_rng(draw(st.integers(0, 99))).normal(draw(st.sampled_from([0, 90])), 40, shape)
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    if dtype.kind in "ui":
        values = values.clip(np.iinfo(dtype).min, np.iinfo(dtype).max)
    plain = values.astype(dtype)
    if dtype.kind == "f":
        strange = draw(st.sampled_from([None, None, np.nan, np.inf, 3e38, -0.0]))
        if strange is not None:
            with np.errstate(over="ignore"):
                plain[0, 0, -1] = strange
    odd = draw(st.sampled_from(list(ODD.values())))
    return plain, odd(plain) if dtype.kind != "U" else plain


def outcome(work, array):
    """What a function gives, or the sentence by which it refuses."""
    try:
        return work(array)
    except UserError as error:
        return str(error)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pair=stacks(), sparse=st.booleans())
def test_an_array_means_the_same_however_it_lies_in_memory_or_is_refused(run, monkeypatch, pair, sparse):
    monkeypatch.setattr(api, "Engine", EngineHere)
    labels = np.random.default_rng(0).integers(0 if sparse else 1, 3, pair[0].shape, dtype=np.uint8)
    for work in (
        lambda array: api.predict(array, run, orientations=1),
        api.segment,
        lambda array: api.evaluate(array, labels).per_slice,
        lambda array: api.evaluate(labels, array).per_slice,
        lambda array: prepare(array, labels, TrainingSettings(network="ridge")).record.fingerprints,
        lambda array: prepare(labels, array, TrainingSettings(network="ridge")).record.label_counts,
    ):
        plain, odd = (outcome(work, array) for array in pair)
        assert np.array_equal(plain, odd) if isinstance(plain, np.ndarray) else plain == odd
        if isinstance(plain, str):
            assert plain.endswith(".")
        if isinstance(plain, np.ndarray):
            assert np.isfinite(plain).all()
