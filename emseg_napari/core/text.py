"""Words for numbers of things."""

from __future__ import annotations


def counted(count: int, what: str) -> str:
    """Return a number of things in words, such as "1 slice" or "2 slices"."""
    return f"{count} {what}" + "s" * (count != 1)
