"""Record of a layer: what this package wrote about the file that the layer shows.

So a layer is taken for the same as its file is on the command line, in memory or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from napari.layers import Layer

from emseg_napari.core.jobs import UserError
from emseg_napari.io.open import open_volume
from emseg_napari.io.records import record_of_path, recorded_kind
from emseg_napari.widgets.layers.labels_layer import is_managed
from emseg_napari.widgets.layers.layer_info import info_of
from emseg_napari.widgets.layers.layer_pixels import fits


def record_of_layer(layer: Layer) -> dict[str, Any]:
    """Return the record of the prediction that a layer shows; empty for all else, and if its file is gone.

    It reads a file, and may be called in any thread.
    """
    if is_managed(layer):  # labels, which are painted in
        return {}
    for path in _files(layer):
        try:
            record = record_of_path(path)
        except (UserError, OSError):
            continue
        if recorded_kind(record):
            return record
    return {}


def _files(layer: Layer) -> Iterator[str | Path]:
    """Return where a layer's pixels may come from, the surest first."""
    info = info_of(layer)
    known = ["" if info.volume is None else info.volume[1].source, info.source]
    yield from filter(None, known)
    if not any(known) and layer.source.path is not None and _shows(layer, layer.source.path):
        yield layer.source.path


def _shows(layer: Layer, path: str) -> bool:
    """Whether a layer that another reader has opened has the size of its file."""
    try:
        return fits(layer, open_volume(path, fills=True).shape)
    except UserError:
        return False
