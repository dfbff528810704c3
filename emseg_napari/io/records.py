"""Records: what this package writes about its predictions and cells beside their values.

Window, command line, API and cluster learn from here what a file holds, so that they never differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from emseg_napari.core.files import read_json
from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import CONVENTIONS
from emseg_napari.io.address import Address, Location, location_of
from emseg_napari.io.containers import ZARR, precomputed_info
from emseg_napari.io.decode import TIFF_SUFFIXES
from emseg_napari.io.own_record import own_record
from emseg_napari.io.volume import Volume

# Who wrote a file, under "software" in its record.
PREDICT_SOFTWARE, SEGMENT_SOFTWARE = "emseg-napari predict", "emseg-napari segment"
CONVERT_SOFTWARE = "emseg-napari convert"
RECORD_FILE = "emseg.json"  # in a folder of a format that has no place for a record

# What a network was computed on, if not on the processor in float32.
COMPUTED_ON = "computed_on"

# What the values of a prediction are, under "kind" in its record.
Kind = Literal["labels", "probability", "interior"]
KINDS: dict[Kind, str] = {
    "labels": "labels",
    "probability": "boundary probability",
    "interior": "interior probability",
}


def read_description(path: str | Path) -> dict[str, Any]:
    """Return what `stacks.write_stack` wrote as the description; empty for a file of other origin.

    Raises
    ------
    UserError
        If the file, or its description, is damaged.
    """
    path = Path(path)
    if path.suffix.lower() not in TIFF_SUFFIXES:
        return {}
    from emseg_napari.io.formats.tiff import tiff_text  # loads Zarr

    return own_record(tiff_text(path), path.name)


def record_of_path(path: str | Location) -> dict[str, Any]:
    """Return the record of a file, folder or address; empty for one of other origin.

    Parameters
    ----------
    path : str, Path or Address
        A TIFF file, an OME-Zarr or another folder of `emseg convert`, or one of its levels
        (``a.zarr/0``), which has the record of the whole.

    Raises
    ------
    UserError
        If a TIFF file or the record is damaged.
    """
    path = location_of(path)
    if isinstance(path, Path) and path.is_file():
        return _checked(read_description(path), path)
    if isinstance(path, Path) and not path.is_dir():
        return {}
    # anything else in an output, such as its `labels`, is of other origin
    is_level = path.name.isdecimal() or precomputed_info(path.parent) is not None
    return _checked(_record_of_folder(path) or (_record_of_folder(path.parent) if is_level else {}), path)


def _checked(record: dict[str, Any], path: Location) -> dict[str, Any]:
    """Return a record all of whose values are of the kind that is written.

    Raises
    ------
    UserError
        If one is not.
    """
    is_export = "kind" not in record
    for names, of_kind in _KINDS_OF_VALUES:
        for name in names:
            may_be = _is_listing if name == "slices" and is_export else of_kind
            if record.get(name) is None:
                record.pop(name, None)
            elif not may_be(record[name]):
                raise UserError(
                    f"{path.name} has a damaged record of emseg-napari ({name}: {str(record[name])[:80]}); "
                    "copy it again, or make it anew."
                )
    return record


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_listing(value: Any) -> bool:
    """Whether a value lists slices one by one, as exports do."""
    return isinstance(value, list) and all(type(one) is int and one >= 0 for one in value)


def _is_range(value: Any) -> bool:
    return _is_listing(value) and len(value) == 2 and bool(value[0] <= value[1])


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_of_slices(value: Any) -> bool:
    return isinstance(value, dict) and all(str(one).isdecimal() for one in value)


# What readers of records rely on.
_KINDS_OF_VALUES: tuple[tuple[tuple[str, ...], Callable[[Any], bool]], ...] = (
    (
        ("software", "kind", "run", "run_folder", "network", "image", "made_from", COMPUTED_ON),
        lambda value: isinstance(value, str),
    ),
    (("convention",), lambda value: any(value == one for one in CONVENTIONS)),
    (("threshold", "scale", "orientations"), _is_number),
    (("slices",), _is_range),
    (("fingerprints",), _is_texts),
    (("levels_of_a_part",), _is_of_slices),
    (("settings", "predicted_by"), lambda value: isinstance(value, dict)),
)


def record_of_volume(volume: Volume) -> dict[str, Any]:
    """Return the record of the file that a volume reads; empty for one of other origin or in memory."""
    return record_of_path(volume.source) if volume.source else {}


def _record_of_folder(folder: Location) -> dict[str, Any]:
    if isinstance(folder, Address) and not ZARR.is_node(folder):  # a store may refuse what is missing
        return {}
    if isinstance(folder, Path) and (folder / RECORD_FILE).is_file():
        found = read_json(folder / RECORD_FILE)
        return found if isinstance(found, dict) else {}
    from emseg_napari.io.ome_zarr_writer import VolumeOutput  # loads Zarr, which TIFF files do without

    try:
        return VolumeOutput(folder).record
    except (OSError, LookupError, TypeError, ValueError):
        return {}


def recorded_kind(record: Mapping[str, Any]) -> Kind | None:
    """Return what the values are by a record; None if it does not state it."""
    kind = record.get("kind")
    return kind if kind in KINDS else None


def kind_of(name: str, record: Mapping[str, Any], given: Kind | None = None) -> Kind | None:
    """Return what the values of a prediction are: as given, else as recorded; None if neither states it.

    Parameters
    ----------
    name : str
        What the user calls the prediction; starts the sentence of an error.
    record : mapping
    given : str, optional
        What the user states.

    Raises
    ------
    UserError
        If the record contradicts what is given. Labels (0 and 255) may be read as interior probability, which
        is the same picture.
    """
    recorded = recorded_kind(record)
    if given and recorded and given != recorded and (recorded, given) != ("labels", "interior"):
        raise UserError(
            f"{name} states in its record that it holds {KINDS[recorded]}, not {KINDS[given]}; read it as "
            "such."
        )
    return given or recorded


def may_be_labels(kind: Kind | None, record: Mapping[str, Any]) -> bool:
    """Whether a prediction can be labels, by what the user states or else its record."""
    return (kind or recorded_kind(record)) not in ("probability", "interior")


def meaning_of(kind: Kind, highest: int) -> str:
    """Return in words what the values of a kind stand for, probabilities from 0 to `highest`."""
    return "0 = boundary, 255 = interior" if kind == "labels" else f"{KINDS[kind]}, 0 to {highest}"


def first_slice(record: Mapping[str, Any]) -> int:
    """Return which slice of the image a prediction, or what was made of it, begins with."""
    return int((record.get("slices") or (0,))[0])


def other_scale(record: Mapping[str, Any]) -> float | None:
    """Return the scale of a prediction, or of what cells were made of; None if it was the run's own."""
    scale = record.get("scale") or record.get("predicted_by", {}).get("scale")
    return None if scale is None else float(scale)


def complement(values: np.ndarray) -> np.ndarray:
    """Return the probability of the boundary from that of the interior, or the other way round.

    Parameters
    ----------
    values : numpy.ndarray
        uint8 from 0 to 255, or float from 0 to 1.
    """
    return 255 - values if values.dtype == np.uint8 else 1 - values
