"""Where a network came from that was not trained here, and what was answered when it was imported."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from emseg_napari.settings import Settings


class Imported(Settings):
    """Part of the record of an imported network, and of those that start from it.

    Attributes
    ----------
    file, sha256 : str
        Name and checksum of the file that it was read from; of a folder, of its description.
    name : str
        As its authors call it.
    version, licence : str, optional
        As its authors state them.
    authors, cite : list of str
        In words.
    weights : str
        Those that were read.
    answers : dict
        What its file does not say, as it was given: by the names of the options.
    halo_px : int
        How far it looks, in pixels; a multiple of `grid_px`.
    grid_px : int
        Width and height of its input must be multiples of it.
    pixel_nm : float, optional
        Side of the pixels that it was made for, in nm.
    why_no_training : str, optional
        Why no training can start from it, in words.
    trained_by_emseg : bool
        The record of its training came with it, and says on which slices; else that is not known.
    """

    file: str
    sha256: str
    name: str
    version: str | None = None
    licence: str | None = None
    authors: list[str] = Field(default_factory=list)
    cite: list[str] = Field(default_factory=list)
    weights: Literal["keras_v3", "onnx"]
    answers: dict[str, str] = Field(default_factory=dict)
    halo_px: int = Field(96, ge=0, le=4096)
    grid_px: int = Field(16, ge=1, le=1024)
    pixel_nm: float | None = Field(None, gt=0)
    why_no_training: str | None = None
    trained_by_emseg: bool = False

    @property
    def title(self) -> str:
        """Name and version, and by whom."""
        numbered = f"{self.name} {self.version}" if self.version else self.name
        return f"{numbered} by {', '.join(self.authors)}" if self.authors else numbered
