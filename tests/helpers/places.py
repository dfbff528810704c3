"""Places to look at, and the events of a search that finds them."""

from __future__ import annotations

from typing import Any

import numpy as np

from emseg_napari.annotation.suggest import Place
from emseg_napari.annotation.suggest.search_stack import SliceSearched


def place(z: int, y: int, x: int, gain: float) -> Place:
    """A membrane of one pixel that may be false."""
    pixels = np.array([y]), np.array([x])
    return Place(z, y, x, "membrane", gain, 6.0, 0.5, pixels)


def search(panel: Any, *found: Place) -> None:
    """Let a search find places, slice by slice."""
    panel.search.click()
    for z in sorted({place.z for place in found}):
        panel.job.event.emit(SliceSearched(z, [place for place in found if place.z == z]))


def end(panel: Any) -> None:
    """Let the search that runs end."""
    panel.jobs.clear()
    panel.job.ended.emit()
