"""What values that no convention of labels has look like, and what to do with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emseg_napari.core.label_survey import Form, Survey

_MOST_CLASSES = 15
_MOST_PIECES = 4  # of one cell in a slice
_BLURRED = 32  # how far compression takes the values of a mask from 0 and 255
_MOSTLY = 0.9
_TELLING_PX = 1 << 10  # a smaller slice may have cells of a few pixels


@dataclass(frozen=True)
class Hint:
    """Words for the user, and whether a conversion of instance maps is worth offering."""

    words: str
    instances: bool = False


_IMAGE = Hint("it looks like an image: choose the labels instead")
_BLURRED_MASK = Hint(
    "it looks like a mask that was blurred by JPEG compression or by scaling: threshold it at 128 and save "
    "it as TIFF or PNG"
)
_CLASSES = Hint(
    "it looks like classes of another program: save it with 0 where it counts for nothing, 1 where there is "
    "boundary and 2 where there is interior"
)
_PROPOSALS = Hint(
    f"{_CLASSES.words}; or, if 3 and 4 are proposals of a labels layer of emseg, export that layer (page "
    "Results)"
)
_INSTANCES = Hint("it looks like an instance map (convert it with the convention 'instances')", True)


def hint_for(survey: Survey) -> Hint | None:
    """Return what a stack looks like by its first slice with strange values; None if that is unclear."""
    plane, values = survey.strange, survey.values
    if plane is None:
        return None
    if _is_blurred_mask(plane):
        return _BLURRED_MASK
    if values[0] >= 0 and values[-1] <= _MOST_CLASSES:
        if len(values) > 2 and not _are_cells(plane):
            counted = values[-1] - values[0] < len(values)  # and not a few strokes with a wrong brush
            return (_PROPOSALS if values[-1] <= 4 else _CLASSES) if counted else None
    elif _share_of_equal_neighbours(plane) < 0.5:
        return _IMAGE
    return _INSTANCES if len(values) > 3 else None


def why_no_instances(survey: Survey) -> str | None:
    """Return in words what a stack is that can be no instance map; None if it may be one."""
    hint, plane = hint_for(survey), survey.strange
    if plane is None or plane.size < _TELLING_PX or hint not in (_IMAGE, _BLURRED_MASK):
        return None
    return hint.words


def _is_blurred_mask(plane: np.ndarray) -> bool:
    """Whether most values are near 0 and 255, and some of both are not exactly that."""
    low, high = plane <= _BLURRED, plane >= 255 - _BLURRED
    if plane.min() < 0 or plane.max() > 255 or np.count_nonzero(low | high) < _MOSTLY * plane.size:
        return False
    return bool((low & (plane > 0)).any() and (high & (plane < 255)).any())


def _are_cells(plane: np.ndarray) -> bool:
    """Whether each of a few numbers is one compact region, or some."""
    for value in range(1, _MOST_CLASSES + 1):
        form = Form()
        form.add(plane == value)
        if form.are_lines or form.pieces > _MOST_PIECES:
            return False
    return True


def _share_of_equal_neighbours(plane: np.ndarray) -> float:
    same = [plane[1:] == plane[:-1], plane[:, 1:] == plane[:, :-1]]
    pairs = sum(one.size for one in same)
    return sum(map(np.count_nonzero, same)) / pairs if pairs else 1.0
