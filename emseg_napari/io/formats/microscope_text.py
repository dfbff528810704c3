"""Text files that microscopes write beside their images: what they say of the size of a pixel."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

_SUFFIXES = (".txt", ".hdr", ".ini", ".inf", ".log")
_LONGEST = 1 << 20  # bytes; a text about an image has a few thousand
_SHOWN = 80
# "PixelSize=4.96" (Hitachi), "PixelWidth=1.2e-09" (Thermo Fisher), "Image Pixel Size = 2.5 nm" (Zeiss)
_PIXEL = re.compile(r"^[^=:\n]*pixel[ _]?(?:size|width)[^=:\n]*[=:]\s*[^\s].*$", re.IGNORECASE | re.MULTILINE)


def pixel_note(folder: Path) -> tuple[str, ...]:
    """Return the note on the size of a pixel that a text beside the slices states.

    It is quoted and not used: the text has no thickness of slices, and programs write it in different units.
    """
    for path in _texts(folder):
        if line := _PIXEL.search(_beginning(path)):
            text = " ".join(line[0].split())[:_SHOWN]
            return (f'no size of a voxel is known; {path.name} beside the slices says "{text}"',)
    return ()


def _beginning(path: Path) -> str:
    """Return how a text begins; empty if it cannot be read."""
    try:
        with path.open("rb") as file:
            text = file.read(_LONGEST).decode("utf-8", "replace")
    except OSError:  # as while another program writes it
        return ""
    # without what UTF-16 has before and between its letters
    return text.lstrip("\ufffd").replace("\0", "").replace("\r", "\n")


def _texts(folder: Path) -> Iterator[Path]:
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
    except OSError:  # which is said where the slices are looked for
        return
    yield from (path for path in files[:3] if path.is_file())
