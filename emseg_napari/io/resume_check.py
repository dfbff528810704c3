"""Which choices of a user tell what an output was begun with from what is asked for now."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from emseg_napari.core.jobs import UserError
from emseg_napari.io.layout import Layout, sized
from emseg_napari.io.source_id import IN_MEMORY
from emseg_napari.settings import InstanceSettings, PredictionSettings, with_present_names

# Whether chunks without a file are empty may be said later: what was done before has met none.
LATER = "missing_is_empty"
# What an output notes of slices while it is written, and nobody chose.
PARTIAL = "levels_of_a_part"
_CUT = ("chunk", "shard")


@dataclass(frozen=True)
class Begun:
    """What an output holds.

    Attributes
    ----------
    layout : Layout
    record : mapping
        JSON values that say how its voxels come about.
    """

    layout: Layout
    record: Mapping[str, Any]


@dataclass(frozen=True)
class _Choice:
    """What a user chose.

    Attributes
    ----------
    words : str
        What the user calls it.
    keys : tuple of str
        What follows from it in a record, the most telling first.
    """

    words: str
    keys: tuple[str, ...]


# What one choice changes in several places is told once.
_CHOICES = (
    _Choice("the run", ("run_folder", "run", "network")),
    _Choice("the probability", ("probability", "probability_source", "predicted_by")),
    _Choice("the image", ("image", "source", "image_shape", "image_dtype", "shape", "first", "voxel")),
    _Choice("what is written (--as)", ("kind", "values", "convention", "labels", "dtype")),
)
# The name of the setting that a key of a record follows from.
_SETTINGS = {"orientations": "average_orientations", "closed_gaps": "close_gaps"}
_OTHER = {"version": "the version of emseg-napari", "ome_version": "the version of OME-Zarr"}
# Values that mean nothing to anybody: that they differ is all there is to say.
_MARKS = ("network", "predicted_by")
_FOLLOWS = {"shape", "first"}  # from the slices that were chosen


def check_same(path: Path, old: Begun, new: Begun) -> None:
    """Raise `UserError` if an output at `path`, begun as `old`, cannot be gone on with as `new`."""
    wrote, writes = (one.record.get("software") for one in (old, new))
    if wrote != writes:
        raise UserError(
            f"{path} was written by {wrote or 'something else'}, so that {writes} cannot go on with it; "
            "choose another output, or remove this one first."
        )
    found = differences({**_plain(old.layout), **old.record}, {**_plain(new.layout), **new.record})
    if found:
        raise UserError(
            f"{path} was begun otherwise: {'; '.join(found)}. To go on with it choose what was chosen then; "
            "else choose another output, or remove this one to begin anew."
        )
    if any(getattr(old.layout, part) != getattr(new.layout, part) for part in _CUT):
        raise UserError(
            f"{path} is cut into {_cut(old.layout)}, not into {_cut(new.layout)}, so that several workers "
            "would write one file; take the former, or choose another output."
        )


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Say how two records differ, in what the user chose.

    Parameters
    ----------
    old, new : mapping
        JSON values by name, those of settings also under "settings".

    Returns
    -------
    list of str
        Such as "'Threshold' (--threshold) was 0.6 and is 0.5"; empty if an output with the one can be gone on
        with by the other.
    """
    old, new = _flat(old), _flat(json.loads(json.dumps(new)))  # as it comes back from a file: no tuples
    names = [name for name in {**old, **new} if name != PARTIAL and old.get(name) != new.get(name)]
    if LATER in names and new.get(LATER):
        names.remove(LATER)
    return list(_told(names, old, new))


def _told(names: list[str], old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    left = set(names) - (_FOLLOWS if "slices" in names else set())
    for choice in _CHOICES:
        found = [key for key in choice.keys if key in left]
        if found:
            yield _sentence(choice.words, found[0], old, new)
        left -= set(choice.keys)
    for name in filter(left.__contains__, names):
        yield _sentence(_OTHER.get(name) or _setting(name), name, old, new)


def _sentence(words: str, name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    was, is_ = (_shown(name, one.get(name)) for one in (old, new))
    if name in _MARKS or IN_MEMORY in was:
        return f"{words} is another, or was changed since"
    return f"{words} was {was} and is {is_}"


def _setting(name: str) -> str:
    """Return the title of a setting and the option that sets it; names of none are returned."""
    field = _SETTINGS.get(name, name)
    for settings in (PredictionSettings, InstanceSettings):
        if field in settings.model_fields:
            return f"'{settings.model_fields[field].title}' (--{field.replace('_', '-')})"
    return name


def _shown(name: str, value: Any) -> str:
    if name == "orientations":
        value = value != 1
    elif name == "closed_gaps":
        value = value is not None
    if name == "slices" and value:
        return "{}:{}".format(*value)
    if value is None or isinstance(value, bool):
        return {None: "none", True: "on", False: "off"}[value]
    return str(value)


def _flat(record: Mapping[str, Any]) -> dict[str, Any]:
    flat = {**record, **with_present_names(record.get("settings", {}))}
    flat.pop("settings", None)
    if "probability" in flat:
        flat["probability_source"] = flat.pop("source", None)
    return flat


def _plain(layout: Layout) -> dict[str, Any]:
    """Return what makes two layouts hold the same, in words for the user."""
    named = {field.name: getattr(layout, field.name) for field in fields(layout) if field.name not in _CUT}
    voxel = layout.voxel and f"{' x '.join(f'{s:g}' for s in layout.voxel.size)} {layout.voxel.unit}"
    return {**named, "shape": sized(layout.shape), "voxel": voxel, "ome_version": named.pop("version")}


def _cut(layout: Layout) -> str:
    shards = f"shards of {sized(layout.shard)} voxels and " if layout.shard else ""
    return f"{shards}chunks of {sized(layout.chunk)}"
