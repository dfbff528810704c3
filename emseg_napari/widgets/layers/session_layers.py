"""Sessions as napari layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image

from emseg_napari.annotation.session.recovery import open_elsewhere
from emseg_napari.annotation.session.store import Session, load_session
from emseg_napari.core.jobs import UserError
from emseg_napari.io.address import Location, real_place
from emseg_napari.io.open import open_levels
from emseg_napari.io.volume import Volume
from emseg_napari.widgets.layers.label_colours import label_colours
from emseg_napari.widgets.layers.layer_info import LayerData, LayerInfo, OpenedSession, info_in
from emseg_napari.widgets.layers.layer_pixels import fits, volume_of_layer
from emseg_napari.widgets.layers.layer_sources import is_in_memory, known_source
from emseg_napari.widgets.layers.placement import layer_transform, placement_of, transform_at
from emseg_napari.widgets.layers.slice_checksums import slice_checksums
from emseg_napari.widgets.layers.volume_layers import layer_of


def session_layers(folder: Path, image: Location | None = None) -> list[LayerData]:
    """Read a session and return its image and its labels as napari layers.

    Parameters
    ----------
    folder : Path
        NAME.emseg.
    image : Path or Address, optional
        The new place of an image that was moved.

    Raises
    ------
    UserError, MissingImage
        If it cannot be read, or a window has it open.
    """
    folder = Path(folder).absolute()
    if open_elsewhere(folder):
        raise UserError(f"{folder.name} is open in a window already; close it there first.")
    session = load_session(folder, image)
    path = session.image_path
    name = session.image_name or (path.stem if path else "image")
    labels = session.labels
    opened = OpenedSession(folder, session, slice_checksums(labels))
    info = LayerInfo(confirmed=set(session.confirmed), origins=session.origins, opened=opened)
    shown = {
        "name": session.name or f"{name} labels",
        "colormap": label_colours(),
        "opacity": 0.6,
        "metadata": info.as_metadata(),
    } | transform_at(session.labels_place)
    return [_image_layer(session, path, name, folder), (labels, shown, "labels")]


def shown_image(layers: list[LayerData], images: Sequence[Image]) -> Image | None:
    """Return the image layer that shows the image of a session already; it compares pixels, in any thread.

    Parameters
    ----------
    layers : list of layer data
        Of the session, as `session_layers` returns them.
    images : sequence of napari.layers.Image
        One that lies elsewhere than in the session is left out: the labels would not lie over it.
    """
    opened = info_in(layers[1][1]["metadata"]).opened
    assert opened is not None
    session = opened.session
    there = (layer for layer in images if placement_of(layer) == session.image_place)
    return next((layer for layer in there if _shows(layer, session)), None)


def units_over(image: Image, session: Session) -> dict[str, Any]:
    """Return the units of the labels of a session that opens over the image layer that shows its image.

    They are arguments of a new layer. A session stores no units where they differ from axis to axis.
    """
    place = session.labels_place
    if place is None or place.unit != placement_of(image).unit:
        return {}
    return {"units": layer_transform(image, 3)["units"]}


def _shows(layer: Image, session: Session) -> bool:
    source, pixels = known_source(layer), session.image
    if not fits(layer, session.labels.shape):  # the pixels of the file may have been replaced by a part
        return False
    if session.image_path is not None:
        return source is not None and real_place(source) == real_place(session.image_path)
    if layer.rgb or not is_in_memory(layer) or not isinstance(pixels, np.ndarray):
        return False
    return np.array_equal(volume_of_layer(layer), pixels)


def _image_layer(session: Session, path: Location | None, name: str, folder: Path) -> LayerData:
    pixels: Any = session.image
    shown: dict[str, Any] = {"name": name, "metadata": {}}
    if isinstance(pixels, Volume):
        levels = [pixels] if path is None else open_levels(path, fills=True)
        pixels, shown, _ = layer_of(levels)
        shown["name"] = session.image_name or shown["name"]
    info = replace(info_in(shown["metadata"]), source=str(path or ""), session_folder=folder)
    shown["metadata"] = info.as_metadata()
    return pixels, shown | transform_at(session.image_place), "image"
