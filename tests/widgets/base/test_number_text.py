"""Numbers are read as they are meant, in whatever language the desktop is, or refused with a sentence."""

import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QLocale
from qtpy.QtWidgets import QAbstractSpinBox

from emseg_napari.core.jobs import UserError
from emseg_napari.settings import CellSettings, TrainingSettings
from emseg_napari.widgets.base.output_target import VolumeTarget
from emseg_napari.widgets.base.settings_form import SettingsForm
from emseg_napari.widgets.base.step import StepWidget
from emseg_napari.widgets.train.train_form import TrainForm


@pytest.fixture(autouse=True)
def german_desktop():
    before = QLocale()
    QLocale.setDefault(QLocale("de_DE"))
    yield
    QLocale.setDefault(before)


def typed(qtbot, line, text: str) -> str:
    """Type a text into a field as a user does, and return what stands there then."""
    line.clear()
    qtbot.keyClicks(line, text)
    line.editingFinished.emit()
    return line.text()


@pytest.fixture
def form(qtbot):
    step = StepWidget(ViewerModel())
    form = TrainForm(step)
    for widget in (step, form):
        qtbot.addWidget(widget)
    return form


def test_comma_and_point_are_the_decimal_sign_and_none_is_dropped(qtbot, form):
    for text, meant in (("0.5", 0.5), ("0,5", 0.5), ("2.25", 2.25), ("1500", 1500), ("1,000", 1)):
        assert typed(qtbot, form.amount, text) == text
        assert form.settings().minutes == meant
    for text in ("1.234,5", "1,234.5", "", "two"):
        assert typed(qtbot, form.amount, text) == text
        with pytest.raises(UserError, match=f"Train for: '{text}' is not a number"):
            form.settings()


def test_epochs_are_whole_and_a_part_of_one_is_refused(qtbot, form):
    form.unit.setCurrentText("epochs")
    typed(qtbot, form.amount, "7")
    assert form.settings().epochs == 7
    for text in ("2.5", "2,5", "0.5", "1e3", "1.000"):
        assert typed(qtbot, form.amount, text) == text
        with pytest.raises(UserError, match=f"Train for: '{text}' is not a whole number"):
            form.settings()
    for text in ("0", "-5"):
        typed(qtbot, form.amount, text)
        with pytest.raises(UserError, match="Train for: give more than 0 epochs"):
            form.settings()
    typed(qtbot, form.amount, "100001")
    with pytest.raises(UserError, match=r"Epochs: .*given: 100001"):
        form.settings()


def test_whole_numbers_of_a_form_stay_as_they_are_typed(qtbot):
    form = SettingsForm(TrainingSettings)
    qtbot.addWidget(form)
    patch = form.widgets["patch_px"].native
    for text in ("64", "8", "-5", "5000000"):  # of which some are below or above the limits
        assert typed(qtbot, patch, text) == text
        assert form.values()["patch_px"] == int(text)
    for text in ("2.5", "2,5", "1e3", "1.000"):
        assert typed(qtbot, patch, text) == text
        with pytest.raises(UserError, match=f"Patch size .px.: '{text}' is not a whole number"):
            form.values()
    assert typed(qtbot, patch, " ") == " "
    assert str(form.values()["patch_px"]) == patch.placeholderText()


def test_a_number_of_workers_is_whole_and_none_is_one_per_core(qtbot):
    target = VolumeTarget("cells", "numbers")
    qtbot.addWidget(target)
    target.scheduler.setText("local")
    assert target.chosen()[1].workers is None
    typed(qtbot, target.workers, "2")
    assert target.chosen()[1].workers == 2
    for text, sentence in (("2.5", "Workers: '2.5' is not a whole number"), ("0", "0 workers")):
        assert typed(qtbot, target.workers, text) == text
        with pytest.raises(UserError, match=sentence):
            target.chosen()


def test_texts_of_a_form_are_read_alike(qtbot):
    form = SettingsForm(CellSettings)
    qtbot.addWidget(form)
    for text in ("0,25", "0.25", " 0,25 "):
        form.widgets["merge_threshold"].value = text
        assert form.values()["merge_threshold"] == 0.25
    for text in ("1.000,5", "1,000.5", "0,2,5"):
        form.widgets["merge_threshold"].value = text
        with pytest.raises(UserError, match="is not a number"):
            form.values()
    training = SettingsForm(TrainingSettings)
    qtbot.addWidget(training)
    training.set_values({"beta_2": 0.9999999})
    assert training.values()["beta_2"] == 0.9999999


def test_no_field_drops_what_is_typed(dock):
    """A spin box would: no step has one, where Qt reads numbers by the language and cuts them."""
    assert not dock.findChildren(QAbstractSpinBox)
