"""Settings of predictions."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from emseg_napari.settings.base import (
    SCALE_LIMITS,
    Settings,
    SliceRange,
    VoxelSizes,
    advanced,
    missing_is_empty_field,
    shards_field,
)


class PredictionSettings(Settings):
    """Settings of one prediction."""

    slices: SliceRange | None = Field(
        None, title="Slices", description="Slices to predict, first:end (half-open); all when not given."
    )
    threshold: float | None = Field(
        None,
        title="Threshold",
        ge=0,
        le=1,
        description="Boundary probability from which a pixel is boundary, 0 to 1; "
        "the run's own when not given.",
    )
    scale: float | None = Field(
        None,
        title="Scale",
        description="By how much slices are enlarged (2 = twice as many pixels along each side) or shrunk "
        "(0.5) before the network sees them, where membranes are thinner or thicker than those that it "
        "learned; the result has the size of the image. The run's own when not given.",
        **SCALE_LIMITS,
    )
    orientations: Literal[1, 2, 4, 8] = Field(
        2,
        title="Orientations",
        description="In how many orientations the network sees each slice; the mean counts. 1 = as it lies, "
        "2 = also turned by half, 4 = also both mirrored, 8 = all flips and turns. Each doubling takes twice "
        "as long and is a little better. Used for `compact` only.",
    )
    close_gaps: bool = Field(
        True,
        title="Close gaps",
        description="Where a membrane is strong as a whole, close its gaps by a line one pixel thin.",
    )
    missing_is_empty: bool = missing_is_empty_field()
    tile_px: int = advanced(
        2304,  # a block of an output with the margin in which its gaps are closed is one tile
        "Tile size (px)",
        "Side of the tiles into which a large slice is cut, in pixels; a multiple of 32. Tiles leave no "
        "seam; smaller ones take less memory and more time.",
        ge=64,
        le=8192,
        multiple_of=32,
    )
    shards: VoxelSizes | None = shards_field()
    threads: int = advanced(
        0, "Threads", "Processor threads to use; 0 = as many as the process may.", ge=0, le=1024
    )

    def threshold_for(self, run_threshold: float) -> float:
        """Return the boundary probability from which a pixel is boundary: as given here, else the run's."""
        return run_threshold if self.threshold is None else self.threshold

    def scale_for(self, run_scale: tuple[float, float]) -> tuple[float, float]:
        """Return the factor (y, x) by which slices are resampled: as given, else the run's."""
        return run_scale if self.scale is None else (self.scale, self.scale)

    def other_scale(self, run_scale: tuple[float, float]) -> float | None:
        """Return the scale, None if it is the run's own: as a record states it."""
        return self.scale if self.scale_for(run_scale) != run_scale else None

    def choices(self, run_scale: tuple[float, float], run_threshold: float, network: str) -> dict[str, float]:
        """Return scale and threshold that are not the run's own, and unusual orientations, as records do."""
        threshold, orientations = self.threshold_for(run_threshold), self.orientations_for(network)
        given = {
            "scale": self.other_scale(run_scale),
            "threshold": None if threshold == run_threshold else threshold,
            "orientations": None if orientations == usual_orientations(network) else orientations,
        }
        return {name: value for name, value in given.items() if value is not None}

    def orientations_for(self, network: str) -> int:
        """Return over how many orientations a network of that name is averaged: 1, 2, 4 or 8."""
        return self.orientations if network == "compact" else 1


def usual_orientations(network: str) -> int:
    """Return over how many orientations a network of that name is averaged if none is chosen."""
    return PredictionSettings().orientations_for(network)
