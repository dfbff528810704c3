import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from napari.layers import Image, Labels
from qtpy.QtCore import Qt

from emseg_napari.annotation.label_state import plain
from emseg_napari.annotation.session.store import load_session
from emseg_napari.core.labels import to_isbi
from emseg_napari.io.stacks import read_image, read_labels
from emseg_napari.models.starter import STARTER
from emseg_napari.settings import ExportSettings, PredictionSettings, TrainingSettings
from emseg_napari.widgets import export as export_module
from emseg_napari.widgets.base.prediction_options import OWN_LAYER
from emseg_napari.widgets.base.settings_form import SettingsForm
from emseg_napari.widgets.layers.labels_layer import (
    add_labels,
    confirmed_in,
    history_of,
    is_managed,
    stack_of,
)
from emseg_napari.widgets.layers.layer_info import info_of
from emseg_napari.widgets.layers.proposal_layers import fill
from emseg_napari.widgets.layers.undo_history import Filled
from emseg_napari.widgets.train.step import TrainStep
from helpers.slow import slow_case
from helpers.window import (
    answer_with,
    canvas_of,
    drag,
    middle,
    noting,
    settle,
    striped,
    wait_for,
    wait_until_left,
)


@pytest.fixture
def loaded(dock):
    """The dock with a small stack and its labels."""
    image, labels = striped()
    layer = dock.workspace.viewer.add_image(image, name="cells")
    add_labels(dock.workspace.viewer, labels, "truth", layer)
    return dock


def test_nothing_can_be_done_without_an_image_and_the_buttons_say_why(dock):
    assert not dock.train.train.isEnabled()
    assert "open an image first" in dock.train.train.toolTip()
    assert not dock.predict.whole_stack.isEnabled()
    assert not dock.export.export.isEnabled()
    assert not dock.correct.confirm.isEnabled()
    assert not dock.load.new_labels_button.isEnabled()
    for step, wish in ((dock.train, "train"), (dock.predict, "propose labels")):
        assert step.hint_line.text() == f"To {wish}, open an image first."
    image = dock.workspace.viewer.add_image(np.zeros((2, 8, 8), np.uint8))
    assert dock.train.hint_line.text() == "To train, propose a slice, or press 'New' beside Labels."
    assert dock.load.new_labels_button.isEnabled()
    add_labels(dock.workspace.viewer, np.zeros((2, 8, 8), np.uint8), "labels", image)
    assert dock.train.hint_line.text() == ""


def test_choosers_follow_the_layer_list(dock):
    viewer = dock.workspace.viewer
    first = viewer.add_image(np.zeros((2, 8, 8), np.uint8), name="first")
    assert dock.workspace.image == first
    second = viewer.add_image(np.zeros((2, 8, 8), np.uint8), name="second")
    assert dock.workspace.image == first
    viewer.layers.remove(first)
    assert dock.workspace.image == second
    viewer.layers.remove(second)
    assert dock.workspace.image is None
    assert not dock.train.train.isEnabled()


def test_new_labels_are_empty_ours_and_coloured(dock):
    dock.workspace.viewer.add_image(np.zeros((2, 8, 9), np.uint8), name="cells", scale=(5, 2, 2))
    dock.load.new_labels_button.click()
    layer = dock.workspace.labels
    assert isinstance(layer, Labels)
    assert is_managed(layer)
    assert layer.data.shape == (2, 8, 9)
    assert not layer.data.any()
    assert layer.scale.tolist() == [5, 2, 2]
    boundary, interior = layer.colormap.color_dict[1], layer.colormap.color_dict[2]
    assert boundary[3] > 2 * interior[3] > 0


def test_load_opens_stack_folder_and_labels_from_files(dock, qtbot, tmp_path):
    image, labels = striped((3, 40, 50))
    tifffile.imwrite(tmp_path / "stack.tif", image, photometric="minisblack")
    tifffile.imwrite(tmp_path / "stack-labels.tif", to_isbi(labels), photometric="minisblack")
    dock.load.open_image(tmp_path / "stack.tif")
    wait_for(qtbot, lambda: dock.workspace.image is not None)
    dock.load.open_labels(tmp_path / "stack-labels.tif")
    wait_for(qtbot, lambda: dock.workspace.labels is not None)
    np.testing.assert_array_equal(dock.workspace.image.data, image)
    np.testing.assert_array_equal(dock.workspace.labels.data, labels)


