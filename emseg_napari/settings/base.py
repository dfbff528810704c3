"""Base class of all settings, their kinds of fields, and errors in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo

from emseg_napari.core.jobs import UserError

S = TypeVar("S", bound="Settings")


def _half_open(value: tuple[int, int]) -> tuple[int, int]:
    if not 0 <= value[0] < value[1]:
        raise ValueError(f"{value[0]}:{value[1]} is not a range; write first:end with 0 <= first < end")
    return value


def _three_sizes(value: Any) -> Any:
    whole = isinstance(value, tuple | list) and all(type(size) is int and size > 0 for size in value)
    if not whole or len(value) != 3:
        raise ValueError("three whole numbers of 1 or more are needed, along z, y, x")
    return value


# Of the factor by which slices are enlarged or shrunk for a network.
SCALE_LIMITS: dict[str, Any] = {"ge": 0.25, "le": 4.0}
SliceRange = Annotated[tuple[int, int], AfterValidator(_half_open)]
VoxelSizes = Annotated[tuple[int, int, int], BeforeValidator(_three_sizes)]


# Earlier names of fields, as older files have them.
_RENAMED = {"join_below": "merge_threshold", "average_orientations": "orientations"}


def with_present_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings of a file with earlier names replaced by those that the fields have now."""
    return {_RENAMED.get(name, name): _present_value(name, value) for name, value in values.items()}


def _present_value(name: str, value: Any) -> Any:
    """Return the value of a field as it is written now."""
    was_switch = name == "average_orientations" and value in (True, False)
    return (8 if value else 1) if was_switch else value


class Settings(BaseModel):
    """Base of all settings: frozen; an unknown name is an error, earlier names of fields are read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _read_old_names(cls, values: Any) -> Any:
        return with_present_names(values) if isinstance(values, dict) else values


def advanced(default: Any, title: str, description: str, **limits: Any) -> Any:
    """Define a field that is shown under 'Advanced'."""
    return Field(
        default, title=title, description=description, json_schema_extra={"advanced": True}, **limits
    )


def missing_is_empty_field() -> Any:
    """Define the field of all steps that read an image: whether missing chunks are empty."""
    return advanced(
        False,
        "Missing chunks are empty",
        "Read chunks of a Zarr, N5 or precomputed volume that have no file as empty (the fill value): some "
        "programs do not write empty chunks. Off: missing chunks are reported, and what needs them fails.",
    )


def shards_field() -> Any:
    """Define the field of all steps that write an OME-Zarr of any size: what of it is one file."""
    return advanced(
        None,
        "Shards (voxels)",
        "Of an OME-Zarr on disk: how many voxels along z, y, x are written into one file, such as "
        "16x2048x2048; multiples of 1x512x512, and no larger than the volume. Deeper ones make fewer files, "
        "but more is lost with a part that cannot be read. When not given 1x2048x2048, and deeper for "
        "volumes of which that makes more than ten million files.",
    )


def is_advanced(field: FieldInfo) -> bool:
    """Say whether a field is shown under 'Advanced'."""
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("advanced"))


def is_range(field: FieldInfo) -> bool:
    """Say whether a field is a range of slices, written FIRST:END."""
    return "tuple[int, int]" in str(field.annotation)


def is_size(field: FieldInfo) -> bool:
    """Say whether a field is a size along z, y, x, written ZxYxX."""
    return "tuple[int, int, int]" in str(field.annotation)


def validated(settings_class: type[S], **values: Any) -> S:
    """Make settings; a wrong value is reported in one sentence.

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
