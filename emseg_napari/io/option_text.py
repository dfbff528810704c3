"""Settings that are typed as text: ranges of slices, and sizes along z, y, x."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from pydantic.fields import FieldInfo

from emseg_napari.core.jobs import UserError
from emseg_napari.io.axes import Size
from emseg_napari.io.stacks import parse_range
from emseg_napari.settings import is_range, is_size


class TextKind(NamedTuple):
    """How values of a kind are typed.

    Attributes
    ----------
    form : str
        What is typed, such as "FIRST:END".
    parse : callable
        Reads a text; raises `UserError` if it is not of that form.
    separator : str
        Between the numbers.
    """

    form: str
    parse: Callable[[str], Any]
    separator: str


def parse_size(text: str) -> Size:
    """Read sizes along z, y, x such as ``16x2048x2048``.

    Raises
    ------
    UserError
        If these are not three whole numbers of 1 or more.
    """
    match = re.fullmatch(r"\s*(\d+)\s*x\s*(\d+)\s*x\s*(\d+)\s*", text, re.ASCII | re.IGNORECASE)
    z, y, x = map(int, match.groups()) if match else (0, 0, 0)
    if min(z, y, x) < 1:
        raise UserError(
            f"'{text}' is not a size in voxels; write three whole numbers of 1 or more, ZxYxX, "
            "such as 16x2048x2048."
        )
    return z, y, x


_RANGE, _SIZE = TextKind("FIRST:END", parse_range, ":"), TextKind("ZxYxX", parse_size, "x")


def text_kind(field: FieldInfo) -> TextKind | None:
    """Return how the values of a field are typed; None of a number or a choice."""
    return _RANGE if is_range(field) else _SIZE if is_size(field) else None
