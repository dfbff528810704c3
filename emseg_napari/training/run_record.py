"""Record of a new run: its data, its start, and how its labels are split."""

from __future__ import annotations

from typing import Any

import numpy as np

from emseg_napari.core.labels import BOUNDARY, INTERIOR, UNLABELLED
from emseg_napari.evaluation.evaluation import as_ranges
from emseg_napari.io.fingerprint import seen
from emseg_napari.io.sparse_stack import Stack
from emseg_napari.models.earlier_run import STARTER_NETWORK, mark_of
from emseg_napari.models.run import Run, RunRecord, starter_folder, versions
from emseg_napari.settings import TrainingSettings
from emseg_napari.training.patches import network_scale


def new_record(image: Stack, settings: TrainingSettings, **fields: Any) -> RunRecord:
    """Return the record of a run on an image (z, y, x), with other fields as given."""
    return RunRecord(
        versions=versions(),
        scale=network_scale(settings, image.shape[1:]),
        image_shape=image.shape,
        image_dtype=str(image.dtype),
        **fields,
    )


def with_start(record: RunRecord, start: Run, image: Stack) -> RunRecord:
    """Return the record with what the run starts from, and which slices of this stack the start had seen.

    Of a volume only the slices are read that train or are held out. Later scores compare fingerprints, so
    they find the other slices, too.
    """
    known = set(start.record.fingerprints)
    used = sorted({*record.trained_slices, *record.held_out_slices})
    slices = range(len(image)) if isinstance(image, np.ndarray) else used
    return record.model_copy(
        update={
            "start": start.folder.name,
            "start_mark": mark_of(start),
            "start_slices": [z for z in slices if seen(image[z], known)],
            "fingerprints": sorted(known.union(record.fingerprints)),
            "held_out_fingerprints": sorted(
                {*start.record.held_out_fingerprints, *record.held_out_fingerprints}
            ),
            "normalisation": start.record.normalisation,
            # They stay where the labels cannot choose others.
            "threshold": start.record.threshold,
            "merge_threshold": start.record.merge_threshold,
        }
    )


def scale_notes(settings: TrainingSettings, start: Run | None) -> list[str]:
    """Return a sentence if a training has no scale of its own, unlike the run from which it starts."""
    if start is None or settings.scale != 1 or start.settings.scale == 1:
        return []
    return [
        f"{start.folder.name}, from which it starts, works at scale {start.settings.scale:g}, and this "
        "training at 1: choose the former unless membranes have another width here."
    ]


def label_counts(labels: np.ndarray) -> dict[str, int]:
    """Count the pixels of each class."""
    counts = np.bincount(labels.ravel(), minlength=3)
    return {
        "unlabelled": int(counts[UNLABELLED]),
        "boundary": int(counts[BOUNDARY]),
        "interior": int(counts[INTERIOR]),
    }


def training_description(run: Run) -> str:
    """Describe in sentences what a run is trained on, what its score is from, and what it starts from."""
    return f"{split_description(run.record)} {_start_sentence(run)}"


def _start_sentence(run: Run) -> str:
    record = run.record
    if record.start is None:
        missing = run.settings.network == STARTER_NETWORK and starter_folder() is None
        why = "; this installation has no starter network" if missing else ""
        return f"It starts from nothing: random weights{why}."
    if set(record.validation_slices).isdisjoint(record.start_slices):
        return f"It starts from '{record.start}'."
    return (
        f"It starts from '{record.start}', which had been trained on slices "
        f"{as_ranges(record.start_slices)} of this image, so the score is too good."
    )


def split_description(record: RunRecord) -> str:
    """Describe in a sentence what a run is trained on and what its score is from."""
    count = len(record.trained_slices)
    if record.held_out_slices:
        return f"Training on {count} slices; validation on {len(record.held_out_slices)} that are held out."
    if record.held_out_tile:
        top, bottom, left, right = record.held_out_tile
        return (
            f"Training on {count} labelled slice(s), validation on a corner of them that is held out "
            f"(y {top}:{bottom}, x {left}:{right}); label four slices for a score on whole ones."
        )
    return f"Training on {count} labelled slice(s): none is held out, so this run has no score of its own."


def share_sentence(record: RunRecord) -> str:
    """Say how much of what a run learned from its start is kept; empty where that was no question."""
    share, start = record.kept_share, record.start
    if share is None:
        return ""
    if not record.validation_slices:
        return f"{share:.0%} of what changed since '{start}' is kept, since no held-out labels could choose."
    if not record.unseen_validation_slices:
        return (
            f"{share:.0%} of what changed since '{start}' is kept; the held-out labels could not choose, "
            f"since '{start}' had been trained on their slices."
        )
    if not share:
        return f"Nothing of what was learned is kept: '{start}' suits the held-out labels better."
    return f"{share:.0%} of what changed since '{start}' is kept, which suits the held-out labels best."
