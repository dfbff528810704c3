"""Numbers are read as they are meant, in whatever language the desktop is."""

import pytest
from qtpy.QtCore import QLocale
from qtpy.QtWidgets import QDoubleSpinBox, QLineEdit, QSpinBox

from emseg_napari.core.jobs import UserError
from emseg_napari.settings import CellSettings, TrainingSettings
from emseg_napari.widgets.base.output_target import VolumeTarget
from emseg_napari.widgets.base.settings_form import SettingsForm
from emseg_napari.widgets.train.train_form import TrainForm


@pytest.fixture(params=["C", "en_US", "de_DE", "de_CH", "fr_FR"], autouse=True)
def language(request):
    before = QLocale()
    QLocale.setDefault(QLocale(request.param))
    yield request.param
    QLocale.setDefault(before)


def typed(qtbot, box, text: str) -> str:
    """Type a text into a spin box, leave it, and return what stands there then."""
    line = box.findChild(QLineEdit)
    box.selectAll()
    qtbot.keyClicks(line, text)
    box.interpretText() if hasattr(box, "interpretText") else None
    box.clearFocus()
    return line.text()


def test_comma_and_point_are_the_decimal_sign_and_none_is_dropped(qtbot):
    form = TrainForm()
    qtbot.addWidget(form)
    for text, meant, shown in (
        ("0.5", 0.5, "0.50"),
        ("0,5", 0.5, "0.50"),
        ("2.25", 2.25, "2.25"),
        ("2,25", 2.25, "2.25"),
        ("1500", 1500, "1500.00"),
        ("12", 12, "12.00"),
        ("1.234,5", 1.23, "1.23"),  # neither the third digit nor a second sign can be typed
        ("1,000", 1, "1.00"),
    ):
        assert typed(qtbot, form.amount, text) == shown
        assert (form.amount.value(), form.settings().minutes) == (meant, meant)
    form.unit.setCurrentText("epochs")
    assert typed(qtbot, form.amount, "7") == "7"
    assert form.settings().epochs == 7
    assert int(typed(qtbot, form.amount, "2.5")) == form.settings().epochs


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


def test_whole_numbers_take_no_separators(qtbot):
    target = VolumeTarget("cells", "numbers")
    target.scheduler.setText("local")
    form = SettingsForm(TrainingSettings)
    for widget in (target, form):
        qtbot.addWidget(widget)
    for box in (target.workers, form.widgets["batch_size"].native):
        for text in ("2.5", "2,5"):
            shown = typed(qtbot, box, text)
            assert int(shown) == box.value() == int(text.replace(".", "").replace(",", ""))


def test_no_field_of_the_window_is_left_to_the_language(qtbot):
    """All spin boxes of the steps are of the plugin, or take whole numbers without separators (superqt)."""
    for widget in (TrainForm(), VolumeTarget("cells", "numbers")):
        qtbot.addWidget(widget)
        for box in (*widget.findChildren(QDoubleSpinBox), *widget.findChildren(QSpinBox)):
            assert box.locale().name() == "C"
