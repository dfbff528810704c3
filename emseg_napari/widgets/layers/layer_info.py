"""What the plugin knows of a napari layer, stored under one key of the layer's metadata.

A duplicate of a layer has metadata of its own, but shares the values with the original. So a `LayerInfo` is
never changed: `update_info` puts another one in its place, and the duplicate keeps the one that it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from napari.layers import Layer

from emseg_napari.annotation.session.store import Origin, Session
from emseg_napari.io.volume import Volume
from emseg_napari.widgets.layers.undo_history import UndoHistory

KEY = "emseg"
LayerData = tuple[Any, dict[str, Any], str]


@dataclass(frozen=True)
class OpenedSession:
    """The session from which a labels layer was opened.

    Attributes
    ----------
    folder : Path
        NAME.emseg.
    session : Session
    checksums : dict of int
        Of the slices that held labels when it was read, by `slice_marks.marks_of`.
    """

    folder: Path
    session: Session
    checksums: Mapping[int, int]


@dataclass(frozen=True, eq=False)
class LayerInfo:
    """What is known of one layer.

    Attributes
    ----------
    confirmed : set of int or None
        Confirmed slices of a labels layer that the plugin manages; None of every other layer.
    history : History or None
        What was done to such a layer.
    autosave : LayerAutosave or None
        How such a layer is kept on disk (`base.layer_autosave`).
    opened : OpenedSession or None
        Of a labels layer, until its autosave continues there.
    session_folder : Path or None
        Of an image layer: the session that it was opened from.
    made_over : Any
        Of a labels layer that the plugin made: the unique id of the image layer to which it belongs.
    proposal_of : Any
        Of a prediction: the unique id of the image layer that was predicted; None of other layers.
    run : Path or None
        Of a prediction: the folder of the run that made it, of several the last one.
    origins : mapping
        Slice to `Origin`, of a prediction whose slices may come from several runs.
    output : Path or None
        Of a prediction on disk: where it is.
    source : str
        Of an image layer: the file that the plugin opened it from; empty if there is none.
    volume : tuple or None
        (array, `Volume`) of a layer that shows a volume: its array, and the volume that this array reads.
    notes : tuple of str
        What of that file was read in another way than it is stored.
    is_aid : bool
        The layer only shows something, such as the preview of a training, a movie or an overlay.
    is_cells : bool
        It holds the numbers of cells that the plugin found: it is not chosen as boundary labels unasked.
    is_linked : bool
        Of cells: they have one number through the slices.
    """

    confirmed: set[int] | None = None
    history: UndoHistory | None = None
    autosave: Any = None
    opened: OpenedSession | None = None
    session_folder: Path | None = None
    made_over: Any = None
    proposal_of: Any = None
    run: Path | None = None
    origins: Mapping[int, Origin] = field(default_factory=dict)
    output: Path | None = None
    source: str = ""
    volume: tuple[Any, Volume] | None = None
    notes: tuple[str, ...] = ()
    is_aid: bool = False
    is_cells: bool = False
    is_linked: bool = False

    def as_metadata(self) -> dict[str, Any]:
        """Return the metadata of a new layer of which this is known."""
        return {KEY: self}


def info_in(metadata: Mapping[str, Any]) -> LayerInfo:
    """Return what metadata say; nothing is known where another reader or another version wrote them."""
    info = metadata.get(KEY)
    return info if isinstance(info, LayerInfo) else LayerInfo()


def info_of(layer: Layer) -> LayerInfo:
    """Return what is known of a layer."""
    return info_in(layer.metadata)


def update_info(layer: Layer, **changes: Any) -> None:
    """Change some of what is known of a layer; its duplicates keep what they have."""
    layer.metadata[KEY] = replace(info_of(layer), **changes)


def exchange_origin(layer: Layer, z: int, origin: Origin | None) -> Origin | None:
    """Note what a slice comes from now, and return what it came from."""
    others = dict(info_of(layer).origins)
    before = others.pop(z, None)
    update_info(layer, origins=others if origin is None else {**others, z: origin})
    return before
