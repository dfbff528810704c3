"""Comparison of two layers: what the pairing of a prediction with labels needs to know of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Labels, Layer

from emseg_napari.annotation.label_state import is_own
from emseg_napari.annotation.session.store import Origin
from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import INTERIOR
from emseg_napari.evaluation.independence import doubts_of_record, refuse_same
from emseg_napari.evaluation.pairing import Pairing, paired
from emseg_napari.evaluation.predictions import Prediction, Reason, prediction_of
from emseg_napari.evaluation.slice_alignment import Names
from emseg_napari.io.address import location_of
from emseg_napari.io.axes import slices_text
from emseg_napari.io.records import recorded_kind
from emseg_napari.io.sparse_stack import SparseStack
from emseg_napari.io.stack_or_volume import is_one_or_copy
from emseg_napari.io.stacks import check_range
from emseg_napari.io.volume import BrokenChunk
from emseg_napari.settings import EvaluationSettings
from emseg_napari.widgets.base.workspace import Workspace
from emseg_napari.widgets.layers.labels_layer import (
    Ask,
    confirmed_in,
    is_managed,
    stack_of,
    trusted_of,
    understood,
)
from emseg_napari.widgets.layers.layer_info import info_of
from emseg_napari.widgets.layers.layer_pixels import fits, volume_of_layer
from emseg_napari.widgets.layers.layer_records import record_of_layer
from emseg_napari.widgets.layers.layer_sources import files_of


@dataclass(frozen=True)
class LayerComparison:
    """A prediction layer and the labels layer that is taken for true.

    Attributes
    ----------
    truth_layer : napari.layers.Labels
    prediction_name, truth_name : str
    stack_shape : tuple of int
        (z, y, x) of the truth layer.
    image : numpy.ndarray, Volume or None
        Grey values (z, y, x) of the truth layer's slices, as they were predicted.
    image_name : str
        Name of its layer; empty if there is none.
    pair : Pairing
        Both as arrays, the threshold and the run.
    notes : list of str
        Sentences that the user must know.
    """

    truth_layer: Labels
    prediction_name: str
    truth_name: str
    stack_shape: tuple[int, ...]
    image: Any
    image_name: str
    pair: Pairing
    notes: list[str]

    @property
    def has_threshold(self) -> bool:
        """Whether the prediction is a probability, and not labels."""
        return self.pair.kind != "labels"

    @property
    def slices(self) -> list[int]:
        """Slices of the truth layer that have labels and a prediction."""
        return self.pair.slices


def compare(
    prediction_layer: Layer,
    truth_layer: Labels,
    workspace: Workspace,
    ask: Ask,
    settings: EvaluationSettings | None = None,
) -> LayerComparison:
    """Compare two layers; takes a while, and may be called in any thread.

    Parameters
    ----------
    prediction_layer, truth_layer : napari.layers.Layer
        An image layer holds what its record states, else the probability of the boundary; a labels layer
        holds labels.
    workspace : Workspace
        Knows the image and the run.
    ask : callable
        Asks the user for the convention, where the values of labels leave it open; called in that thread.
    settings : EvaluationSettings, optional
        The threshold counts for probabilities only.

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
    prediction = _prediction(prediction_layer, workspace, ask)
    truth, wanted = _truth(truth_layer, ask), settings or EvaluationSettings()
    if prediction.kind == "labels":
        wanted = wanted.model_copy(update={"threshold": None})
    wanted = wanted.model_copy(update={"slices": _shown(wanted.slices, prediction, len(truth))})
    image = _image_of(prediction_layer, workspace)
    pixels = volume_of_layer(image) if fits(image, truth.shape) else None
    names = _names(prediction, truth_layer.name)
    pair = paired(prediction, truth, wanted, names=names, image=pixels)
    if pair.is_equal and _are_one(prediction_layer, truth_layer):
        refuse_same(prediction_layer.name, truth_layer.name)
    doubts = doubts_of_record(record_of_layer(truth_layer), pair.is_equal) or _found_as_cells(truth_layer)
    pair = pair.with_doubts([*doubts, *_confirmed_as_proposed(truth_layer, pair.slices)])
    taken_for = [pair.taken_for] if prediction.reason == "recognised" else []
    return LayerComparison(
        truth_layer=truth_layer,
        prediction_name=prediction_layer.name,
        truth_name=truth_layer.name,
        stack_shape=truth.shape,
        image=pixels,
        image_name="" if pixels is None else image.name,
        pair=pair,
        notes=[*taken_for, *pair.notes, *_painted_in(prediction_layer, pair.slices)],
    )


