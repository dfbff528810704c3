"""Between napari's layers and the arrays of the floors below."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer
from napari.utils.colormaps import DirectLabelColormap

from emseg_napari.corrections import Corrections, stroke_pixels
from emseg_napari.jobs import UserError
from emseg_napari.labels import BOUNDARY, INTERIOR, Convention, normalise
from emseg_napari.stacks import as_stack

# A labels layer of ours carries its `Corrections` here, so every widget finds the same ones.
CORRECTIONS = "emseg corrections"
PROPOSAL_OF = "emseg proposal of"


def label_colours() -> DirectLabelColormap:
    """Boundary is visible, interior faint, unlabelled clear."""
    clear = (0.0, 0.0, 0.0, 0.0)
    colours = {None: clear, 0: clear, BOUNDARY: (1.0, 0.3, 0.1, 1.0), INTERIOR: (0.25, 0.6, 1.0, 0.25)}
    return DirectLabelColormap(color_dict=colours)


def image_of(layer: Image | None) -> np.ndarray:
    """Return an image layer's pixels as a (z, y, x) stack.

    Raises
    ------
    UserError
        If there is no layer, or it is RGB or has more than three axes.
    """
    if layer is None:
        raise UserError("No image layer is chosen; open an image stack first (step Load).")
    if layer.rgb:
        raise UserError(f"{layer.name} is a colour image; convert it to one grey channel first.")
    return _stack(layer)


def _stack(layer: Layer) -> np.ndarray:
    data: Any = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
    shape = tuple(data.shape)
    while len(shape) > 3 and shape[0] == 1:
        data, shape = data[0], shape[1:]
    if len(shape) not in (2, 3):
        raise UserError(
            f"{layer.name} has {len(shape)} axes; emseg needs a stack (z, y, x) or a single image (y, x): "
            "split the layer first."
        )
    return as_stack(np.asarray(data))


def labels_of(layer: Labels | None) -> np.ndarray:
    """Return a labels layer's pixels as a (z, y, x) stack in the project's convention.

    A layer of ours is a view of the layer's own pixels; any other is converted to a copy.

    Raises
    ------
    AmbiguousLabels, UnknownLabels
        If the values follow no convention or two.
    """
    if layer is None:
        raise UserError("No labels layer is chosen; press 'New labels' or open a labels file.")
    stack = _stack(layer)
    return stack if CORRECTIONS in layer.metadata else normalise(stack, layer.name)


def is_ours(layer: Layer | None) -> bool:
    """Say whether a labels layer surely holds the project's convention."""
    return layer is not None and CORRECTIONS in layer.metadata


def corrections_of(layer: Labels) -> Corrections:
    """Return the corrections of a labels layer of ours."""
    return layer.metadata[CORRECTIONS]


def adopt(layer: Labels) -> None:
    """Make ours a layer that holds 0, 1 and 2: colours, brush, and a record of strokes."""
    shape = _stack(layer).shape
    if CORRECTIONS not in layer.metadata or corrections_of(layer).shape != shape:
        layer.metadata[CORRECTIONS] = Corrections(shape)
    layer.colormap = label_colours()
    layer.opacity = 0.6
    layer.selected_label = BOUNDARY
    layer.brush_size = 5
    watch_strokes(layer)


def watch_strokes(layer: Labels) -> None:
    """Record the strokes in a labels layer of ours, however it came into the viewer."""
    if is_ours(layer) and record_stroke not in layer.mouse_drag_callbacks:
        layer.mouse_drag_callbacks.append(record_stroke)


def add_labels(viewer: Any, labels: np.ndarray, name: str, like: Layer | None = None) -> Labels:
    """Add a labels layer of ours, placed over the layer `like`.

    Parameters
    ----------
    viewer : napari.Viewer
    labels : numpy.ndarray
        uint8 (z, y, x) or (y, x), 0, 1, 2.
    name : str
    like : napari.layers.Layer, optional
    """
    place = {"scale": like.scale[-labels.ndim :], "translate": like.translate[-labels.ndim :]} if like else {}
    layer = viewer.add_labels(labels, name=name, **place)
    adopt(layer)
    return layer


def converted(viewer: Any, layer: Labels, convention: Convention) -> Labels:
    """Add a copy of a labels layer in the project's convention; the user's own stays as it is."""
    labels = normalise(np.asarray(layer.data), layer.name, convention)
    return add_labels(viewer, labels, f"{layer.name} (boundary labels)", layer)


def slice_in_view(viewer: Any, layer: Layer | None) -> int | None:
    """Return the index of the slice of `layer` that the viewer shows; None if none of it."""
    if layer is None:
        return None
    if layer.ndim < 3:
        return 0
    z = round(layer.world_to_data(viewer.dims.point)[-3])
    return z if 0 <= z < layer.data.shape[-3] else None


def placed(layer: Layer, z: int) -> dict[str, Any]:
    """Return scale and translate that put a (1, y, x) picture on slice z of `layer`."""
    if layer.ndim == 2:
        return {"scale": (1, *layer.scale), "translate": (0, *layer.translate)}
    scale, translate = np.array(layer.scale[-3:]), np.array(layer.translate[-3:])
    return {"scale": scale, "translate": translate + scale * (z, 0, 0)}


def record_stroke(layer: Labels, event: Any) -> Any:
    """Count a brush stroke as touched, also where it agrees with the proposal.

    napari tells only of pixels whose value changed; agreeing is a correction too.
    """
    mode = str(layer.mode)
    if mode not in ("paint", "erase") or CORRECTIONS not in layer.metadata:
        return
    points = [layer.world_to_data(event.position)]
    yield
    while event.type == "mouse_move":
        points.append(layer.world_to_data(event.position))
        yield
    track = np.array(points)
    z = round(track[0][-3]) if layer.ndim >= 3 else 0
    corrections = corrections_of(layer)
    if 0 <= z < corrections.shape[0]:
        erased = mode == "erase" or layer.selected_label == 0
        # As napari draws it: dabs at whole pixels, half a pixel wider than the half brush.
        pixels = stroke_pixels(np.round(track[:, -2:]), layer.brush_size // 2 + 0.5, corrections.shape[1:])  # type: ignore[arg-type]
        corrections.touch(z, pixels, erased=erased)
