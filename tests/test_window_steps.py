import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from napari.layers import Image, Labels
from window import answer_with, canvas_of, drag, middle, striped, wait_for

from emseg_napari.labels import to_isbi
from emseg_napari.sessions import load_session
from emseg_napari.settings import ExportSettings, PredictionSettings, TrainingSettings
from emseg_napari.stacks import read_image, read_labels
from emseg_napari.widgets.forms import SettingsForm
from emseg_napari.widgets.layers import add_labels, corrections_of, is_ours
from emseg_napari.widgets.predict import fill
from emseg_napari.widgets.train import TrainStep


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
    assert not dock.predict.predict.isEnabled()
    assert not dock.export.export.isEnabled()
    assert not dock.correct.confirm.isEnabled()


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
    dock.train.new_labels.click()
    layer = dock.workspace.labels
    assert isinstance(layer, Labels)
    assert is_ours(layer)
    assert layer.data.shape == (2, 8, 9)
    assert not layer.data.any()
    assert layer.scale.tolist() == [5, 2, 2]
    boundary, interior = layer.colormap.color_dict[1], layer.colormap.color_dict[2]
    assert boundary[3] > 3 * interior[3] > 0


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


def test_the_sample_opens_from_the_menu_with_its_labels(dock):
    dock.load.buttons["Open sample"].click()
    assert isinstance(dock.workspace.image, Image)
    assert is_ours(dock.workspace.labels)
    assert dock.workspace.image.data.shape == dock.workspace.labels.data.shape


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
    corrections_of(layer).confirm(2)
    loaded.load.save_session(tmp_path / "work.emseg")
    viewer = loaded.workspace.viewer
    kept = layer.data.copy()
    viewer.layers.clear()
    loaded.load.open_session(tmp_path / "work.emseg")
    wait_for(qtbot, lambda: loaded.workspace.labels is not None)
    np.testing.assert_array_equal(loaded.workspace.labels.data, kept)
    assert corrections_of(loaded.workspace.labels).confirmed == {2}
    assert load_session(tmp_path / "work.emseg").corrections.confirmed == {2}


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
    form.widgets["slices"].value = "0:20"
    form.widgets["minutes"].value = "1.5"
    assert form.values()["slices"] == (0, 20)
    assert form.values()["minutes"] == 1.5


def test_choosing_reference_shows_its_recipe(loaded):
    loaded.train.form.widgets["network"].value = "reference"
    assert loaded.train.settings() == TrainingSettings.recipe("reference")
    loaded.train.form.widgets["network"].value = "compact"
    assert loaded.train.settings() == TrainingSettings.recipe("compact")


def test_training_settings_are_remembered(loaded, qtbot, monkeypatch):
    monkeypatch.setattr(loaded.train.job, "start", lambda *_, **__: None)
    loaded.train.amount.setValue(7)
    loaded.train.form.widgets["batch_size"].value = 3
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
    assert corrections_of(layer).touched[z].any()
    before = layer.data.copy()
    fill(layer, z, np.full(layer.data.shape[1:], 2, np.uint8))
    touched = corrections_of(layer).touched[z]
    np.testing.assert_array_equal(layer.data[z][touched], before[z][touched])
    assert (layer.data[z][~touched] == 2).all()


def test_confirming_with_the_key_protects_the_slice_and_shows(loaded, qtbot):
    layer = loaded.workspace.labels
    canvas = canvas_of(loaded)
    canvas.setFocus()
    z = int(loaded.workspace.viewer.dims.current_step[0])
    qtbot.keyClick(canvas, "c")
    assert corrections_of(layer).confirmed == {z}
    wait_for(qtbot, lambda: f"Confirmed slices: {z}" in loaded.correct.confirmed.text(), 5)
    before = layer.data.copy()
    fill(layer, z, np.ones(layer.data.shape[1:], np.uint8))
    np.testing.assert_array_equal(layer.data, before)
    loaded.correct.confirm.click()
    assert corrections_of(layer).confirmed == set()


