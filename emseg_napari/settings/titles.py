"""Titles of the settings of predictions and cells, by the names of their fields."""

from __future__ import annotations

from pydantic.fields import FieldInfo

from emseg_napari.settings.cells import CellSettings
from emseg_napari.settings.prediction import PredictionSettings


def field_of(name: str) -> FieldInfo | None:
    """Return a field of `PredictionSettings` or `CellSettings`; None if neither has it."""
    classes = (PredictionSettings, CellSettings)
    return next((one.model_fields[name] for one in classes if name in one.model_fields), None)


def title_of(name: str) -> str:
    """Return the title of a field in quotes, as sentences name it; a name without a field as it is."""
    field = field_of(name)
    return f"'{field.title}'" if field else name
