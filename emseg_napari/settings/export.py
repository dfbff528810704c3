"""Settings of the export of training labels."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from emseg_napari.settings.base import Settings, missing_is_empty_field


class ExportSettings(Settings):
    """Settings of one export of training labels."""

    which: Literal["confirmed", "labelled", "all"] = Field(
        "confirmed", title="Slices", description="Confirmed slices, slices with any label, or all slices."
    )
    file_format: Literal["TIFF stack", "numbered PNGs"] = Field(
        "TIFF stack",
        title="Format",
        description="One TIFF file for images and one for labels, or folders of numbered PNG files.",
    )
    allow_unlabelled: bool = Field(
        False,
        title="With unlabelled pixels",
        description="Also export slices that have unlabelled pixels; these are written as 128.",
    )
    include_proposals: bool = Field(
        False,
        title="With unconfirmed proposals",
        description="Export proposals of the network that are not confirmed as labels, too.",
    )
    missing_is_empty: bool = missing_is_empty_field()
