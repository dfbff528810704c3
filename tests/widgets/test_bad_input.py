"""What people really give to a window: every mistake is a sentence, and nothing of theirs is lost."""

import errno
import json
import os
import shutil
from pathlib import Path

import dask.array as da
import h5py
import numpy as np
import pytest
import tifffile
from napari.layers._layer_actions import _duplicate_layer
from napari.layers.labels._labels_key_bindings import new_label
from qtpy.QtWidgets import QFileDialog

from emseg_napari.annotation.label_state import plain
from emseg_napari.annotation.session.store import load_session
from emseg_napari.core.jobs import EpochEnded, SlicePredicted
from emseg_napari.core.labels import to_isbi
from emseg_napari.io import stack_or_volume
from emseg_napari.io.fingerprint import fingerprint
from emseg_napari.io.stacks import read_labels, write_stack
from emseg_napari.models.run import open_run
from emseg_napari.models.starter import STARTER
from emseg_napari.settings import TrainingSettings
from emseg_napari.widgets.base import dialogs
from emseg_napari.widgets.base.prediction_options import FILL, OWN_LAYER
from emseg_napari.widgets.base.preferences import recall
from emseg_napari.widgets.dock import Dock
from emseg_napari.widgets.layers.labels_layer import add_labels, confirmed_in, is_managed
from helpers.slow import slow_case
from helpers.window import answer_with, entry, noting, settle, striped, wait_for, wait_until_left

IMAGE, LABELS = striped((6, 40, 50))  # smaller than a patch
INSTANCES = np.arange(6 * 40 * 50, dtype=np.uint16).reshape(6, 40, 50) // 400


def altered(array, value, where=np.s_[3, 0, 0]):
    """A copy in which a part has another value."""
    copy = array.astype(np.float32) if isinstance(value, float) else array.copy()
    copy[where] = value
    return copy


def noise(*shape):
    return np.random.default_rng(0).integers(0, 255, shape, np.uint8)


def write(path, array):
    tifffile.imwrite(path, array, photometric="minisblack")
    return path


BUSY = ("Exporting", "Saving")


def state(viewer):
    """All layers with a copy of their pixels."""
    return [(layer, np.array(layer.data)) for layer in viewer.layers]


def assert_kept(viewer, before):
    """Nothing came, went or changed."""
    assert list(viewer.layers) == [layer for layer, _ in before]
    for layer, pixels in before:
        np.testing.assert_array_equal(np.asarray(layer.data), pixels)


def assert_complaint(step, *parts):
    """One sentence in red that has these parts and blames nobody's program."""
    settle(step)
    text = step.status.text()
    assert step.is_wrong, text
    assert text.endswith("."), text
    assert "Unexpected error" not in text
    for part in parts:
        assert str(part) in text


@pytest.fixture
def choose(monkeypatch):
    """Answers every file dialog with the path that it is told."""
    chosen = []
    for name in ("getOpenFileName", "getSaveFileName"):
        monkeypatch.setattr(QFileDialog, name, lambda *_: (str(chosen[-1]), ""))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(chosen[-1]))
    return chosen.append


@pytest.fixture
def load(dock, qtbot, choose):
    """Opens a path with a button of step Load, as a user does."""

    def load(button, path):
        choose(path)
        entry(dock, button).click()
        wait_for(qtbot, lambda: not dock.load.status.text().startswith("Reading"))

    return load


@pytest.fixture
def started(dock, monkeypatch):
    """The jobs that would have begun."""
    jobs = []
    for step in (dock.train, dock.predict):
        monkeypatch.setattr(step.job, "start", noting(jobs))
    return jobs


@pytest.fixture
def loaded(dock):
    """The dock with a small stack "cells" and its labels "truth"."""
    layer = dock.workspace.viewer.add_image(IMAGE.copy(), name="cells")
    add_labels(dock.workspace.viewer, LABELS.copy(), "truth", layer)
    return dock


@pytest.fixture
def run_copy(tiny_run, tmp_path):
    """A run folder that may be damaged."""
    return Path(shutil.copytree(tiny_run.folder, tmp_path / "my run"))


# -- files --------------------------------------------------------------------------------


