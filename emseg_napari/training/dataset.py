"""Training data: image and labels that are checked, split and recorded.

The window and the command line check with the same function before TensorFlow is loaded, which takes seconds,
and with the names that their users know; a training checks again, because scripts call it directly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import check_trainable, distinct, normalise
from emseg_napari.io.slabs import in_slabs, kept
from emseg_napari.io.sparse_stack import SparseStack, Stack
from emseg_napari.io.stacks import as_stack, check_image, check_pair
from emseg_napari.io.volume import Volume, with_fill_value
from emseg_napari.models.run import Run, RunRecord, fingerprint, open_run, opened_start
from emseg_napari.settings import BASELINES, LiveSettings, TrainingSettings
from emseg_napari.training.run_record import label_counts, new_record, with_start
from emseg_napari.training.splits import PARAMETER_NAMES, DataNames, hold_out_tile, split

# Fields that a resumed run keeps, whatever was labelled in the meantime.
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
class CheckedData:
    """Image and labels that can train, and their split.

    Attributes
    ----------
    image : numpy.ndarray or Volume
        (z, y, x).
    labels : SparseStack
        uint8 (z, y, x): 0 unlabelled, 1 boundary, 2 interior.
    trained, held_out : list of int
        Slices that train, and whole slices that are held out.
    names : DataNames
        What the user calls them.
    """

    image: Stack
    labels: SparseStack
    trained: list[int]
    held_out: list[int]
    names: DataNames


@dataclass(frozen=True)
class TrainingDataset:
    """Checked image and labels, with the record of the run that is about to begin.

    Attributes
    ----------
    image : numpy.ndarray or Volume
        (z, y, x).
    labels : SparseStack
        uint8 (z, y, x): 0 unlabelled, 1 boundary, 2 interior.
    record : RunRecord
    """

    image: Stack
    labels: SparseStack
    record: RunRecord


def check_data(
    image: Stack,
    labels: SparseStack,
    settings: TrainingSettings,
    names: DataNames = PARAMETER_NAMES,
    resumed: Run | None = None,
) -> CheckedData:
    """Check whether image and labels can train, and split them; each used slice is read once.

    Parameters
    ----------
    image : numpy.ndarray or Volume
        (z, y, x), integer or float. Of a volume only the slices are read that have labels.
    labels : SparseStack
        uint8 of the same shape: 0 unlabelled, 1 boundary, 2 interior.
    settings : TrainingSettings
    names : DataNames, optional
        What error messages call them.
    resumed : Run, optional
        The run that is resumed. It keeps its split, or else its score would be on what it was trained on.

    Raises
    ------
    UserError
        If they cannot be used.
    """
    check_pair(image, labels, names.image, names.labels)
    image = with_fill_value(image, settings.missing_is_empty)
    if resumed:
        _check_same_image(image, resumed)
        trained, held_out = resumed.record.trained_slices, resumed.record.held_out_slices
    else:
        trained, held_out = split(labels, settings, names)
    _check_classes(labels, trained, names.labels)
    if held_out:
        _check_classes(labels, held_out, f"{names.labels} (held-out slices)")
    check_image(image, names.image, sorted(trained + held_out))
    return CheckedData(image, labels, trained, held_out, names)


def _check_classes(labels: SparseStack, slices: Sequence[int], name: str) -> None:
    """Raise `UserError` unless both classes occur; slice by slice, so that little memory is taken."""
    values = set().union(*(distinct(labels[z]) for z in slices))
    check_trainable(np.array(sorted(values), np.uint8), name)


def prepare(
    image: Stack,
    labels: np.ndarray | SparseStack,
    settings: TrainingSettings,
    resumed: Run | None = None,
) -> TrainingDataset:
    """Check image and labels as `check_data` does, and make the record of their run.

    Parameters
    ----------
    image : numpy.ndarray or Volume
        (z, y, x) or (y, x), integer or float. Of a volume only the slices are read that have labels.
    labels : numpy.ndarray, Volume or SparseStack
        uint8 of the same shape: 0 unlabelled, 1 boundary, 2 interior.
    settings, resumed
        As for `check_data`.

    Raises
    ------
    UserError
        If they cannot be used, or a held-out slice also trains.
    """
    image, known = as_stack(image), _as_sparse(labels)
    if isinstance(image, Volume) and image.shape == known.shape:
        image = kept(with_fill_value(image, settings.missing_is_empty), known.stored_slices)
    data = check_data(image, known, settings, resumed=resumed)
    return TrainingDataset(data.image, data.labels, _record_of(data, settings, resumed))


def _record_of(data: CheckedData, settings: TrainingSettings, resumed: Run | None) -> RunRecord:
    image, trained, held_out = data.image, data.trained, data.held_out
    fingerprints = [fingerprint(image[z]) for z in trained]
    _check_no_leak(image, held_out, dict(zip(fingerprints, trained, strict=True)))
    corner = hold_out_tile(data.labels, trained) if settings.hold_out and not held_out else None
    record = new_record(
        image,
        settings,
        trained_slices=trained,
        held_out_slices=held_out,
        held_out_tile=corner,
        fingerprints=fingerprints,
        label_counts=label_counts(data.labels[trained]),
    )
    kept = {name: getattr(resumed.record, name) for name in _KEPT} if resumed else {}
    return record.model_copy(update=kept)


def prepare_live(
    image: Stack, labels: np.ndarray | SparseStack, settings: LiveSettings
) -> tuple[TrainingDataset, Run]:
    """Check what live learning needs: as `prepare`, but there may be no labels yet.

    Returns
    -------
    dataset : TrainingDataset
        Its record has no trained slices yet, and the threshold of the start.
    start : Run

    Raises
    ------
    UserError
        If they, or the start, cannot be used.
    """
    image, known = in_slabs(as_stack(image)), _as_sparse(labels)
    check_pair(image, known, PARAMETER_NAMES.image, PARAMETER_NAMES.labels)
    start = _live_start(settings)
    record = new_record(
        image,
        start.settings,
        trained_slices=[],
        held_out_slices=[],
        label_counts=label_counts(known[:0]),
        threshold=start.record.threshold,
        merge_threshold=start.record.merge_threshold,
    )
    return TrainingDataset(image, known, with_start(record, start, image)), start


def _live_start(settings: LiveSettings) -> Run:
    network = open_run(settings.start).settings.network
    if network in BASELINES:
        raise UserError(
            f"{settings.start} was fitted in one pass ('{network}') and cannot learn further; "
            "choose the run of a network, or 'starter'."
        )
    start = opened_start(TrainingSettings(network=network, start=settings.start))
    assert start is not None  # it was named
    return start


def _as_sparse(labels: np.ndarray | SparseStack) -> SparseStack:
    """Return the slices that have labels, as uint8."""
    sparse = labels if isinstance(labels, SparseStack) else SparseStack.of(as_stack(labels))
    return sparse.mapped(lambda plane: normalise(plane, PARAMETER_NAMES.labels, "napari"))


def _check_same_image(image: Stack, run: Run) -> None:
    record = run.record
    if image.shape == record.image_shape and all(
        fingerprint(image[z]) in record.fingerprints for z in record.trained_slices
    ):
        return
    raise UserError(f"{run.folder.name} was trained on another image; choose that image, or train a new run.")


def _check_no_leak(image: Stack, held_out: list[int], trained: dict[str, int]) -> None:
    for z in held_out:
        twin = trained.get(fingerprint(image[z]))
        if twin is not None:
            raise UserError(
                f"Slice {z} of the image, which is held out, is the same as slice {twin}, which trains, so "
                "its score would mean nothing; remove the labels of one of them."
            )