def _are_one(prediction: Layer, truth: Layer) -> bool:
    """Whether two layers show one array in memory, one file, or copies of it."""
    arrays = [layer.data for layer in (prediction, truth)]
    if all(isinstance(array, np.ndarray) for array in arrays) and np.shares_memory(*arrays):
        return True
    places = [[location_of(path) for path in files_of(layer)] for layer in (prediction, truth)]
    return any(is_one_or_copy(*pair) for pair in product(*places))


def run_folder(layer: Layer, record: Mapping[str, Any], workspace: Workspace) -> Path | None:
    """Return the folder of the run that a prediction is from; it may be gone.

    The layer names it, or its record; a probability that names none is supposed to be of the chosen run, but
    labels may be of any origin.
    """
    named = info_of(layer).run or record.get("run_folder")
    if named:
        return Path(named)
    return None if isinstance(layer, Labels) else workspace.run


def names_runs(layer: Layer) -> bool:
    """Say whether a layer itself knows which runs made it, so that its file need not be asked."""
    return bool(info_of(layer).origins or info_of(layer).run)


def run_folders(layer: Layer, record: Mapping[str, Any], workspace: Workspace) -> list[Path]:
    """Return the folders of the runs that made the slices of a prediction."""
    runs = [origin.run for _, origin in sorted(info_of(layer).origins.items())]
    named = run_folder(layer, record, workspace)
    return list(dict.fromkeys(runs)) or ([] if named is None else [named])


def _image_of(layer: Layer, workspace: Workspace) -> Any:
    """Return the image that was predicted: the one that the layer names, else the chosen one."""
    named = info_of(layer).proposal_of
    if named is None:
        return workspace.image
    return next((one for one in workspace.viewer.layers if one.unique_id == named), None)


def _names(prediction: Prediction, truth: str) -> Names:
    is_labels = prediction.kind == "labels"
    return Names(
        labels=truth,
        slices="'Slices'",
        threshold="'Threshold'",
        run="choose a layer that was proposed here" if is_labels else "choose its run under 'Network'",
        interior="invert it first",
        run_is_gone="The run {name} is not there any more: not known which slices it was trained on.",
        held_out="By {slices} the run chose its threshold and weights: scores there are too high.",
    )


def _prediction(layer: Layer, workspace: Workspace, ask: Ask) -> Prediction:
    """Return what a layer holds; its record names the run that it is from, if that is known."""
    record = record_of_layer(layer)
    folder = run_folder(layer, record, workspace)
    named = record if folder is None else {**record, "run_folder": str(folder)}
    origins = info_of(layer).origins
    if isinstance(layer, Labels):
        labels = understood(layer, ask)[0]
        named = _with_marks(named, origins, len(labels))
        return Prediction(
            layer.name,
            labels,
            "labels",
            named,
            "recorded",
            lambda z: bool(labels[z].any()),
            _runs(origins),
            _choices(origins),
        )
    pixels = volume_of_layer(layer)
    is_image = layer == workspace.image
    if not record and pixels.dtype.kind != "f" and (pixels.dtype != np.uint8 or is_image):
        raise UserError(
            f"{layer.name} holds grey levels and no prediction; choose a boundary probability, or labels "
            "that were predicted."
        )
    found = _recorded(layer, pixels, _with_marks(named, origins, len(pixels)))
    return replace(found, runs=_runs(origins), choices=_choices(origins))


