"""Voxel sizes as files state them."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np

from emseg_napari.io.axes import Voxel, shape_text

T = TypeVar("T", float, np.ndarray)

_PREFIXES = {
    "pico": ("p", -12),
    "nano": ("n", -9),
    "micro": ("u", -6),
    "milli": ("m", -3),
    "centi": ("c", -2),
}
_METRES = {"angstrom": -10, "meter": 0, **{f"{name}meter": power for name, (_, power) in _PREFIXES.items()}}
_SPELLINGS = {
    "\N{LATIN SMALL LETTER A WITH RING ABOVE}": "angstrom",
    "ang": "angstrom",
    "m": "meter",
    "micron": "micrometer",
    **{f"{short}m": f"{name}meter" for name, (short, _) in _PREFIXES.items()},
}
_NONE = ("", "pixel", "px", "voxel")  # no length at all
_SHOWN = 60  # characters of what is not understood
_INCHES = {"inch": 1.0, "centimeter": 1 / 2.54, "meter": 100 / 2.54}
_NM_OF_INCH = 2.54e7
_FINEST_PRINT = 1 / 2540  # a pixel in inches, 10 um: larger ones are stated for screens and paper


def stated_voxel(
    sizes: Sequence[Any], units: str | Sequence[Any] | None
) -> tuple[Voxel | None, tuple[str, ...]]:
    """Return a voxel from what a file says, and what the user must know of that.

    Parameters
    ----------
    sizes : sequence of float
        Along z, y, x.
    units : str or sequence of str
        Of all, or of each; where they differ, all become that of x.

    Returns
    -------
    voxel : Voxel or None
        None if a size is not a positive number or a unit is unknown.
    notes : tuple of str
        A sentence if something is stated that was not understood.
    """
    each = list(units) if isinstance(units, Iterable) and not isinstance(units, str) else [units] * 3
    known = [spelled(unit) for unit in each]
    listed = list(sizes) if isinstance(sizes, Iterable) else [sizes]
    try:
        numbers = [float(size) for size in listed]
    except (TypeError, ValueError, OverflowError):
        numbers = []
    if len(numbers) != 3 or not all(math.isfinite(size) and size > 0 for size in numbers):
        stated = " x ".join(map(str, listed)) or "an empty list"
        return None, (f"no size of a voxel is known, since {_shown(stated)} is stated",)
    if len(known) == 3 and all(unit in _METRES for unit in known):
        (z, y, x), unit = in_one_unit(numbers, known) or (numbers, known[2])
        return Voxel((z, y, x), unit), ()
    if set(numbers) == {1.0} and all(unit in _NONE for unit in known):
        return None, ()  # nothing is stated
    stated = ", ".join(dict.fromkeys(_shown(unit or "no unit") for unit in each))
    size = " x ".join(f"{number:g}" for number in numbers)
    return None, (
        f"no size of a voxel is known, since {size} is stated in {stated}, which is no known length",
    )


def in_one_unit(lengths: Sequence[T], units: Sequence[str]) -> tuple[list[T], str] | None:
    """Return lengths in the unit of the last, and that unit.

    Parameters
    ----------
    lengths : sequence of float or numpy.ndarray
    units : sequence of str
        Of each, as `spelled` returns them.

    Returns
    -------
    (list, str) or None
        None where units differ, and one of them is not known as a length.
    """
    if len(set(units)) == 1:
        return list(lengths), units[-1]
    if not all(unit in _METRES for unit in units):
        return None
    into = units[-1]
    return [_converted(length, unit, into) for length, unit in zip(lengths, units, strict=True)], into


def not_stated(axes: Sequence[str]) -> tuple[str, ...]:
    """Return the note on sizes of which those along some axes are missing."""
    return (f"no size of a voxel is known, since none is stated for {' and '.join(axes)}",)


def pixel_note(pixel: tuple[float, float], unit: str) -> tuple[str, ...]:
    """Return the note on the size of a pixel where no thickness of slices is stated; none for print.

    Parameters
    ----------
    pixel : (float, float)
        Along y and x.
    unit : str
        "inch", "centimeter" or "meter"; empty where the size has no unit.
    """
    least, most = (size * _INCHES.get(unit, 1.0) for size in (min(pixel), max(pixel)))
    if least <= 0 or (least >= _FINEST_PRINT and (unit or most <= 1)):
        return ()
    text = f"{shape_text(pixel)} without a unit"
    if unit:
        text = f"{shape_text(one * _INCHES[unit] * _NM_OF_INCH for one in pixel)} nm"
    return (f"no size of a voxel is known, since only that of a pixel is stated ({text})",)


def spelled(unit: Any) -> str:
    """Return a unit as OME-Zarr spells it; what is not known as it is, in small letters.

    Programs write "nm" or "nanometres", codes for signs, and one of two mu and two angstrom signs.
    """
    text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), str(unit or ""))
    text = unicodedata.normalize("NFKC", text).strip().lower()
    text = text.replace("\N{GREEK SMALL LETTER MU}", "u").replace("metre", "meter")
    for word in (text, text.removesuffix("s")):
        if word in _METRES or word in _SPELLINGS or word in _NONE:
            return _SPELLINGS.get(word, word)
    plain = "".join(one for one in unicodedata.normalize("NFD", text) if not unicodedata.combining(one))
    return "angstrom" if plain.removesuffix("s") == "angstrom" else text


def _converted(size: T, unit: str, into: str) -> T:
    power = _METRES[unit] - _METRES[into]
    return size * 10**power if power >= 0 else size / 10**-power


def _shown(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
