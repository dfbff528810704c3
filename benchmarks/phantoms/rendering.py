"""A phantom from its settings: image, labels and cells."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from .contents import CellContents, SliceContents
from .membranes import Membranes
from .microscope import micrograph
from .settings import PhantomSettings
from .tissue import Plane, Tissue

# A speck of interior that a person would not draw.
_SMALLEST_CELL_NM2, _SMALLEST_CELL_PX = 700, 12


class Phantom(NamedTuple):
    """What is rendered.

    Attributes
    ----------
    image : numpy.ndarray
        uint8 (z, y, x), grey levels.
    labels : numpy.ndarray
        uint8 (z, y, x), 0 = boundary, 255 = interior, as the sample stack's file.
    cells : numpy.ndarray
        int32 (z, y, x), the number of the cell from 1, the same in all slices; 0 = boundary.
    """

    image: np.ndarray
    labels: np.ndarray
    cells: np.ndarray


def render(settings: PhantomSettings, shape: tuple[int, int, int], seed: int) -> Phantom:
    """Render a phantom, always the same for the same settings, shape and seed.

    Parameters
    ----------
    settings : PhantomSettings
    shape : tuple of int
        (z, y, x).
    seed : int
        Decides where everything is.
    """
    rng = np.random.default_rng([seed, 2])
    tissue = Tissue(rng, settings, shape)
    membranes = Membranes(rng, settings, shape)
    held = CellContents(rng, settings, tissue)
    contents = SliceContents(rng, settings, held)
    phantom = Phantom(np.empty(shape, np.uint8), np.empty(shape, np.uint8), np.empty(shape, np.int32))
    for z in range(shape[0]):
        plane = tissue.plane(z)
        cytoplasm, myelin = held.cytoplasm[plane.cell], held.myelin_px[plane.cell]
        _even_sheaths(plane, myelin)
        stain, drawn = membranes.draw(plane, z, cytoplasm, myelin)
        contents.draw(plane, stain)
        drawn = _without_specks(drawn, settings.pixel_nm)
        phantom.image[z] = micrograph(rng, settings, stain)
        phantom.labels[z] = np.where(drawn, 0, 255)
        phantom.cells[z] = np.where(drawn, 0, plane.cell + 1)
    return phantom


def _without_specks(drawn: np.ndarray, pixel_nm: float) -> np.ndarray:
    """Return the boundary, bool (y, x), grown over pieces of interior that are too small for a cell."""
    pieces, _ = ndimage.label(~drawn)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return sizes[pieces] < max(_SMALLEST_CELL_NM2 / pixel_nm**2, _SMALLEST_CELL_PX)


def _even_sheaths(plane: Plane, myelin: np.ndarray) -> None:
    """Measure the distance exactly where there is myelin, since a sheath is as thick all around."""
    if not myelin.any():
        return
    wrapped = (myelin > 0) & (plane.distance > 0.5)
    exact = ndimage.distance_transform_edt(wrapped)
    np.copyto(plane.distance, exact, where=wrapped, casting="same_kind")
