"""What is to be compared: two layers made into arrays for the engine, and what must be said of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from napari.layers import Labels, Layer

from emseg_napari.annotation.label_state import is_own
from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import INTERIOR, UNLABELLED
from emseg_napari.evaluation.evaluation import as_ranges
from emseg_napari.evaluation.predictions import KINDS, Kind, Prediction
from emseg_napari.io.sparse_stack import SparseStack, labelled_slices
from emseg_napari.io.stacks import check_pair, check_range, read_description
from emseg_napari.io.volume import BrokenChunk, Volume
from emseg_napari.settings import EvaluationSettings
from emseg_napari.widgets.base.workspace import Workspace
from emseg_napari.widgets.evaluate.provenance import Provenance, provenance_of
from emseg_napari.widgets.layers.labels_layer import Ask, is_managed, stack_of, trusted_of, understood
from emseg_napari.widgets.layers.layer_info import info_of
from emseg_napari.widgets.layers.layer_pixels import volume_of_layer


@dataclass(frozen=True)
class Comparison:
    """A prediction and the truth, of the same slices.

    Attributes
    ----------
    truth_layer : napari.layers.Labels
    prediction_name, truth_name : str
    has_threshold : bool
        The prediction is a probability and no labels.
    stack_shape : tuple of int
        (z, y, x) of the truth layer.
    interior : SparseStack
        float32 (z, y, x), 0 to 1: predicted interior probability, of the slices that are compared.
    truth : SparseStack
        uint8 (z, y, x): 0 unlabelled, 1 boundary, 2 interior; only 0 in slices that were not predicted.
    first_slice : int
        Index of the first of these slices in the truth layer, where all slices are counted.
    origin : Provenance
        What is known of the run that made the prediction.
    notes : list of str
        Sentences that the user must know.
    """

    truth_layer: Labels
    prediction_name: str
    truth_name: str
    has_threshold: bool
    stack_shape: tuple[int, ...]
    interior: SparseStack
    truth: SparseStack
    first_slice: int
    origin: Provenance
    notes: list[str] = field(default_factory=list)

    @property
    def slices(self) -> list[int]:
        """Slices of the truth layer that have labels and a prediction."""
        return [self.first_slice + z for z in self.truth.stored_slices]

    def settled(self, settings: EvaluationSettings) -> EvaluationSettings:
        """Return settings with the run's own threshold, and a range that lies in these slices.

        Raises
        ------
        UserError
            If nothing is left to score, or only slices that the run was trained on and nobody named.
        """
        wanted = settings.slices
        if wanted is not None:
            first, end = check_range(wanted, self.stack_shape[0], "Slices")
            inside = [z for z in self.slices if first <= z < end]
            if not inside:
                raise UserError(
                    f"Slices {first}:{end} hold no labels that could be compared; "
                    f"choose among {as_ranges(self.slices)}."
                )
            wanted = (inside[0], inside[-1] + 1)
        elif set(self.slices) <= set(self.origin.trained):
            raise UserError(
                f"Nothing is left to score: the run was trained on all labelled slices "
                f"({as_ranges(self.slices)}), so their scores would prove nothing; label another slice, or "
                "name slices under 'Slices' to score them all the same."
            )
        own = settings.threshold is None or not self.has_threshold
        threshold = self.origin.threshold if own else settings.threshold
        return EvaluationSettings(slices=wanted, threshold=threshold)


def compare(prediction_layer: Layer, truth_layer: Labels, workspace: Workspace, ask: Ask) -> Comparison:
    """Make arrays of two layers; takes a while, and may be called in any thread.

    Parameters
    ----------
    prediction_layer, truth_layer : napari.layers.Layer
        An image layer is a boundary probability, a labels layer holds labels.
    workspace : Workspace
        Knows the image and the run.
    ask : callable
        Asks the user for the convention, where the values of labels leave it open; called in that thread.

    Raises
    ------
    UserError
        If they are one layer, do not fit each other, or hold what cannot be compared.
    """
    if prediction_layer == truth_layer:
        raise UserError(
            f"{truth_layer.name} is chosen both as prediction and as truth, which proves nothing; "
            "choose two different layers."
        )
    prediction, truth = _prediction(prediction_layer, workspace, ask), _truth(truth_layer, ask)
    first, end = _common_slices(prediction, truth, truth_layer.name)
    labelled = labelled_slices(truth, range(first, end))
    scored = [z for z in labelled if _is_predicted(prediction_layer, prediction.values, z - first)]
    if not scored:
        raise UserError(_nothing(prediction_layer.name, truth_layer.name, bool(labelled)))
    low, shape = scored[0], (scored[-1] + 1 - scored[0], *truth.shape[1:])
    interior = {z - low: _interior(prediction, z - first) for z in scored}
    known = SparseStack(shape, np.uint8, {z - low: truth[z] for z in scored})
    places = {z: z - first for z in scored}
    origin = provenance_of(prediction_layer, prediction, truth.shape, places, workspace)
    return Comparison(
        truth_layer=truth_layer,
        prediction_name=prediction_layer.name,
        truth_name=truth_layer.name,
        has_threshold=prediction.kind != "labels",
        stack_shape=truth.shape,
        interior=SparseStack(shape, np.float32, interior),
        truth=known,
        first_slice=low,
        origin=origin,
        notes=origin.notes
        + _notes(prediction_layer, scored, labelled, known, isinstance(prediction.values, Volume)),
    )


def _prediction(layer: Layer, workspace: Workspace, ask: Ask) -> Prediction:
    if isinstance(layer, Labels):
        return Prediction(layer.name, understood(layer, ask)[0], "labels", {})
    values, record = volume_of_layer(layer), record_of(layer)
    grey_levels = values.dtype == np.uint8 and layer == workspace.image and not record
    if not (values.dtype.kind == "f" or values.dtype == np.uint8) or grey_levels:
        raise UserError(
            f"{layer.name} holds grey levels and no prediction; choose a boundary probability, or labels "
            "that were predicted."
        )
    kind: Kind = "interior" if record.get("kind") == "interior" else "probability"
    return Prediction(layer.name, values, kind, record)


def record_of(layer: Layer) -> Mapping[str, Any]:
    """Return what `emseg predict` wrote into the file that step Load has opened."""
    source = info_of(layer).source
    try:
        record = read_description(source) if source else {}
    except (UserError, OSError):  # moved away since
        return {}
    return record if record.get("kind") in KINDS else {}


def _truth(layer: Labels, ask: Ask) -> SparseStack:
    """Return the labels that a person stands for."""
    return trusted_of(layer, understood(layer, ask)[0])


def _common_slices(prediction: Prediction, truth: SparseStack, name: str) -> tuple[int, int]:
    """Return which slices of the truth the prediction shows: all of them, or those that its file names."""
    first, end = 0, len(truth)
    if prediction.slices and len(prediction.values) < len(truth) >= prediction.slices[1]:
        first, end = prediction.slices
    check_pair(prediction.values, SparseStack((end - first, *truth.shape[1:])), prediction.name, name)
    return first, end


def _is_predicted(layer: Layer, values: Any, z: int) -> bool:
    """Say whether a slice was predicted: till then it is all 0, in labels and in layers of ours.

    On disk all of it must be there.
    """
    try:
        plane = values[z]
    except BrokenChunk:
        return False
    return bool(plane.any()) or not (isinstance(layer, Labels) or info_of(layer).proposal_of is not None)


def _nothing(prediction: str, truth: str, labelled: bool) -> str:
    if labelled:
        return (
            f"{prediction} has no prediction in the slices that {truth} labels; predict these slices first."
        )
    return f"{truth} has no labels that a person made or confirmed; paint or confirm some, or choose others."


def _interior(prediction: Prediction, z: int) -> np.ndarray:
    if prediction.kind != "labels":
        return prediction.interior(z, z + 1)[0].astype(np.float32, copy=False)
    labels = prediction.values[z]
    if (labels == UNLABELLED).any():
        raise UserError(
            f"{prediction.name} leaves pixels of slice {z} unlabelled, where a prediction says boundary or "
            "interior; predict that slice again, or choose the probability."
        )
    return (labels == INTERIOR).astype(np.float32)


def _notes(
    layer: Layer, scored: list[int], labelled: list[int], truth: SparseStack, on_disk: bool
) -> list[str]:
    notes = []
    waiting = [z for z in labelled if z not in scored]
    if waiting:
        why = "Not predicted yet, or not all there on disk" if on_disk else "Not predicted yet"
        notes.append(f"{why}, so not scored: slices {as_ranges(waiting)}.")
    if isinstance(layer, Labels) and info_of(layer).proposal_of is not None and is_managed(layer):
        painted = [z for z in scored if is_own(stack_of(layer)[z]).any()]
        if painted:
            notes.append(
                f"You painted in {layer.name}, slices {as_ranges(painted)}: they count as they are now."
            )
    part = [z for z in scored if not truth[z - scored[0]].all()]
    if part:
        notes.append(
            f"Labelled only in part: slices {as_ranges(part)}; V_rand and V_info see just that part."
        )
    return notes
