"""A stack with known errors, the step that evaluates it, and its tables."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import Qt

from emseg_napari.core.jobs import Finished
from emseg_napari.io.fingerprint import fingerprint
from emseg_napari.models.run import Run, RunRecord
from emseg_napari.settings import TrainingSettings
from emseg_napari.widgets.layers.labels_layer import add_labels
from emseg_napari.widgets.layers.layer_info import LayerInfo
from helpers.reviews import leaky
from helpers.window import settle, striped

IMAGE, TRUTH = striped((6, 64, 64))
# A gap of 5 px in slice 2, one of 10 px in slice 4 and a false wall in slice 5.
PREDICTED = leaky(leaky(TRUTH, 2, np.s_[4:9]), 4, np.s_[20:30])
PREDICTED[5, 40, 35:48] = 1
PROBABILITY = np.where(PREDICTED == 1, 0.9, 0.1).astype(np.float32)
V_RAND = {1: 0.99, 2: 0.8, 4: 0.7, 5: 0.95}


def opened(step):
    """Give a step an image, its true labels and a probability that a prediction has left."""
    image = step.viewer.add_image(IMAGE, name="cells")
    add_labels(step.viewer, TRUTH.copy(), "truth", image)
    step.viewer.add_image(
        PROBABILITY.copy(), name="found", metadata=LayerInfo(proposal_of=image.unique_id).as_metadata()
    )
    return step


def answer(step, review, *before):
    for event in (*before, Finished(review)):
        step.job.event.emit(event)


def a_run(folder, trained, held_out=(), image=None, shape=TRUTH.shape, threshold=0.7):
    """A run folder that says what it was trained on."""
    marks = [] if image is None else [fingerprint(image[z]) for z in trained]
    record = RunRecord(
        image_shape=shape,
        image_dtype="uint8",
        trained_slices=list(trained),
        held_out_slices=list(held_out),
        fingerprints=marks,
        label_counts={"boundary": 1, "interior": 1},
        threshold=threshold,
        finished=True,
    )
    folder.mkdir(parents=True)
    Run(folder, TrainingSettings(), record).save()
    return folder


def column(table, j):
    return [table.item(i, j).text() for i in range(table.rowCount())]


def layer_of(step, name):
    return step.viewer.layers[name]


def click_row(qtbot, table, i):
    where = table.visualItemRect(table.item(i, 0)).center()
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=where)


def assert_complaint(step, *parts):
    settle(step)
    text = step.status.text()
    assert step.is_wrong, text
    assert "Unexpected error" not in text
    for part in parts:
        assert part in text
