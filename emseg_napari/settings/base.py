"""What all settings share: the base, the kinds of fields, and how a wrong value is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from emseg_napari.core.jobs import UserError

S = TypeVar("S", bound="Settings")


def _half_open(value: tuple[int, int]) -> tuple[int, int]:
    if not 0 <= value[0] < value[1]:
        raise ValueError(f"{value[0]}:{value[1]} is no range; write first:end with 0 <= first < end")
    return value


SliceRange = Annotated[tuple[int, int], AfterValidator(_half_open)]


# Fields that earlier versions wrote under other names.
_RENAMED = {"join_below": "merge_threshold"}


def with_present_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as they were written, under the names that their fields have now."""
    return {_RENAMED.get(name, name): value for name, value in values.items()}


class Settings(BaseModel):
    """Base: frozen, and an unknown name is an error; names of earlier versions are known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _read_old_names(cls, values: Any) -> Any:
        return with_present_names(values) if isinstance(values, dict) else values


def advanced(default: Any, title: str, description: str, **limits: Any) -> Any:
    """Declare a field under 'Advanced'."""
    return Field(
        default, title=title, description=description, json_schema_extra={"advanced": True}, **limits
    )


def missing_is_empty_field() -> Any:
    """Declare the field of everything that reads an image."""
    return advanced(
        False,
        "Missing chunks are empty",
        "Take chunks of a Zarr or N5 volume that have no file for empty (the fill value), as where its "
        "writer leaves out what is empty; else they are told by their place, and what needs them fails.",
    )


def is_advanced(field: FieldInfo) -> bool:
    """Say whether a field folds away under 'Advanced'."""
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("advanced"))


def is_range(field: FieldInfo) -> bool:
    """Say whether a field is a range of slices, written FIRST:END."""
    return "tuple" in str(field.annotation)


def validated(settings_class: type[S], **values: Any) -> S:
    """Make settings, turning pydantic's report into a sentence.

    Raises
    ------
    UserError
        Naming the field, the value and the limit.
    """
    try:
        return settings_class(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        field = settings_class.model_fields.get(name)
        title = field.title if field and field.title else name
        reason = first["msg"].removeprefix("Value error, ")
        raise UserError(f"{title}: {reason} (given: {first['input']!r}).") from None