def test_the_sample_opens_with_empty_labels_and_its_true_ones_hidden(dock):
    dock.load.sample.click()
    assert isinstance(dock.workspace.image, Image)
    labels, truth = dock.workspace.labels, dock.workspace.viewer.layers["phantom truth"]
    assert is_managed(labels)
    assert is_managed(truth)
    assert (labels.data.any(), truth.data.all()) == (False, True)
    assert (labels.visible, truth.visible) == (True, False)
    assert dock.workspace.image.data.shape == labels.data.shape


@pytest.mark.parametrize(("answer", "boundary"), [("binary", 0), ("napari", 1)])
def test_labels_of_only_0_and_1_are_asked_about(dock, qtbot, tmp_path, monkeypatch, answer, boundary):
    asked = answer_with(monkeypatch, answer)
    values = np.zeros((2, 16, 16), np.uint8)
    values[:, 4:] = 1
    tifffile.imwrite(tmp_path / "two.tif", values)
    dock.load.open_labels(tmp_path / "two.tif")
    wait_for(qtbot, lambda: dock.workspace.labels is not None)
    assert "only 0 and 1" in asked[0]
    np.testing.assert_array_equal(dock.workspace.labels.data == 1, values == boundary)


def test_a_session_saved_and_opened_is_the_same(loaded, qtbot, tmp_path):
    layer = loaded.workspace.labels
    confirmed_in(layer).add(2)
    loaded.load.save_session(tmp_path / "work.emseg")
    wait_for(qtbot, lambda: loaded.load.status.text().startswith("Saved"))
    viewer = loaded.workspace.viewer
    kept = layer.data.copy()
    viewer.layers.clear()
    wait_until_left(qtbot, tmp_path / "work.emseg")
    loaded.load.open_session(tmp_path / "work.emseg")
    wait_for(qtbot, lambda: loaded.workspace.labels is not None)
    np.testing.assert_array_equal(loaded.workspace.labels.data, kept)
    assert info_of(loaded.workspace.labels).made_over == loaded.workspace.image.unique_id
    assert confirmed_in(loaded.workspace.labels) == {2}
    assert load_session(tmp_path / "work.emseg").confirmed == {2}


@pytest.mark.parametrize("settings_class", [TrainingSettings, PredictionSettings, ExportSettings])
def test_forms_have_every_setting_with_tooltip_and_give_the_defaults_back(qtbot, settings_class):
    form = SettingsForm(settings_class)
    qtbot.addWidget(form)
    assert set(form.widgets) == set(settings_class.model_fields)
    assert all(widget.tooltip for widget in form.widgets.values())
    assert settings_class(**form.values()) == settings_class()


def test_form_takes_ranges_and_numbers_as_text(qtbot):
    form = SettingsForm(TrainingSettings)
    qtbot.addWidget(form)
    hints = {
        name: form.widgets[name].native.placeholderText() for name in ("slices", "minutes", "batch_size")
    }
    assert hints == {"slices": "FIRST:END", "minutes": "automatic", "batch_size": "4"}
    form.widgets["slices"].value = "0:20"
    form.widgets["minutes"].value = "1.5"
    assert form.values()["slices"] == (0, 20)
    assert form.values()["minutes"] == 1.5


def test_choosing_reference_shows_its_recipe(loaded):
    loaded.train.form.widgets["network"].value = "reference"
    assert loaded.train.settings() == TrainingSettings.recipe("reference")
    loaded.train.form.widgets["network"].value = "compact"
    assert loaded.train.settings() == TrainingSettings.recipe("compact", start=STARTER)


def test_training_settings_are_remembered(loaded, qtbot, monkeypatch):
    monkeypatch.setattr(loaded.train.job, "start", noting([]))
    loaded.train.amount.setText("7")
    loaded.train.form.widgets["batch_size"].value = "3"
    loaded.train.train.click()
    later = TrainStep(loaded.workspace.viewer, loaded.workspace)
    qtbot.addWidget(later)
    assert later.settings().minutes == 7
    assert later.settings().batch_size == 3


