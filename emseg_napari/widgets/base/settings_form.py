"""Forms made from settings classes: one magicgui widget per field."""

from __future__ import annotations

from collections.abc import Collection
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from magicgui.widgets import CheckBox, ComboBox, Container, LineEdit
from magicgui.widgets.bases import ValueWidget
from pydantic.fields import FieldInfo
from qtpy.QtWidgets import QVBoxLayout, QWidget

from emseg_napari.core.jobs import UserError
from emseg_napari.io.stacks import parse_range
from emseg_napari.settings import Settings, is_advanced, is_range
from emseg_napari.widgets.base.fold import Fold
from emseg_napari.widgets.base.number_text import number, whole_number


class SettingsForm(QWidget):
    """Edits one settings class; advanced fields fold away.

    Parameters
    ----------
    settings_class : type of Settings
    leave_out : tuple of str
        Fields that the step asks for in another way.
    """

    def __init__(self, settings_class: type[Settings], leave_out: tuple[str, ...] = ()) -> None:
        super().__init__()
        self._fields = {n: f for n, f in settings_class.model_fields.items() if n not in leave_out}
        self.widgets: dict[str, ValueWidget] = {n: _widget(n, f) for n, f in self._fields.items()}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for advanced in (False, True):
            names = [n for n, f in self._fields.items() if is_advanced(f) is advanced]
            if not names:
                continue
            part = Container(widgets=[self.widgets[n] for n in names], labels=True)
            part.native.layout().setContentsMargins(0, 0, 0, 0)
            layout.addWidget(Fold("Advanced", part.native) if advanced else part.native)
        self._parts = list(self.widgets.values())  # keeps magicgui's side alive

    def show_only(self, names: Collection[str]) -> None:
        """Hide the rows of all other fields; they keep their values."""
        for name, widget in self.widgets.items():
            widget.visible = name in names

    def values(self) -> dict[str, Any]:
        """Return the values by field name; None where an optional field is empty.

        Raises
        ------
        UserError
            If a text is not a number or not a range.
        """
        return {name: self.value(name) for name in self.widgets}

    def value(self, name: str) -> Any:
        """Return the value of one field, as `values` does."""
        return _value(self._fields[name], self.widgets[name])

    def set_values(self, values: dict[str, Any]) -> None:
        """Show values; names that the form does not have are passed over."""
        for name, value in values.items():
            if name in self.widgets:
                self.widgets[name].value = self._shown(name, value)

    def exchange(self, before: dict[str, Any], after: dict[str, Any]) -> None:
        """Show the values of `after` where those of `before` are shown; what was changed by hand stays."""
        for name, widget in self.widgets.items():
            if widget.value == self._shown(name, before[name]):
                widget.value = self._shown(name, after[name])

    def _shown(self, name: str, value: Any) -> Any:
        return _text(value) if isinstance(self.widgets[name], LineEdit) else value


def _is_optional(field: FieldInfo) -> bool:
    return NoneType in get_args(field.annotation)


def _widget(name: str, field: FieldInfo) -> ValueWidget:
    about: dict[str, Any] = {"name": name, "label": field.title, "tooltip": field.description}
    kind = field.annotation
    if get_origin(kind) is Literal:
        return ComboBox(value=field.default, choices=list(get_args(kind)), **about)
    if kind is bool:
        return CheckBox(value=field.default, **(about | {"text": field.title, "label": ""}))
    text = LineEdit(value=_text(field.default), **about)
    text.native.setPlaceholderText(_if_empty(field))
    return text


def _if_empty(field: FieldInfo) -> str:
    if not _is_optional(field):
        return _text(field.default)
    return "FIRST:END" if is_range(field) else "automatic"


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value[0]}:{value[1]}" if isinstance(value, tuple | list) else f"{value:.15g}"


def _value(field: FieldInfo, widget: ValueWidget) -> Any:
    if not isinstance(widget, LineEdit):
        return widget.value
    text = str(widget.value).strip()
    if not text:
        return None if _is_optional(field) else field.default
    try:
        if is_range(field):
            return parse_range(text)
    except UserError as error:
        raise UserError(f"{field.title}: {error}") from None
    whole = field.annotation is int or int in get_args(field.annotation)
    return whole_number(text, str(field.title)) if whole else number(text, str(field.title))
