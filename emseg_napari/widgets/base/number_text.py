"""Numbers that the user writes as text, which mean the same in every language of the desktop.

A spin box drops what it cannot take while the user types: of 2.5 it leaves 25, and of 64 in a field that
begins at 16 it makes 164. A text stays as it was written, and is refused with a sentence when it is used.
Comma and point both are the decimal sign, and what has two is refused.
"""

from __future__ import annotations

from emseg_napari.core.jobs import UserError


def number(text: str, title: str) -> float:
    """Return the decimal number that a text stands for.

    Parameters
    ----------
    text : str
    title : str
        What the user knows the field as.

    Raises
    ------
    UserError
        If the text is not a number.
    """
    try:
        return float(text.replace(",", "."))
    except ValueError:
        raise UserError(f"{title}: {text!r} is not a number; write a number such as 0.5.") from None


def whole_number(text: str, title: str) -> int:
    """Return the whole number that a text stands for, which has no separators: 1.000 is 1 or 1000.

    Parameters
    ----------
    text : str
    title : str
        What the user knows the field as.

    Raises
    ------
    UserError
        If the text is not a whole number.
    """
    try:
        return int(text)
    except ValueError:
        raise UserError(f"{title}: {text!r} is not a whole number; write one such as 12.") from None
