"""The colours of labels and proposals.

A user's own boundary is vermilion and the interior blue; all that a network only proposes is yellow. The
colours are those of Okabe and Ito (https://jfly.uni-koeln.de/color/): colour-blind people tell them apart.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
from napari.layers import Labels
from napari.utils import Colormap
from napari.utils.colormaps import DirectLabelColormap
from qtpy.QtCore import QThreadPool

from emseg_napari.core.labels import BOUNDARY, INTERIOR, PROPOSED_BOUNDARY, PROPOSED_INTERIOR

Colour = tuple[float, float, float, float]
VERMILION, BLUE, YELLOW, GREEN = "#d55e00", "#0072b2", "#f0e442", "#009e73"
_CLEAR: Colour = (0.0, 0.0, 0.0, 0.0)


def _rgba(name: str, alpha: float = 1.0) -> Colour:
    red, green, blue = (int(name[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue, alpha


_OWN = _rgba(VERMILION), _rgba(BLUE, 0.4)
_PROPOSED = _rgba(YELLOW), _rgba(YELLOW, 0.2)


def label_colours(confirmed: bool = False) -> DirectLabelColormap:
    """Return the colours of labels; proposals of a confirmed slice look as the user's own, and count so."""
    own = dict(zip((BOUNDARY, INTERIOR), _OWN, strict=True))
    proposed = _OWN if confirmed else _PROPOSED
    others = dict(zip((PROPOSED_BOUNDARY, PROPOSED_INTERIOR), proposed, strict=True))
    return DirectLabelColormap(color_dict={None: _CLEAR, 0: _CLEAR} | own | others)


def show_confirmed(layer: Labels, confirmed: bool) -> None:
    """Draw the proposals of a managed layer as the user's own labels, or as proposals again.

    The colours are exchanged only where they change: napari draws the whole layer anew. Colours that the
    user has given to the layer stay.
    """
    present = getattr(layer.colormap, "color_dict", {}).get(PROPOSED_BOUNDARY)
    other = (_PROPOSED if confirmed else _OWN)[0]
    if present is not None and np.allclose(present, other):
        layer.colormap = label_colours(confirmed)


def proposal_look() -> dict[str, Any]:
    """Return the look of a boundary probability that is a proposal, as arguments of an image layer.

    Its colours go from clear to that of a proposed boundary.
    """
    ramp = Colormap([_rgba(YELLOW, 0.0), _rgba(YELLOW)], name="emseg proposal")
    return {"colormap": ramp, "blending": "translucent"}


@cache
def prepare_colours() -> None:
    """Let napari compile in a thread what draws such colours.

    It takes seconds, once in a process, and the window would stand still with its first labels layer.
    Numba changes Python's filters of warnings in that thread, and so undoes napari's own, which keeps quiet
    what scikit-image says of every new labels layer.
    """
    warnings.filterwarnings("ignore", "Conversion from CIE-LAB", UserWarning)
    QThreadPool.globalInstance().start(lambda: label_colours().map(np.zeros((1, 1), np.uint8)))
