"""Settings of evaluations: what is scored, and which errors are shown."""

from __future__ import annotations

from pydantic import Field

from emseg_napari.settings.base import Settings, SliceRange, advanced


class EvaluationSettings(Settings):
    """Settings of one evaluation."""

    slices: SliceRange | None = Field(
        None,
        title="Slices",
        description="Labelled slices to score, first:end (half-open); when not given, all that the run "
        "was not trained on.",
    )
    threshold: float | None = Field(
        None,
        title="Threshold",
        ge=0,
        le=1,
        description="Interior probability above which a pixel is interior, 0 to 1; the run's own "
        "(one minus its boundary threshold) when not given, else 0.5.",
    )


class ErrorSettings(Settings):
    """Settings of the list of errors: which merges and splits are shown."""

    smallest_px: int = advanced(
        100,
        "Smallest error (px)",
        "Joined cells and cut-off pieces with fewer pixels than this are not shown.",
        ge=1,
        le=10_000_000,
    )


class ReviewSettings(ErrorSettings):
    """Settings of an evaluation in the window, where a threshold is a boundary probability."""

    slices: SliceRange | None = advanced(
        None, "Slices", "Labelled slices to score, first:end (half-open); all of them when not given."
    )
    boundary_threshold: float | None = advanced(
        None,
        "Threshold",
        "Boundary probability from which a pixel is boundary, 0 to 1; the run's own when not given, else "
        "0.5.",
        ge=0,
        le=1,
    )