# -- correcting ---------------------------------------------------------------------------


def test_strokes_of_the_mouse_paint_and_undo_takes_them_back(loaded, qtbot):
    layer = loaded.workspace.labels
    before = layer.data.copy()
    loaded.correct.tools[0].click()
    layer.brush_size = 8
    canvas = canvas_of(loaded)
    drag(canvas, middle(canvas, -40), middle(canvas, 40))
    assert (layer.data != before).any()
    assert set(np.unique(layer.data[layer.data != before])) == {1}
    layer.undo()
    np.testing.assert_array_equal(layer.data, before)


def test_a_stroke_that_agrees_with_the_proposal_counts_as_touched(loaded):
    layer = loaded.workspace.labels
    layer.data[:] = 0
    z = int(loaded.workspace.viewer.dims.current_step[0])
    fill(layer, z, np.ones(layer.data.shape[1:], np.uint8))
    loaded.correct.tools[0].click()  # boundary, as proposed everywhere
    layer.brush_size = 8
    canvas = canvas_of(loaded)
    drag(canvas, middle(canvas, -40), middle(canvas, 40))
    touched = layer.data[z] == 1
    assert touched.any()
    assert not touched.all()
    fill(layer, z, np.full(layer.data.shape[1:], 2, np.uint8))
    assert (layer.data[z][touched] == 1).all()
    assert (layer.data[z][~touched] == 4).all()
    layer.undo()
    assert (layer.data[z][touched] == 3).all()  # the state comes back with the label


def test_confirming_with_the_key_protects_the_slice_and_shows(loaded, qtbot):
    layer = loaded.workspace.labels
    canvas = canvas_of(loaded)
    canvas.setFocus()
    z = int(loaded.workspace.viewer.dims.current_step[0])
    qtbot.keyClick(canvas, "c")
    assert confirmed_in(layer) == {z}
    assert loaded.correct.status.text() == f"Slice {z} is confirmed."
    wait_for(qtbot, lambda: f"1 confirmed ({z})" in loaded.correct.slices.totals.text())
    before = layer.data.copy()
    fill(layer, z, np.ones(layer.data.shape[1:], np.uint8))
    np.testing.assert_array_equal(layer.data, before)
    loaded.correct.confirm.click()
    assert confirmed_in(layer) == set()
    assert loaded.correct.status.text() == f"Slice {z} is no longer confirmed."


def test_a_slice_without_labels_is_not_confirmed_and_unlabelled_pixels_are_counted(loaded):
    layer = loaded.workspace.labels
    z = int(loaded.workspace.viewer.dims.current_step[0])
    layer.data[z] = 0
    loaded.correct.confirm.click()
    assert "has no labels yet" in loaded.correct.status.text()
    assert confirmed_in(layer) == set()
    layer.data[z] = 1
    layer.data[z, :2, :3] = 0
    loaded.correct.confirm.click()
    assert loaded.correct.status.text() == f"Slice {z} is confirmed; 6 of its pixels are unlabelled."
    assert confirmed_in(layer) == {z}


@pytest.mark.slow
def test_proposals_look_different_from_a_persons_labels(loaded):
    colours = loaded.workspace.labels.colormap.color_dict
    assert not np.allclose(colours[1], colours[3])
    assert not np.allclose(colours[2], colours[4])
    assert colours[3][3] > 3 * colours[4][3] > 0


@pytest.mark.slow
def test_a_label_picked_from_a_proposal_paints_as_the_persons_own(loaded):
    layer = loaded.workspace.labels
    layer.selected_label = 3
    assert layer.selected_label == 1
    layer.selected_label = 4
    assert layer.selected_label == 2


