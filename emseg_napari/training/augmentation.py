"""Random augmentation of image and label patches.

Geometry changes both alike, grey values only the image. A patch is sampled from its whole slice, so a
rotation brings in tissue from outside the patch; only beyond the slice the nearest pixel is repeated, as in
the published recipe, whose patches are whole slices.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy import ndimage

from emseg_napari.core.labels import BOUNDARY, UNLABELLED
from emseg_napari.io.axes import SliceWindow
from emseg_napari.settings import TrainingSettings

Pair = tuple[np.ndarray, np.ndarray]

# Distance between the nodes of the elastic grid: several cells, so that each bends as a whole.
_ELASTIC_NODE_PX = 48


def augment(
    image: np.ndarray,
    labels: np.ndarray,
    settings: TrainingSettings,
    random: np.random.Generator,
    window: SliceWindow = np.s_[:, :],
) -> Pair:
    """Cut a patch and augment it at random, within the limits of the settings.

    Parameters
    ----------
    image : numpy.ndarray
        Normalised slice, float32 (y, x).
    labels : numpy.ndarray
        uint8 (y, x), 0 unlabelled, 1 boundary, 2 interior.
    settings : TrainingSettings
        Its fields from `mirror` to `smudge`.
    random : numpy.random.Generator
        Source of all random numbers.
    window : tuple of slice
        The patch (y, x), square; the whole slice if not given.

    Returns
    -------
    image : numpy.ndarray
        float32 (y, x).
    labels : numpy.ndarray
        uint8 (y, x), 0 unlabelled, 1 boundary, 2 interior.
    """
    patch, known = _warped(image, labels, settings, random, window)
    patch, known = _mirrored(patch, known, settings.mirror, random)
    if settings.thickness_px:
        patch, known = _thickened(patch, known, settings.thickness_px, random)
    return _with_other_grey_values(patch, settings, random), known


def _warped(
    image: np.ndarray,
    labels: np.ndarray,
    settings: TrainingSettings,
    random: np.random.Generator,
    window: SliceWindow,
) -> Pair:
    """Rotate, shear, shift, zoom and bend: sample the slice where the patch's pixels come from."""
    shape = image[window].shape
    matrix, offset = _affine(settings, shape, random)
    bend = settings.elastic_px * random.uniform() if settings.elastic_px else 0.0
    if matrix is None and not bend:
        return image[window], labels[window]
    corner = np.array([part.start or 0 for part in window])
    if not bend:
        geometry = {"matrix": matrix, "offset": offset + corner, "output_shape": shape, "mode": "nearest"}
        return (
            ndimage.affine_transform(image, order=1, **geometry),
            ndimage.affine_transform(labels, order=0, **geometry),
        )
    coordinates = np.indices(shape, np.float32)
    if matrix is not None:
        coordinates = np.tensordot(matrix, coordinates, 1) + offset[:, None, None]
    coordinates = coordinates + bend * _smooth_field(shape, random) + corner[:, None, None]
    return (
        ndimage.map_coordinates(image, coordinates, order=1, mode="nearest"),
        ndimage.map_coordinates(labels, coordinates, order=0, mode="nearest"),
    )


def _affine(
    settings: TrainingSettings, shape: tuple[int, ...], random: np.random.Generator
) -> tuple[np.ndarray | None, np.ndarray]:
    """Return the matrix and offset that map output to input coordinates; None = no change."""
    limits = (
        settings.rotation_degrees,
        settings.shear_degrees,
        settings.shift_fraction,
        settings.zoom_fraction,
    )
    if not any(limits):
        return None, np.zeros(2)
    angle, shear = np.deg2rad(random.uniform(-1, 1, 2) * limits[:2])
    shift = random.uniform(-1, 1, 2) * settings.shift_fraction * np.array(shape)
    zoom = 1 + random.uniform(-1, 1, 2) * settings.zoom_fraction
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = rotation @ np.array([[1, -np.sin(shear)], [0, np.cos(shear)]]) @ np.diag(zoom)
    centre = (np.array(shape) - 1) / 2
    return matrix, centre + shift - matrix @ centre


def _smooth_field(shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """Return smooth random displacements, (2, y, x), of about one pixel."""
    rows, columns = (_spline(n) for n in shape)
    return rows @ random.standard_normal((2, rows.shape[1], columns.shape[1])) @ columns.T


@cache
def _spline(length: int) -> np.ndarray:
    """Return the matrix (length, nodes) that interpolates values at nodes to a smooth curve.

    Interpolation is linear in the values and the same along each axis: two matrix products take a twentieth
    of the time of a zoom of every patch.
    """
    nodes = 2 + length // _ELASTIC_NODE_PX
    unit = np.eye(nodes)
    return np.stack(
        [ndimage.zoom(n, length / nodes, order=2, mode="nearest", grid_mode=True) for n in unit], 1
    )


def _mirrored(image: np.ndarray, labels: np.ndarray, mirror: str, random: np.random.Generator) -> Pair:
    if mirror == "none":
        return image, labels
    flip, turns = bool(random.integers(2)), int(random.integers(4)) if mirror == "flips and turns" else 0
    return tuple(np.rot90(a[:, ::-1] if flip else a, turns) for a in (image, labels))  # type: ignore[return-value]


def _thickened(image: np.ndarray, labels: np.ndarray, most_px: int, random: np.random.Generator) -> Pair:
    """Thicken the dark membranes and their labels by up to `most_px` pixels on each side."""
    times = int(random.integers(most_px + 1))
    cross = ndimage.generate_binary_structure(2, 1)
    for _ in range(times):
        image = ndimage.grey_erosion(image, footprint=cross)
    if times:
        grown = ndimage.binary_dilation(labels == BOUNDARY, cross, times) & (labels != UNLABELLED)
        labels = np.where(grown, BOUNDARY, labels).astype(np.uint8)
    return image, labels


def _with_other_grey_values(
    image: np.ndarray, settings: TrainingSettings, random: np.random.Generator
) -> np.ndarray:
    """Change contrast, focus, noise and dirt; the labels stay."""
    if settings.contrast:
        gain, shift = 1 + settings.contrast * random.uniform(-1, 1, 2)
        image = image * np.float32(gain) + np.float32(shift - 1)
    if settings.blur_px:
        image = ndimage.gaussian_filter(image, settings.blur_px * random.uniform())
    if settings.noise:
        level = np.float32(settings.noise * random.uniform())
        image = image + level * random.standard_normal(image.shape, np.float32)
    if settings.smudge and random.uniform() < settings.smudge:
        image = image * (1 - _smudge(image.shape, random))
    return image


def _smudge(shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """Return the part of the contrast that a soft round stain removes, float32 (y, x), 0 to 0.9."""
    centre, radius = random.uniform(0, 1, 2) * shape, random.uniform(0.05, 0.2) * min(shape)
    y, x = np.ogrid[: shape[0], : shape[1]]
    squared = ((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / radius**2
    return (0.9 * np.exp(-squared)).astype(np.float32)
