"""What every training does first: see whether the data can be used, and divide it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import BOUNDARY, INTERIOR, UNLABELLED, check_trainable, normalise
from emseg_napari.evaluation.evaluation import as_ranges
from emseg_napari.io.sparse_stack import SparseStack, Stack
from emseg_napari.io.stacks import as_stack, check_image, check_pair
from emseg_napari.io.volume import filled
from emseg_napari.models.run import Run, RunRecord, fingerprint, open_run, opened_start, versions
from emseg_napari.settings import BASELINES, LiveSettings, TrainingSettings
from emseg_napari.training.patches import network_scale
from emseg_napari.training.validation import hold_out_tile, split

# What a run keeps when it is resumed, whatever was labelled in the meantime.
_KEPT = (
    "trained_slices",
    "held_out_slices",
    "held_out_tile",
    "fingerprints",
    "start",
    "start_slices",
    "normalisation",
    "kept_epoch",
)


@dataclass(frozen=True)
class Prepared:
    """Checked data.

    Attributes
    ----------
    image : numpy.ndarray or Volume
        (z, y, x).
    labels : SparseStack
        uint8 (z, y, x): 0 unlabelled, 1 boundary, 2 interior.
    record : RunRecord
        Of the run that is about to begin.
    """

    image: Stack
    labels: SparseStack
    record: RunRecord


def prepare(
    image: Stack,
    labels: np.ndarray | SparseStack,
    settings: TrainingSettings,
    resumed: Run | None = None,
) -> Prepared:
    """Check image and labels, and choose what trains and what is held out.

    Parameters
    ----------
    image : numpy.ndarray or Volume
        (z, y, x) or (y, x), integer or float. Of a volume only the slices are read that have labels.
    labels : numpy.ndarray, Volume or SparseStack
        uint8 of the same shape: 0 unlabelled, 1 boundary, 2 interior.
    settings : TrainingSettings
    resumed : Run, optional
        The run that goes on. It keeps its division, or else it would be judged by what it was trained on.

    Raises
    ------
    UserError
        If they cannot be used.
    """
    image, labels = filled(as_stack(image), settings.missing_is_empty), _known(image, labels)
    if resumed:
        _check_same_image(image, resumed)
        trained, held_out = resumed.record.trained_slices, resumed.record.held_out_slices
    else:
        trained, held_out = split(labels, settings)
    check_image(image, "The image", sorted(trained + held_out))
    check_trainable(labels[trained], "The labels")
    if held_out:
        check_trainable(labels[held_out], "The held-out slices")
    fingerprints = [fingerprint(image[z]) for z in trained]
    _check_no_leak(image, held_out, dict(zip(fingerprints, trained, strict=True)))
    record = RunRecord(
        versions=versions(),
        scale=network_scale(settings, image.shape[1:]),
        image_shape=image.shape,
        image_dtype=str(image.dtype),
        trained_slices=trained,
        held_out_slices=held_out,
        held_out_tile=hold_out_tile(labels, trained) if settings.hold_out and not held_out else None,
        fingerprints=fingerprints,
        label_counts=label_counts(labels[trained]),
    )
    if resumed:
        record = record.model_copy(update={name: getattr(resumed.record, name) for name in _KEPT})
    return Prepared(image, labels, record)


def prepare_live(
    image: Stack, labels: np.ndarray | SparseStack, settings: LiveSettings
) -> tuple[Prepared, Run]:
    """Check what is needed to learn live: as `prepare`, but there may be no labels yet.

    Returns
    -------
    prepared : Prepared
        Its record has no trained slices yet, and the threshold of the start.
    start : Run

    Raises
    ------
    UserError
        If they, or the start, cannot be used.
    """
    image, labels = as_stack(image), _known(image, labels)
    network = open_run(settings.start).settings.network
    if network in BASELINES:
        raise UserError(
            f"{settings.start} was fitted at one go ('{network}') and cannot learn on; "
            "choose the run of a network, or 'starter'."
        )
    start = opened_start(TrainingSettings(network=network, start=settings.start))
    assert start is not None  # it was named
    record = RunRecord(
        versions=versions(),
        scale=network_scale(start.settings, image.shape[1:]),
        image_shape=image.shape,
        image_dtype=str(image.dtype),
        trained_slices=[],
        held_out_slices=[],
        label_counts=label_counts(labels[:0]),
        threshold=start.record.threshold,
        merge_threshold=start.record.merge_threshold,
    )
    return Prepared(image, labels, noting_start(record, start, image)), start


def _known(image: Stack, labels: np.ndarray | SparseStack) -> SparseStack:
    """Return the labels of the slices that have any."""
    check_pair(as_stack(image), as_stack(labels), "the image", "the labels")
    held = labels if isinstance(labels, SparseStack) else SparseStack.of(as_stack(labels))
    return held.mapped(lambda plane: normalise(plane, "The labels array", "napari"))


def noting_start(record: RunRecord, start: Run, image: Stack) -> RunRecord:
    """Record what a run starts from, and which slices of this stack that had seen.

    A volume is not read for it: there only the slices are looked at that train or are held out. Later
    scores go by the fingerprints, so they know the others, too.
    """
    seen = set(start.record.fingerprints)
    used = sorted({*record.trained_slices, *record.held_out_slices})
    slices = range(len(image)) if isinstance(image, np.ndarray) else used
    return record.model_copy(
        update={
            "start": start.folder.name,
            "start_slices": [z for z in slices if fingerprint(image[z]) in seen],
            "fingerprints": sorted(seen.union(record.fingerprints)),
            "normalisation": start.record.normalisation,
        }
    )


def label_counts(labels: np.ndarray) -> dict[str, int]:
    """Count the pixels of each class."""
    counts = np.bincount(labels.ravel(), minlength=3)
    return {
        "unlabelled": int(counts[UNLABELLED]),
        "boundary": int(counts[BOUNDARY]),
        "interior": int(counts[INTERIOR]),
    }


def _check_same_image(image: Stack, run: Run) -> None:
    record = run.record
    if image.shape == record.image_shape and all(
        fingerprint(image[z]) in record.fingerprints for z in record.trained_slices
    ):
        return
    raise UserError(
        f"{run.folder.name} was trained on another image than this; choose that one, or train a new run."
    )


def _check_no_leak(image: Stack, held_out: list[int], trained: dict[str, int]) -> None:
    for z in held_out:
        twin = trained.get(fingerprint(image[z]))
        if twin is not None:
            raise UserError(
                f"Slice {z} of the image, which is held out, is the same as slice {twin}, which trains, so "
                "its score would mean nothing; remove the labels of one of them."
            )


def what_is_held_out(record: RunRecord) -> str:
    """Say what a run is trained and judged on."""
    if set(record.judged_slices).isdisjoint(record.start_slices):
        return _division(record)
    return (
        f"{_division(record)} '{record.start}', from which it starts, had been trained on slices "
        f"{as_ranges(record.start_slices)} of this image, so the score will flatter."
    )


def _division(record: RunRecord) -> str:
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
