"""How far an imported network looks around a pixel: seen from predictions of a whole and of its parts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import onnxruntime

from emseg_napari.core.jobs import UserError
from emseg_napari.exchange.onnx_network import GRIDS_PX

MOST_PX = 512
_PX = max(GRIDS_PX)
_FIRST = MOST_PX + _PX
_MIDDLE = slice(_FIRST, _FIRST + _PX)  # of a strip: there it is compared
_NEAR = 0.01  # as a probability


def halo_needed(
    session: onnxruntime.InferenceSession, name: str, image: np.ndarray, grid_px: int, stated_px: int
) -> int:
    """Return how wide a halo must be for tiles without seams.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
        The network in this program's form.
    name : str
        What the user calls it.
    image : numpy.ndarray
        float32 (y, x), as the network would see it, at least 256 pixels high.
    grid_px : int
        Of `Trial`.
    stated_px : int
        How far it is said to look, from 1 to 512.

    Returns
    -------
    int
        Pixels, a multiple of `grid_px`: `stated_px`, or twice that, and so on until it suffices.

    Raises
    ------
    UserError
        If 512 pixels are too few.
    """
    missing_px = 2 * _FIRST + _PX - image.shape[1]
    strip = np.pad(image[:_PX], ((0, 0), (0, missing_px)), mode="reflect")
    networks = (partial(_predicted, session), lambda part: _predicted(session, part.T).T)
    wholes = [(network, network(strip)[:, _MIDDLE]) for network in networks]
    halo_px = -(-stated_px // grid_px) * grid_px
    while not all(_suffices(halo_px, network, strip, expected) for network, expected in wholes):
        if halo_px == MOST_PX:
            raise UserError(
                f"{name} looks further than {MOST_PX} pixels around a pixel, or at the whole image, so that "
                "large slices, which are predicted in tiles, would get seams; choose another network."
            )
        halo_px = min(2 * halo_px, MOST_PX)
    return halo_px


def _suffices(
    halo_px: int, network: Callable[[np.ndarray], np.ndarray], strip: np.ndarray, expected: np.ndarray
) -> bool:
    """Return whether the middle of a strip is as expected if only a halo is around it."""
    found = network(strip[:, _MIDDLE.start - halo_px : _MIDDLE.stop + halo_px])
    return bool(np.abs(found[:, halo_px : halo_px + _PX] - expected).max() <= _NEAR)


def _predicted(session: onnxruntime.InferenceSession, image: np.ndarray) -> np.ndarray:
    """Return the boundary probability (y, x) of an image (y, x)."""
    given = np.ascontiguousarray(image)[None, ..., None]
    found: np.ndarray = session.run(None, {session.get_inputs()[0].name: given})[0][0, ..., 0]
    return found
