"""What is said of cells: which probability they come from, and what their numbers mean."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from emseg_napari.io.source_id import origin
from emseg_napari.segmentation.boundary import Boundary
from emseg_napari.settings import InstanceSettings

SOFTWARE = "emseg-napari segment"
# What `emseg predict` says of its file holds for the cells too: by it `emseg evaluate` knows the run.
INHERITED = ("run", "run_folder", "image", "slices", "fingerprints")
# What tells one prediction from another of the same name: cells of both must not come into one output.
_PREDICTED_BY = ("network", "threshold", "orientations", "closed_gaps", "tile_px")


def cells_record(boundary: Boundary, said: Mapping[str, Any], settings: InstanceSettings) -> dict[str, Any]:
    """Say what the cells of a volume come from, so that those of another do not come into one output.

    Parameters
    ----------
    boundary : Boundary
        The probability or labels that are divided.
    said : mapping
        What `emseg predict` says of it (`cells.boundary.read_record`); empty for volumes of other origin.
    settings : InstanceSettings

    Returns
    -------
    dict
        JSON values, for `cells.volumes.Destination`.
    """
    return {
        **inherited(said),
        "predicted_by": {name: said[name] for name in _PREDICTED_BY if name in said},
        "software": SOFTWARE,
        "version": version("emseg-napari"),
        "probability": boundary.volume.name,
        "made_from": boundary.kind,
        "source": origin(boundary.volume),
        "kind": "labels",
        "convention": "instances",
        "values": meaning(settings),
    }


def inherited(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return what holds for the cells, too, of what is said of a probability."""
    return {name: said[name] for name in INHERITED if name in said}


def meaning(settings: InstanceSettings) -> str:
    """Say what the numbers are."""
    return "every cell has a number of its own" + ("; 0 where two touch" if settings.outlines else "")
