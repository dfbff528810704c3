"""Forms and remembered settings. Every mistake is a sentence, and nothing is lost."""

import json

from emseg_napari.models.starter import STARTER
from emseg_napari.settings import TrainingSettings
from emseg_napari.widgets.base.preferences import recall
from emseg_napari.widgets.dock import Dock
from helpers.mistakes import IMAGE, assert_complaint, assert_kept, state, write
from helpers.window import wait_for


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
