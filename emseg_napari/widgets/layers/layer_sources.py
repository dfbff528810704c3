"""Files that the pixels of a layer come from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from napari.layers import Layer

from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import Convention
from emseg_napari.io.open import open_volume
from emseg_napari.io.stack_or_volume import same_source
from emseg_napari.io.stacks import recorded_convention
from emseg_napari.widgets.layers.layer_info import info_of
from emseg_napari.widgets.layers.layer_pixels import fits


def files_of(layer: Layer) -> Iterator[str | Path]:
    """Yield where a layer's pixels may come from, the surest first."""
    info = info_of(layer)
    known = ["" if info.volume is None else info.volume[1].source, info.source]
    yield from filter(None, known)
    if not any(known) and layer.source.path is not None and _shows(layer, layer.source.path):
        yield layer.source.path


def convention_of(layer: Layer) -> Convention | None:
    """Return what the values of a labels layer mean by the record of its file; it reads that file."""
    for path in files_of(layer):
        try:
            found = recorded_convention(Path(path))
        except (UserError, OSError):  # the file is gone
            continue
        if found is not None:
            return found
    return None


def refuse_image_of(layer: Layer | None, labels: Path) -> None:
    """Raise `UserError` if labels are read from where the pixels of an image layer are from."""
    for path in () if layer is None else files_of(layer):
        try:
            are_same = same_source(labels, path)
        except (UserError, OSError):  # one of both is gone, or wrong, which is said when it is opened
            continue
        if are_same:
            assert layer is not None
            raise UserError(
                f"{labels.name} is what the image {layer.name} was opened from; choose the labels of that "
                "image, or another image first."
            )


def _shows(layer: Layer, path: str) -> bool:
    """Whether a layer that another reader has opened has the size of its file."""
    try:
        return fits(layer, open_volume(path, fills=True).shape)
    except UserError:
        return False