def test_undo_and_redo_follow_the_true_order_of_strokes_fills_and_confirmations(loaded, qtbot):
    """A stroke, a prediction, a confirmation, a stroke: back and forth by Ctrl+Z on the canvas."""
    layer, viewer = loaded.workspace.labels, loaded.workspace.viewer
    z = int(viewer.dims.current_step[0])
    layer.data[z, :, 32:] = 0
    canvas = canvas_of(loaded)
    loaded.correct.tools[0].click()
    states = [(layer.data.copy(), set())]

    def done():
        states.append((layer.data.copy(), set(confirmed_in(layer))))

    drag(canvas, middle(canvas, -40), middle(canvas, 40))
    done()
    filled = Filled(lambda: stack_of(layer), confirmed_in(layer))
    filled.remember(z)
    fill(layer, z, np.full(layer.data.shape[1:], 2, np.uint8))
    history_of(layer).add(filled)
    done()
    loaded.correct.confirm.click()
    done()
    drag(canvas, middle(canvas, -60), middle(canvas, -20))
    done()
    viewer.layers.selection.active = layer
    canvas.setFocus()
    for expected in (states[3], states[2], states[1], states[0]):
        qtbot.keyClick(canvas, "z", Qt.KeyboardModifier.ControlModifier)
        np.testing.assert_array_equal(layer.data, expected[0])
        assert confirmed_in(layer) == expected[1]
    both = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    for expected in states[1:]:
        qtbot.keyClick(canvas, "z", both)
        np.testing.assert_array_equal(layer.data, expected[0])
        assert confirmed_in(layer) == expected[1]


def test_undo_brings_the_slice_that_it_changes_into_view(loaded, qtbot):
    layer, viewer = loaded.workspace.labels, loaded.workspace.viewer
    z = int(viewer.dims.current_step[0])
    loaded.correct.confirm.click()
    viewer.dims.set_point(0, z + 1)
    history_of(layer).undo()
    assert int(viewer.dims.current_step[0]) == z


def test_undoing_a_prediction_leaves_what_was_painted_since(loaded):
    layer = loaded.workspace.labels
    layer.data[1] = 0
    filled = Filled(lambda: stack_of(layer), confirmed_in(layer))
    filled.remember(1)
    fill(layer, 1, np.full(layer.data.shape[1:], 2, np.uint8))
    layer.data[1, :5] = 1
    filled.undo()
    assert (layer.data[1, :5] == 1).all()
    assert not layer.data[1, 5:].any()
    filled.redo()
    assert (layer.data[1, 5:] == 4).all()


def test_dropped_proposals_are_unlabelled_and_undo_brings_them_back(loaded):
    layer = loaded.workspace.labels
    z = int(loaded.workspace.viewer.dims.current_step[0])
    layer.data[z, :, 32:] = 0
    mine = layer.data.copy()
    fill(layer, z, np.full(layer.data.shape[1:], 2, np.uint8))
    loaded.correct.drop.click()
    np.testing.assert_array_equal(layer.data, mine)
    layer.undo()
    assert (layer.data[z, :, 32:] == 4).all()


# -- exporting ----------------------------------------------------------------------------


@pytest.mark.parametrize("file_format", ["TIFF stack", "numbered PNGs"])
def test_exported_slices_read_back_bit_for_bit(loaded, qtbot, tmp_path, file_format):
    layer = loaded.workspace.labels
    for z in (1, 4):
        confirmed_in(layer).add(z)
    loaded.export.form.widgets["file_format"].value = file_format
    loaded.export.export_to(tmp_path / "out")
    wait_for(qtbot, lambda: loaded.export.status.text().startswith("Exported"))
    names = ("images.tif", "labels.tif") if file_format == "TIFF stack" else ("images", "labels")
    np.testing.assert_array_equal(
        read_image(tmp_path / "out" / names[0]), loaded.workspace.image.data[[1, 4]]
    )
    np.testing.assert_array_equal(read_labels(tmp_path / "out" / names[1]), layer.data[[1, 4]])


def test_export_leaves_unconfirmed_proposals_out(loaded, qtbot, tmp_path):
    layer = loaded.workspace.labels
    layer.data[:, :, 32:] = 0
    for z in range(len(layer.data)):
        fill(layer, z, np.full(layer.data.shape[1:], 2, np.uint8))
    loaded.export.form.widgets["which"].value = "labelled"
    loaded.export.form.widgets["allow_unlabelled"].value = True
    loaded.export.export_to(tmp_path / "out")
    wait_for(qtbot, lambda: loaded.export.status.text().startswith("Exported"))
    assert (read_labels(tmp_path / "out" / "labels.tif")[:, :, 32:] == 0).all()