def unreadable(folder):
    """Files that are no stack, with what the sentence about each must say."""
    good = write(folder / "good.tif", IMAGE).read_bytes()
    (folder / "cut.tif").write_bytes(good[: len(good) // 2])
    (folder / "empty.tif").touch()
    (folder / "text.tif").write_text("no image at all")
    (folder / "notes.txt").write_text("no image at all")
    write(folder / "axes.tif", np.zeros((2, 3, 5, 20, 20), np.uint8))
    tifffile.imwrite(folder / "rgb.tif", noise(20, 20, 3))
    (folder / "none").mkdir()
    return {
        "missing.tif": "does not exist; check the name",
        "cut.tif": "copy it again",
        "empty.tif": "is empty",
        "text.tif": "is damaged or not an image",
        "notes.txt": "has a format that cannot be read",
        "rgb.tif": "save it as greyscale",
        "axes.tif": "axes",
        "none": "choose a folder of numbered slices",
    }


def test_files_that_cannot_be_read_change_nothing_and_a_good_one_opens_afterwards(loaded, load, tmp_path):
    viewer = loaded.workspace.viewer
    before = state(viewer)
    for name, part in unreadable(tmp_path).items():
        for button in ("Open...", "Open labels..."):
            load(button, tmp_path / name)
            assert_complaint(loaded.load, name, part)
    load("Open a folder...", tmp_path / "none.emseg")
    assert_complaint(loaded.load, "none.emseg is not a saved session")
    assert_kept(viewer, before)
    load("Open...", tmp_path / "good.tif")
    assert loaded.load.status.text().startswith("Opened good.tif")
    np.testing.assert_array_equal(loaded.workspace.image.data, IMAGE)


def test_images_without_information_are_refused_as_files(dock, load, tmp_path):
    nan, infinite = altered(IMAGE, np.nan), altered(IMAGE, -np.inf)
    for name, image, part in (
        ("flat.tif", np.full((3, 20, 20), 7, np.uint8), "the same value (7) in every pixel"),
        ("nan.tif", nan, "the first in slice 3; replace"),
        ("infinite.tif", infinite, "not finite numbers"),
    ):
        load("Open...", write(tmp_path / name, image))
        assert_complaint(dock.load, name, part)
    assert not len(dock.workspace.viewer.layers)


def test_label_files_outside_the_convention_are_named_and_converted_when_that_can_be(
    dock, load, tmp_path, monkeypatch
):
    asked = answer_with(monkeypatch, "instances")
    load("Open labels...", write(tmp_path / "seven.tif", altered(LABELS, 7)))
    assert_complaint(dock.load, "seven.tif", "(7)", "allowed are 0 = unlabelled")
    load("Open labels...", write(tmp_path / "shares.tif", LABELS.astype(np.float32) / 2))
    assert_complaint(dock.load, "shares.tif", "float32", "such as 0.5", "use whole numbers")
    assert not asked
    assert not len(dock.workspace.viewer.layers)
    load("Open labels...", write(tmp_path / "isbi.tif", to_isbi(LABELS)))
    np.testing.assert_array_equal(dock.workspace.labels.data, LABELS)
    load("Open labels...", write(tmp_path / "cells.tif", INSTANCES))
    assert "cells.tif holds values outside the label convention" in asked[0]
    assert dock.workspace.labels.name == "cells"
    assert set(np.unique(dock.workspace.labels.data)) == {1, 2}


def two_cells(gap=1):
    cells = np.zeros(IMAGE.shape, np.uint8)
    cells[:, :, : 25 - gap], cells[:, :, 25:] = 1, 2
    return cells


@pytest.mark.parametrize(
    ("values", "answer", "boundary"),
    [
        (two_cells(), "instances", two_cells() == 0),
        (two_cells().astype(np.float32), "instances", two_cells() == 0),
        (two_cells(), "napari", two_cells() == 1),
        (255 - to_isbi(LABELS), "inverted", LABELS == 1),
        (LABELS % 2, "inverted", LABELS == 1),
    ],
)
@pytest.mark.parametrize("limit", [slow_case(1000), 2**30])
def test_labels_that_can_be_read_in_two_ways_are_asked_about(
    dock, load, tmp_path, monkeypatch, values, answer, boundary, limit
):
    monkeypatch.setattr(stack_or_volume, "LARGE_BYTES", limit)
    asked = answer_with(monkeypatch, answer)
    load("Open labels...", write(tmp_path / "mask.tif", values))
    assert asked[0].startswith("mask.tif ")
    assert f"'{answer}'" in asked[0]
    np.testing.assert_array_equal(dock.workspace.labels.data == 1, boundary)
    assert "inverted" not in dock.load.status.text()


def test_labels_that_look_exchanged_are_said_to_be_when_opened_taken_over_and_exported(
    dock, qtbot, load, choose, tmp_path, monkeypatch
):
    dock.workspace.viewer.add_image(IMAGE, name="cells")
    answer_with(monkeypatch, "isbi")
    inverted = 255 - to_isbi(LABELS)
    load("Open labels...", write(tmp_path / "mask.tif", inverted))
    assert "mask.tif may be inverted (" in dock.load.status.text()
    dock.workspace.choose("labels", dock.workspace.viewer.add_labels(inverted, name="mine"))
    dock.correct.tools[0].click()
    settle(dock.correct)
    assert "mine may be inverted (" in dock.correct.status.text()
    dock.export.form.widgets["which"].value = "labelled"
    choose(tmp_path / "out")
    dock.export.export.click()
    wait_for(qtbot, lambda: not dock.export.status.text().startswith("Exporting"))
    assert "may be inverted (" in dock.export.status.text()


def test_labels_are_never_the_image_of_their_container_nor_the_image_itself(
    dock, load, tmp_path, monkeypatch
):
    cells = two_cells()
    with h5py.File(tmp_path / "c.hdf", "w") as file:
        file["volumes/raw"], file["volumes/labels/neuron_ids"] = IMAGE, cells.astype(np.uint64)
    dock.load.open_image(tmp_path / "c.hdf")
    settle(dock.load)
    answer_with(monkeypatch, "instances")
    load("Open labels...", tmp_path / "c.hdf")
    np.testing.assert_array_equal(dock.workspace.labels.data == 1, cells == 0)
    before = state(dock.workspace.viewer)
    dock.load.open_labels(tmp_path / "c.hdf/volumes/raw", "instances")
    assert_complaint(dock.load, "raw is what the image c.hdf/volumes/raw was opened from")
    assert_kept(dock.workspace.viewer, before)


@pytest.mark.slow
def test_of_several_datasets_of_labels_the_user_chooses_one(dock, load, tmp_path, monkeypatch):
    with h5py.File(tmp_path / "c.hdf", "w") as file:
        file["labels/a"], file["labels/b"] = two_cells(), LABELS
    answers = [("", False), ("labels/b", True)]
    offered = []
    monkeypatch.setattr(
        dialogs.QInputDialog, "getItem", lambda *words: offered.append(words[3]) or answers.pop(0)
    )
    load("Open labels...", tmp_path / "c.hdf")
    assert_complaint(dock.load, "c.hdf has 2 volumes, labels/a")
    load("Open labels...", tmp_path / "c.hdf")
    np.testing.assert_array_equal(dock.workspace.labels.data, LABELS)
    assert offered == [["labels/a", "labels/b"]] * 2


def test_layers_of_two_cells_are_asked_about_when_a_step_takes_them_over(dock, started, monkeypatch):
    viewer = dock.workspace.viewer
    viewer.add_image(IMAGE, name="cells")
    mine = viewer.add_labels(two_cells(), name="mine")
    asked = answer_with(monkeypatch, "instances")
    dock.train.train.click()
    np.testing.assert_array_equal(started[0]["labels"][:] == 1, two_cells() == 0)
    dock.workspace.choose("labels", mine)
    dock.correct.tools[0].click()
    settle(dock.correct)
    assert len(asked) == 2
    np.testing.assert_array_equal(dock.workspace.labels.data == 1, two_cells() == 0)


@pytest.mark.parametrize("convention", ["isbi", "instances"])
def test_layers_of_files_whose_record_states_the_convention_are_not_asked_about(
    dock, started, tmp_path, monkeypatch, convention
):
    values = 255 - to_isbi(LABELS) if convention == "isbi" else two_cells()
    write_stack(tmp_path / "stated.tif", values, {"convention": convention})
    asked, viewer = answer_with(monkeypatch, None), dock.workspace.viewer
    viewer.add_image(IMAGE, name="cells")
    viewer.open(str(tmp_path / "stated.tif"), plugin="napari", layer_type="labels")
    dock.train.train.click()
    assert not asked
    expected = values == 0
    np.testing.assert_array_equal(started[0]["labels"][:] == 1, expected)


@pytest.mark.slow
def test_giving_up_the_question_about_the_convention_opens_nothing(loaded, load, tmp_path, monkeypatch):
    asked, before = answer_with(monkeypatch, None), state(loaded.workspace.viewer)
    for name, values in (("two.tif", LABELS - 1), ("cells.tif", INSTANCES)):
        load("Open labels...", write(tmp_path / name, values))
        assert_complaint(loaded.load, name)
    assert len(asked) == 2
    assert_kept(loaded.workspace.viewer, before)


@pytest.mark.parametrize("shape", [(20, 20, 3), (2, 2, 20, 20)])
def test_beside_an_image_that_is_no_stack_labels_open_but_none_are_made(dock, load, tmp_path, shape):
    dock.workspace.viewer.add_image(noise(*shape), name="other", rgb=shape[-1] == 3)
    dock.load.new_labels_button.click()
    assert_complaint(dock.load, "other", "colour" if shape[-1] == 3 else "4 axes")
    assert dock.workspace.labels is None
    load("Open labels...", write(tmp_path / "truth.tif", LABELS))
    assert dock.load.status.text().startswith("Opened truth.tif")
    assert "shape differs" in dock.load.status.text()
    np.testing.assert_array_equal(dock.workspace.labels.data, LABELS)


# -- layers -------------------------------------------------------------------------------


@pytest.mark.slow
def test_training_refuses_images_and_labels_that_teach_nothing(dock, started):
    viewer = dock.workspace.viewer
    cases = {
        "colour": (noise(6, 40, 50, 3), LABELS, ("cells is a colour image", "convert it")),
        "four axes": (noise(2, 6, 40, 50), LABELS, ("cells has 4 axes", "split")),
        "constant": (np.full_like(IMAGE, 9), LABELS, ("cells", "same value (9)", "choose another")),
        "NaN": (altered(IMAGE, np.nan), LABELS, ("cells", "NaN", "the first in slice 3")),
        "infinite": (altered(IMAGE, np.inf), LABELS, ("cells", "infinity", "the first in slice 3")),
        "shapes": (IMAGE, LABELS[:, :30], ("mine (6 x 30 x 50)", "cells (6 x 40 x 50)", "choose labels")),
        "2D image": (IMAGE[0], LABELS, ("mine (6 x 40 x 50)", "cells (1 x 40 x 50)", "choose labels")),
        "2D labels": (IMAGE, LABELS[0], ("mine (1 x 40 x 50)", "cells (6 x 40 x 50)", "choose labels")),
        "interior only": (IMAGE, np.full_like(LABELS, 2), ("mine has no boundary", "label some boundary")),
        "no labels": (IMAGE, np.zeros_like(LABELS), ("mine has no labels", "label some")),
        "values": (IMAGE, altered(LABELS, 7), ("mine holds values", "(7)", "allowed are")),
    }
    for name, (image, labels, parts) in cases.items():
        viewer.layers.clear()
        viewer.add_image(image, name="cells", rgb=name == "colour")
        viewer.add_labels(labels, name="mine")
        before = state(viewer)
        dock.train.train.click()
        assert_complaint(dock.train, *parts)
        assert_kept(viewer, before)
    assert not started
    viewer.layers.clear()
    viewer.add_image(IMAGE, name="cells")
    viewer.add_labels(LABELS, name="mine")
    dock.train.train.click()
    assert len(started) == 1


def test_pixels_that_are_not_used_may_hold_anything_and_used_ones_are_named_rightly(loaded, started):
    image, labels = loaded.workspace.image, loaded.workspace.labels
    image.data = altered(IMAGE, np.nan)
    labels.data[:2] = 0
    loaded.train.train.click()
    assert_complaint(loaded.train, "cells", "the first in slice 3")
    loaded.train.form.widgets["slices"].value = "4:6"
    loaded.train.train.click()
    assert len(started) == 1


def test_labels_layers_of_other_conventions_train_as_what_they_are_and_stay(dock, started, monkeypatch):
    viewer = dock.workspace.viewer
    viewer.add_image(IMAGE, name="cells")
    asked = answer_with(monkeypatch, None)
    isbi = viewer.add_labels(to_isbi(LABELS), name="isbi")
    dock.train.train.click()
    np.testing.assert_array_equal(started[0]["labels"], LABELS)
    instances = viewer.add_labels(INSTANCES.copy(), name="mine")
    dock.workspace.choose("labels", instances)
    before = state(viewer)
    for button, step in ((dock.train.train, dock.train), (dock.correct.tools[0], dock.correct)):
        button.click()
        settle(step)
        assert "mine holds values outside the label convention" in asked.pop()
        assert_complaint(step, "mine", "convert it with the convention 'instances'")
        assert_kept(viewer, before)
    answer_with(monkeypatch, "instances")
    dock.train.train.click()
    assert len(started) == 2
    assert dock.workspace.labels.name == "mine (boundary labels)"
    np.testing.assert_array_equal(started[1]["labels"], dock.workspace.labels.data)
    np.testing.assert_array_equal(instances.data, INSTANCES)
    np.testing.assert_array_equal(isbi.data, to_isbi(LABELS))


@pytest.mark.slow
def test_an_export_asks_about_the_convention_too(dock, qtbot, choose, tmp_path, monkeypatch):
    viewer = dock.workspace.viewer
    viewer.add_image(IMAGE, name="cells")
    mine = viewer.add_labels(LABELS - 1, name="mine")
    dock.export.form.widgets["which"].value = "all"
    choose(tmp_path / "out")
    answer_with(monkeypatch, None)
    dock.export.export.click()
    assert_complaint(dock.export, "mine holds only 0 and 1", "say which")
    assert not (tmp_path / "out").exists()
    answer_with(monkeypatch, "binary")
    dock.export.export.click()
    wait_for(qtbot, lambda: dock.export.status.text().startswith("Exported"))
    np.testing.assert_array_equal(read_labels(tmp_path / "out" / "labels.tif"), LABELS)
    np.testing.assert_array_equal(mine.data, LABELS - 1)


@pytest.mark.parametrize("shape", [(6, 40, 50), (1, 6, 40, 50)])
def test_labels_that_are_not_in_memory_are_corrected_in_a_copy(dock, started, shape):
    viewer = dock.workspace.viewer
    viewer.add_image(IMAGE, name="cells")
    lazy = viewer.add_labels(da.from_array(LABELS.reshape(shape)), name="lazy")
    dock.train.train.click()
    np.testing.assert_array_equal(started[0]["labels"], LABELS)
    dock.correct.tools[0].click()
    settle(dock.correct)
    copy = dock.workspace.labels
    assert isinstance(copy.data, np.ndarray)
    assert is_managed(copy)
    np.testing.assert_array_equal(copy.data, LABELS)
    copy.data[:] = 0
    assert not is_managed(lazy)
    np.testing.assert_array_equal(np.asarray(lazy.data).reshape(LABELS.shape), LABELS)


@pytest.mark.slow
def test_a_brush_has_no_label_that_means_nothing(loaded):
    """Key M of napari chooses the next free number; beside proposals that is 5."""
    layer = loaded.workspace.labels
    layer.data[3] += 2
    new_label(layer)
    assert layer.selected_label == 1


def test_a_label_of_another_number_spoils_no_file(loaded, started, choose, tmp_path):
    layer = loaded.workspace.labels
    layer.data[0, 5, 5] = 5
    confirmed_in(layer).add(0)
    before = state(loaded.workspace.viewer)
    choose(tmp_path / "out.emseg")
    for step, button in (
        (loaded.train, loaded.train.train),
        (loaded.export, loaded.export.export),
        (loaded.load, entry(loaded, "Save session...")),
    ):
        button.click()
        assert_complaint(step, "truth holds 5", "correct the values")
    assert not started
    assert not list(tmp_path.rglob("*out*"))
    assert_kept(loaded.workspace.viewer, before)


def test_a_duplicate_of_a_layer_has_confirmations_of_its_own(loaded):
    viewer, layer = loaded.workspace.viewer, loaded.workspace.labels
    viewer.layers.selection = {layer}
    _duplicate_layer(viewer.layers)
    confirmed_in(viewer.layers["truth copy"]).add(1)
    assert confirmed_in(layer) == set()


# -- forms and remembered settings ----------------------------------------------------------


def test_values_outside_their_limits_are_named_and_start_nothing(loaded, started, tiny_run):
    loaded.predict.set_run(tiny_run.folder)
    for step, button, field, value, parts in (
        (loaded.train, loaded.train.train, "slices", "0:99", ("Slices", "0:99", "6 slices", "0:6")),
        (loaded.train, loaded.train.train, "slices", "5:2", ("Slices", "5:2", "FIRST:END")),
        (loaded.train, loaded.train.train, "slices", "abc", ("Slices", "abc", "FIRST:END")),
        (loaded.train, loaded.train.train, "validate_slices", "4:99", ("Held-out slices", "4:99", "0:6")),
        (loaded.train, loaded.train.train, "learning_rate", "abc", ("Learning rate", "abc", "0.5")),
        (loaded.train, loaded.train.train, "learning_rate", "-1", ("Learning rate", "greater than 0")),
        (loaded.train, loaded.train.train, "learning_rate", "nan", ("Learning rate", "nan")),
        (loaded.train, loaded.train.train, "batch_size", "2.5", ("Batch size", "2.5", "whole number")),
        (loaded.train, loaded.train.train, "batch_size", "10000", ("Batch size", "equal to 256")),
        (loaded.train, loaded.train.train, "patch_px", "100", ("Patch size", "multiple of 16")),
        (
            loaded.predict,
            loaded.predict.whole_stack,
            "threshold",
            "2",
            ("Threshold", "less than or equal to 1"),
        ),
        (loaded.predict, loaded.predict.whole_stack, "threshold", "half", ("Threshold", "half")),
        (loaded.predict, loaded.predict.whole_stack, "tile_px", "100", ("Tile size", "multiple of 32")),
    ):
        widget = step.form.widgets[field]
        right, widget.value = widget.value, value
        before = state(loaded.workspace.viewer)
        button.click()
        assert_complaint(step, *parts)
        assert_kept(loaded.workspace.viewer, before)
        widget.value = right
    assert not started
    loaded.train.train.click()
    loaded.predict.whole_stack.click()
    assert len(started) == 2


DAMAGED_SETTINGS = (
    b"{",
    b"\xff\xfe\x00",
    b"[1, 2]",
    json.dumps({name: [1] for name in ("train", "predict", "export", "folders")}).encode(),
    json.dumps(
        {
            "train": {"network": "huge", "batch_size": -1},
            "predict": {"scope": 5, "target": [], "probability": "?"},
            "export": {"which": "none", "settings_class": 1},
            "folders": {"runs": 5, "images": {}, "exports": [1]},
        }
    ).encode(),
)


def test_damaged_settings_do_not_hinder_the_start(
    settings_folder, make_napari_viewer_proxy, qtbot, choose, tmp_path
):
    viewer, stack = make_napari_viewer_proxy(), write(tmp_path / "good.tif", IMAGE)
    choose(stack)
    for damage in DAMAGED_SETTINGS:
        (settings_folder / "settings.json").write_bytes(damage)
        dock = Dock(viewer).build()
        qtbot.addWidget(dock)
        assert dock.train.settings() == TrainingSettings.recipe(start=STARTER)
        for step in (dock.train, dock.predict, dock.export):
            assert not step.is_wrong
        dock.load.open.click()
        wait_for(qtbot, lambda dock=dock: dock.load.status.text().startswith("Opened good.tif"))
        assert recall("folders")["images"] == str(tmp_path)


# -- writing --------------------------------------------------------------------------------


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def files_below(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_nothing_half_written_stays_when_the_disk_is_full_or_the_place_is_none(
    loaded, qtbot, choose, tmp_path, monkeypatch
):
    loaded.autosave.trouble.disconnect()  # what is kept unasked cannot be written either then
    confirmed_in(loaded.workspace.labels).add(2)
    loaded.train.preview.frames.append(np.zeros((8, 8), np.float32))
    loaded.workspace.changed.emit()
    (tmp_path / "file").write_text("a regular file")
    written, layers = files_below(tmp_path), state(loaded.workspace.viewer)
    buttons = (
        (loaded.export, loaded.export.export, "out"),
        (loaded.load, entry(loaded, "Save session..."), "out.emseg"),
        (loaded.train, loaded.train.outputs.save_movie, "out.gif"),
    )
    for folder, reason in ((tmp_path / "file", str(tmp_path / "file")), (tmp_path, "the disk is full; free")):
        with monkeypatch.context() as patch:
            if folder == tmp_path:
                patch.setattr(os, "replace", full)
            for step, button, name in buttons:
                choose(folder / name)
                button.click()
                wait_for(qtbot, lambda step=step: not step.status.text().startswith(BUSY))
                assert_complaint(step, name if folder == tmp_path else "file", reason)
    assert files_below(tmp_path) == written
    assert_kept(loaded.workspace.viewer, layers)
    for step, button, name in buttons:
        choose(tmp_path / name)
        button.click()
        wait_for(qtbot, lambda step=step: step.status.text().startswith(("Exported", "Saved")))
        assert (tmp_path / name).exists()


def test_a_session_that_could_not_be_opened_again_is_not_saved(loaded, load, qtbot, choose, tmp_path):
    save = entry(loaded, "Save session...")
    choose(tmp_path / "work.emseg")
    viewer = loaded.workspace.viewer
    loaded.workspace.choose("image", viewer.add_image(IMAGE[:3], name="other"))
    save.click()
    assert_complaint(loaded.load, "truth", "other", "differ in size")
    assert not (tmp_path / "work.emseg").exists()
    np.save(tmp_path / "cells.npy", IMAGE)
    (image,) = viewer.open(tmp_path / "cells.npy")
    loaded.workspace.choose("image", image)
    save.click()
    wait_for(qtbot, lambda: loaded.load.status.text().startswith("Saved"))
    (tmp_path / "cells.npy").unlink()
    viewer.layers.clear()
    wait_until_left(qtbot, tmp_path / "work.emseg")  # what is open is not opened twice
    np.testing.assert_array_equal(load_session(tmp_path / "work.emseg").image, IMAGE)
    load("Open a folder...", tmp_path / "work.emseg")
    assert loaded.load.status.text().startswith("Opened the session")


# -- runs -----------------------------------------------------------------------------------


def test_what_is_no_run_is_refused_and_the_chosen_run_stays(loaded, choose, tiny_run, run_copy, tmp_path):
    loaded.predict.set_run(tiny_run.folder)
    record = json.loads((run_copy / "run.json").read_text())
    for content, part in (
        (None, "choose the folder that a training wrote"),
        (json.dumps(record | {"format": 99}), "written by another version of emseg-napari (format 99"),
        (json.dumps(record | {"threshold": "high"}), "train again"),
        ("{", "run.json is damaged"),
    ):
        if content is None:
            (run_copy / "run.json").unlink()
        else:
            (run_copy / "run.json").write_text(content)
        choose(run_copy)
        picker = loaded.predict.run_picker
        picker.activated.emit(picker.count() - 1)  # another run folder
        assert_complaint(loaded.predict, run_copy, part)
        assert loaded.workspace.run == tiny_run.folder


def predict(dock, qtbot):
    dock.predict.whole_stack.click()
    assert dock.predict.job.running, dock.predict.status.text()
    wait_for(qtbot, lambda: not dock.predict.job.running)


def test_a_run_that_lost_its_network_predicts_nothing_and_a_whole_one_does(loaded, qtbot, run_copy, tiny_run):
    viewer = loaded.workspace.viewer
    before = state(viewer)
    loaded.predict.with_probability.setChecked(True)
    loaded.predict.set_run(run_copy)
    network = run_copy / "network.onnx"
    network.write_bytes(network.read_bytes()[:1000])
    predict(loaded, qtbot)
    assert_complaint(loaded.predict, network, "damaged: train again")
    network.unlink()
    predict(loaded, qtbot)
    assert_complaint(loaded.predict, run_copy, "network.onnx", "resume it")
    shutil.rmtree(run_copy)
    loaded.predict.whole_stack.click()
    assert_complaint(loaded.predict, run_copy, "is not a run folder")
    assert_kept(viewer, before)
    loaded.predict.set_run(tiny_run.folder)
    loaded.predict.target.setCurrentText(OWN_LAYER)
    predict(loaded, qtbot)
    assert "cells proposal" in viewer.layers


def test_predicting_refuses_what_is_no_image(dock, started, tiny_run):
    viewer = dock.workspace.viewer
    dock.predict.set_run(tiny_run.folder)
    for image, rgb, parts in (
        (noise(2, 20, 20, 3), True, ("cells is a colour image", "convert it")),
        (noise(2, 2, 20, 20), False, ("cells has 4 axes", "split")),
        (np.full_like(IMAGE, 9), False, ("cells", "same value (9)")),
        (altered(IMAGE, np.nan), False, ("cells", "the first in slice 3")),
        (altered(IMAGE, np.inf), False, ("cells", "the first in slice 3")),
    ):
        viewer.layers.clear()
        viewer.add_image(image, name="cells", rgb=rgb)
        before = state(viewer)
        dock.predict.whole_stack.click()
        assert_complaint(dock.predict, *parts)
        assert_kept(viewer, before)
    viewer.dims.set_point(0, 3)
    dock.predict.this_slice.click()
    assert_complaint(dock.predict, "cells", "the first in slice 3")
    assert not started
    viewer.dims.set_point(0, 2)
    dock.predict.this_slice.click()
    assert started[0]["settings"].slices == (2, 3)


def test_a_layer_of_whole_numbers_is_filled_exported_and_saved(dock, qtbot, load, choose, tiny_run, tmp_path):
    """A user's own 0/1/2 layer of 64 bits, which is taken over."""
    viewer = dock.workspace.viewer
    viewer.add_image(IMAGE, name="cells")
    mine = viewer.add_labels(altered(LABELS, 0, np.s_[:, :, 25:]).astype(np.int64), name="mine")
    dock.predict.set_run(tiny_run.folder)
    dock.predict.whole_stack.click()  # it is taken over first
    wait_for(qtbot, lambda: is_managed(mine) and not dock.predict.job.running and mine.data.all())
    assert dock.workspace.labels == mine
    dock.correct.tools[0].click()
    settle(dock.correct)
    assert mine.data.dtype == np.int64
    np.testing.assert_array_equal(mine.data[:, :, :25], LABELS[:, :, :25])
    assert (mine.data[:, :, 25:] > 0).all()
    dock.correct.confirm.click()
    z = next(iter(confirmed_in(mine)))
    choose(tmp_path / "out")
    dock.export.export.click()
    wait_for(qtbot, lambda: dock.export.status.text().startswith("Exported"))
    np.testing.assert_array_equal(read_labels(tmp_path / "out" / "labels.tif"), plain(mine.data[[z]]))
    choose(tmp_path / "work.emseg")
    entry(dock, "Save session...").click()
    wait_for(qtbot, lambda: dock.load.status.text().startswith("Saved"))
    np.testing.assert_array_equal(load_session(tmp_path / "work.emseg").labels, mine.data)


def test_layers_deleted_in_mid_prediction_are_said_and_the_next_prediction_comes(loaded, qtbot, tiny_run):
    viewer, truth = loaded.workspace.viewer, loaded.workspace.labels
    loaded.predict.set_run(tiny_run.folder)
    loaded.predict.with_probability.setChecked(False)

    def predict_and_delete(name):
        def delete(event):
            if isinstance(event, SlicePredicted) and event.z == 0:
                viewer.layers.remove(name)

        loaded.predict.job.event.connect(delete)
        predict(loaded, qtbot)
        loaded.predict.job.event.disconnect(delete)

    before = state(viewer)
    loaded.predict.target.setCurrentText(OWN_LAYER)
    predict_and_delete("cells proposal")
    assert_complaint(loaded.predict, "cells proposal", "propose again")
    assert_kept(viewer, before)
    truth.data[:] = 0
    loaded.predict.target.setCurrentText(FILL)
    predict_and_delete("truth")
    assert_complaint(loaded.predict, "truth", "propose again")
    loaded.predict.target.setCurrentText(OWN_LAYER)
    predict_and_delete("cells")
    assert viewer.layers["cells proposal"].data.all()
    assert not loaded.predict.whole_stack.isEnabled()


# -- a real training ------------------------------------------------------------------------


def set_tiny(dock, epochs=1):
    dock.train.form.set_values({"patch_px": 64, "batch_size": 1, "steps_per_epoch": 2})
    dock.train.unit.setCurrentText("epochs")
    dock.train.amount.setText(str(epochs))


def train(dock, qtbot, button=None):
    (button or dock.train.train).click()
    assert dock.train.job.running, dock.train.status.text()
    wait_for(qtbot, lambda: not dock.train.job.running, 180)


@pytest.mark.slow
def test_layers_deleted_in_mid_training_do_not_stop_it(loaded, qtbot, tmp_path):
    """The stack is smaller than a patch, too."""
    set_tiny(loaded, epochs=3)
    viewer = loaded.workspace.viewer

    def delete(event):
        if isinstance(event, EpochEnded) and event.epoch == 1:
            viewer.layers.clear()

    loaded.train.job.event.connect(delete)
    train(loaded, qtbot)
    assert loaded.train.status.text().startswith("Trained")
    assert not len(viewer.layers)
    assert "open an image first" in loaded.train.train.toolTip()


@pytest.mark.slow
def test_a_damaged_checkpoint_and_a_runs_folder_that_is_none_are_said(loaded, qtbot, run_copy, tmp_path):
    set_tiny(loaded)
    before = state(loaded.workspace.viewer)
    (tmp_path / "file").write_text("a regular file")
    loaded.workspace.runs_folder = tmp_path / "file" / "runs"
    train(loaded, qtbot)
    assert_complaint(loaded.train, tmp_path / "file", "choose another")

    image = loaded.workspace.image.data
    seen = [fingerprint(slice_) for slice_ in image]
    open_run(run_copy).update(
        finished=False, image_shape=image.shape, fingerprints=seen, held_out_fingerprints=seen
    )
    loaded.train.start_from.accept_folder(run_copy)
    checkpoint = run_copy / "last.keras"
    checkpoint.write_bytes(checkpoint.read_bytes()[:5000])
    loaded.train.form.widgets["slices"].value = "abc"  # a resumed training has settings of its own
    written = files_below(run_copy)
    train(loaded, qtbot, loaded.train.resume)
    assert_complaint(loaded.train, checkpoint, "train again")
    assert files_below(run_copy) == written
    assert_kept(loaded.workspace.viewer, before)


@pytest.mark.slow
def test_slices_of_odd_sizes_train_and_predict(dock, qtbot):
    image, labels = striped((2, 513, 300))
    viewer = dock.workspace.viewer
    viewer.add_image(image, name="odd")
    viewer.add_labels(labels, name="truth")
    set_tiny(dock)
    train(dock, qtbot)
    viewer.dims.set_point(0, 1)
    dock.predict.target.setCurrentText(OWN_LAYER)
    dock.predict.this_slice.click()
    wait_for(qtbot, lambda: not dock.predict.job.running)
    proposal = viewer.layers["odd proposal"]
    assert proposal.data.shape == (2, 513, 300)
    assert proposal.data[1].all()
    assert not proposal.data[0].any()
