"""What the manifest names beside widgets: samples and the writer of ISBI labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.utils.notifications import show_error

from emseg_napari.corrections import Corrections
from emseg_napari.jobs import UserError
from emseg_napari.labels import normalise, to_isbi
from emseg_napari.samples import isbi2012, phantom
from emseg_napari.stacks import write_stack
from emseg_napari.widgets.layers import CORRECTIONS, label_colours

LayerData = tuple[np.ndarray, dict[str, Any], str]


def open_phantom() -> list[LayerData]:
    """Return the phantom's image and labels for File > Open Sample."""
    return _layers(*phantom(), "phantom")


def open_isbi2012() -> list[LayerData]:
    """Return the ISBI 2012 training stack and labels, downloaded at the first time."""
    try:
        return _layers(*isbi2012(), "ISBI 2012")
    except UserError as error:
        show_error(str(error))
        return []


def _layers(image: np.ndarray, labels: np.ndarray, name: str) -> list[LayerData]:
    ours = {
        "name": f"{name} labels",
        "colormap": label_colours(),
        "opacity": 0.6,
        "metadata": {CORRECTIONS: Corrections(labels.shape)},
    }
    return [(image, {"name": name}, "image"), (labels, ours, "labels")]


def write_isbi(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write a labels layer as ISBI labels (0 boundary, 255 interior, 128 unlabelled).

    Parameters
    ----------
    path : str
        Ends in ``.isbi.tif``.
    data : array
        Labels in any convention that can be recognised.
    attributes : dict
        Of the layer; one of ours holds 0, 1, 2 for certain.

    Returns
    -------
    list of str
        The written path; nothing if it failed, with the reason in a notification.
    """
    ours = CORRECTIONS in attributes.get("metadata", {})
    try:
        labels = np.asarray(data)
        labels = normalise(labels, attributes.get("name", "The layer"), "napari" if ours else None)
        write_stack(path, to_isbi(labels), {"convention": "isbi"})
    except UserError as error:
        show_error(str(error))
        return []
    return [path]
