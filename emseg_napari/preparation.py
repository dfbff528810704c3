"""What every training does first: see whether the data can be used, and divide it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emseg_napari.judging import hold_out_tile, split
from emseg_napari.labels import BOUNDARY, INTERIOR, UNLABELLED, check_trainable, normalise
from emseg_napari.patches import network_scale
from emseg_napari.runs import RunRecord, fingerprint, versions
from emseg_napari.settings import TrainingSettings
from emseg_napari.stacks import as_stack, check_image, check_pair


@dataclass(frozen=True)
class Prepared:
    """Checked data.

    Attributes
    ----------
    image : numpy.ndarray
        (z, y, x).
    labels : numpy.ndarray
        uint8 (z, y, x): 0 unlabelled, 1 boundary, 2 interior.
    record : RunRecord
        Of the run that is about to begin.
    """

    image: np.ndarray
    labels: np.ndarray
    record: RunRecord


def prepare(image: np.ndarray, labels: np.ndarray, settings: TrainingSettings) -> Prepared:
    """Check image and labels, and choose what trains and what is held out.

    Parameters
    ----------
    image : numpy.ndarray
        (z, y, x) or (y, x), integer or float.
    labels : numpy.ndarray
        uint8 of the same shape: 0 unlabelled, 1 boundary, 2 interior.

    Raises
    ------
    UserError
        If they cannot be used.
    """
    image, labels = as_stack(image), as_stack(labels)
    check_pair(image, labels, "the image", "the labels")
    labels = normalise(labels, "The labels array", "napari")
    trained, held_out = split(labels, settings)
    check_image(image, "The image", sorted(trained + held_out))
    check_trainable(labels[trained], "The labels")
    counts = np.bincount(labels[trained].ravel(), minlength=3)
    record = RunRecord(
        versions=versions(),
        scale=network_scale(settings, image.shape[1:]),
        image_shape=image.shape,
        image_dtype=str(image.dtype),
        trained_slices=trained,
        held_out_slices=held_out,
        held_out_tile=hold_out_tile(labels, trained) if settings.hold_out and not held_out else None,
        fingerprints=[fingerprint(image[z]) for z in trained],
        label_counts={
            "unlabelled": int(counts[UNLABELLED]),
            "boundary": int(counts[BOUNDARY]),
            "interior": int(counts[INTERIOR]),
        },
    )
    return Prepared(image, labels, record)


def what_is_held_out(record: RunRecord) -> str:
    """Say in a sentence what a run is trained and judged on."""
    count = len(record.trained_slices)
    if record.held_out_slices:
        return f"Training on {count} slices; judged on {len(record.held_out_slices)} that are held out."
    if record.held_out_tile:
        top, bottom, left, right = record.held_out_tile
        return (
            f"Training on {count} labelled slice(s), judged on a corner of them that is held out "
            f"(y {top}:{bottom}, x {left}:{right}); label four slices for a score on whole ones."
        )
    return f"Training on {count} labelled slice(s): none is held out, so this run has no score of its own."
