"""Whether a stack that was opened as an image looks like labels."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

import numpy as np

from emseg_napari.core.label_survey import distinct, whole
from emseg_napari.core.labels import AmbiguousLabels, UnknownLabels, recognise

_LOOKED_AT = 200  # slices; in many stacks most are unlabelled
_TELLING = 3  # slices with several values
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
    several = (plane for plane in islice(planes, _LOOKED_AT) if plane.size and plane.min() != plane.max())
    stack = [whole(plane) for plane in islice(several, _TELLING)]
    if not stack:
        return None
    try:
        recognise(np.stack(stack), "it")
    except AmbiguousLabels:
        pass  # the user is asked
    except UnknownLabels as unknown:
        is_map = unknown.looks_like == "instances" and dtype.itemsize > 1
        return "looks like an instance map" if is_map else None
    return f"has {_WORDS[len(distinct(np.stack(stack)))]}"
