"""Work on one block: the steps from boundary probability to numbered cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emseg_napari.core.jobs import ShouldStop
from emseg_napari.io.axes import Size, SliceWindow
from emseg_napari.io.containers import files_of
from emseg_napari.io.layout import Block
from emseg_napari.io.ome_zarr_writer import VolumeOutput
from emseg_napari.io.slabs import layer_of
from emseg_napari.segmentation.agglomeration import outlined
from emseg_napari.segmentation.boundary import Boundary
from emseg_napari.segmentation.intermediate import IntermediateFiles
from emseg_napari.segmentation.overlaps import Overlaps, Shared
from emseg_napari.segmentation.stack import as_float, cells_of_slice
from emseg_napari.segmentation.tile_joining import joined
from emseg_napari.segmentation.tiles import Piece, TileIndex, flood_tile
from emseg_napari.segmentation.watershed import ask
from emseg_napari.settings import CellSettings


@dataclass(frozen=True)
class SegmentationStep:
    """What all steps need.

    Attributes
    ----------
    boundary : Boundary
        What to read.
    parts : IntermediateFiles
        What the steps leave to each other.
    settings : CellSettings
    """

    boundary: Boundary
    parts: IntermediateFiles
    settings: CellSettings

    @property
    def paths(self) -> Sequence[Path]:
        """Files and folders that every worker must see under these names."""
        return [self.parts.folder, *files_of(self.boundary.volume.source)]

    @property
    def reach(self) -> int:
        """With how many slices before a slice is compared."""
        return self.settings.gap_slices + 1 if self.settings.link else 0


@dataclass(frozen=True)
class WatershedStep(SegmentationStep):
    """The cells of a slice, or the fragments of one of its tiles."""

    def column(self, block: Block) -> Size:
        """Return what the tiles of one worker have in common: the chunks along z, and the place."""
        return layer_of(self.boundary.volume, block.index[0]).start, *block.index[1:]

    def read(self, block: Block) -> np.ndarray:
        """Read the boundary probability that the tile sees."""
        return self.boundary.part(block.index[0], self._seen(block))

    def compute(
        self, block: Block, given: np.ndarray, should_stop: ShouldStop
    ) -> tuple[np.ndarray, Piece | None]:
        """Return the fragments, int32 (y, x), and of a tile what joins them with others."""
        probability = as_float(given)
        if self.parts.whole:
            return cells_of_slice(probability, self.settings, should_stop, self.parts.cut), None
        tile, width = _part(block), self.parts.shape[1]
        return flood_tile(probability, tile, self._seen(block), width, self.settings, should_stop)

    def write(self, block: Block, result: tuple[np.ndarray, Piece | None]) -> None:
        """Write both, the fragments last: with them the tile is done."""
        fragments, piece = result
        if piece is not None:
            self.parts.save_piece(block.index, piece)
        self.parts.fragments.write(block, fragments[None])

    def _seen(self, block: Block) -> SliceWindow:
        return self.parts.cut.seen(_part(block), self.parts.shape)


@dataclass(frozen=True)
class JoinStep(SegmentationStep):
    """The cells of a slice that was cut into tiles."""

    def read(self, block: Block) -> dict[TileIndex, Piece]:
        """Read what is known of the fragments."""
        return self.parts.pieces(block.index[0])

    def compute(
        self, block: Block, given: dict[TileIndex, Piece], should_stop: ShouldStop
    ) -> dict[TileIndex, np.ndarray]:
        """Return of each tile the cells of its fragments."""
        ask(should_stop)
        return joined(given, self.settings)[0]

    def write(self, block: Block, result: dict[TileIndex, np.ndarray]) -> None:
        """Write them."""
        self.parts.save_cells(block.index[0], result)


@dataclass(frozen=True)
class OverlapStep(SegmentationStep):
    """How many cells a slice has, and how they overlap with those of slices before."""

    def read(self, block: Block) -> None:
        """Read nothing: `compute` reads tile by tile."""

    def compute(self, block: Block, given: None, should_stop: ShouldStop) -> tuple[int, list[Overlaps]]:
        """Return the number of cells, and the overlaps with the slice before, the one before that, ..."""
        z, count = block.index[0], 0
        shared = [Shared() for _ in self._before(z)]
        for tile in self.parts.cut.tiles(self.parts.shape).values():
            ask(should_stop)
            cells = self.parts.cells(z, tile)
            count = max(count, int(cells.max()))
            for one, earlier in zip(shared, self._before(z), strict=True):
                one.add(self.parts.cells(earlier, tile), cells)
        return count, [one.overlaps(self.settings.overlap) for one in shared]

    def write(self, block: Block, result: tuple[int, list[Overlaps]]) -> None:
        """Write both."""
        self.parts.save_overlaps(block.index[0], *result)

    def _before(self, z: int) -> range:
        return range(z - 1, max(z - 1 - self.reach, -1), -1)


@dataclass(frozen=True)
class NumberStep(SegmentationStep):
    """The numbered cells of a block of the output.

    Attributes
    ----------
    output : VolumeOutput
    """

    output: VolumeOutput

    @property
    def paths(self) -> Sequence[Path]:
        """Files and folders that every worker must see under these names."""
        output = [self.output.path] if isinstance(self.output.path, Path) else []
        return [*output, *super().paths]

    def divide(self, block: Block) -> list[Block]:
        """Return the slices of a block."""
        return block.by_slice()

    def join(self, block: Block, results: list[np.ndarray]) -> np.ndarray:
        """Return a block, int32 (z, y, x), from its slices."""
        return block.joined(results)

    def read(self, block: Block) -> np.ndarray:
        """Read the numbers of a slice of a block, for outlines of one row and column more."""
        more = int(self.settings.outlines)
        y, x = (
            slice(part.start, min(part.stop + more, end))
            for part, end in zip(_part(block), self.parts.shape, strict=True)
        )
        return self.parts.numbered(block.window[0].start, (y, x))

    def compute(self, block: Block, given: np.ndarray, should_stop: ShouldStop) -> np.ndarray:
        """Return int32 (1, y, x) of the slice."""
        ask(should_stop)
        shown = outlined(given) if self.settings.outlines else given
        _, height, width = block.shape
        return shown[None, :height, :width]

    def write(self, block: Block, result: np.ndarray) -> None:
        """Write them."""
        self.output.write(block, result)


def _part(block: Block) -> SliceWindow:
    return block.window[1], block.window[2]
