"""Comparison of the choices for an output now with those with which it was begun.

An output that was interrupted is resumed only with the same choices; what differs is named.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from emseg_napari.core.jobs import UserError
from emseg_napari.io.address import Location
from emseg_napari.io.axes import shape_text
from emseg_napari.io.layout import Layout
from emseg_napari.io.made_with import MADE_WITH
from emseg_napari.io.source_id import IN_MEMORY, STATE, is_changed, state_of, state_text
from emseg_napari.io.volume import Volume
from emseg_napari.settings import with_present_names
from emseg_napari.settings.titles import field_of, title_of

# May be chosen when an output is resumed: the blocks that are done had no missing chunk.
LATER = "missing_is_empty"
# Recorded of slices while an output is written, so not a choice of the user.
PARTIAL, MARKS = "levels_of_a_part", "fingerprints"
# Of what is complete it may be an earlier one, since nothing is computed.
VERSION = "version"
# of emseg-napari, whose results are equal byte by byte: one resumes what the other began
EQUAL_VERSIONS = frozenset({"0.1.0", "0.2.0"})
# Whether a part of the input could not be read, and so may be another when it is repaired.
UNREAD = "unread"
_NOTED = (PARTIAL, MARKS, UNREAD, STATE, MADE_WITH)
_CUT = ("chunk", "shard")


@dataclass(frozen=True)
class OutputState:
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
        What follows from it in a record, the clearest first.
    """

    words: str
    keys: tuple[str, ...]


# What one choice changes in several places is reported once.
_CHOICES = (
    _Choice("the run", ("run_folder", "run", "network")),
    _Choice("the probability", ("probability", "probability_source", "predicted_by")),
    _Choice("the image", ("image", "source", "image_shape", "image_dtype", "shape", "origin", "voxel")),
    _Choice("what is written", ("kind", "values", "convention", "labels", "dtype")),
)
# The name of the setting that a key of a record follows from.
_SETTINGS = {"closed_gaps": "close_gaps"}
_OTHER = {VERSION: "the version of emseg-napari", "ome_version": "the version of OME-Zarr"}
# Hashes, which are not shown: only that they differ.
_MARKS = ("network", "predicted_by")
_FOLLOWS = {"shape", "origin"}  # from the slices that were chosen


@dataclass(frozen=True)
class Difference:
    """What was chosen otherwise than when an output was begun.

    Attributes
    ----------
    text : str
        Such as "'Threshold' was 0.6 and is 0.5".
    setting : str
        The field of settings that it is about, or "kind" for what is written; empty for others.
    """

    text: str
    setting: str = ""


class ChangedChoices(UserError):
    """An output cannot be resumed, since other choices were made when it was begun.

    Parameters
    ----------
    path : Path or Address
        Of the output.
    differences : sequence of Difference
        Also an attribute.
    """

    def __init__(self, path: Location, differences: Sequence[Difference]) -> None:
        listed = "; ".join(one.text for one in differences)
        super().__init__(
            f"{path} was begun with other choices: {listed}. To resume it choose what was chosen then; else "
            "choose another output, or remove this one to begin again.",
            tuple(one.setting for one in differences if one.setting),
        )
        self.path, self.differences = path, tuple(differences)

    def __reduce__(self) -> tuple[Any, ...]:
        return ChangedChoices, (self.path, self.differences)


def check_resumable(path: Location, old: OutputState, new: OutputState) -> None:
    """Raise `UserError` if an output at `path`, begun as `old`, cannot be resumed as `new`."""
    wrote, writes = (one.record.get("software") for one in (old, new))
    if wrote != writes:
        raise UserError(
            f"{path} was written by {wrote or 'something else'}, so that {writes} cannot resume it; "
            "choose another output, or remove this one first."
        )
    found = differences({**_plain(old.layout), **old.record}, {**_plain(new.layout), **new.record})
    found = found or _changed_input(old.record, new.record)
    if found:
        raise ChangedChoices(path, found)
    if any(getattr(old.layout, part) != getattr(new.layout, part) for part in _CUT):
        raise UserError(
            f"{path} is cut into {_cut(old.layout)}, not into {_cut(new.layout)}, so that several workers "
            f"would write one file; use the former as {title_of('shards')}, or choose another output.",
            ("shards",),
        )


def check_unchanged(path: Location, volume: Volume, record: Mapping[str, Any]) -> None:
    """Raise `UserError` if the input of an output at `path` has changed while it was read."""
    then = record.get(STATE)
    if volume.chunks and not volume.source:
        return  # what no file holds would be computed again to be looked at
    if then and is_changed(then, state_of(volume, then), repaired=bool(record.get(UNREAD))):
        raise UserError(
            f"{volume.name} was changed while it was read, so that {path} is made of what it was and of what "
            "it is; remove that and start again once nothing writes to the file of the input."
        )


def _changed_input(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    """Return that the input has another content than before, under the same name; old records do not know."""
    then, now = old.get(STATE), new.get(STATE)
    if not then or not now or not is_changed(then, now, repaired=bool(old.get(UNREAD))):
        return []
    what = "the probability" if "probability" in new else "the image"
    sizes = [state_text(one) for one in (then, now)]
    if sizes[0] == sizes[1]:
        return [Difference(f"{what} has other values than then, under the same name")]
    if not all(sizes):
        return [Difference(f"{what} is another, or was changed since")]
    return [Difference(f"{what} was changed since under the same name (then {sizes[0]}, now {sizes[1]})")]


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    """Return how two records differ, in what the user chose.

    Parameters
    ----------
    old, new : mapping
        JSON values by name, those of settings also under "settings".

    Returns
    -------
    list of Difference
        Empty if an output with the one can be resumed with the other.
    """
    old, new = _flat(old), _flat(json.loads(json.dumps(new)))  # as it comes back from a file: no tuples
    names = [name for name in {**old, **new} if name not in _NOTED and old.get(name) != new.get(name)]
    if LATER in names and new.get(LATER):
        names.remove(LATER)
    return list(_differences(names, old, new))


def _differences(names: list[str], old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    left = set(names) - (_FOLLOWS if "slices" in names else set())
    for choice in _CHOICES:
        found = [key for key in choice.keys if key in left]
        if found:
            setting = "kind" if "kind" in choice.keys else ""
            yield Difference(_clause(choice.words, found[0], old, new), setting)
        left -= set(choice.keys)
    for name in filter(left.__contains__, names):
        setting = _SETTINGS.get(name, name)
        words = _OTHER.get(name) or title_of(setting)
        yield Difference(_clause(words, name, old, new), setting if field_of(setting) else "")


def _clause(words: str, name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    was, is_ = (_shown(name, one.get(name)) for one in (old, new))
    if name in _MARKS or IN_MEMORY in was:
        return f"{words} is another, or was changed since"
    return f"{words} was {was} and is {is_}"


def _shown(name: str, value: Any) -> str:
    if name == "closed_gaps":
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
    """Return what two layouts must have in common, in words for the user."""
    named = {field.name: getattr(layout, field.name) for field in fields(layout) if field.name not in _CUT}
    voxel = layout.voxel and f"{shape_text(layout.voxel.size)} {layout.voxel.unit}"
    texts = {
        "shape": shape_text(layout.shape),
        "origin": shape_text(layout.origin),
        "voxel": voxel,
    }
    return {**named, **texts, "ome_version": named.pop("version")}


def _cut(layout: Layout) -> str:
    shards = f"shards of {shape_text(layout.shard)} voxels and " if layout.shard else ""
    return f"{shards}chunks of {shape_text(layout.chunk)}"
