"""The boundaries that are divided into cells: of a probability and confirmed labels, or of labels."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np
from napari.layers import Image, Labels, Layer

from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import BOUNDARY, UNLABELLED
from emseg_napari.io.axes import slices_text
from emseg_napari.io.sparse_stack import SparseStack
from emseg_napari.io.volume import Volume, volume_of
from emseg_napari.segmentation.boundary import Boundary, boundary_of, with_labels
from emseg_napari.widgets.layers.labels_layer import confirmed_in, confirmed_planes, is_managed
from emseg_napari.widgets.layers.layer_info import info_of
from emseg_napari.widgets.layers.layer_pixels import fits
from emseg_napari.widgets.layers.layer_records import record_of_layer
from emseg_napari.widgets.layers.placement import have_same_units, lie_together

_WHOLE = (slice(None), slice(None))


def labels_beside(
    source: Layer, shape: tuple[int, ...], labels: Labels | None, images: Iterable[Image]
) -> tuple[Labels | None, list[str]]:
    """Return labels if their confirmed slices count beside a probability of this shape, or None.

    They do not if they lie elsewhere, or belong to another one of the images in the viewer: if there are
    any, a sentence says why.
    """
    if labels is None or not is_managed(labels):
        return None, []
    reason = _reason_apart(source, shape, labels, images)
    if reason is None:
        return labels, []
    lost = f"Labels that you confirmed in '{labels.name}' do not count: they {reason}."
    return None, [lost] if confirmed_in(labels) else []


def _reason_apart(
    source: Layer, shape: tuple[int, ...], labels: Labels, images: Iterable[Image]
) -> str | None:
    """Return in words what keeps labels apart from a probability, None if nothing does."""
    present = {image.unique_id for image in images}
    named = {info_of(source).proposal_of, info_of(labels).made_over} & present
    reasons = [
        (len(named) > 1, f"belong to another image than '{source.name}'"),
        (not fits(labels, shape), f"have another size than '{source.name}'"),
        (not have_same_units(labels, source), f"have other units than '{source.name}'"),
        (not lie_together(labels, source), f"lie elsewhere than '{source.name}'"),
    ]
    return next((words for is_so, words in reasons if is_so), None)


def mixed(
    source: Image,
    stack: np.ndarray | Volume,
    slices: range,
    labels: Labels | None,
    confirmed: Collection[int],
) -> tuple[np.ndarray, list[str]]:
    """Return the boundary probability (z, y, x) of some slices, and in sentences what it is made of.

    Confirmed slices are as the user labelled them. It reads a file, and may be called in any thread.
    """
    boundary = boundary_of(volume_of(stack, source.name), record_of_layer(source))
    used = [z for z in slices if z in confirmed]
    planes = confirmed_planes(labels, used) if labels is not None else {}
    probability = np.stack([_plane(boundary, z, planes.get(z)) for z in slices])
    if labels is None:
        return probability, []
    where = f"'{labels.name}' in {slices_text(used)}, which you confirmed, else '{source.name}'"
    alone = f"those of '{source.name}' alone; labels of yours count once confirmed"
    return probability, [f"The boundaries are {where if used else alone}."]


def _plane(boundary: Boundary, z: int, labels: np.ndarray | None) -> np.ndarray:
    """Return a slice of the probability, certain where there are labels; read only where it is needed."""
    if labels is None:
        return boundary.part(z, _WHOLE)
    is_whole = (labels != UNLABELLED).all()
    return with_labels(
        np.zeros(labels.shape, boundary.dtype) if is_whole else boundary.part(z, _WHOLE), labels
    )


def certain(labels: SparseStack, name: str, slices: range) -> np.ndarray:
    """Return slices of labels as the boundary probability that they are: uint8 (z, y, x), 0 or 255.

    Raises
    ------
    UserError
        If pixels of them are unlabelled.
    """
    planes = labels[slices.start : slices.stop]
    unlabelled = np.flatnonzero((planes == UNLABELLED).any(axis=(1, 2)))
    if len(unlabelled):
        raise UserError(
            f"{name} has unlabelled pixels, the first in slice {slices.start + unlabelled[0]}; label or "
            "propose them first, or choose a boundary probability."
        )
    return np.multiply(planes == BOUNDARY, np.uint8(255))
