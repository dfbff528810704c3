"""The label convention and every conversion into and out of it.

Inside the project a labels array is uint8 with axes (z, y, x) or (y, x):
0 = unlabelled (counts for nothing), 1 = boundary, 2 = interior. In a layer that a user corrects,
3 and 4 are boundary and interior that a network has only proposed (see `annotation.label_state`).

ISBI 2012 files hold 0 = boundary and 255 = interior (Arganda-Carreras et al. 2015,
doi:10.3389/fnana.2015.00142); 128 stands for unlabelled, an addition of this project.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import numpy as np

from emseg_napari.core.jobs import UserError

UNLABELLED, BOUNDARY, INTERIOR = 0, 1, 2
PROPOSED_BOUNDARY, PROPOSED_INTERIOR = 3, 4
ISBI_BOUNDARY, ISBI_UNLABELLED, ISBI_INTERIOR = 0, 128, 255

Convention = Literal["isbi", "binary", "napari", "instances"]
CONVENTIONS: dict[Convention, str] = {
    "isbi": "0 = boundary, 128 = unlabelled, 255 = interior",
    "binary": "0 = boundary, 1 = interior",
    "napari": "0 = unlabelled, 1 = boundary, 2 = interior",
    "instances": "every cell has a number of its own, 0 = boundary",
}
_FEW = 16  # values that are searched one by one
_VALUES: dict[str, dict[int, int]] = {
    "isbi": {ISBI_BOUNDARY: BOUNDARY, ISBI_UNLABELLED: UNLABELLED, ISBI_INTERIOR: INTERIOR},
    "binary": {0: BOUNDARY, 1: INTERIOR},
    "napari": {0: UNLABELLED, 1: BOUNDARY, 2: INTERIOR},
}


class AmbiguousLabels(UserError):
    """The values fit two conventions; only the user can decide."""


class UnknownLabels(UserError):
    """The values fit no convention.

    Attributes
    ----------
    looks_like : Convention or None
        The conversion worth offering.
    """

    def __init__(self, sentence: str, looks_like: Convention | None = None) -> None:
        super().__init__(sentence)
        self.looks_like = looks_like


def distinct(array: np.ndarray) -> list[int]:
    """Return the sorted distinct values of an integer array."""
    parts = array if array.ndim > 2 else [array]  # slices, so that little memory is taken beside the array
    return sorted(set().union(*map(_distinct, parts)))


def _distinct(array: np.ndarray) -> list[int]:
    if array.size == 0:
        return []
    low, high = array.min(), array.max()
    if array.dtype.kind in "ui" and int(high) - int(low) < _FEW:  # many times faster than sorting
        return [value for value in range(int(low), int(high) + 1) if (array == value).any()]
    if array.dtype != np.uint8:
        return np.unique(array).tolist()
    present = np.zeros(256, bool)
    present[array] = True
    return np.flatnonzero(present).tolist()


def recognise(array: np.ndarray, name: str) -> Convention:
    """Return the convention that the values of a labels file or layer follow.

    Parameters
    ----------
    array : numpy.ndarray
        Any shape; integer, or boolean for a mask.
    name : str
        What the user calls it; starts the sentence of an error.

    Raises
    ------
    AmbiguousLabels
        Only 0 and 1, or only 1: boundary and interior, or unlabelled and boundary?
    UnknownLabels
        Values that no convention has.
    """
    if array.dtype == bool:
        values = distinct(array.astype(np.uint8))
    elif np.issubdtype(array.dtype, np.integer):
        values = distinct(array)
    else:
        raise UnknownLabels(
            f"{name} holds {array.dtype} values, which are not labels; use whole numbers "
            f"({CONVENTIONS['napari']}, or {CONVENTIONS['isbi']})."
        )
    found = set(values)
    if 1 in found and found <= {0, 1}:
        raise AmbiguousLabels(
            f"{name} holds only {' and '.join(map(str, values))}, which is either 'binary' "
            f"({CONVENTIONS['binary']}) or 'napari' ({CONVENTIONS['napari']}); say which one it is."
        )
    for convention in ("napari", "isbi"):
        if found <= set(_VALUES[convention]):
            return convention
    raise _unknown(values, name)


def _unknown(values: list[int], name: str) -> UnknownLabels:
    strange = [v for v in values if v not in (0, 1, 2, 128, 255)] or values
    listed = ", ".join(map(str, strange[:5])) + (", ..." if len(strange) > 5 else "")
    instances = len(values) > 3 and values[0] >= 0
    hint = (
        "it looks like an instance map (convert it with the convention 'instances'), "
        "or like an image (choose the labels instead)"
        if instances
        else f"allowed are {CONVENTIONS['napari']}, or {CONVENTIONS['isbi']}"
    )
    return UnknownLabels(
        f"{name} holds values outside the label convention ({listed}); {hint}.",
        "instances" if instances else None,
    )


def normalise(array: np.ndarray, name: str, convention: Convention | None = None) -> np.ndarray:
    """Convert labels of any convention to the project's own.

    Parameters
    ----------
    array : numpy.ndarray
        Labels with axes (z, y, x) or (y, x).
    name : str
        What the user calls them.
    convention : Convention, optional
        Recognised from the values when it is not given.

    Returns
    -------
    numpy.ndarray
        uint8 of the same shape: 0 unlabelled, 1 boundary, 2 interior.
    """
    present = array.astype(np.uint8) if array.dtype == bool else array
    return conversion(np.array(distinct(present), array.dtype), name, convention)(array)


def conversion(
    values: np.ndarray, name: str, convention: Convention | None = None
) -> Callable[[np.ndarray], np.ndarray]:
    """Return what converts parts of a stack, whose values are known, as `normalise` converts all of it.

    Parameters
    ----------
    values : numpy.ndarray
        All that occur in the stack, in its own type.
    name, convention
        As for `normalise`.
    """
    convention = convention or recognise(values, name)
    found = distinct(values.astype(np.uint8) if values.dtype == bool else values)
    if convention == "instances":
        if set(found) <= set(_VALUES["isbi"]):
            raise UnknownLabels(
                f"{name} does not hold an instance map but ISBI labels ({CONVENTIONS['isbi']}); "
                "choose that convention."
            )
        return _from_instances
    table = _VALUES[convention]
    strange = [v for v in found if v not in table]
    if strange:
        raise UnknownLabels(
            f"{name} holds {strange[0]}, which the convention '{convention}' ({CONVENTIONS[convention]}) "
            "does not have; choose another convention or correct the values."
        )
    return partial(_translated, table=table)


def _translated(array: np.ndarray, table: dict[int, int]) -> np.ndarray:
    if all(value == label for value, label in table.items()):
        return array.astype(np.uint8)
    result = np.zeros(array.shape, np.uint8)
    for value, label in table.items():
        result[array == value] = label
    return result


def _from_instances(array: np.ndarray) -> np.ndarray:
    """Boundary where the map is 0, and where a cell touches another one at its next pixel in y or x."""
    boundary = array == 0
    for here, there in (
        (np.s_[..., :-1, :], np.s_[..., 1:, :]),
        (np.s_[..., :, :-1], np.s_[..., :, 1:]),
    ):
        # beside a 0 the boundary is already drawn, and drawing it again would thicken it
        boundary[here] |= (array[here] != array[there]) & (array[there] != 0)
    return np.where(boundary, BOUNDARY, INTERIOR).astype(np.uint8)


def to_isbi(labels: np.ndarray) -> np.ndarray:
    """Convert the project's labels (0, 1, 2) to ISBI values (128, 0, 255), uint8."""
    table = np.array([ISBI_UNLABELLED, ISBI_BOUNDARY, ISBI_INTERIOR], np.uint8)
    return table[labels]


def from_probability(probability: np.ndarray, threshold: float) -> np.ndarray:
    """Label a boundary probability: boundary where it is at least `threshold`, else interior.

    Parameters
    ----------
    probability : numpy.ndarray
        Boundary probability, float32, 0 to 1, any shape.
    threshold : float
        0 to 1.

    Returns
    -------
    numpy.ndarray
        uint8 of the same shape, 1 boundary or 2 interior.
    """
    return np.where(probability >= threshold, np.uint8(BOUNDARY), np.uint8(INTERIOR))


def check_trainable(labels: np.ndarray, name: str) -> None:
    """Raise `UserError` unless both classes occur in `labels` (0, 1, 2)."""
    present = distinct(labels)
    if BOUNDARY not in present and INTERIOR not in present:
        raise UserError(
            f"{name} has no labels in the chosen slices; label some boundary (1) and some interior (2) first."
        )
    for missing, word, value in ((BOUNDARY, "boundary", 1), (INTERIOR, "interior", 2)):
        if missing not in present:
            raise UserError(
                f"{name} has no {word} pixels in the chosen slices; training needs both classes, "
                f"so label some {word} ({value}) too."
            )