def _runs(origins: Mapping[int, Origin]) -> dict[int, str]:
    return {z: str(origin.run) for z, origin in origins.items()}


def _choices(origins: Mapping[int, Origin]) -> dict[int, Mapping[str, float]]:
    return {z: origin.choices for z, origin in origins.items()}


def _with_marks(record: Mapping[str, Any], origins: Mapping[int, Origin], depth: int) -> dict[str, Any]:
    """Return a record with the fingerprints of the slices of which the layer knows them."""
    if not origins:
        return dict(record)
    marks = [origins[z].fingerprint if z in origins else "" for z in range(depth)]
    return {**record, "fingerprints": marks}


def _recorded(layer: Layer, pixels: Any, record: Mapping[str, Any]) -> Prediction:
    """Return what the pixels of an image layer are by its record; the boundary's probability without one."""
    kind, proposed = recorded_kind(record), info_of(layer).proposal_of is not None
    found = prediction_of(pixels, layer.name, kind or "probability", record)
    reason: Reason = "recorded" if kind or proposed else "recognised"
    return replace(found, record=record, reason=reason, holds=lambda z: _is_predicted(pixels, z, proposed))


def _is_predicted(pixels: Any, z: int, empty_before: bool) -> bool:
    """Whether a slice was predicted: all of it can be read, and it is not all 0 where it was so before."""
    try:
        plane = pixels[z]
    except BrokenChunk:
        return False
    return bool(plane.any()) or not empty_before


def _truth(layer: Labels, ask: Ask) -> SparseStack:
    """Return the labels that a person has made or confirmed."""
    truth = trusted_of(layer, understood(layer, ask)[0])
    if not truth.stored_slices:
        raise UserError(
            f"{layer.name} has no labels that a person made or confirmed; paint or confirm some, or choose "
            "others."
        )
    return truth


def _shown(wanted: tuple[int, int] | None, prediction: Prediction, depth: int) -> tuple[int, int] | None:
    """Return the part of the wanted slices that a layer of a few slices shows by its record."""
    if wanted is None or prediction.slices is None or len(prediction.values) == depth:
        return wanted
    first, end = check_range(wanted, depth, "Slices")
    shown = max(first, prediction.slices[0]), min(end, prediction.slices[1])
    if shown[0] >= shown[1]:
        raise UserError(
            f"{prediction.name} shows the slices {prediction.slices[0]}:{prediction.slices[1]}, and none of "
            f"{first}:{end}; choose 'Slices' among them."
        )
    return shown


def _found_as_cells(layer: Labels) -> list[str]:
    """Return a sentence on a truth that holds cells, which page Results found in a prediction."""
    if not info_of(layer).is_cells:
        return []
    return [f"{layer.name} was found in a prediction: the scores tell how alike both are, and not how good."]


def _confirmed_as_proposed(layer: Labels, scored: list[int]) -> list[str]:
    """Return in which scored slices labels that count as true were proposed, and confirmed as they were."""
    confirmed = confirmed_in(layer) if is_managed(layer) else set()
    found = [z for z in scored if z in confirmed and (stack_of(layer)[z] > INTERIOR).any()]
    if not found:
        return []
    return [
        f"In {slices_text(found)} of {layer.name}, confirmed proposals count as true: where this "
        "network made them, the scores are too high."
    ]


def _painted_in(layer: Layer, scored: list[int]) -> list[str]:
    """Return whether the user has corrected proposals that are scored."""
    if not (isinstance(layer, Labels) and info_of(layer).proposal_of is not None and is_managed(layer)):
        return []
    painted = [z for z in scored if is_own(stack_of(layer)[z]).any()]
    if not painted:
        return []
    return [f"You painted in {layer.name}, {slices_text(painted)}: they count as they are now."]
