"""Voxel sizes as files state them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from emseg_napari.io.axes import Voxel

_METRES = {"angstrom": -10, "nanometer": -9, "micrometer": -6, "millimeter": -3, "centimeter": -2, "meter": 0}
_SPELLINGS = {
    "å": "angstrom",
    "nm": "nanometer",
    "nanometre": "nanometer",
    "µm": "micrometer",  # micro sign
    "μm": "micrometer",  # Greek mu
    "um": "micrometer",
    "\\u00b5m": "micrometer",  # as ImageJ writes it
    "micron": "micrometer",
    "microns": "micrometer",
    "micrometre": "micrometer",
    "mm": "millimeter",
    "cm": "centimeter",
    "m": "meter",
}


def voxel_of(sizes: Sequence[Any], units: str | Sequence[Any] | None) -> Voxel | None:
    """Return a voxel from what a file says.

    Parameters
    ----------
    sizes : sequence of float
        Along z, y, x.
    units : str or sequence of str
        Of all, or of each; where they differ, all become that of x.

    Returns
    -------
    Voxel or None
        None if a size is not a positive number or a unit is unknown.
    """
    each = [units] * 3 if isinstance(units, str) or units is None else list(units)
    known = [_spelled(unit) for unit in each]
    try:
        z, y, x = (_converted(float(size), unit, known[2]) for size, unit in zip(sizes, known, strict=True))
    except (TypeError, ValueError, LookupError):  # not a number, or too few or unknown units
        return None
    valid = all(math.isfinite(size) and size > 0 for size in (z, y, x))
    return Voxel((z, y, x), known[2]) if valid else None


def _spelled(unit: Any) -> str:
    spelled = str(unit or "").strip().lower()
    return _SPELLINGS.get(spelled, spelled)


def _converted(size: float, unit: str, into: str) -> float:
    """Raise `KeyError` where a unit is unknown."""
    power = _METRES[unit] - _METRES[into]
    return size * 10**power if power >= 0 else size / 10**-power
