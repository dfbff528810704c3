"""Places to look at, their order, and which slice to label next."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

# Slices nearer than this to a confirmed one add less: the same neurites look alike there.
_ALIKE_SLICES = 2.0


@dataclass(frozen=True)
class Place:
    """A boundary between two pieces of a slice about which the present labels may be wrong.

    Attributes
    ----------
    z, y, x : int
        A pixel in the middle of the boundary: where to look.
    kind : str
        "gap": the boundary is open, and two cells may have become one. "membrane": it stands, and may
        cut one cell in two.
    gain : float
        By how much V_rand of the slice is expected to rise when the place is looked at, 0 to 1: the
        probability that the present labels are wrong there, times what that would cost. Two cells of a
        and b pixels that are wrongly one, or wrongly two, cost a b of the pairs of pixels that
        V_rand counts (Arganda-Carreras et al. 2015, doi:10.3389/fnana.2015.00142).
    radius_px : float
        How far the boundary reaches from its middle: what to show around it, in pixels.
    wrong : float
        The probability that the present labels are wrong there, 0 to 1.
    pixels : tuple of numpy.ndarray
        y and x of a line along the boundary: of a gap its open part, which it closes where it is drawn.
        Once the user has touched half of them the place is settled.
    """

    z: int
    y: int
    x: int
    kind: Literal["gap", "membrane"]
    gain: float
    radius_px: float
    wrong: float
    pixels: tuple[np.ndarray, np.ndarray] = field(repr=False, compare=False)


def ranked(places: Iterable[Place]) -> list[Place]:
    """Return places of any slices, that with the largest expected gain first."""
    return sorted(places, key=lambda place: (-place.gain, place.z, place.y, place.x))


def estimated_error(places: Iterable[Place]) -> float:
    """Return the expected 1 - V_rand of a slice.

    Parameters
    ----------
    places : iterable of Place
        All places of one slice.

    Returns
    -------
    float
        0 to 1. Gains add up while they are small; errors that meet in one cell cost less together
        than one by one, so that the sum never passes 1.
    """
    return -math.expm1(-math.fsum(place.gain for place in places))


def next_slice_to_label(errors: Mapping[int, float], confirmed: Collection[int]) -> int:
    """Return the slice from which a network would learn most.

    Parameters
    ----------
    errors : mapping of int to float
        Slice -> `estimated_error`, for the slices that can be chosen; confirmed ones count for nothing.
    confirmed : collection of int
        Slices that are labelled already. Near them there is less to learn.

    Returns
    -------
    int
        That with the largest estimated error, discounted near confirmed ones; of equal ones the
        farthest from them, then the first.

    Raises
    ------
    ValueError
        If every slice is confirmed.
    """
    left = sorted(set(errors) - set(confirmed))
    if not left:
        raise ValueError("every slice is confirmed")
    away = {z: min((abs(z - other) for other in confirmed), default=len(left)) for z in left}
    return max(left, key=lambda z: (errors[z] * -math.expm1(-away[z] / _ALIKE_SLICES), away[z], -z))
