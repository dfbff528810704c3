"""The label convention and every conversion into and out of it.

Inside the project a labels array is uint8 with axes (z, y, x) or (y, x):
0 = unlabelled (counts for nothing), 1 = boundary, 2 = interior. In a layer that a user corrects,
3 and 4 are boundary and interior that a network has only proposed (see `annotation.label_state`).

ISBI 2012 files hold 0 = boundary and 255 = interior (Arganda-Carreras et al. 2015,
doi:10.3389/fnana.2015.00142); 128 stands for unlabelled, an addition of this project.

What fits two conventions is never guessed. 0, 1 and 2 are those of a person's boundary and interior, or of
an instance map of two cells: they are read as the former if 1 looks like boundary (`seems_boundary`). 0 and
255 are read as ISBI's unless 0 is most of it and looks like the cells, and 255 like the lines between them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np

from emseg_napari.core.instance_maps import boundary_of, unclear_number
from emseg_napari.core.jobs import UserError
from emseg_napari.core.label_hints import hint_for, why_no_instances
from emseg_napari.core.label_survey import (
    Form,
    Survey,
    distinct,
    planes_of,
    seem_exchanged,
    seems_boundary,
    surveyed,
    whole,
)

UNLABELLED, BOUNDARY, INTERIOR = 0, 1, 2
PROPOSED_BOUNDARY, PROPOSED_INTERIOR = 3, 4
ISBI_BOUNDARY, ISBI_UNLABELLED, ISBI_INTERIOR = 0, 128, 255

Convention = Literal["isbi", "binary", "inverted", "napari", "instances"]
CONVENTIONS: dict[Convention, str] = {
    "isbi": "0 = boundary, 128 = unlabelled, 255 = interior",
    "binary": "0 = boundary, 1 = interior",
    "inverted": "0 = interior, 1 or 255 = boundary, 128 = unlabelled",
    "napari": "0 = unlabelled, 1 = boundary, 2 = interior",
    "instances": "every cell has a number of its own, 0 = boundary, negative = unlabelled",
}
_NEARLY_ALL = 0.9  # of the pixels of slices that are labelled as a whole
_VALUES: dict[str, dict[int, int]] = {
    "isbi": {ISBI_BOUNDARY: BOUNDARY, ISBI_UNLABELLED: UNLABELLED, ISBI_INTERIOR: INTERIOR},
    "binary": {0: BOUNDARY, 1: INTERIOR},
    "inverted": {0: INTERIOR, 1: BOUNDARY, ISBI_UNLABELLED: UNLABELLED, 255: BOUNDARY},
    "napari": {0: UNLABELLED, 1: BOUNDARY, 2: INTERIOR},
}


class AmbiguousLabels(UserError):
    """The values fit two conventions; only the user can decide.

    Attributes
    ----------
    readings : tuple of Convention
        Those that fit.
    """

    def __init__(self, sentence: str, readings: tuple[Convention, ...] = ()) -> None:
        super().__init__(sentence)
        self.readings = readings


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


def recognise(array: np.ndarray, name: str) -> Convention:
    """Return the convention that a labels file or layer follows, by its values and the form of its regions.

    Parameters
    ----------
    array : numpy.ndarray
        Any shape, with the axes y and x last; integer, boolean for a mask, or floats that are whole numbers.
    name : str
        What the user calls it; starts the sentence of an error.

    Raises
    ------
    AmbiguousLabels
        Two conventions fit.
    UnknownLabels
        Values that no convention has.
    """
    return _recognised(surveyed(planes_of(array), array.dtype), name)


def _recognised(survey: Survey, name: str) -> Convention:
    _refuse_fractions(survey, name)
    values = survey.values
    found = set(values)
    only = f"{name} holds only {_listed(values, 'and')}, which"
    if 1 in found and found <= {0, 1}:
        raise _ambiguous(only, ("binary", "napari", "inverted"))
    if found <= {0, 1, 2}:
        if found <= {0} or found == {2} or seems_boundary(survey.forms):
            return "napari"
        raise _ambiguous(only, ("napari", "instances"))
    if found <= set(_VALUES["isbi"]):
        boundary, interior = survey.forms[ISBI_BOUNDARY], survey.forms[ISBI_INTERIOR]
        if seem_exchanged(boundary, interior):
            raise _ambiguous(f"{name} {_exchanged(boundary, interior)}; it", ("isbi", "inverted"))
        return "isbi"
    hint = hint_for(survey)
    strange = [v for v in values if v not in (0, 1, 2, 128, 255)] or values
    listed = ", ".join(map(str, strange[:5])) + (", ..." if len(strange) > 5 else "")
    words = hint.words if hint else f"allowed are {CONVENTIONS['napari']}, or {CONVENTIONS['isbi']}"
    raise UnknownLabels(
        f"{name} holds values outside the label convention ({listed}); {words}.",
        "instances" if hint and hint.instances else None,
    )


def _ambiguous(beginning: str, readings: tuple[Convention, ...]) -> AmbiguousLabels:
    either = _listed([f"'{one}' ({CONVENTIONS[one]})" for one in readings], "or")
    return AmbiguousLabels(f"{beginning} is either {either}; say which one it is.", readings)


def _listed(things: Sequence[object], last: str) -> str:
    words = [str(one) for one in things]
    return f" {last} ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _exchanged(boundary: Form, interior: Form) -> str:
    share = boundary.area / (boundary.area + interior.area)
    return f"may be inverted ({share:.0%} boundary, and what would be interior is lines between cells)"


def doubt(labels: Iterable[np.ndarray], name: str) -> str | None:
    """Return a sentence if boundary and interior look exchanged, or what no one labelled counts as boundary.

    Parameters
    ----------
    labels : iterable of numpy.ndarray
        Slices (y, x) of the project's own labels: 0, 1, 2. Some are enough.
    name : str
        What the user calls them.
    """
    pixels = 0

    def counting() -> Iterator[np.ndarray]:
        nonlocal pixels
        for plane in labels:
            pixels += plane.size
            yield plane

    forms = surveyed(counting(), np.uint8).forms
    boundary, interior = forms[BOUNDARY], forms[INTERIOR]
    if not seem_exchanged(boundary, interior):
        return _filled_up(boundary.area, interior.area, pixels, name)
    sentence = f"{name} {_exchanged(boundary, interior)}; if so, choose the convention 'inverted'"
    return f"{sentence} ({CONVENTIONS['inverted']})."


def _filled_up(boundary: int, interior: int, pixels: int, name: str) -> str | None:
    """Return a sentence if nearly all is labelled, most of it as boundary: perhaps only some cells are."""
    if boundary <= interior or boundary + interior < _NEARLY_ALL * pixels:
        return None
    return (
        f"{name} is boundary in {boundary / pixels:.0%} of its pixels; if only some cells are labelled, "
        "mark all else as unlabelled: -1 in an instance map, 128 beside 0 and 255."
    )


def _refuse_fractions(survey: Survey, name: str) -> None:
    if survey.dtype.kind in "biu" or (survey.dtype.kind == "f" and survey.fraction is None):
        return
    value = "" if survey.fraction is None else f" such as {survey.fraction:g}"
    raise UnknownLabels(
        f"{name} holds {survey.dtype.newbyteorder('=')} values{value}, which are not labels; "
        "use whole numbers "
        f"({CONVENTIONS['napari']}, or {CONVENTIONS['isbi']})."
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
    return conversion(planes_of(array), array.dtype, name, convention)(array)


def conversion(
    planes: Iterable[np.ndarray], dtype: np.dtype[Any], name: str, convention: Convention | None = None
) -> Callable[[np.ndarray], np.ndarray]:
    """Return what converts parts of a stack as `normalise` converts all of it.

    Parameters
    ----------
    planes : iterable of numpy.ndarray
        All slices (y, x) of the stack.
    dtype : numpy.dtype
        Their type.
    name, convention
        As for `normalise`.
    """
    _refuse_fractions(Survey(dtype), name)  # text and the like, before anything is read
    survey = surveyed(planes, dtype, with_forms=convention is None)
    _refuse_fractions(survey, name)
    convention = convention or _recognised(survey, name)
    found = survey.values
    if convention == "instances":
        _check_instances(survey, name)
        return _from_instances
    table = _VALUES[convention]
    strange = [v for v in found if v not in table]
    if convention == "inverted" and {1, 255} <= set(found):
        strange = [1]
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


def _check_instances(survey: Survey, name: str) -> None:
    found, reason = survey.values, why_no_instances(survey)
    if reason is not None:
        raise UnknownLabels(f"{name} does not hold an instance map; {reason}.")
    if set(found) <= set(_VALUES["isbi"]):
        raise UnknownLabels(
            f"{name} does not hold an instance map but ISBI labels ({CONVENTIONS['isbi']}); "
            "choose that convention."
        )
    number = unclear_number(found, survey.dtype)
    if number is not None:
        raise UnknownLabels(
            f"{name} holds {number}, which is either the number of a cell or an unsigned -1, unlabelled; "
            "save it as int32 with -1 where it is unlabelled, or with another number for that cell."
        )


def _from_instances(array: np.ndarray) -> np.ndarray:
    boundary, labelled = boundary_of(whole(array))
    result = np.where(boundary, np.uint8(BOUNDARY), np.uint8(INTERIOR))
    result[~labelled] = UNLABELLED
    return result


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
