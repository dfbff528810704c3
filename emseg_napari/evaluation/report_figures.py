"""Pictures for a page that stands alone: PNG of slices and an SVG of curves, both as text."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import imagecodecs
import numpy as np
from scipy import ndimage

from emseg_napari.core.labels import to_isbi
from emseg_napari.evaluation.errors import MERGE, SPLIT

LARGEST_PX = 768
RED, BLUE = (235, 50, 40), (60, 120, 255)

# Of the plot, in its own units.
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 480, 220, 46, 34, 10


def grey(image: np.ndarray) -> np.ndarray:
    """Return a slice of any grey levels as uint8, 1st percentile black and 99th white."""
    low, high = np.percentile(image, (1, 99))
    return (255 * np.clip((image - low) / max(high - low, 1e-12), 0, 1)).astype(np.uint8)


def label_picture(labels: np.ndarray) -> np.ndarray:
    """Return labels (0, 1, 2) as the challenge draws them: boundary black, interior white, else grey."""
    return to_isbi(labels)


def error_picture(image: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Draw merges red and splits blue over a dimmed slice, wide enough to be seen.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 (y, x).
    errors : numpy.ndarray
        uint8 (y, x) of `emseg_napari.evaluation.errors.error_map`.

    Returns
    -------
    numpy.ndarray
        uint8 (y, x, 3).
    """
    picture = np.repeat((64 + image // 2)[..., np.newaxis], 3, axis=2)
    for kind, colour in ((SPLIT, BLUE), (MERGE, RED)):
        picture[ndimage.binary_dilation(errors == kind, iterations=1 + _shrinking(image))] = colour
    return picture


def as_png(picture: np.ndarray) -> str:
    """Return a picture, uint8 (y, x) or (y, x, 3), as the address of an HTML ``img``.

    A large one shrinks: every second, third, ... pixel is left.
    """
    step = _shrinking(picture)
    png = imagecodecs.png_encode(np.ascontiguousarray(picture[::step, ::step]))
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _shrinking(picture: np.ndarray) -> int:
    return -(-max(picture.shape[:2]) // LARGEST_PX)


@dataclass(frozen=True)
class Curve:
    """A named curve, its colour, and the points that are marked on it."""

    name: str
    colour: str
    values: Sequence[float]
    marks: Sequence[tuple[float, float]] = ()


def curves_svg(at: Sequence[float], curves: Sequence[Curve], label: str) -> str:
    """Draw curves of values from 0 to 1 over `at`, which runs from 0 to 1.

    Parameters
    ----------
    at : sequence of float
    curves : sequence of Curve
    label : str
        Of the horizontal axis.

    Returns
    -------
    str
        An HTML ``svg``.
    """
    parts = [
        _line(0, y, 1, y, "#ddd") + _text(-0.015, y, f"{y:.1f}", "end") for y in (0, 0.2, 0.4, 0.6, 0.8, 1)
    ]
    parts += [_text(x, -0.07, f"{x:.1f}", "middle") for x in (0, 0.2, 0.4, 0.6, 0.8, 1)]
    parts.append(_text(0.5, -0.15, label, "middle"))
    for row, curve in enumerate(curves):
        points = " ".join(
            "{:.1f},{:.1f}".format(*_place(*point)) for point in zip(at, curve.values, strict=True)
        )
        parts.append(f'<polyline points="{points}" fill="none" stroke="{curve.colour}" stroke-width="2"/>')
        for x, y in (_place(*mark) for mark in curve.marks):
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{curve.colour}" stroke="black"/>')
        parts.append(_text(0.8, 0.5 - 0.09 * row, curve.name, "end", curve.colour))
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">{"".join(parts)}</svg>'


def _place(x: float, y: float) -> tuple[float, float]:
    wide, high = _WIDTH - _LEFT - 12, _HEIGHT - _BOTTOM - _TOP
    return _LEFT + wide * x, _TOP + high * (1 - y)


def _line(x: float, y: float, end_x: float, end_y: float, colour: str) -> str:
    (x, y), (end_x, end_y) = _place(x, y), _place(end_x, end_y)
    return f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{end_x:.1f}" y2="{end_y:.1f}" stroke="{colour}"/>'


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#333") -> str:
    x, y = _place(x, y)
    place = f'x="{x:.1f}" y="{y + 4:.1f}" text-anchor="{anchor}"'
    return f'<text {place} fill="{colour}" font-size="12">{text}</text>'