@pytest.mark.parametrize("which", ["confirmed", "labelled"])
def test_an_export_of_nothing_is_refused_before_a_folder_is_asked(loaded, monkeypatch, which):
    asked = []
    monkeypatch.setattr(export_module, "ask_new_folder", lambda *given: asked.append(given))
    loaded.workspace.labels.data[:] = 0
    loaded.export.form.widgets["which"].value = which
    loaded.export.export.click()
    settle(loaded.export)
    assert "There is nothing to export" in loaded.export.status.text()
    assert asked == []


def test_export_pressed_again_opens_no_second_dialog_inside_of_the_first(loaded, monkeypatch):
    step, depths = loaded.export, []
    confirmed_in(loaded.workspace.labels).add(1)

    def ask(*_):
        depths.append(step.export.isEnabled())
        step.export.click()
        settle(step)

    monkeypatch.setattr(export_module, "ask_new_folder", ask)
    step.export.click()
    step.export.click()
    settle(step)
    assert depths == [False]
    assert step.export.isEnabled()
    loaded.workspace.labels.data[:] = 0
    step.export.click()
    settle(step)
    assert step.export.isEnabled()  # also where there is nothing to ask


@pytest.mark.parametrize(("answer", "is_replaced"), [("Replace", True), (None, False)])
def test_a_second_export_offers_the_same_folder_and_asks_before_it_replaces(
    loaded, qtbot, tmp_path, monkeypatch, answer, is_replaced
):
    step, asked = loaded.export, []
    monkeypatch.setattr(export_module, "ask_new_folder", lambda *given: asked.append(given[2]) or given[2])
    confirmed_in(loaded.workspace.labels).add(1)
    step.export_to(tmp_path / "mine")
    wait_for(qtbot, lambda: step.status.text().startswith("Exported 1 slice"))
    confirmed_in(loaded.workspace.labels).add(2)
    sure = answer_with(monkeypatch, answer)
    step.export.click()
    wait_for(qtbot, lambda: bool(sure))
    settle(step)
    assert asked == [tmp_path / "mine"]
    assert step.status.text().startswith("Exported 2 slices") is is_replaced
    assert len(read_image(tmp_path / "mine" / "images.tif")) == (2 if is_replaced else 1)


def test_export_of_proposals_names_them_and_the_control_that_lets_them_in(loaded, tmp_path):
    layer = loaded.workspace.labels
    layer.data[3:5, :, 32:] = 0
    fill(layer, 3, np.full(layer.data.shape[1:], 2, np.uint8))
    fill(layer, 4, np.full(layer.data.shape[1:], 2, np.uint8))
    loaded.export.form.widgets["which"].value = "all"
    loaded.export.export_to(tmp_path / "out")
    settle(loaded.export)
    said = loaded.export.status.text()
    assert "unconfirmed proposals in slices 3-4, " in said
    assert f"tick '{ExportSettings.model_fields['include_proposals'].title}'" in said
    assert not (tmp_path / "out").exists()
    loaded.export.form.widgets["include_proposals"].value = True
    loaded.export.export_to(tmp_path / "out")
    settle(loaded.export)
    assert loaded.export.status.text().startswith("Exported 6 slices")


def test_export_of_unlabelled_pixels_names_the_slices_and_the_control_that_lets_them_in(loaded, tmp_path):
    loaded.workspace.labels.data[3:5, :, 32:] = 0
    loaded.export.form.widgets["which"].value = "all"
    loaded.export.export_to(tmp_path / "out")
    settle(loaded.export)
    said = loaded.export.status.text()
    assert "unlabelled pixels in slices 3-4, " in said
    assert f"tick '{ExportSettings.model_fields['allow_unlabelled'].title}'" in said
    assert not (tmp_path / "out").exists()


def test_nothing_confirmed_is_a_sentence_and_writes_nothing(loaded, qtbot, tmp_path):
    with loaded.export.guard():
        loaded.export.export_to(tmp_path / "out")
    settle(loaded.export)
    assert "confirm" in loaded.export.status.text()
    assert not (tmp_path / "out").exists()