def test_the_overlay_shows_proposed_touched_and_confirmed(loaded, qtbot):
    layer, viewer = loaded.workspace.labels, loaded.workspace.viewer
    z = int(viewer.dims.current_step[0])
    layer.data[z, :, 32:] = 0
    fill(layer, z, np.full(layer.data.shape[1:], 2, np.uint8))
    loaded.correct.overlay.setChecked(True)
    wait_for(qtbot, lambda: "state of the slice" in viewer.layers, 5)
    state = viewer.layers["state of the slice"].data[0]
    assert set(np.unique(state[:, :32])) == {2}
    assert set(np.unique(state[:, 32:])) == {1}
    loaded.correct.confirm.click()
    assert set(np.unique(viewer.layers["state of the slice"].data)) == {3}
    assert loaded.workspace.labels == layer  # the overlay is nobody's labels
    loaded.correct.overlay.setChecked(False)
    wait_for(qtbot, lambda: "state of the slice" not in viewer.layers, 5)


def test_dropped_proposals_are_unlabelled_and_undo_brings_them_back(loaded):
    layer = loaded.workspace.labels
    z = int(loaded.workspace.viewer.dims.current_step[0])
    layer.data[z, :, 32:] = 0
    mine = layer.data.copy()
    fill(layer, z, np.full(layer.data.shape[1:], 2, np.uint8))
    loaded.correct.drop.click()
    np.testing.assert_array_equal(layer.data, mine)
    layer.undo()
    assert (layer.data[z, :, 32:] == 2).all()
    assert corrections_of(layer).is_proposal(layer.data, z)[:, 32:].all()


# -- exporting ----------------------------------------------------------------------------


@pytest.mark.parametrize("file_format", ["TIFF stack", "numbered PNGs"])
def test_exported_slices_read_back_bit_for_bit(loaded, qtbot, tmp_path, file_format):
    layer = loaded.workspace.labels
    for z in (1, 4):
        corrections_of(layer).confirm(z)
    loaded.export.form.widgets["file_format"].value = file_format
    loaded.export.export_to(tmp_path / "out")
    wait_for(qtbot, lambda: loaded.export.status.text().startswith("Exported"), 20)
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
    wait_for(qtbot, lambda: loaded.export.status.text().startswith("Exported"), 20)
    assert (read_labels(tmp_path / "out" / "labels.tif")[:, :, 32:] == 0).all()


def test_nothing_confirmed_is_a_sentence_and_writes_nothing(loaded, qtbot, tmp_path):
    with loaded.export.guard():
        loaded.export.export_to(tmp_path / "out")
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
    loaded.train.form.widgets["batch_size"].value = 7
    loaded.train.form.widgets["network"].value = network
    assert shown_fields(loaded.train) == {"network", "slices", "validate_slices", "hold_out", "seed"}
    assert loaded.train.length.isHidden()
    assert loaded.train.settings() == TrainingSettings.recipe(network)
    loaded.train.form.widgets["network"].value = "compact"
    assert shown_fields(loaded.train) == everything
    assert not loaded.train.length.isHidden()
    assert loaded.train.settings() == TrainingSettings.recipe("compact")


def test_every_network_is_explained_in_the_chooser_s_tooltip(loaded):
    tooltip = loaded.train.form.widgets["network"].tooltip
    assert all(f"{network}: " in tooltip for network in loaded.train.form.widgets["network"].choices)


def test_a_chosen_baseline_is_remembered(loaded, qtbot, monkeypatch):
    monkeypatch.setattr(loaded.train.job, "start", lambda *_, **__: None)
    loaded.train.form.widgets["network"].value = "trees"
    loaded.train.train.click()
    later = TrainStep(loaded.workspace.viewer, loaded.workspace)
    qtbot.addWidget(later)
    assert later.settings() == TrainingSettings.recipe("trees")
    assert later.length.isHidden()


@pytest.mark.parametrize("network", ["ridge", "trees"])
def test_a_baseline_is_fitted_and_predicts_from_the_window(loaded, qtbot, network):
    loaded.train.form.widgets["network"].value = network
    loaded.train.train.click()
    wait_for(qtbot, lambda: not loaded.train.job.running)
    assert loaded.train.status.text().startswith("Trained"), loaded.train.status.text()
    assert len(loaded.train.plot.rows) == 1
    loaded.predict.predict.click()
    wait_for(qtbot, lambda: not loaded.predict.job.running)
    proposal = loaded.workspace.labels
    assert "proposal" in proposal.name
    assert np.mean(proposal.data == striped()[1]) > 0.85


def test_resuming_a_baseline_is_refused_with_a_sentence(loaded, qtbot):
    loaded.train.form.widgets["network"].value = "ridge"
    loaded.train.train.click()
    wait_for(qtbot, lambda: not loaded.train.job.running)
    with loaded.train.guard():
        loaded.train.start(loaded.train.folder)
    assert "neither resumed nor replayed" in loaded.train.status.text()
