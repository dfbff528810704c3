"""Copy slice: labels of the neighbouring slice, moved to where they fit a damaged section."""

from __future__ import annotations

from functools import reduce

import numpy as np
from scipy import fft, ndimage

from emseg_napari.annotation.repair.edit import Pixel, check_shapes
from emseg_napari.annotation.repair.known_values import known_greys
from emseg_napari.core.labels import PROPOSED_BOUNDARY

_COARSE_PX = 256  # to which slices are shrunk before they are compared
_SMOOTH_PX = 1.0  # of the shrunk slices: finer detail differs from section to section
_SAMPLES = 4  # rows, and columns, that are enough for the mean of a block
_LARGEST_SHARE = 0.25  # of the slice, by which it may be shifted


def copy_neighbour(
    labels_neighbour: np.ndarray, image_neighbour: np.ndarray, image: np.ndarray
) -> np.ndarray:
    """Return the labels of a neighbouring slice, moved to fit another.

    Parameters
    ----------
    labels_neighbour : numpy.ndarray
        uint8 (y, x): the neighbour's labels with their states.
    image_neighbour, image : numpy.ndarray
        (y, x): the neighbour and the slice that is to get the labels, of any type.

    Returns
    -------
    numpy.ndarray
        uint8 (y, x): 1 boundary, 2 interior, 0 where the neighbour has no label.

    Raises
    ------
    UserError
        If the shapes differ.
    """
    check_shapes(labels_neighbour, image_neighbour, image)
    moved = _moved(labels_neighbour, shift_between(image_neighbour, image))
    states = (moved >= PROPOSED_BOUNDARY).view(np.uint8)
    states *= 2  # 3 and 4 are 1 and 2 that are not the user's yet
    moved -= states
    return moved


def shift_between(image_neighbour: np.ndarray, image: np.ndarray) -> Pixel:
    """Return by how many rows and columns a neighbour must move to lie over a slice.

    The peak of the cross-correlation of the shrunk slices, by Fourier transforms and without the
    whitening of a phase correlation: what neighbouring sections share are the coarse shapes, which
    whitening drowns in noise. (0, 0) if moving does not make the slices more alike.

    Parameters
    ----------
    image_neighbour, image : numpy.ndarray
        (y, x), of any type.
    """
    by = max(1, -(-max(image.shape) // _COARSE_PX))
    one, other = _prepared(image, by), _prepared(image_neighbour, by)
    if np.ptp(one) == 0 or np.ptp(other) == 0:  # a section of which nothing is left
        return 0, 0
    found = _peak(fft.irfft2(fft.rfft2(one) * np.conj(fft.rfft2(other)), one.shape))
    if (np.abs(found) > _LARGEST_SHARE * np.array(one.shape)).any():
        return 0, 0
    alike = [_likeness(one, _moved(other, shift)) for shift in ((0, 0), _rounded(found))]
    return _rounded(found * by) if alike[1] > alike[0] else (0, 0)


def _prepared(image: np.ndarray, by: int) -> np.ndarray:
    """Return a slice, `by` times smaller, smoothed, with a mean of 0."""
    height, width = (size // by * by for size in image.shape)
    pixels, taken = image[:height, :width], range(0, by, -(-by // _SAMPLES))
    rows = reduce(np.add, (known_greys(pixels[first::by]) for first in taken))
    small = reduce(np.add, (rows[:, first::by] for first in taken))
    smooth = ndimage.gaussian_filter(small, _SMOOTH_PX)
    return smooth - smooth.mean()


def _peak(correlation: np.ndarray) -> np.ndarray:
    """Return the shift at the highest point of a periodic correlation, (2,), between its samples too."""
    at = np.unravel_index(int(correlation.argmax()), correlation.shape)
    return np.array([_top(correlation[:, at[1]], at[0]), _top(correlation[at[0]], at[1])])


def _top(line: np.ndarray, place: np.intp) -> float:
    """Return where, as a shift, the parabola through a periodic line's peak and its neighbours is highest."""
    left, peak, right = np.take(line, (place - 1, place, place + 1), mode="wrap").tolist()
    bend, half = left - 2 * peak + right, len(line) // 2
    return float((place + half) % len(line) - half) + ((left - right) / (2 * bend) if bend < 0 else 0.0)


def _likeness(one: np.ndarray, other: np.ndarray) -> float:
    both = other != 0
    return (
        float(np.corrcoef(one[both], other[both])[0, 1]) if np.ptp(one[both]) * np.ptp(other[both]) else -1.0
    )


def _rounded(shift: np.ndarray) -> Pixel:
    return round(float(shift[0])), round(float(shift[1]))


def _moved(array: np.ndarray, shift: Pixel) -> np.ndarray:
    """Return an array moved by whole rows and columns; 0 comes in."""
    moved = np.zeros_like(array)
    (y, x), (height, width) = shift, array.shape
    if abs(y) < height and abs(x) < width:
        part = array[max(-y, 0) : height - max(y, 0), max(-x, 0) : width - max(x, 0)]
        moved[max(y, 0) : height + min(y, 0), max(x, 0) : width + min(x, 0)] = part
    return moved
