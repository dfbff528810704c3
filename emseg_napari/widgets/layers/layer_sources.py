"""Files that the pixels of a layer come from."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from napari.layers import Image, Layer

from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import Convention
from emseg_napari.io.address import Location, location_of
from emseg_napari.io.open import open_volume
from emseg_napari.io.stack_or_volume import same_source
from emseg_napari.io.stacks import recorded_convention
from emseg_napari.widgets.layers.file_layers import container_of
from emseg_napari.widgets.layers.layer_info import info_of
from emseg_napari.widgets.layers.layer_pixels import finest, fits, volume_of_layer


def files_of(layer: Layer) -> Iterator[str | Location]:
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
            found = recorded_convention(path)
        except (UserError, OSError):  # the file is gone
            continue
        if found is not None:
            return found
    return None


def is_in_memory(layer: Layer) -> bool:
    """Say whether a layer's pixels are in memory, so that a copy of them can be kept."""
    return isinstance(finest(layer), np.ndarray) and not isinstance(finest(layer), np.memmap)


def known_source(image: Image | None) -> Location | None:
    """Return the file or address from which the plugin can open an image again, None where it knows none."""
    known = "" if image is None else info_of(image).source
    return location_of(known) if known else None


def found_source(image: Image) -> Location | None:
    """Return `known_source`, or the file that napari or another plugin opened; None if neither will do.

    That is enough only if the image is too large to be copied and the slice in its middle is read alike:
    where 0 is white, for one, they show what is stored. It reads chunks, and may be called in any thread.
    """
    if known_source(image) or is_in_memory(image) or image.source.path is None:
        return known_source(image)
    try:
        read, shown = open_volume(image.source.path, fills=True), volume_of_layer(image)
        middle = len(read) // 2
        is_same = read.shape == shown.shape and np.array_equal(read[middle], shown[middle])
    except (UserError, OSError):  # the file is gone, or was changed
        return None
    return location_of(image.source.path).absolute() if is_same else None


def have_one_file(one: Layer, other: Layer) -> bool:
    """Say whether two layers were opened from one file or container, such as the channels of an image."""
    known, of_other = (info_of(layer).source or layer.source.path for layer in (one, other))
    if not known or not of_other:
        return False
    try:
        return container_of(location_of(known)) == container_of(location_of(of_other))
    except UserError:  # another reader opened an address of a kind that is not read here
        return str(known) == str(of_other)


def refuse_image_of(layer: Layer | None, labels: Location) -> None:
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
