"""What a session keeps of a workspace and of its layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypedDict

from napari.layers import Image, Labels

from emseg_napari.annotation.session.store import Round, Session
from emseg_napari.core.jobs import UserError
from emseg_napari.io.address import Location
from emseg_napari.io.stacks import check_pair
from emseg_napari.settings import PredictionSettings, validated
from emseg_napari.widgets.base.workspace import Workspace
from emseg_napari.widgets.layers.labels_layer import confirmed_in, labels_of, stack_of
from emseg_napari.widgets.layers.layer_info import info_of
from emseg_napari.widgets.layers.layer_pixels import volume_of_layer
from emseg_napari.widgets.layers.layer_sources import found_source, is_in_memory, known_source
from emseg_napari.widgets.layers.placement import placement_of


class Work(TypedDict):
    """What a session keeps of a workspace beside its layers, by the names of its fields."""

    run: Path | None
    rounds: list[Round]
    settings: dict[str, Any]


def work_in(workspace: Workspace) -> Work:
    """Return what a session keeps of a workspace beside its layers."""
    return {"run": workspace.run, "rounds": workspace.rounds, "settings": {"scale": workspace.scale}}


def scale_in(session: Session) -> float | None:
    """Return the scale that a session states; None if it states none, or one of another version."""
    try:
        return validated(PredictionSettings, scale=session.settings.get("scale")).scale
    except UserError:
        return None


def session_of(workspace: Workspace, layer: Labels, image: Image | None, holds_copy: bool) -> Session:
    """Return the session of a layer.

    Parameters
    ----------
    workspace : Workspace
    layer : napari.layers.Labels
        A managed one; the session has its array.
    image : napari.layers.Image or None
    holds_copy : bool
        Whether the session holds a copy of that image, also where it has a file.
    """
    source = None if holds_copy else known_source(image)
    keeps_pixels = holds_copy or (source is None and image is not None and is_in_memory(image))
    return Session(
        image_path=source,
        image=volume_of_layer(image) if keeps_pixels else None,
        labels=stack_of(layer),
        confirmed=set(confirmed_in(layer)),
        origins=dict(info_of(layer).origins),
        **work_in(workspace),
        name=layer.name,
        image_name="" if image is None else image.name,
        image_place=None if image is None else placement_of(image),
        labels_place=placement_of(layer),
    )


def checked_source(layer: Labels, image: Image) -> Location | None:
    """Return the file or address of an image with which a layer is to be saved; it reads, in any thread.

    Raises
    ------
    UserError
        If both do not fit each other, or cannot be saved.
    """
    check_pair(volume_of_layer(image), labels_of(layer), image.name, layer.name)
    return found_source(image)
