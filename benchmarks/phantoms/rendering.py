"""A phantom from its settings: image, labels and cells."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from .cell_contents import CellContents
from .contents import SliceContents
from .membranes import Membranes
from .microscope import micrograph
from .settings import PhantomSettings
from .tissue import Plane, Tissue

# Specks that a person would not draw: of interior within a boundary, and of boundary within a cell.
_SMALLEST_NM2, _SMALLEST_PX = 700, 12


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
        phantom.image[z] = micrograph(rng, settings, stain)
        phantom.cells[z] = _without_specks(np.where(drawn, 0, plane.cell + 1), settings.pixel_nm)
        phantom.labels[z] = np.where(phantom.cells[z], 255, 0)
    return phantom


def _without_specks(cells: np.ndarray, pixel_nm: float) -> np.ndarray:
    """Return the cells, int (y, x), without tiny pieces of interior, and without tiny islands of boundary."""
    smallest = max(_SMALLEST_NM2 / pixel_nm**2, _SMALLEST_PX)
    pieces, _ = ndimage.label(cells)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    cells = np.where(sizes[pieces] < smallest, 0, cells)
    islands, _ = ndimage.label(cells == 0, np.ones((3, 3)))
    sizes, first = np.bincount(islands.ravel()), np.zeros(islands.max() + 1, int)
    numbers, places = np.unique(islands, return_index=True)
    first[numbers] = places
    touching = np.concatenate([islands[[0, -1]].ravel(), islands[:, [0, -1]].ravel()])
    sizes[touching] = islands.size
    # An island that is smaller than the smallest cell cannot enclose one, so it lies within one cell: the one
    # to the left of its first pixel.
    around = np.where(sizes < smallest, cells.ravel()[first - 1], 0)
    around[0] = 0
    return np.where(cells == 0, around[islands], cells)


def _even_sheaths(plane: Plane, myelin: np.ndarray) -> None:
    """Measure the distance exactly where there is myelin, since a sheath is as thick all around."""
    if not myelin.any():
        return
    wrapped = (myelin > 0) & (plane.distance > 0.5)
    exact = ndimage.distance_transform_edt(wrapped)
    np.copyto(plane.distance, exact, where=wrapped, casting="same_kind")
