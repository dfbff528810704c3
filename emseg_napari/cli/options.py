"""Command-line options made from the settings classes, so that no number is stated twice."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from emseg_napari.cli.completion import runs
from emseg_napari.io.option_text import text_kind
from emseg_napari.models.starter import STARTER
from emseg_napari.settings import Settings, TrainingSettings, is_advanced

C = TypeVar("C", bound=Callable[..., None])

# Attributes of the limits in a field's metadata, in words.
_LIMITS = (
    ("gt", "more than"),
    ("ge", "at least"),
    ("lt", "less than"),
    ("le", "at most"),
)


def with_options_of(
    settings_class: type[Settings], flags: Mapping[str, str] | None = None, leave_out: tuple[str, ...] = ()
) -> Callable[[C], C]:
    """Put an option for every field of a settings class in the place of a command's ``**options``.

    An option that is not given is None, so that `recipe` or the class fill in their own default.

    Parameters
    ----------
    settings_class : type
        Its fields give names, types, help, limits and defaults.
    flags : mapping
        Field name to its spelling where that is not the name with dashes.
    leave_out : tuple of str
        Fields without an option.
    """

    def decorate(command: C) -> C:
        own = list(inspect.signature(command, eval_str=True).parameters.values())[:-1]
        derived = list(_parameters(settings_class, flags or {}, leave_out))
        command.__signature__ = inspect.Signature(own + derived)  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in own + derived}
        return command

    return decorate


def given_values(settings_class: type[Settings], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that the user gave, ranges and sizes as numbers.

    Raises
    ------
    UserError
        If a range is malformed or empty, or a size is malformed.
    """
    given = {name: value for name, value in options.items() if value is not None}
    for name, value in given.items():
        if text := text_kind(settings_class.model_fields[name]):
            given[name] = text.parse(value)
    return given


def flag_of(name: str, flags: Mapping[str, str]) -> str:
    """Return how the option of a field is spelt."""
    return flags.get(name, "--" + name.replace("_", "-"))


def _parameters(
    settings_class: type[Settings], flags: Mapping[str, str], leave_out: tuple[str, ...]
) -> Iterator[inspect.Parameter]:
    for name, field in settings_class.model_fields.items():
        if name in leave_out:
            continue
        kind, text = _kind(field), text_kind(field)
        option = typer.Option(
            _spelling(flag_of(name, flags), kind),
            help=_help(settings_class, name),
            metavar=text.form if text else None,
            show_default=False,
            autocompletion=runs if name == "start" else None,
            rich_help_panel="Advanced" if is_advanced(field) else None,
        )
        yield inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
        )


def _kind(field: FieldInfo) -> Any:
    """Return the type that the command line reads: ranges and sizes are text, and None cannot be given."""
    kind: Any = field.annotation
    if get_origin(kind) in (Union, UnionType):
        kind = next(k for k in get_args(kind) if k is not type(None))
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    return str if get_origin(kind) is tuple else kind


def _spelling(flag: str, kind: Any) -> str:
    return f"{flag}/--no-{flag.removeprefix('--')}" if kind is bool else flag


def _help(settings_class: type[Settings], name: str) -> str:
    field = settings_class.model_fields[name]
    limits, default = limits_of(field), default_of(settings_class, name)
    parts = [field.description, limits and f"Limits: {limits}.", default and f"Default: {default}."]
    return " ".join(filter(None, parts))


def limits_of(field: FieldInfo) -> str:
    """Return the limits of a setting in words, such as "at least 0, at most 1"; nothing without any."""
    limits = [
        f"{words} {getattr(limit, attribute)}"
        for attribute, words in _LIMITS
        for limit in field.metadata
        if hasattr(limit, attribute)
    ]
    return ", ".join(limits)


def default_of(settings_class: type[Settings], name: str) -> str:
    """Return the default, and those of the other recipes where they differ; nothing for None."""
    value = settings_class.model_fields[name].default
    if settings_class is TrainingSettings and name not in ("network", "start"):
        value = getattr(TrainingSettings.recipe(start=STARTER), name)
        others = {
            "from nothing": getattr(TrainingSettings.recipe(), name),
            "reference": getattr(TrainingSettings.recipe("reference"), name),
        }
        different = [f"{which}: {_shown(other)}" for which, other in others.items() if other != value]
        if different:
            return f"{_shown(value)} ({', '.join(different)})"
    return "" if value is None else _shown(value)


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "none", True: "on", False: "off"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)
