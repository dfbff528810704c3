"""Record of cells: which probability they come from, and what their numbers mean.

By it an output is resumed from the same probability only, and an evaluation knows the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from emseg_napari.io.made_with import MADE_WITH, made_with
from emseg_napari.io.records import SEGMENT_SOFTWARE
from emseg_napari.io.source_id import origin
from emseg_napari.settings import CellSettings

if TYPE_CHECKING:
    from emseg_napari.segmentation.boundary import Boundary  # loads scikit-image

# What the record of a prediction states of its cells, too: by it `emseg evaluate` knows the run.
INHERITED = ("run", "run_folder", "image", "slices", "fingerprints")
_PACKAGES = ("numpy", "numba", "scikit-image", "scipy")
# What tells one prediction from another of the same name: cells of both must not come into one output.
_PREDICTED_BY = ("network", "scale", "threshold", "orientations", "closed_gaps", "tile_px")


def cells_record(boundary: Boundary, prediction: Mapping[str, Any], settings: CellSettings) -> dict[str, Any]:
    """Return what the cells of a volume come from, so that those of another do not come into one output.

    Parameters
    ----------
    boundary : Boundary
        The probability or labels that are divided.
    prediction : mapping
        The record of it (`io.records.record_of_volume`); empty if emseg did not write the volume.
    settings : CellSettings

    Returns
    -------
    dict
        JSON values, for `segmentation.volume.Destination`.
    """
    return {
        **inherited(prediction),
        "software": SEGMENT_SOFTWARE,
        "version": version("emseg-napari"),
        "probability": boundary.volume.name,
        "made_from": boundary.kind,
        "source": origin(boundary.volume),
        MADE_WITH: cells_made_with(),
        "kind": "labels",
        "convention": "instances",
        "values": meaning(settings),
    }


def cells_made_with() -> dict[str, str]:
    """Return with what cells are computed."""
    return made_with(**{name: version(name) for name in _PACKAGES})


def inherited(prediction: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of the record of a prediction holds for its cells, too, and what made it."""
    made = {name: prediction[name] for name in _PREDICTED_BY if name in prediction}
    return {name: prediction[name] for name in INHERITED if name in prediction} | {"predicted_by": made}


def meaning(settings: CellSettings) -> str:
    """Return in words what the numbers are."""
    return "every cell has a number of its own" + ("; 0 where two touch" if settings.outlines else "")
