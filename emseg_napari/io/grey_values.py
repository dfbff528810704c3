"""How the numbers in a picture's file become the grey values that are shown, or the numbers of labels.

TIFF and PNG may count from white, store the numbers of colours in a table, or grey as equal colours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from emseg_napari.core.jobs import UserError
from emseg_napari.io.axes import Size, VolumeWindow
from emseg_napari.io.description import GREY_NEEDED
from emseg_napari.io.volume import PixelSource

FROM_WHITE = "0 = white in the file, shown inverted back"
EQUAL_COLOURS = "its equal colour channels are read as one grey channel"
_LEAST_16_BIT = 256  # a table of smaller numbers than this was written for 8 bits


@dataclass(frozen=True, eq=False)
class GreyValues:
    """What is done to stored values before they are shown; nothing by default.

    Attributes
    ----------
    white : int or None
        The stored value of black where 0 is white.
    table : numpy.ndarray or None
        uint8 or uint16 (n,): the grey value of each stored number.
    """

    white: int | None = None
    table: np.ndarray | None = None

    @property
    def changes(self) -> bool:
        """Whether any value becomes another one."""
        return self.white is not None or self.table is not None

    def dtype(self, stored: np.dtype[Any]) -> np.dtype[Any]:
        """Return the type of what is shown for stored values of a type."""
        return stored if self.table is None else self.table.dtype

    def of(self, stored: np.ndarray) -> np.ndarray:
        """Return what is shown for stored values, in an array of its own."""
        if self.table is not None:
            return self.table[stored.astype(np.uint8, copy=False) if stored.dtype == bool else stored]
        if self.white is None:
            return stored
        if stored.dtype == bool:
            return ~stored
        return np.subtract(stored.dtype.type(self.white), stored)


@dataclass(frozen=True, eq=False)
class ShownPixels:
    """Pixels of a file as they are shown.

    Attributes
    ----------
    stored : PixelSource
    grey : GreyValues
    """

    stored: PixelSource
    grey: GreyValues

    @property
    def shape(self) -> Size:
        """Voxels along z, y, x."""
        return self.stored.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of what is shown."""
        return self.grey.dtype(self.stored.dtype)

    @property
    def chunks(self) -> Size | None:
        """As they are stored."""
        return self.stored.chunks

    def read(self, window: VolumeWindow) -> np.ndarray:
        """Return the voxels of a window."""
        return self.grey.of(self.stored.read(window))


def shown(stored: PixelSource, grey: GreyValues) -> PixelSource:
    """Return pixels as they are shown; those of which no value changes as they are."""
    return ShownPixels(stored, grey) if grey.changes else stored


def from_white(dtype: np.dtype[Any], bits: int, name: str) -> GreyValues:
    """Return what is done to values of so many bits that count from white.

    Raises
    ------
    UserError
        If they have a sign or fractions.
    """
    if dtype.kind not in "bu":
        raise UserError(
            f"{name} counts grey values from white (0 = white), and with {dtype} values programs differ in "
            "what black is; save it with 0 = black."
        )
    return GreyValues(white=(1 << bits) - 1)


def table_note(labels: bool) -> str:
    """Return the note on values that are numbers in a table of colours."""
    if labels:
        return "the numbers in its table of colours are read as labels"
    return "the grey values in its table of colours are read"


def grey_table(colours: np.ndarray, name: str) -> np.ndarray | None:
    """Return the grey values of a table of colours; None where each number is its own grey value.

    Parameters
    ----------
    colours : numpy.ndarray
        uint8 or uint16 (3, n): red, green, blue of each number.
    name : str
        What the user calls the file; starts the sentence of an error.

    Raises
    ------
    UserError
        If there is a colour in it.
    """
    grey = colours[0]
    if (colours != grey).any():
        raise UserError(
            f"{name} is a colour image (its values are numbers of colours in a table); {GREY_NEEDED}, "
            "or open it as labels if the numbers are labels."
        )
    if grey.dtype == np.uint16:
        grey = _eight_bits(grey)
    own = grey.dtype == np.uint8 and np.array_equal(grey, np.arange(len(grey)))
    return None if own else np.array(grey)


def _eight_bits(grey: np.ndarray) -> np.ndarray:
    """Return the 8 bits that were spread over 16, in one of the three ways that programs do that."""
    if grey.max(initial=0) < _LEAST_16_BIT:
        return grey.astype(np.uint8)
    spread = not (grey % 257).any() or not (grey % 256).any()
    return (grey >> 8).astype(np.uint8) if spread else grey


def one_channel(pixels: np.ndarray, name: str) -> np.ndarray:
    """Return grey values that are stored as equal colours, without an opaque alpha channel.

    Parameters
    ----------
    pixels : numpy.ndarray
        (..., channels).
    name : str
        What the user calls the file; starts the sentence of an error.

    Raises
    ------
    UserError
        If the colours differ, or the alpha channel does.
    """
    channels = pixels.shape[-1]
    colours = channels - (channels in (2, 4))
    grey, opaque = pixels[..., 0], pixels[..., colours:]
    equal = all(np.array_equal(grey, pixels[..., c]) for c in range(1, colours))
    if not equal or (opaque.size and opaque.min() != opaque.max()):
        raise UserError(f"{name} is a colour image ({channels} channels); {GREY_NEEDED}.")
    return np.ascontiguousarray(grey)
