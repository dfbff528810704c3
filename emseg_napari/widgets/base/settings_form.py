"""Forms made from settings classes: one magicgui widget per field."""

from __future__ import annotations

from collections.abc import Collection
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from magicgui.widgets import CheckBox, ComboBox, LineEdit
from magicgui.widgets.bases import ValueWidget
from pydantic.fields import FieldInfo
from qtpy.QtWidgets import QFormLayout, QVBoxLayout, QWidget

from emseg_napari.core.jobs import UserError
from emseg_napari.io.option_text import text_kind
from emseg_napari.settings import Settings, is_advanced
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
        self._parts: dict[str, list[QWidget]] = {}  # field and label
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for advanced in (False, True):
            names = [n for n, f in self._fields.items() if is_advanced(f) is advanced]
            if not names:
                continue
            part = self._part(names)
            layout.addWidget(Fold("Advanced", part) if advanced else part)

    def _part(self, names: list[str]) -> QWidget:
        """Lay fields out below each other, with one left edge."""
        part = QWidget()
        rows = QFormLayout(part)
        rows.setContentsMargins(0, 0, 0, 0)
        for name in names:
            field = self.widgets[name]
            label = [] if isinstance(field, CheckBox) else [field.label]
            rows.addRow(*label, field.native)
            self._parts[name] = [one for one in (field.native, rows.labelForField(field.native)) if one]
        return part

    def show_only(self, names: Collection[str]) -> None:
        """Hide the rows of all other fields; they keep their values."""
        for name, parts in self._parts.items():
            for part in parts:
                part.setVisible(name in names)

    def values(self) -> dict[str, Any]:
        """Return the values by field name; None where an optional field is empty.

        Raises
        ------
        UserError
            If a text is not a number, a range or a size.
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
        return _text(self._fields[name], value) if isinstance(self.widgets[name], LineEdit) else value


def _is_optional(field: FieldInfo) -> bool:
    return NoneType in get_args(field.annotation)


def _widget(name: str, field: FieldInfo) -> ValueWidget:
    about: dict[str, Any] = {"name": name, "label": field.title, "tooltip": field.description}
    kind = field.annotation
    if get_origin(kind) is Literal:
        return ComboBox(value=field.default, choices=list(get_args(kind)), **about)
    if kind is bool:
        return CheckBox(value=field.default, **(about | {"text": field.title, "label": ""}))
    text = LineEdit(value=_text(field, field.default), **about)
    text.native.setPlaceholderText(_if_empty(field))
    return text


def _if_empty(field: FieldInfo) -> str:
    if not _is_optional(field):
        return _text(field, field.default)
    text = text_kind(field)
    return text.form if text else "automatic"


def _text(field: FieldInfo, value: Any) -> str:
    if value is None:
        return ""
    text = text_kind(field)
    return text.separator.join(map(str, value)) if text else f"{value:.15g}"


def _value(field: FieldInfo, widget: ValueWidget) -> Any:
    if not isinstance(widget, LineEdit):
        return widget.value
    text = str(widget.value).strip()
    if not text:
        return None if _is_optional(field) else field.default
    try:
        if kind := text_kind(field):
            return kind.parse(text)
    except UserError as error:
        raise UserError(f"{field.title}: {error}") from None
    whole = field.annotation is int or int in get_args(field.annotation)
    return whole_number(text, str(field.title)) if whole else number(text, str(field.title))
