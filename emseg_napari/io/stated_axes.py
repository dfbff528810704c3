"""Axes as the metadata of HDF5, Zarr and N5 state them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from emseg_napari.core.jobs import UserError
from emseg_napari.io.description import UNKNOWN, plain_axes

# Attributes that name the axes: of ilastik, xarray, HDF5's dimension scales, funlib, and in plain words.
ATTRIBUTES = (
    *("axistags", "_array_dimensions", "dimension_labels", "axis_names"),
    *("axes", "axis_order", "axisorder", "dims"),
)
_LETTERS = "zyxcst"
_WORDS = {
    **{letter: letter for letter in _LETTERS},
    **dict.fromkeys(("depth", "plane", "planes", "slice", "slices", "section"), "z"),
    **dict.fromkeys(("height", "row", "rows"), "y"),
    **dict.fromkeys(("width", "col", "column", "columns"), "x"),
    **dict.fromkeys(("channel", "channels", "ch"), "c"),
    **dict.fromkeys(("time", "frame", "frames"), "t"),
}
_SHOWN = 80  # characters of what is not understood

Named = tuple[tuple[str, ...], tuple[str, ...]]  # axes of an array, and notes on them


def axis_word(name: Any) -> str:
    """Return "z", "y", "x", "c", "s" or "t" where a name means that; else the name, `UNKNOWN` if empty."""
    word = str(name or "").strip().lower().removesuffix("^")  # funlib's mark of an axis that is none of space
    return _WORDS.get(word, word) or UNKNOWN


def named_axes(words: Sequence[Any], ndim: int, name: str) -> Named:
    """Return the axes of an array, of which a file names each.

    Parameters
    ----------
    words : sequence of str
        In the order of the array's axes.
    ndim : int
        Of the array.
    name : str
        What the user calls it.

    Raises
    ------
    UserError
        If the names of z, y or x are among them, but there are more or fewer names than axes.
    """
    axes = tuple(axis_word(word) for word in words)
    if not set(axes) & set("zyx"):
        plain = all(axis == UNKNOWN for axis in axes)
        note = f"its axes are named {_shown(', '.join(axes))}; the last ones are read as z, y, x"
        return plain_axes(ndim), () if plain else (note,)
    if len(axes) != ndim:
        raise UserError(
            f"{name} names {len(axes)} axes ({_shown(', '.join(axes))}), but has {ndim}; "
            "correct its metadata."
        )
    return axes, ()


def attribute_axes(attributes: Mapping[str, Any], ndim: int, name: str) -> Named:
    """Return the axes of an array as one of its attributes names them, the first of `ATTRIBUTES`.

    Parameters
    ----------
    attributes : mapping
        Of the array.
    ndim, name
        As for `named_axes`.

    Raises
    ------
    UserError
        As `named_axes`, or if ilastik's `axistags` are damaged.
    """
    small = {str(key).casefold(): value for key, value in attributes.items()}
    for key in ATTRIBUTES:
        words = _words(small.get(key), ndim)
        if words is not None and any(axis_word(word) != UNKNOWN for word in words):
            return named_axes(words, ndim, name)
        if words is None and key == "axistags" and key in small:
            shown = _shown(str(small[key]))
            raise UserError(
                f"{name} has axistags that cannot be understood ({shown}); correct or remove them."
            )
    return plain_axes(ndim), ()


def axis_sizes(attributes: Mapping[str, Any]) -> tuple[list[Any], list[Any]] | None:
    """Return size and unit of each axis as ilastik states them; None if it states no size.

    Parameters
    ----------
    attributes : mapping
        Of an array: `axistags` with the resolutions, `axis_units` with a unit for each key.
    """
    tags, units = _parsed(attributes.get("axistags")), _parsed(attributes.get("axis_units"))
    axes = tags.get("axes") if isinstance(tags, Mapping) else None
    if not isinstance(axes, list) or not all(isinstance(axis, Mapping) for axis in axes):
        return None
    sizes = [axis.get("resolution", 0) for axis in axes]
    known = units if isinstance(units, Mapping) else {}
    return (sizes, [known.get(str(axis.get("key"))) for axis in axes]) if any(sizes) else None


def _words(value: Any, ndim: int) -> list[Any] | None:
    """Return the words of an attribute; None if it holds none."""
    value = _parsed(value)
    if isinstance(value, Mapping):
        value = value.get("axes")
    if isinstance(value, str):
        parts = [part for part in re.split(r"[\s,;:/|]+", value.strip()) if part]
        letters = len(parts) == 1 and set(value.strip().lower()) <= set(_LETTERS)
        return list(value.strip()) if letters else parts
    if not isinstance(value, list | tuple):
        return None
    names = [one.get("key", one.get("name")) if isinstance(one, Mapping) else _text(one) for one in value]
    return names if all(one is None or isinstance(one, str) for one in names) else None


def _parsed(value: Any) -> Any:
    """Return an attribute as Python has it: lists of arrays, text of bytes, what JSON stands for."""
    value = _text(value.tolist() if isinstance(value, np.ndarray | np.generic) else value)
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return None
    return value


def _text(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
