"""Settings of the segmentation of a boundary probability into cells."""

from __future__ import annotations

from pydantic import Field

from emseg_napari.settings.base import Settings, VoxelSizes, advanced, missing_is_empty_field, shards_field

# From this mean boundary probability on, a boundary separates two cells (benchmarks/README.md).
MERGE_THRESHOLD = 0.7


class CellSettings(Settings):
    """Settings of one segmentation into cells.

    The defaults were chosen on ISBI 2012 slices that the network had not seen, and the overlap on the
    phantom, whose cells are known through the slices (`benchmarks/README.md`).
    """

    link: bool = Field(
        False,
        title="Link through the slices",
        description="Give cells of neighbouring slices that overlap one number, so that a neurite keeps "
        "one colour; else every cell of every slice has a number of its own.",
    )
    size_px: int = Field(
        100,
        title="Smallest cell (px)",
        ge=0,
        le=10_000_000,
        description="Smaller fragments are joined to the neighbour with the weakest boundary, in pixels.",
    )
    neck_px: float = Field(
        6.0,
        title="Neck (px)",
        ge=0.25,
        le=1000,
        description="Where a gap in the boundary joins two cells, they start apart if the way through "
        "the gap is narrower, in half width, than both of them by at least this many pixels.",
    )
    merge_threshold: float = Field(
        MERGE_THRESHOLD,
        title="Merge threshold",
        ge=0,
        le=1,
        description="Pieces become one cell where the mean boundary probability between them is lower "
        "than this, 0 to 1 (along more than 30 pixels a lower one counts as much): higher gives fewer "
        "and larger cells.",
    )
    seed_below: float = advanced(
        0.25,
        "Interior below",
        "Boundary probability below which a pixel is surely interior, 0 to 1; cells start there.",
        gt=0,
        le=1,
    )
    outlines: bool = advanced(
        False, "Outlines", "Leave one pixel of 0 where two cells touch; else every pixel is in a cell."
    )
    overlap: float = advanced(
        0.1,
        "Least overlap",
        "Cells of two slices are linked from this overlap on (shared pixels divided by those of "
        "either), 0 to 1.",
        gt=0,
        le=1,
    )
    gap_slices: int = advanced(
        1,
        "Gap (slices)",
        "Slices, such as damaged ones, over which a cell that has ended may be linked again.",
        ge=0,
        le=20,
    )
    missing_is_empty: bool = missing_is_empty_field()
    shards: VoxelSizes | None = shards_field()
