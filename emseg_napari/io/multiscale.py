"""Metadata of images in several resolutions, in every version of OME-Zarr, as they are read.

Specifications: https://ngff.openmicroscopy.org, of which 0.1 to 0.5 are known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from emseg_napari.core.jobs import UserError
from emseg_napari.io.description import plain_axes
from emseg_napari.io.stated_axes import Named, axis_word, named_axes

_IMPLIED = ("t", "c", "z", "y", "x")  # axes of versions 0.1 and 0.2, which state none
_TYPES = {"time": "t", "channel": "c"}
_SHOWN = 80  # characters of what is not understood


@dataclass(frozen=True)
class Placement:
    """Size and place of a level's voxels along each axis of its array.

    Attributes
    ----------
    scale, translation : list of float
        In the units of the axes.
    notes : tuple of str
        Sentences on transformations that were left out.
    """

    scale: list[float]
    translation: list[float]
    notes: tuple[str, ...] = field(default=())


class Multiscale:
    """The attributes of a group that is one image in several resolutions, in any version of OME-Zarr.

    Parameters
    ----------
    attributes : mapping
        Of the group; those of version 0.5 lie under the name "ome".
    name : str
        What the user calls the group; starts the sentence of an error.

    Attributes
    ----------
    paths : list of str
        Of the levels, the finest first; empty if the group is not such an image.
    is_labels : bool
        Whether values are names and not grey values.

    Raises
    ------
    UserError
        If the attributes are malformed, or a level does not lie in the group.
    """

    def __init__(self, attributes: Mapping[str, Any], name: str = "The OME-Zarr") -> None:
        self._name = name
        ome = attributes.get("ome", attributes)
        self._ome: Mapping[str, Any] = ome if isinstance(ome, Mapping) else {}
        images = self._ome.get("multiscales")
        image = self._list(images, "multiscales")[:1]
        self._image = self._mapping(image[0], "multiscales") if image else {}
        levels = [
            self._mapping(one, "datasets") for one in self._list(self._image.get("datasets"), "datasets")
        ]
        if image and not levels:
            raise self._malformed("datasets", self._image.get("datasets"))
        self._levels = {self._path(one.get("path")): one for one in levels}
        self.paths = list(self._levels)
        self.is_labels = "image-label" in self._ome

    @property
    def shown_inverted(self) -> bool:
        """Whether OMERO shows its first channel inverted."""
        omero = self._ome.get("omero")
        channels = omero.get("channels") if isinstance(omero, Mapping) else None
        first = channels[0] if isinstance(channels, list) and channels else None
        return isinstance(first, Mapping) and first.get("inverted") is True

    @property
    def version(self) -> str:
        """Of OME-Zarr, which 0.5 states once and 0.4 with each image; empty if neither is stated."""
        return str(self._ome.get("version", self._image.get("version", "")))

    def axes(self, ndim: int) -> Named:
        """Return the axes of the levels, which have `ndim`, as words, and notes on them.

        Raises
        ------
        UserError
            If there are more or fewer, or they are malformed.
        """
        stated = self._axes()
        if not stated:
            return (_IMPLIED if ndim == len(_IMPLIED) else plain_axes(ndim)), ()
        words = [_TYPES.get(str(axis.get("type")), axis_word(axis["name"])) for axis in stated]
        space = [n for n, axis in enumerate(stated) if axis.get("type") == "space"]
        if len(words) == ndim and space and not any(words[n] in ("z", "y", "x") for n in space):
            # names are free, the order is not: axes of space are the last, z before y before x
            for n, letter in zip(reversed(space), "xyz", strict=False):
                words[n] = letter
        return named_axes(words, ndim, self._name)

    def units(self, ndim: int) -> list[Any]:
        """Return the unit of each of `ndim` axes, as the file spells it; None where none is stated."""
        units = [axis.get("unit") for axis in self._axes()]
        return units if len(units) == ndim else [None] * ndim

    def placement(self, path: str, ndim: int) -> Placement:
        """Return scale and translation of a level, those of the whole image applied last.

        Parameters
        ----------
        path : str
            One of `paths`.
        ndim : int
            Of the level's array.

        Raises
        ------
        UserError
            If they are malformed.
        """
        found, notes = Placement([1.0] * ndim, [0.0] * ndim), []
        for owner in (self._levels[path], self._image):
            steps = self._list(owner.get("coordinateTransformations"), "coordinateTransformations")
            for step in steps:
                stated = self._mapping(step, "coordinateTransformations")
                if stated.get("type", "identity") == "identity" and not {"scale", "translation"} & set(
                    stated
                ):
                    continue
                values = next((stated[k] for k in ("scale", "translation") if k in stated), None)
                if values is None:
                    kind = _text("path" if "path" in stated else stated.get("type"))
                    notes.append(
                        f"its size and place are not known, since a transformation ({kind}) is not read"
                    )
                elif "scale" in stated:
                    by = self._numbers(values, ndim, "scale")
                    found = Placement(_times(found.scale, by), _times(found.translation, by))
                else:
                    by = self._numbers(values, ndim, "translation")
                    moved = [shift + one for shift, one in zip(found.translation, by, strict=True)]
                    found = Placement(found.scale, moved)
        return Placement(found.scale, found.translation, tuple(notes))

    def has_scale(self, path: str) -> bool:
        """Whether a level or its image states a size at all, as versions before 0.4 do not."""
        return any("coordinateTransformations" in owner for owner in (self._levels[path], self._image))

    def _axes(self) -> list[Mapping[str, Any]]:
        """Return name, type and unit of each axis; version 0.3 lists names only."""
        stated = self._list(self._image.get("axes"), "axes")
        axes = [{"name": axis} if isinstance(axis, str) else self._mapping(axis, "axes") for axis in stated]
        for axis in axes:
            if not isinstance(axis.get("name"), str):
                raise self._malformed("axes", axis)
        return axes

    def _path(self, stated: Any) -> str:
        """Return the path of a level, which must not lead out of the group."""
        if not isinstance(stated, str) or not stated.strip("/"):
            raise self._malformed("the path of a dataset", stated)
        path = stated.rstrip("/")
        if "\\" in path or "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
            raise UserError(
                f"{self._name} states {_text(stated)} as the path of a dataset, which does not lie in it; "
                "correct its metadata."
            )
        return path

    def _numbers(self, values: Any, ndim: int, what: str) -> list[float]:
        try:
            numbers = [float(value) for value in self._list(values, what)]
        except (TypeError, ValueError, OverflowError):
            raise self._malformed(what, values) from None
        if len(numbers) != ndim:
            raise UserError(
                f"{self._name} states a {what} of {len(numbers)} numbers for {ndim} axes; "
                "correct its metadata."
            )
        return numbers

    def _list(self, value: Any, what: str) -> list[Any]:
        if value is not None and not isinstance(value, list):
            raise self._malformed(what, value)
        return value or []

    def _mapping(self, value: Any, what: str) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise self._malformed(what, value)
        return value

    def _malformed(self, what: str, value: Any) -> UserError:
        return UserError(
            f"{self._name} has OME metadata that cannot be understood ({what}: {_text(value)}); "
            "write it again or correct its metadata."
        )


def _times(values: Sequence[float], by: Sequence[float]) -> list[float]:
    return [value * one for value, one in zip(values, by, strict=True)]


def _text(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
