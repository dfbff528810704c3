"""Between napari's layers and the arrays of the floors below."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer
from napari.utils.colormaps import DirectLabelColormap

from emseg_napari.corrections import Corrections, stroke_pixels
from emseg_napari.jobs import UserError
from emseg_napari.labels import BOUNDARY, INTERIOR, normalise
from emseg_napari.stacks import as_stack

# A labels layer of ours carries its `Corrections` here, so every widget finds the same ones.
CORRECTIONS = "emseg corrections"
PROPOSAL_OF = "emseg proposal of"
RUN = "emseg run"  # folder of the run that wrote a proposal or probability, as text

Colour = tuple[float, float, float, float]
ORANGE: Colour = (1.0, 0.3, 0.1, 1.0)
YELLOW: Colour = (1.0, 0.85, 0.1, 1.0)


def label_colours(boundary: Colour = ORANGE) -> DirectLabelColormap:
    """Boundary is visible, interior faint, unlabelled clear."""
    clear = (0.0, 0.0, 0.0, 0.0)
    colours = {None: clear, 0: clear, BOUNDARY: boundary, INTERIOR: (0.25, 0.6, 1.0, 0.25)}
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
    return stack_of(layer)


def stack_of(layer: Layer) -> np.ndarray:
    """Return a layer's pixels as a (z, y, x) stack: a view of them where they are in memory.

    Raises
    ------
    UserError
        If the layer has more than three axes.
    """
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
    """Return a copy of a labels layer's pixels, uint8 (z, y, x), in the project's convention.

    Raises
    ------
    AmbiguousLabels, UnknownLabels
        If the values follow no convention or two; one of ours may hold the number of a wrong brush.
    """
    if layer is None:
        raise UserError("No labels layer is chosen; press 'New labels' or open a labels file.")
    return normalise(stack_of(layer), layer.name, "napari" if is_ours(layer) else None)


def fits(layer: Layer | None, shape: tuple[int, ...]) -> bool:
    """Say whether a layer has the shape (z, y, x) as a stack, without reading its pixels."""
    own = () if layer is None else tuple(layer.data.shape)
    while own[:1] == (1,):
        own = own[1:]
    while shape[:1] == (1,):
        shape = shape[1:]
    return layer is not None and own == shape


def is_paintable(layer: Labels) -> bool:
    """Say whether strokes and proposals can go right into the layer's pixels."""
    return isinstance(layer.data, np.ndarray) and layer.data.flags.writeable and layer.ndim <= 3


def is_ours(layer: Layer | None) -> bool:
    """Say whether a labels layer surely holds the project's convention."""
    return layer is not None and CORRECTIONS in layer.metadata


def corrections_of(layer: Labels) -> Corrections:
    """Return the corrections of a labels layer of ours."""
    return layer.metadata[CORRECTIONS]


def adopt(layer: Labels) -> None:
    """Make ours a layer that holds 0, 1 and 2: colours, brush, and a record of strokes."""
    shape = stack_of(layer).shape
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


def part_corrections(layers: Iterable[Labels]) -> None:
    """Give a duplicate corrections of its own: napari duplicates pixels, but shares metadata."""
    taken: list[Corrections] = []
    for layer in filter(is_ours, layers):
        if any(corrections_of(layer) is other for other in taken):
            layer.metadata[CORRECTIONS] = deepcopy(corrections_of(layer))
        taken.append(corrections_of(layer))


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


def converted(viewer: Any, layer: Labels, labels: np.ndarray) -> Labels:
    """Add what a user's labels layer means, (z, y, x), as a layer of ours; his own stays as it is."""
    shown = labels[0] if layer.ndim == 2 else labels
    return add_labels(viewer, shown, f"{layer.name} (boundary labels)", layer)


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
