"""Step Save as in a real window; the engine writes for real."""

import threading

import numpy as np
import pytest
import tifffile
from qtpy.QtWidgets import QFileDialog

from emseg_napari.core.jobs import Message
from emseg_napari.io.convert import FORMATS
from emseg_napari.io.open import open_volume
from emseg_napari.io.records import record_of_path
from emseg_napari.widgets import save_as
from emseg_napari.widgets.layers.labels_layer import add_labels
from emseg_napari.widgets.layers.layer_info import LayerInfo
from emseg_napari.widgets.save_as import SaveAsStep
from helpers.window import end_jobs, striped, wait_for

IMAGE, TRUTH = striped((4, 64, 64))
PLACE = {"scale": (50, 4, 4), "translate": (100, 8, 12), "units": ("nm", "nm", "nm")}
CELLS = np.arange(4 * 64 * 64, dtype=np.int32).reshape(4, 64, 64) // 512


@pytest.fixture
def step(make_napari_viewer_proxy, qtbot):
    viewer = make_napari_viewer_proxy()
    step = SaveAsStep(viewer)
    viewer.window.add_dock_widget(step)
    viewer.add_image(IMAGE, name="tissue", **PLACE)
    viewer.add_labels(CELLS, name="cells", metadata=LayerInfo(is_cells=True).as_metadata(), **PLACE)
    yield step
    end_jobs(qtbot, step)


def save(step, qtbot, path) -> str:
    step.write(path)
    wait_for(qtbot, lambda: not step.job.running)
    return step.status.text()


@pytest.mark.parametrize("to", FORMATS)
def test_cells_are_saved_in_each_format(to, step, qtbot, tmp_path):
    assert step.source.layer.name == "cells"
    step.format.setCurrentText(to)
    path = tmp_path / ("cells.tif" if to == "tiff" else "cells")
    assert save(step, qtbot, path).startswith(f"Saved {path}.")
    if to in ("webknossos", "tiles"):
        assert record_of_path(path)["converted_from"]["file"] == "cells"
        return
    volume = open_volume(path, labels=True)
    assert (volume[...] == CELLS).all()
    assert volume.voxel.size == (50, 4, 4)
    assert volume.origin == (100, 8, 12)


def test_painted_labels_are_saved_without_proposals(step, qtbot, tmp_path):
    values = np.where(TRUTH == 1, 1, 4).astype(np.uint8)
    layer = add_labels(step.viewer, values, "mine", step.viewer.layers["tissue"])
    step.source.choose(layer)
    step.format.setCurrentText("tiff")
    save(step, qtbot, tmp_path / "mine.tif")
    assert (tifffile.imread(tmp_path / "mine.tif") == (TRUTH == 1)).all()


def test_the_dialog_offers_a_name_and_other_files_stay(step, qtbot, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        QFileDialog,
        "getSaveFileName",
        lambda _parent, _title, start, kind: (asked.append((start, kind)) or str(tmp_path / "a.tif"), kind),
    )
    step.format.setCurrentText("tiff")
    step.save.click()
    wait_for(qtbot, lambda: not step.job.running)
    assert asked[0][0].endswith("cells.tif")
    (tmp_path / "a.tif").write_bytes(b"mine")
    step.save.click()
    assert "exists and was not written by emseg convert" in step.status.text()
    assert (tmp_path / "a.tif").read_bytes() == b"mine"


def test_an_earlier_folder_is_replaced_after_a_question(step, qtbot, tmp_path, monkeypatch):
    step.format.setCurrentText("tiles")
    save(step, qtbot, tmp_path / "tiles")
    asked = []
    monkeypatch.setattr(save_as, "ask_new_folder", lambda *_: tmp_path / "tiles")
    monkeypatch.setattr(save_as, "is_sure", lambda _parent, sentence, _action: bool(asked.append(sentence)))
    step.save.click()
    assert asked == [f"tiles in {tmp_path} is replaced."]
    assert not step.job.running


def test_cancel_writes_nothing(step, qtbot, tmp_path, monkeypatch):
    waiting = threading.Event()
    monkeypatch.setattr(save_as, "placed_volume", lambda layer: waiting.wait(20) and layer)
    step.format.setCurrentText("tiles")
    step.write(tmp_path / "tiles")
    assert "a layer is being saved" in step.save.toolTip()
    step.format.setCurrentText("ome-zarr")  # for the next job
    step.cancel.click()
    waiting.set()
    wait_for(qtbot, lambda: not step.job.running)
    assert step.status.text() == "Cancelled; nothing was written."
    assert not (tmp_path / "tiles").exists()


def test_what_the_format_cannot_hold_is_said(step, qtbot, tmp_path):
    step.write(tmp_path / "cells")
    step.handle_event(Message("It is moved."))
    wait_for(qtbot, lambda: not step.job.running)
    assert step.status.text().endswith("It is moved.")
