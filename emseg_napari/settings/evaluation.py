"""Settings of evaluations: what is scored, and which errors are shown."""

from __future__ import annotations

from pydantic import Field

from emseg_napari.settings.base import Settings, SliceRange


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

    smallest_px: int = Field(
        100,
        title="Smallest error (px)",
        ge=1,
        le=10_000_000,
        description="Joined cells and cut-off pieces with fewer pixels than this are not shown.",
    )