def test_the_writer_saves_labels_in_the_isbi_convention(loaded, tmp_path):
    layer = loaded.workspace.labels
    layer.data[0, 0, 0] = 0
    written = layer.save(str(tmp_path / "mine.isbi.tif"), plugin="emseg-napari")
    assert [Path(path).name for path in written] == ["mine.isbi.tif"]
    assert tifffile.imread(tmp_path / "mine.isbi.tif")[0, 0, 0] == 128
    np.testing.assert_array_equal(read_labels(tmp_path / "mine.isbi.tif"), layer.data)


def test_the_window_holds_no_tensorflow(loaded):
    assert not {"tensorflow", "keras"} & set(sys.modules)


# -- baselines ----------------------------------------------------------------------------


def shown_fields(step: TrainStep) -> set[str]:
    return {name for name, widget in step.form.widgets.items() if not widget.native.isHidden()}


@pytest.mark.parametrize("network", ["ridge", "trees"])
def test_choosing_a_baseline_hides_what_means_nothing_to_it(loaded, network):
    everything = shown_fields(loaded.train)
    loaded.train.form.widgets["batch_size"].value = "7"
    loaded.train.form.widgets["network"].value = network
    shared = {"network", "slices", "validate_slices", "hold_out", "seed", "missing_is_empty"}
    assert shown_fields(loaded.train) == shared
    assert loaded.train.recipe.isHidden()
    assert loaded.train.settings() == TrainingSettings.recipe(network)
    loaded.train.form.widgets["network"].value = "compact"
    assert shown_fields(loaded.train) == everything
    assert not loaded.train.recipe.isHidden()
    assert loaded.train.settings() == TrainingSettings.recipe("compact", start=STARTER)


@pytest.mark.slow
def test_every_network_is_explained_in_the_chooser_s_tooltip(loaded):
    tooltip = loaded.train.form.widgets["network"].tooltip
    assert all(f"{network}: " in tooltip for network in loaded.train.form.widgets["network"].choices)


@pytest.mark.slow
def test_a_chosen_baseline_is_remembered(loaded, qtbot, monkeypatch):
    monkeypatch.setattr(loaded.train.job, "start", noting([]))
    loaded.train.form.widgets["network"].value = "trees"
    loaded.train.train.click()
    later = TrainStep(loaded.workspace.viewer, loaded.workspace)
    qtbot.addWidget(later)
    assert later.settings() == TrainingSettings.recipe("trees")
    assert later.recipe.isHidden()


@pytest.mark.parametrize("network", ["ridge", slow_case("trees")])
def test_a_baseline_is_fitted_and_predicts_from_the_window(loaded, qtbot, network):
    loaded.train.form.widgets["network"].value = network
    loaded.train.train.click()
    wait_for(qtbot, lambda: not loaded.train.job.running)
    assert loaded.train.status.text().startswith("Trained"), loaded.train.status.text()
    assert len(loaded.train.plot.rows) == 1
    loaded.predict.target.setCurrentText(OWN_LAYER)
    loaded.predict.whole_stack.click()
    wait_for(qtbot, lambda: not loaded.predict.job.running)
    proposal = loaded.workspace.viewer.layers["cells proposal"]
    assert np.mean(plain(proposal.data) == striped()[1]) > 0.85


@pytest.mark.slow
def test_resuming_a_baseline_is_refused_with_a_sentence(loaded, qtbot):
    loaded.train.form.widgets["network"].value = "ridge"
    loaded.train.train.click()
    wait_for(qtbot, lambda: not loaded.train.job.running)
    with loaded.train.guard():
        loaded.train.start(loaded.train.folder)
    assert "neither resumed nor replayed" in loaded.train.status.text()


def test_resuming_a_finished_run_is_refused_with_what_to_do_instead(loaded, tiny_run):
    with loaded.train.guard():
        loaded.train.start(tiny_run.folder)
    assert "is finished, so it stays as it is" in loaded.train.status.text()
    assert "'Start from'" in loaded.train.status.text()
    assert not loaded.train.job.running
