"""The layers of cells: of each source that is divided in memory, and of each output on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Labels, Layer

from emseg_napari.annotation.session.scratch import new_labels, slices_in_use
from emseg_napari.io.open import open_levels
from emseg_napari.io.sparse_stack import SparseStack
from emseg_napari.io.volume import Volume
from emseg_napari.segmentation.cell_table import SliceCells, Table
from emseg_napari.widgets.layers.labels_layer import stack_of
from emseg_napari.widgets.layers.layer_info import LayerInfo, info_in, info_of, update_info
from emseg_napari.widgets.layers.layer_pixels import fits, volume_of_layer
from emseg_napari.widgets.layers.placement import layer_transform, move_to
from emseg_napari.widgets.layers.selection import selection_kept, show_alone
from emseg_napari.widgets.layers.volume_layers import layer_of

Shape = tuple[int, ...]


def cells_of(layer: Labels) -> Volume | SparseStack:
    """Return the numbers of a layer's cells for another process; it looks at slices, in a thread."""
    stack = volume_of_layer(layer)
    return SparseStack.of(stack, slices_in_use(stack)) if isinstance(stack, np.ndarray) else stack


def axes_of_size(layer: Labels) -> int:
    """Return 3 if a layer's cells have a volume, 2 if they have an area."""
    return 3 if info_of(layer).is_linked else 2


@dataclass
class _Shown:
    """A layer of cells, and the cells of each of its slices as they were found."""

    layer: Labels
    slices: dict[int, SliceCells] = field(default_factory=dict)


def show_features(layer: Labels, table: Table) -> None:
    """Show a table of cells in napari's table of features, whose column "index" has the labels' numbers."""
    layer.features = {"index" if name == "cell" else name: column for name, column in table.items()}


class CellLayers:
    """Shows cells; the selected layer stays selected, and the labels that they cover are hidden.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._own: dict[Any, _Shown] = {}  # by the id of the source's layer

    def forget_removed(self) -> None:
        """Keep no layer, and no number, that was removed from the viewer."""
        self._keep(lambda layer: layer in self._viewer.layers)

    def highest_beside(self, source: Layer, shape: Shape, first: int, end: int) -> int:
        """Return the highest number of a source's cells in other slices; it looks at all, in a thread."""
        own = self._own.get(source.unique_id)
        if own is None or not fits(own.layer, shape):
            return 0
        stack = stack_of(own.layer)
        return max((int(stack[z].max()) for z in slices_in_use(stack) if not first <= z < end), default=0)

    def slices_of(self, layer: Labels) -> dict[int, SliceCells]:
        """Return the cells of each slice as they were found last; another dict each time."""
        return next((own.slices for own in self._own.values() if own.layer == layer), {})

    def show(
        self,
        source: Layer,
        cells: np.ndarray,
        slices: Mapping[int, SliceCells],
        shape: Shape,
        *,
        is_linked: bool,
    ) -> Labels:
        """Show cells in the layer of their source.

        Parameters
        ----------
        source : napari.layers.Layer
        cells : numpy.ndarray
            (z, y, x); of single slices, with numbers that no other slice has.
        slices : mapping of int to SliceCells
            The same of each slice, ascending.
        shape : tuple of int
            Of all slices.
        is_linked : bool
            Whether cells have one number through the slices. The layer keeps its value when one slice
            is tried, since its other cells stay as they are.
        """
        with selection_kept(self._viewer):
            own = self._shown(source, shape)
            show_alone(self._viewer, own.layer)
        layer: Any = own.layer
        if len(cells) == shape[0]:
            layer.data = cells.reshape(layer.data.shape)
            update_info(layer, is_linked=is_linked)
        else:
            stack_of(layer)[list(slices)] = cells
            layer.refresh()
        own.slices = {**own.slices, **slices}
        return own.layer

    def show_volume(self, source: Layer, path: Path, is_linked: bool) -> Labels:
        """Show cells on disk, in an earlier layer of the same output if it is there."""
        data, shown, _ = layer_of(open_levels(path, fills=True))
        info = replace(info_in(shown["metadata"]), is_cells=True, is_linked=is_linked)
        lying = layer_transform(source, 3)
        with selection_kept(self._viewer):
            known = (one for one in self._viewer.layers if info_of(one).source == info.source)
            layer = next(known, None)
            if layer is None:
                layer = self._viewer.add_labels(data, **shown | lying | self._look(source, info))
            else:
                layer.data, layer.metadata = data, info.as_metadata()
                move_to(layer, lying)
            show_alone(self._viewer, layer)
        return layer

    def _shown(self, source: Layer, shape: Shape) -> _Shown:
        """Return the layer that holds the cells of a source, a new one if there is none."""
        own = self._own.get(source.unique_id)
        if own is None or not fits(own.layer, shape):
            return self._add(source, shape)
        move_to(own.layer, layer_transform(source, own.layer.ndim))  # the source may have been moved
        return own

    def _add(self, source: Layer, shape: Shape) -> _Shown:
        """Add an empty layer for the cells, placed as their source is."""
        data = new_labels(shape, np.int32)
        data = data[0] if source.ndim == 2 else data
        place, look = layer_transform(source, data.ndim), self._look(source, LayerInfo(is_cells=True))
        layer = self._viewer.add_labels(data, **place, **look)
        layer.events.paint.connect(self._release)
        self._own[source.unique_id] = _Shown(layer)
        return self._own[source.unique_id]

    def _release(self, event: Any) -> None:
        """Leave a layer in which the user paints to the user: the next cells go to a new one."""
        self._keep(lambda layer: layer != event.source)

    def _keep(self, wanted: Callable[[Labels], bool]) -> None:
        self._own = {source: own for source, own in self._own.items() if wanted(own.layer)}

    def _look(self, source: Layer, info: LayerInfo) -> dict[str, Any]:
        """Return the look of a new layer, named after the image of the source, else after the source."""
        image = info_of(source).proposal_of
        names = [layer.name for layer in self._viewer.layers if layer.unique_id == image]
        name = names[0] if names else source.name
        return {"name": f"{name} cells", "opacity": 0.5, "metadata": info.as_metadata()}
