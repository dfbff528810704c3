"""Whether a stack that was opened as an image looks like labels."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

import numpy as np

from emseg_napari.core.label_survey import distinct, whole
from emseg_napari.core.labels import AmbiguousLabels, UnknownLabels, recognise

_LOOKED_AT = 200  # slices; in many stacks most are unlabelled
_TELLING = 3  # slices with several values, and as many with one
_WORDS = {2: "two values", 3: "three values"}


def label_words(planes: Iterable[np.ndarray], dtype: Any) -> str | None:
    """Say what is seen in a stack that looks like labels, such as "has two values"; None for an image.

    It looks like labels if they can be read: its values follow a convention, or two. Instance maps of 8 bits
    are taken for images: a probability has as many values.

    Parameters
    ----------
    planes : iterable of numpy.ndarray
        Slices (y, x); only the first that have several values are looked at.
    dtype : numpy.dtype
    """
    dtype = np.dtype(dtype)
    if dtype.kind not in "biu":
        return None
    telling: list[np.ndarray] = []
    blank: list[np.ndarray] = []
    for plane in map(whole, islice(planes, _LOOKED_AT)):
        kind = telling if plane.size and plane.min() != plane.max() else blank
        if len(kind) < _TELLING:
            kind.append(plane)
        if len(telling) == _TELLING:
            break
    if not telling:
        return None
    stack = np.stack(telling + blank)
    try:
        recognise(stack, "it")
    except AmbiguousLabels:
        pass  # the user is asked
    except UnknownLabels as unknown:
        is_map = unknown.looks_like == "instances" and dtype.itemsize > 1
        return "looks like an instance map" if is_map else None
    return f"has {_WORDS[len(distinct(stack))]}"
