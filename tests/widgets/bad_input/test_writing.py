"""Places to write to. Every mistake is a sentence, and nothing is lost."""

import errno
import os

import numpy as np

from emseg_napari.annotation.session.store import load_session
from emseg_napari.widgets.layers.labels_layer import confirmed_in
from helpers.mistakes import IMAGE, assert_complaint, assert_kept, files_below, state
from helpers.window import entry, wait_for, wait_until_left

BUSY = ("Exporting", "Saving")


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


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
    viewer.layers.remove("cells")
    loaded.workspace.choose("labels", viewer.layers["truth"])
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
