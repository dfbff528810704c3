"""Record of a layer: what this package wrote about the file that the layer shows.

So a layer is taken for the same as its file is on the command line, in memory or not.
"""

from __future__ import annotations

from typing import Any

from napari.layers import Layer

from emseg_napari.core.jobs import UserError
from emseg_napari.io.records import record_of_path, recorded_kind
from emseg_napari.widgets.layers.labels_layer import is_managed
from emseg_napari.widgets.layers.layer_sources import files_of


def record_of_layer(layer: Layer) -> dict[str, Any]:
    """Return the record of the prediction that a layer shows; empty for all else, and if its file is gone.

    It reads a file, and may be called in any thread.
    """
    if is_managed(layer):  # labels, which are painted in
        return {}
    for path in files_of(layer):
        try:
            record = record_of_path(path)
        except (UserError, OSError):
            continue
        if recorded_kind(record):
            return record
    return {}
