"""The search of a whole stack for places."""

import numpy as np
import pytest

from emseg_napari.annotation.suggest import search_stack
from emseg_napari.annotation.suggest.search_stack import SliceSearched, search_places
from emseg_napari.core.jobs import JobContext, Progress, SliceLeftOut, UserError
from emseg_napari.inference import load_predictor
from emseg_napari.io.volume import BrokenChunk, volume_of
from emseg_napari.settings import PredictionSettings
from helpers.tiny_runs import tiny_network_run


class OneBroken(np.ndarray):
    """A stack in which slice 1 is damaged."""

    def __getitem__(self, key):
        if isinstance(key, tuple) and key[0] == slice(1, 2):
            raise BrokenChunk("chunk (1, 0, 0) is damaged.", (1, 0, 0))
        return np.asarray(super().__getitem__(key))


def test_a_slice_that_cannot_be_read_is_left_out_of_the_search_and_said(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (3, 40, 40)).astype(np.uint8)
    told = []
    search_places(
        volume_of(image.view(OneBroken)),
        np.zeros(image.shape, np.uint8),
        tiny_network_run(tmp_path / "run"),
        JobContext(report=told.append),
    )
    assert [event.z for event in told if isinstance(event, SliceSearched)] == [0, 2]
    (left_out,) = [event for event in told if isinstance(event, SliceLeftOut)]
    assert (left_out.z, left_out.text) == (1, "Slice 1 is left out: chunk (1, 0, 0) is damaged.")
    assert told[-1].fraction == 1
    assert isinstance(told[-1], Progress)


def test_of_a_slice_with_pixels_that_are_no_numbers_nothing_is_proposed_and_that_is_said(tmp_path):
    image = np.random.default_rng(0).random((2, 40, 40), np.float32)
    image[1, 5, 5] = np.nan
    told = []
    labels, run = np.zeros(image.shape, np.uint8), tiny_network_run(tmp_path / "run")
    search_places(image, labels, run, JobContext(report=told.append))
    assert [event.z for event in told if isinstance(event, SliceSearched)] == [0]
    (left_out,) = [event for event in told if isinstance(event, SliceLeftOut)]
    assert left_out.text.startswith("Slice 1 is left out: it has 1 pixels that are not finite numbers")


def test_slices_are_searched_from_the_one_in_view_outwards_and_confirmed_ones_are_not(tmp_path, monkeypatch):
    asked, told = [], []

    def places(z, labels, probability, spread, around):
        asked.append((z, int(labels[0, 0]), [None if part is None else int(part[0, 0]) for part in around]))
        return []

    monkeypatch.setattr(search_stack, "places_of_slice", places)
    image = np.random.default_rng(0).integers(0, 255, (5, 40, 40)).astype(np.uint8)
    labels = np.zeros(image.shape, np.uint8) + np.arange(5, dtype=np.uint8)[:, None, None]
    run, context = tiny_network_run(tmp_path / "run"), JobContext(report=told.append)
    search_places(image, labels, run, context, confirmed=[1], first=2)
    assert asked == [(2, 2, [1, 3]), (3, 3, [2, 4]), (0, 0, [None, 1]), (4, 4, [3, None])]
    steps = [event for event in told if isinstance(event, Progress)]
    assert [event.fraction for event in steps] == [0.25, 0.5, 0.75, 1]
    assert steps[-1].seconds_left == 0
    assert [event.text for event in steps][:2] == ["slice 2 searched", "slice 3 searched"]


def test_the_network_doubts_at_the_scale_that_is_given(tmp_path, monkeypatch):
    seen = []
    note = lambda z, labels, found, *_: seen.append(found) or []  # noqa: E731
    monkeypatch.setattr(search_stack, "places_of_slice", note)
    image = np.random.default_rng(0).integers(0, 255, (1, 40, 40)).astype(np.uint8)
    labels, run = np.zeros(image.shape, np.uint8), tiny_network_run(tmp_path / "run")
    for settings in (PredictionSettings(scale=2), None):
        search_places(image, labels, run, settings=settings)
        expected = load_predictor(run, settings or PredictionSettings()).probability(image[0])
        np.testing.assert_array_equal(seen[-1], expected)
    assert np.abs(seen[0] - seen[1]).mean() > 0.02


def test_a_scale_at_which_slices_are_too_small_is_refused(tmp_path):
    image = np.zeros((1, 40, 40), np.uint8)
    with pytest.raises(UserError, match="smaller than a patch"):
        search_places(
            image, image, tiny_network_run(tmp_path / "run"), settings=PredictionSettings(scale=0.5)
        )
