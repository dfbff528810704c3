"""Random changes of training patches: a rotated membrane is a membrane still.

Image and labels of a patch change together; pixels that come in from outside repeat the
nearest one, as in the published recipe.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from emseg_napari.settings import TrainingSettings


def augment(
    image: np.ndarray, labels: np.ndarray, settings: TrainingSettings, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Change a patch at random, within the limits of the settings.

    Parameters
    ----------
    image : numpy.ndarray
        Normalised image patch, float32 (y, x), square.
    labels : numpy.ndarray
        uint8 (y, x), 0 unlabelled, 1 boundary, 2 interior.
    settings : TrainingSettings
        Its fields from `mirror` to `contrast`.
    random : numpy.random.Generator
        Where the chances come from.
    """
    matrix, offset = _affine(settings, image.shape, random)
    if matrix is not None:
        image = ndimage.affine_transform(image, matrix, offset, order=1, mode="nearest")
        labels = ndimage.affine_transform(labels, matrix, offset, order=0, mode="nearest")
    image, labels = _mirror(image, labels, settings.mirror, random)
    if settings.contrast:
        gain, shift = 1 + settings.contrast * random.uniform(-1, 1, 2)
        image = image * np.float32(gain) + np.float32(shift - 1)
    return image, labels


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


def _mirror(
    image: np.ndarray, labels: np.ndarray, mirror: str, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    if mirror == "none":
        return image, labels
    flip, turns = bool(random.integers(2)), int(random.integers(4)) if mirror == "flips and turns" else 0
    return tuple(np.rot90(a[:, ::-1] if flip else a, turns) for a in (image, labels))  # type: ignore[return-value]
