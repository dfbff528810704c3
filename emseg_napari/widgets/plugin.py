"""What the manifest names beside widgets: samples and the writer of ISBI labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Labels
from napari.utils.notifications import show_error, show_info

from emseg_napari.annotation.label_state import trusted
from emseg_napari.annotation.session.contents import read_contents
from emseg_napari.annotation.session.scratch import ScratchLabels
from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import normalise, to_isbi
from emseg_napari.io.address import is_address
from emseg_napari.io.samples import isbi2012, phantom
from emseg_napari.io.stacks import as_stack, write_stack
from emseg_napari.widgets.layers.label_colours import label_colours
from emseg_napari.widgets.layers.layer_info import LayerInfo, info_in
from emseg_napari.widgets.layers.placement import placement_of, voxel_of_layer
from emseg_napari.widgets.layers.remote_layers import read_for_napari
from emseg_napari.widgets.layers.session_layers import session_layers

_PLACE = ("scale", "translate", "rotate", "shear", "affine", "units")
LayerData = tuple[np.ndarray, dict[str, Any], str]


def open_phantom() -> list[LayerData]:
    """Return the phantom's image and labels for File > Open Sample."""
    return _layers(*phantom(), "phantom")


def open_isbi2012() -> list[LayerData]:
    """Return the ISBI 2012 training stack and labels, downloaded the first time."""
    try:
        return _layers(*isbi2012(), "ISBI 2012")
    except UserError as error:
        show_error(str(error))
        return []


def _layers(image: np.ndarray, labels: np.ndarray, name: str) -> list[LayerData]:
    shown = {
        "name": f"{name} truth",
        "colormap": label_colours(),
        "opacity": 0.6,
        "metadata": LayerInfo(confirmed=set()).as_metadata(),
    }
    return [(image, {"name": name}, "image"), (labels, shown, "labels")]


def session_reader(path: str | list[str] | None = None) -> Callable[[str], list[Any]] | None:
    """Return the reader of a session's folder, for File > Open and for what is dropped into the window."""
    if path is None:
        _say_where()
        return None
    return _open_session if _is_session(path) else None


def _say_where() -> None:
    """Answer a click in the command palette, where disabled commands are called, too, and without a path."""
    show_info("This needs a file: use File > Open, or File > Save.")


def _is_session(path: str | list[str]) -> bool:
    """Whether a path is named as a session: where this plugin is chosen, napari asks all its readers."""
    return not isinstance(path, list) and Path(path).suffix == ".emseg"


def _open_session(path: str) -> list[Any]:
    folder = Path(path)
    try:
        if is_address(read_contents(folder).image):
            return read_for_napari(lambda: session_layers(folder))
        return session_layers(folder)
    except UserError as error:
        show_error(str(error))
        return [(None,)]


def volume_reader(path: str | list[str] | None = None) -> Callable[[str], list[Any]] | None:
    """Return the reader of volumes of any size, for File > Open and for what is dropped into the window."""
    if path is None:
        _say_where()
        return None
    return None if isinstance(path, list) or _is_session(path) else _open_volume


def _open_volume(path: str) -> list[Any]:
    from emseg_napari.widgets.layers.volume_layers import volume_layers

    try:
        if is_address(path):
            return read_for_napari(lambda: volume_layers(path))
        return list(volume_layers(path))
    except UserError as error:
        show_error(str(error))
        return [(None,)]


def write_isbi(
    path: str | None = None, data: Any = None, attributes: dict[str, Any] | None = None
) -> list[str]:
    """Write a labels layer as ISBI labels (0 boundary, 255 interior, 128 unlabelled).

    Parameters
    ----------
    path : str
        Ends in ``.isbi.tif``.
    data : array
        Labels in any convention that can be recognised.
    attributes : dict
        Of the layer; in a managed layer, unconfirmed proposals count as unlabelled.

    Returns
    -------
    list of str
        The written path; nothing if it failed, with the reason in a notification.
    """
    if path is None or attributes is None:
        _say_where()
        return []
    confirmed = info_in(attributes.get("metadata", {})).confirmed
    name = attributes.get("name", "The layer")
    try:
        if isinstance(data, ScratchLabels):
            raise UserError(
                f"{name} is too large for one TIFF file; export slices of it on the page Results."
            )
        labels = np.asarray(data)
        if confirmed is not None:
            labels = trusted(as_stack(labels), confirmed).reshape(labels.shape)
        labels = normalise(labels, name, None if confirmed is None else "napari")
        known = {key: attributes[key] for key in _PLACE if key in attributes}
        place = Labels(np.zeros((1,) * labels.ndim, np.uint8), **known)
        voxel, origin = voxel_of_layer(place), placement_of(place).translate
        write_stack(path, to_isbi(labels), {"convention": "isbi"}, voxel, origin)
    except UserError as error:
        show_error(str(error))
        return []
    return [path]
