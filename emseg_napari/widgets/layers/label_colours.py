"""The colours of labels and proposals."""

from __future__ import annotations

from functools import cache

import numpy as np
from napari.utils.colormaps import Colormap, DirectLabelColormap
from qtpy.QtCore import QThreadPool

from emseg_napari.core.labels import BOUNDARY, INTERIOR, PROPOSED_BOUNDARY, PROPOSED_INTERIOR

Colour = tuple[float, float, float, float]
ORANGE: Colour = (1.0, 0.3, 0.1, 1.0)
YELLOW: Colour = (1.0, 0.85, 0.1, 1.0)


def label_colours() -> DirectLabelColormap:
    """Boundary is visible, interior faint, unlabelled clear; what is only proposed is yellow and green."""
    clear = (0.0, 0.0, 0.0, 0.0)
    own = {BOUNDARY: ORANGE, INTERIOR: (0.25, 0.6, 1.0, 0.25)}
    proposed = {PROPOSED_BOUNDARY: YELLOW, PROPOSED_INTERIOR: (0.4, 1.0, 0.5, 0.12)}
    return DirectLabelColormap(color_dict={None: clear, 0: clear} | own | proposed)


def proposal_ramp() -> Colormap:
    """Clear where the boundary probability is 0, the colour of proposed boundary where it is 1."""
    return Colormap([(*YELLOW[:3], 0.0), YELLOW], name="emseg proposal")


@cache
def prepare_colours() -> None:
    """Let napari compile in a thread what draws such colours.

    It takes seconds, once in a process, and the window would stand still with its first labels layer.
    """
    QThreadPool.globalInstance().start(lambda: label_colours().map(np.zeros((1, 1), np.uint8)))
