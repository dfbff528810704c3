"""Which run made a prediction, and which slices it had seen: their scores prove nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari.layers import Labels, Layer

from emseg_napari.core.jobs import UserError
from emseg_napari.evaluation.evaluation import as_ranges
from emseg_napari.evaluation.predictions import Prediction, interior_threshold
from emseg_napari.models.run import Run, fingerprint, open_run
from emseg_napari.widgets.base.workspace import Workspace
from emseg_napari.widgets.layers.layer_info import info_of
from emseg_napari.widgets.layers.layer_pixels import fits, volume_of_layer


@dataclass
class Provenance:
    """What is known of the run behind a prediction.

    Attributes
    ----------
    run : Run or None
        None if it is unknown or gone.
    threshold : float
        Of the interior probability: its own, else 0.5.
    trained, held_out : list of int
        Slices of the truth layer that it had seen, and by which it chose weights and threshold.
    notes : list of str
        Sentences that the user must know.
    """

    run: Run | None = None
    threshold: float = 0.5
    trained: list[int] = field(default_factory=list)
    held_out: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def provenance_of(
    layer: Layer, prediction: Prediction, shape: tuple[int, ...], scored: dict[int, int], workspace: Workspace
) -> Provenance:
    """Find the run of a prediction: its layer names it, or its file; else it is the chosen one.

    Labels that name no run may be anybody's, so no run is supposed for them.

    Parameters
    ----------
    layer : napari.layers.Layer
    prediction : Prediction
        What the layer holds.
    shape : tuple of int
        (z, y, x) of the true labels, in which slices are counted.
    scored : dict of int
        The slices that matter, each with its index in the prediction.
    workspace : Workspace
    """
    found = Provenance()
    folder = run_folder(layer, prediction.record, workspace)
    if folder is not None:
        try:
            found.run = open_run(folder)
        except UserError:
            found.notes.append(
                f"The run {folder.name} is not there any more; nobody knows which slices it was trained on."
            )
    if found.run is not None:
        start = prediction.slices[0] if prediction.slices else 0
        numbers = {z: start + index for z, index in scored.items()}
        _add_seen(found, found.run, numbers, shape, _marks(prediction, scored, shape, workspace.image))
    if prediction.kind != "labels":
        own = interior_threshold(found.run.record.threshold) if found.run else 0.5
        found.threshold = own if prediction.threshold is None else prediction.threshold
    return found


def run_folder(layer: Layer, record: Mapping[str, Any], workspace: Workspace) -> Path | None:
    """Return the folder of the run that a prediction is from; it may be gone."""
    named = info_of(layer).run or record.get("run_folder")
    if named:
        return Path(named)
    return None if isinstance(layer, Labels) else workspace.run


def _marks(
    prediction: Prediction, scored: dict[int, int], shape: tuple[int, ...], image: Layer | None
) -> dict[int, str]:
    """Return the fingerprints of the image's slices, as far as the prediction's file or the image tells."""
    told = prediction.record.get("fingerprints", ())
    if len(told) == len(prediction.values):
        return {z: told[index] for z, index in scored.items()}
    if not fits(image, shape):
        return {}
    pixels = volume_of_layer(image)
    return {z: fingerprint(pixels[z]) for z in scored}


def _add_seen(
    found: Provenance, run: Run, numbers: dict[int, int], shape: tuple[int, ...], marks: dict[int, str]
) -> None:
    """Note what the run has seen, by the slices' grey values, else by their numbers in its own stack."""
    record = run.record
    its_stack = record.image_shape[1:] == shape[1:] and max(numbers.values()) < record.image_shape[0]
    if its_stack:
        found.held_out = [z for z, number in numbers.items() if number in record.held_out_slices]
    if record.fingerprints and marks:
        found.trained = [z for z, mark in marks.items() if mark in record.fingerprints]
    elif its_stack:
        found.trained = [z for z, number in numbers.items() if number in record.seen_slices]
    else:
        found.notes.append(
            f"{run.folder.name} was trained on another stack: every slice counts as new to it."
        )
    if found.held_out:
        found.notes.append(
            f"By slices {as_ranges(found.held_out)} the run chose its threshold and weights: they flatter."
        )
