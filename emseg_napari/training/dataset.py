"""Training data: image and labels that are checked, split and recorded.

The window and the command line check with the same function before TensorFlow is loaded, which takes seconds,
and with the names that their users know; a training checks again, because scripts call it directly.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from emseg_napari.core.jobs import UserError
from emseg_napari.core.label_survey import distinct
from emseg_napari.core.labels import check_trainable, normalise
from emseg_napari.io.axes import shape_text, slices_text
from emseg_napari.io.fingerprint import fingerprint, seen
from emseg_napari.io.slabs import in_slabs, kept
from emseg_napari.io.sparse_stack import SparseStack, Stack, exchanged
from emseg_napari.io.stacks import as_stack, check_image, check_pair
from emseg_napari.io.volume import Volume, with_fill_value
from emseg_napari.models.earlier_run import opened_start
from emseg_napari.models.resampling import check_scale
from emseg_napari.models.run import Run, RunRecord, open_run, versions
from emseg_napari.settings import BASELINES, LiveSettings, TrainingSettings
from emseg_napari.training.run_record import label_counts, new_record, with_start
from emseg_napari.training.splits import (
    PARAMETER_NAMES,
    DataNames,
    Tile,
    but_tile,
    hold_out_tile,
    only_tile,
    split,
)

_BYTES_A_PX = 5  # of the slices that train, as the network sees them: grey levels and labels


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
    notes : list of str
        Sentences that the user must know.
    """

    image: Stack
    labels: SparseStack
    record: RunRecord
    notes: list[str] = field(default_factory=list)


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
        _check_same_image(image, names.image, resumed)
        _check_labels_are_left(labels, resumed, names.labels)
        trained, held_out = resumed.record.trained_slices, resumed.record.held_out_slices
    else:
        trained, held_out = split(labels, settings, names)
        _check_sides(labels, trained, held_out, None, names.labels)
    check_image(image, names.image, sorted(trained + held_out))
    _check_scale(settings, image.shape[1:], len(trained))
    return CheckedData(image, labels, trained, held_out, names)


def _check_scale(settings: TrainingSettings, shape: tuple[int, ...], count: int) -> None:
    """Raise `UserError` if so many slices (y, x) cannot train at their scale."""
    check_scale(settings.scale, shape, settings.patch_px, _BYTES_A_PX * count * math.prod(shape))


def _check_labels_are_left(labels: SparseStack, run: Run, name: str) -> None:
    """Raise `UserError` if the labels of one side of the run's division were erased meanwhile."""
    record = run.record
    try:
        _check_sides(labels, record.trained_slices, record.held_out_slices, record.held_out_tile, name)
    except UserError as error:
        raise UserError(
            f"{run.folder.name} cannot be resumed with these labels: {error} Restore the labels that it "
            "began with, or train a new run."
        ) from None


def _check_sides(
    labels: SparseStack, trained: list[int], held_out: list[int], tile: Tile | None, name: str
) -> None:
    """Raise `UserError` unless both classes occur in what trains, and in what is held out, if anything is."""
    if tile is not None:
        _check_classes((but_tile(labels[z], tile) for z in trained), name)
        _check_classes((only_tile(labels[z], tile) for z in trained), f"{name} (held-out corner)")
        return
    _check_classes((labels[z] for z in trained), name)
    if held_out:
        _check_classes((labels[z] for z in held_out), f"{name} (held-out slices)")


def _check_classes(planes: Iterable[np.ndarray], name: str) -> None:
    """Raise `UserError` unless both classes occur; slice by slice, so that little memory is taken."""
    values = set().union(*map(distinct, planes))
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
    notes = _changed_labels(data.labels, resumed) if resumed else []
    notes += filter(None, [exchanged(data.labels, PARAMETER_NAMES.labels)])
    return TrainingDataset(data.image, data.labels, _record_of(data, settings, resumed), notes)


def _record_of(data: CheckedData, settings: TrainingSettings, resumed: Run | None) -> RunRecord:
    image, trained, held_out = data.image, data.trained, data.held_out
    marks = {z: fingerprint(image[z]) for z in sorted({*trained, *held_out})}
    _check_no_leak({z: marks[z] for z in held_out}, {z: marks[z] for z in trained})
    counts = label_counts(data.labels[trained])
    if resumed:  # whatever was labelled in the meantime, nothing that it knows of itself is lost
        return resumed.record.model_copy(update={"versions": versions(), "label_counts": counts})
    corner = hold_out_tile(data.labels, trained) if settings.hold_out and not held_out else None
    return new_record(
        image,
        settings,
        trained_slices=trained,
        held_out_slices=held_out,
        held_out_tile=corner,
        fingerprints=[marks[z] for z in trained],
        held_out_fingerprints=[marks[z] for z in held_out],
        label_fingerprints={z: fingerprint(data.labels[z]) for z in marks},
        label_counts=counts,
    )


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
    recipe = settings.training(start.settings)
    if settings.scale is not None:
        _check_scale(recipe, image.shape[1:], max(1, len(known.stored_slices)))
    record = new_record(
        image,
        recipe,
        trained_slices=[],
        held_out_slices=[],
        label_counts=label_counts(known[:0]),
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


def _check_same_image(image: Stack, name: str, run: Run) -> None:
    """Raise `UserError` unless an image is the one that a run began with."""
    what = _differing(image, run.record)
    if what:
        raise UserError(
            f"{run.folder.name} was trained on another image: {name} has {what}; choose that image, or train "
            "a new run."
        )


def _differing(image: Stack, record: RunRecord) -> str:
    """Return in words what differs from the image of a run; "" if nothing does."""
    if image.shape != record.image_shape:
        return f"{shape_text(image.shape)} voxels and not {shape_text(record.image_shape)}"
    others = [z for z in record.trained_slices if not seen(image[z], record.fingerprints)]
    if record.held_out_fingerprints:
        others += [z for z in record.held_out_slices if not seen(image[z], record.held_out_fingerprints)]
    return f"other grey values in {slices_text(sorted(others))}" if others else ""


def _changed_labels(labels: SparseStack, run: Run) -> list[str]:
    """Return a sentence if labels of a resumed run are not those that it began with."""
    began = run.record.label_fingerprints
    changed = [z for z in sorted(began) if fingerprint(labels[z]) != began[z]]
    if not changed:
        return []
    return [
        f"The labels of {slices_text(changed)} are not those that {run.folder.name} began with: it "
        "goes on with those of now."
    ]


def _check_no_leak(held_out: Mapping[int, str], trained: Mapping[int, str]) -> None:
    """Raise `UserError` if a held-out slice also trains; both with their fingerprints."""
    training = {mark: z for z, mark in trained.items()}
    for z, mark in held_out.items():
        if mark in training:
            raise UserError(
                f"Slice {z} of the image, which is held out, is the same as slice {training[mark]}, which "
                "trains, so its score would mean nothing; remove the labels of one of them."
            )
