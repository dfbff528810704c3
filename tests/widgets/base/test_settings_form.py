"""Forms: which widget a field has, how its value is written and read, and what is folded away."""

from typing import Literal

import pytest
from magicgui.widgets import CheckBox, ComboBox, LineEdit
from pydantic import Field

from emseg_napari.core.jobs import UserError
from emseg_napari.settings import CellSettings, PredictionSettings, TrainingSettings
from emseg_napari.settings.base import Settings, advanced
from emseg_napari.widgets.base.fold import Fold
from emseg_napari.widgets.base.settings_form import SettingsForm


class Small(Settings):
    kind: Literal["one", "two"] = Field("two", title="Kind", description="Which one.")
    keep: bool = Field(True, title="Keep", description="Whether to.")
    count: int = Field(3, title="Count", description="How many.")
    most: int | None = Field(None, title="Most", description="At most.")
    part: float = advanced(0.25, "Part", "How much.")
    rest: float | None = advanced(None, "Rest", "What is left.")


@pytest.fixture
def form(qtbot):
    form = SettingsForm(Small)
    qtbot.addWidget(form)
    return form


def test_a_field_is_a_choice_a_tick_or_a_text_with_title_and_description(form):
    kinds = {name: type(widget) for name, widget in form.widgets.items()}
    text = dict.fromkeys(("count", "most", "part", "rest"), LineEdit)
    assert kinds == {"kind": ComboBox, "keep": CheckBox} | text
    assert form.widgets["kind"].choices == ("one", "two")
    assert form.widgets["keep"].text == "Keep"
    assert (form.widgets["count"].label, form.widgets["count"].tooltip) == ("Count", "How many.")


def test_values_are_those_of_the_fields_and_an_empty_text_is_the_default(form):
    defaults = {"kind": "two", "keep": True, "count": 3, "most": None, "part": 0.25, "rest": None}
    assert form.values() == defaults
    for name in ("count", "most", "part", "rest"):
        form.widgets[name].value = " "
    assert form.values() == defaults
    form.set_values(
        {"kind": "one", "keep": False, "count": 5, "most": 9, "part": 0.1, "rest": 0.5, "other": 1}
    )
    assert [form.widgets[name].value for name in ("count", "most", "part", "rest")] == [
        "5",
        "9",
        "0.1",
        "0.5",
    ]
    values = form.values()
    assert values == {"kind": "one", "keep": False, "count": 5, "most": 9, "part": 0.1, "rest": 0.5}
    assert type(values["most"]) is int
    form.set_values({"most": None})
    assert form.widgets["most"].value == ""


@pytest.mark.parametrize("name", ["count", "most"])
def test_whole_numbers_have_no_part_also_where_they_may_be_left_out(form, name):
    form.widgets[name].value = "2.5"
    with pytest.raises(UserError, match=f"{name.capitalize()}: '2.5' is not a whole number"):
        form.values()


def test_what_an_empty_text_means_is_shown_in_it(form):
    hints = {name: form.widgets[name].native.placeholderText() for name in ("count", "most", "part", "rest")}
    assert hints == {"count": "3", "most": "automatic", "part": "0.25", "rest": "automatic"}


def test_advanced_fields_are_folded_away_and_only_where_there_are_some(form, qtbot):
    (fold,) = form.findChildren(Fold)
    assert (fold.button.text(), fold.is_open) == ("Advanced", False)
    inside = {name for name, widget in form.widgets.items() if fold.isAncestorOf(widget.native)}
    assert inside == {"part", "rest"}
    plain = SettingsForm(Small, leave_out=("part", "rest"))
    qtbot.addWidget(plain)
    assert set(plain.widgets) == {"kind", "keep", "count", "most"}
    assert not plain.findChildren(Fold)


def test_fields_that_are_not_shown_keep_their_values(form):
    form.widgets["count"].value = "8"
    form.show_only(["kind"])
    assert {name for name, widget in form.widgets.items() if not widget.native.isHidden()} == {"kind"}
    assert form.values()["count"] == 8
    form.show_only(["count", "keep"])
    assert not form.widgets["count"].native.isHidden()


def test_ranges_are_written_as_they_are_read_and_named_where_they_are_wrong(qtbot):
    form = SettingsForm(TrainingSettings)
    qtbot.addWidget(form)
    form.set_values({"slices": (3, 20)})
    assert form.widgets["slices"].value == "3:20"
    assert form.values()["slices"] == (3, 20)
    form.set_values({"slices": [4, 9]})
    assert form.values()["slices"] == (4, 9)
    form.widgets["slices"].value = "a:b"
    with pytest.raises(UserError, match=f"^{TrainingSettings.model_fields['slices'].title}: "):
        form.values()


@pytest.mark.parametrize("settings_class", [PredictionSettings, CellSettings])
def test_sizes_are_typed_and_shown_as_on_the_command_line(qtbot, settings_class):
    form = SettingsForm(settings_class)
    qtbot.addWidget(form)
    assert form.values()["shards"] is None
    form.widgets["shards"].value = "16 x 2048 x 2048"
    assert form.values()["shards"] == (16, 2048, 2048)
    form.set_values({"shards": [4, 512, 512]})
    assert form.widgets["shards"].value == "4x512x512"
    form.widgets["shards"].value = "16x2048"
    with pytest.raises(UserError, match=r"^Shards \(voxels\): '16x2048' is not a size"):
        form.values()
