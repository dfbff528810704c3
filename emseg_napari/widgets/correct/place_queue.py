"""The places of one labels layer beside one image, slice by slice, and the user's way through them."""

from __future__ import annotations

from typing import Any

from napari.layers import Image, Labels

from emseg_napari.annotation.suggest import Place, estimated_error, next_slice_to_label
from emseg_napari.widgets.base.text import slice_count
from emseg_napari.widgets.layers.labels_layer import confirmed_in
from emseg_napari.widgets.layers.layer_info import info_of

MOST = 20  # places of a slice that are asked about

Key = tuple[int, int, int, str]


def _key(place: Place) -> Key:
    """Name a place by what another search finds again."""
    return place.z, place.y, place.x, place.kind


def place_count(count: int) -> str:
    """Return a number of places in words."""
    return f"{count} place{'' if count == 1 else 's'}"


class PlaceQueue:
    """Places by slice, each slice's largest expected gain first.

    Parameters
    ----------
    layer : napari.layers.Labels
        A managed layer.
    image : napari.layers.Image or None
        In which the network looks for them.

    Attributes
    ----------
    errors : dict
        Slice -> estimated error (expected 1 - V_rand) of the slices that were searched.
    left_out : set of int
        Slices that cannot be read.
    """

    def __init__(self, layer: Labels, image: Image | None) -> None:
        self.layer, self.image = layer, image
        self.errors: dict[int, float] = {}
        self.left_out: set[int] = set()
        self._places: dict[int, list[Place]] = {}
        self._origins: dict[int, Any] = {}
        self._settled: set[Key] = set()
        self._visited: list[Place] = []
        self._at = -1

    # -- what a search finds ------------------------------------------------------------

    def add(self, z: int, places: list[Place], origin: Any = None) -> None:
        """Store what a search found in a slice whose labels came from an origin."""
        self.errors[z], self._places[z], self._origins[z] = estimated_error(places), places[:MOST], origin
        self.left_out.discard(z)

    def drop(self, z: int) -> None:
        """Forget what was found in a slice."""
        for known in (self.errors, self._places, self._origins):
            known.pop(z, None)

    def drop_outdated(self) -> bool:
        """Forget slices whose labels were predicted anew; return whether there were any.

        Another prediction is another object, which equals the first if the same network looked at another
        image.
        """
        origins = info_of(self.layer).origins
        outdated = [z for z, origin in self._origins.items() if origins.get(z) is not origin]
        for z in outdated:
            self.drop(z)
        return bool(outdated)

    def is_searched(self, z: int) -> bool:
        """Whether the places of a slice are known, or cannot be."""
        return z in self._places or z in self.left_out

    # -- what is left to look at --------------------------------------------------------

    def waiting(self, z: int) -> list[Place]:
        """Return the places of a slice that were not looked at, none of a confirmed slice."""
        if z in confirmed_in(self.layer):
            return []
        seen = self._settled.union(map(_key, self._visited))
        return [place for place in self._places.get(z, []) if _key(place) not in seen]

    def count(self) -> str:
        """Say how many places are left in how many slices."""
        counts = [len(self.waiting(z)) for z in self._places]
        slices = sum(count > 0 for count in counts)
        where = f"in {slice_count(slices)} (N)"
        return f"{place_count(sum(counts))} to look at {where}" if slices else "no place is left"

    def next_slice(self, z: int) -> int | None:
        """Return the first slice after `z`, and after the last from the first, that has places left."""
        for other in sorted(self._places, key=lambda one: (one <= z, one)):
            if other != z and self.waiting(other):
                return other
        return None

    def slice_to_label(self) -> int | None:
        """Return the slice from which a network would learn most; None if all are confirmed."""
        confirmed = confirmed_in(self.layer)
        return next_slice_to_label(self.errors, confirmed) if set(self.errors) - confirmed else None

    # -- the user's way -----------------------------------------------------------------

    @property
    def place(self) -> Place | None:
        """The place that is looked at."""
        return self._visited[self._at] if 0 <= self._at < len(self._visited) else None

    @property
    def has_previous(self) -> bool:
        """Whether a place was looked at before this one."""
        return self._at > 0

    def rank(self, place: Place) -> tuple[int, int]:
        """Return the number of a place, the best being 1, and how many its slice has."""
        keys = list(map(_key, self._places.get(place.z, [])))
        number = keys.index(_key(place)) + 1 if _key(place) in keys else 0
        return number, len(keys)

    def move(self, by: int, z: int) -> bool:
        """Go to the next place of slice `z`, or to the previous one of any; return whether there is one."""
        again = by < 0 or (self.place is not None and self.place.z == z)
        if again and 0 <= self._at + by < len(self._visited):
            self._at += by
            return True
        waiting = self.waiting(z) if by > 0 else []
        if waiting:
            self._at = min(self._at + 1, len(self._visited))
            self._visited.insert(self._at, waiting[0])
        return bool(waiting)

    def leave(self) -> None:
        """Look at no place, after the last that was looked at."""
        self._at = len(self._visited)

    def settle(self, place: Place) -> None:
        """Ask never again about a place."""
        self._settled.add(_key(place))
