"""Mistakes on page Check: each is a sentence, and starts nothing."""

import numpy as np
import pytest

from emseg_napari.widgets.layers.labels_layer import add_labels
from helpers.evaluations import IMAGE, PREDICTED, PROBABILITY, TRUTH, assert_complaint, layer_of
from helpers.window import answer_with


def test_mistakes_are_sentences_and_start_nothing(step, started, tmp_path):
    viewer = step.viewer
    mine = viewer.add_labels(PREDICTED, name="mine")
    partly = PREDICTED.copy()
    partly[3, 0, 0] = 0
    cases = {
        "same": (mine, mine, ("mine is chosen both as prediction and as truth", "two different")),
        "one array": (
            viewer.add_labels(mine.data, name="twin"),
            mine,
            ("Prediction and labels are the same (twin, mine)",),
        ),
        "size": (viewer.add_labels(TRUTH[:, :30].copy(), name="low"), mine, ("low", "differ in size")),
        "depth": (viewer.add_image(PROBABILITY[:3], name="thin"), mine, ("thin", "differ in size")),
        "no truth": (mine, add_labels(viewer, np.zeros_like(TRUTH), "empty"), ("empty has no labels",)),
        "not predicted": (viewer.add_labels(0 * TRUTH, name="zero"), mine, ("zero has no prediction",)),
        "range": (viewer.add_image(2 * PROBABILITY, name="twice"), mine, ("twice", "is not a probability")),
        "nan": (viewer.add_image(np.nan * PROBABILITY, name="nan"), mine, ("nan", "is not a probability")),
        "the image": (layer_of(step, "cells"), mine, ("cells holds grey levels and no prediction",)),
        "16 bit": (viewer.add_image(IMAGE.astype(np.uint16), name="deep"), mine, ("deep", "no prediction")),
        "colour": (viewer.add_image(np.zeros((6, 64, 64, 3), np.uint8), name="rgb"), mine, ("colour",)),
        "hole": (viewer.add_labels(partly, name="hole"), mine, ("hole leaves pixels of slice 3 unlabelled",)),
    }
    for name, (prediction, truth, parts) in cases.items():
        step.prediction.choose(prediction)
        step.truth.choose(truth)
        step.evaluate.click()
        assert_complaint(step, *parts), name
    assert not started


@pytest.mark.slow
def test_labels_of_which_nobody_says_what_they_are_start_nothing(step, started, monkeypatch):
    answer_with(monkeypatch, None)
    step.truth.choose(step.viewer.add_labels(TRUTH - 1, name="two values"))
    step.evaluate.click()
    assert_complaint(step, "two values holds only 0 and 1")
    assert not started


@pytest.mark.slow
def test_slices_outside_or_without_labels_are_named(step, started):
    layer_of(step, "truth").data[:2] = 0
    for text, part in (("4:9", "0:6"), ("0:2", "choose among 2:6"), ("x", "FIRST:END")):
        step.form.widgets["slices"].value = text
        step.evaluate.click()
        assert_complaint(step, "Slices", part)
    step.form.widgets["slices"].value = "1:4"
    step.evaluate.click()
    assert started[0]["settings"].slices == (2, 4)
