"""Quick look at a large slice: in one orientation, sooner than its prediction, and drawn part by part."""

from __future__ import annotations

from emseg_napari.core.jobs import JobContext, QuickLookReady
from emseg_napari.inference.slice_predictor import SlicePredictor
from emseg_napari.inference.tiles import tiles, whole
from emseg_napari.models.resampling import Readable

_TILE_PX = 1024  # twice that for slices of more: less of it is halo
_MOST_PARTS = 16  # more would keep the prediction waiting for long


def quick_look(predictor: SlicePredictor, slice_: Readable, z: int, context: JobContext) -> None:
    """Predict a slice in one orientation and report it as it comes, if a good prediction takes a while.

    Slices of more than 64 megapixels are left out: their own tiles come sooner than such a look ends.

    Parameters
    ----------
    predictor : SlicePredictor
        The good one.
    slice_ : array or other Readable
        (y, x).
    z : int
        What the reports call the slice.
    context : JobContext
        Gets a `QuickLookReady` for each part, and is asked before each part whether to stop.
    """
    tile_px = _TILE_PX * (1 + (max(slice_.shape) > 2 * _TILE_PX))
    parts = list(tiles(whole(slice_.shape), tile_px))
    quick = predictor.quick()
    if not 1 < len(parts) <= _MOST_PARTS or quick is None:
        return
    pixels = slice_[whole(slice_.shape)]  # once: parts overlap, and lie in the same chunks of a file
    levels = quick.levels(pixels)
    for part in parts:
        context.report(QuickLookReady(z, part, quick.window(pixels, part, levels, context.should_stop)))
