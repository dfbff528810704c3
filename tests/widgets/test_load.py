"""Step Load without a window: what is described, where dialogs begin, and what is chosen of what opens."""

from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from qtpy.QtWidgets import QFileDialog

from emseg_napari.annotation.session.recovery import Recovery
from emseg_napari.widgets.base import lost_work, session_step
from emseg_napari.widgets.base.preferences import recall_folder, remember_folder
from emseg_napari.widgets.layers import destruction
from emseg_napari.widgets.layers.labels_layer import add_labels, confirmed_in
from emseg_napari.widgets.load import LoadStep
from helpers.window import answer_with, settle, striped, wait_for, wait_until_left

IMAGE, LABELS = striped((3, 24, 32))


@pytest.fixture
def step(qtbot):
    step = LoadStep(ViewerModel())
    qtbot.addWidget(step)
    return step


def entry_of(step, text):
    return next(entry for entries in step.menu_entries() for entry in entries if entry.text == text)


@pytest.fixture
def stack(tmp_path):
    (tmp_path / "data").mkdir()
    tifffile.imwrite(tmp_path / "data" / "stack.tif", IMAGE, photometric="minisblack")
    tifffile.imwrite(tmp_path / "data" / "truth.tif", LABELS, photometric="minisblack")
    return tmp_path / "data" / "stack.tif"


def test_the_chosen_image_is_described_also_when_its_scale_or_the_choice_changes(step):
    assert step.about.text() == ""
    first = step.viewer.add_image(IMAGE, name="first")
    second = step.viewer.add_image(IMAGE[:2], name="second")
    seen = [step.about.text()]
    assert "3" in seen[0]
    for change in (
        lambda: setattr(first, "scale", (50, 4, 4)),
        lambda: setattr(first, "units", ("nm",) * 3),
        lambda: step.workspace.choose("image", second),
        lambda: setattr(second, "scale", (7, 7, 7)),
    ):
        change()
        assert step.about.text() not in seen
        seen.append(step.about.text())
    first.scale = (1, 1, 1)  # is not the chosen one any more
    assert step.about.text() == seen[-1]


def test_labels_that_were_made_over_another_image_say_so_below_the_image(step):
    step.viewer.add_image(np.zeros((2, 8, 8)), name="first")
    second = step.viewer.add_image(np.zeros((2, 8, 8)), name="second")
    step.new_labels()
    assert "made over" not in step.about.text()
    labels = step.workspace.labels
    step.workspace.choose("image", second)  # which has none of its own
    step.workspace.choose("labels", labels)
    assert step.about.text().endswith(". 'first labels' were made over 'first'.")
    step.new_labels()
    assert "made over" not in step.about.text()


def test_the_size_of_an_image_is_followed_once_however_often_it_is_chosen(step):
    images = [step.viewer.add_image(IMAGE, name=name) for name in "ab"]
    for image in images * 2:
        step.workspace.choose("image", image)
    before = [len(image.events.scale.callbacks) for image in images], len(destruction._PENDING)
    for image in images * 5:
        step.workspace.choose("image", image)
    after = [len(image.events.scale.callbacks) for image in images], len(destruction._PENDING)
    assert after == before


def test_there_is_nothing_to_save_without_labels(step):
    step.save_session = lambda folder: pytest.fail("asked for")
    save = next(entry for entry in step.menu_entries()[1] if entry.text == "Save session...")
    save.action()
    assert step.status.text() == "There are no labels to save yet; paint, propose or open some."


def test_a_session_has_an_image_and_labels_of_the_plugin(step, tmp_path):
    sentence = "Choose an image and a labels layer that emseg made or opened; then save."
    with step.guard():
        step.save_session(tmp_path / "a.emseg")
    assert step.status.text() == sentence
    mine = add_labels(step.viewer, LABELS.copy(), "mine")
    step.say("")
    with step.guard():
        step.save_session(tmp_path / "a.emseg")
    assert step.status.text() == sentence
    step.viewer.add_image(IMAGE, name="cells")
    step.workspace.choose("labels", step.viewer.add_labels(LABELS.copy(), name="foreign"))
    step.say("")
    with step.guard():
        step.save_session(tmp_path / "a.emseg")
    assert step.status.text() == sentence
    assert mine in step.viewer.layers


def test_labels_that_are_not_in_the_session_are_named(step, tmp_path, qtbot):
    image = step.viewer.add_image(IMAGE, name="cells")
    for name in ("mine", "second", "third"):
        add_labels(step.viewer, LABELS.copy(), name, image)
    step.save_session(tmp_path / "a")
    wait_for(qtbot, lambda: step.status.text().startswith("Saved"))
    assert step.status.text() == (
        f"Saved a.emseg in {tmp_path}; your changes are saved there from now on. "
        "The image was not opened from a file by emseg, so the session holds a copy of it. "
        "It contains 'mine', not 'second', 'third'."
    )


def test_a_session_opens_with_its_image_and_the_next_dialog_begins_beside_it(step, tmp_path, qtbot):
    image = step.viewer.add_image(IMAGE, name="cells")
    confirmed_in(add_labels(step.viewer, LABELS.copy(), "mine", image)).update({0, 2})
    folder = tmp_path / "sessions" / "a.emseg"
    folder.parent.mkdir()
    step.save_session(folder)
    wait_for(qtbot, lambda: step.status.text().startswith("Saved"))
    step.viewer.layers.clear()
    wait_until_left(qtbot, folder)
    other = step.viewer.add_image(255 - IMAGE, name="another")
    remember_folder("images", Path("elsewhere"))
    step.open_session(folder)
    wait_for(qtbot, lambda: step.status.text() == "Opened the session (2 slices confirmed).")
    assert step.workspace.image not in (None, other)
    assert confirmed_in(step.workspace.labels) == {0, 2}
    assert recall_folder("images", Path()) == folder.parent


@pytest.mark.parametrize(
    ("button", "dialog", "opened"),
    [
        ("Open...", "getOpenFileName", "open_path"),
        ("Open a folder...", "getExistingDirectory", "open_path"),
        ("Open labels...", "getOpenFileName", "open_labels"),
        ("Open a folder of labels...", "getExistingDirectory", "open_labels"),
    ],
)
def test_dialogs_begin_in_the_last_folder_and_a_cancelled_one_opens_nothing(
    step, monkeypatch, tmp_path, button, dialog, opened
):
    remember_folder("images", tmp_path)
    asked, got, answers = [], [], ["", "a/b"]

    def ask(parent, title, start, *_):
        asked.append(Path(start))
        answer = answers.pop(0)
        return answer if dialog == "getExistingDirectory" else (answer, "")

    monkeypatch.setattr(QFileDialog, dialog, ask)
    monkeypatch.setattr(step, opened, got.append)
    for _ in range(2):
        entry_of(step, button).action()
    assert got == [Path("a/b")]
    assert asked == [tmp_path] * 2


def test_the_dialog_of_a_session_begins_in_the_last_folder_and_a_cancelled_one_saves_nothing(
    step, monkeypatch, tmp_path
):
    add_labels(step.viewer, LABELS.copy(), "mine", step.viewer.add_image(IMAGE))
    remember_folder("images", tmp_path)
    asked, got, answers = [], [], [None, Path("a/b")]
    monkeypatch.setattr(
        session_step, "ask_new_folder", lambda *given: asked.append(given[2]) or answers.pop(0)
    )
    monkeypatch.setattr(step, "save_session", got.append)
    for _ in range(2):
        entry_of(step, "Save session...").action()
    assert got == [Path("a/b")]
    assert asked == [tmp_path / "session.emseg"] * 2


def test_a_session_that_has_a_name_is_offered_by_it(step, monkeypatch, tmp_path, qtbot):
    add_labels(step.viewer, LABELS.copy(), "mine", step.viewer.add_image(IMAGE))
    step.save_session(tmp_path / "brain")
    wait_for(qtbot, lambda: step.status.text().startswith("Saved"))
    asked = []
    monkeypatch.setattr(session_step, "ask_new_folder", lambda *given: asked.append(given[2]))
    entry_of(step, "Save session...").action()
    assert asked == [tmp_path / "brain.emseg"]


def test_a_session_that_cannot_be_saved_is_refused_before_a_name_is_asked(step, monkeypatch):
    asked = []
    monkeypatch.setattr(session_step, "ask_new_folder", lambda *given: asked.append(given))
    step.workspace.choose("labels", step.viewer.add_labels(LABELS.copy(), name="foreign"))
    entry_of(step, "Save session...").action()
    assert "labels layer that emseg made or opened" in step.status.text()
    assert asked == []


def test_what_is_opened_is_chosen_described_and_its_folder_remembered(step, stack, qtbot):
    step.viewer.add_image(IMAGE, name="before")
    step.open_image(stack)
    assert step.status.text() == "Reading stack.tif..."
    settle(step)
    assert step.workspace.image.name == "stack"
    assert step.status.text().startswith("Opened stack.tif: ")
    assert recall_folder("images", Path()) == stack.parent
    remember_folder("images", Path("elsewhere"))
    add_labels(step.viewer, LABELS.copy(), "before")
    step.workspace.image.scale = (5, 2, 2)
    step.open_labels(stack.with_name("truth.tif"))
    settle(step)
    assert step.workspace.labels.name == "truth"
    assert step.workspace.labels.scale.tolist() == [5, 2, 2]
    assert "differs" not in step.status.text()
    assert "Train work on 'truth' now; for 'before" in step.status.text()
    assert recall_folder("images", Path()) == stack.parent


def test_a_folder_of_label_slices_is_opened_as_labels(step, tmp_path, monkeypatch, qtbot):
    for z, plane in enumerate(LABELS):
        imageio.imwrite(tmp_path / f"{z}.png", plane)
    step.workspace.choose("image", step.viewer.add_image(IMAGE, name="cells"))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *given: str(tmp_path))
    monkeypatch.setattr(step, "ask_convention", lambda error: "napari")  # 1 and 2 may be two cells as well
    entry_of(step, "Open a folder of labels...").action()
    wait_for(qtbot, lambda: step.workspace.labels is not None)
    np.testing.assert_array_equal(step.workspace.labels.data, LABELS)


def test_labels_of_another_shape_lie_by_themselves_and_it_is_said(step, stack, qtbot):
    step.open_labels(stack.with_name("truth.tif"))
    settle(step)
    assert "differs" not in step.status.text()  # from no image
    step.viewer.add_image(IMAGE[:2], name="cells", scale=(5, 2, 2))
    step.open_labels(stack.with_name("truth.tif"))
    settle(step)
    assert step.status.text().endswith("Its shape differs from the image's.")
    assert step.workspace.labels.scale.tolist() == [1, 1, 1]


def test_image_and_labels_of_another_stack_are_opened_beside_each_other(step, stack, tmp_path, qtbot):
    step.open_image(stack)
    wait_for(qtbot, lambda: step.workspace.image is not None)
    step.new_labels()
    other, _ = striped((2, 40, 40))
    tifffile.imwrite(tmp_path / "other.tif", other, photometric="minisblack")
    step.open_image(tmp_path / "other.tif")
    wait_for(qtbot, lambda: step.workspace.image.name == "other")
    assert step.status.text().endswith("To go on with 'stack labels', choose its image in Image again.")
    assert step.workspace.labels is None
    shown = {layer.name for layer in step.viewer.layers if layer.visible}
    assert shown == {"other"}
    step.open_labels(stack.with_name("truth.tif"))
    wait_for(qtbot, lambda: step.workspace.image.name == "stack")
    assert "differs" not in step.status.text()
    assert {layer.name for layer in step.viewer.layers if layer.visible} == {"stack", "truth"}


def test_a_disk_that_fails_and_works_again_is_said(step):
    step.autosave.trouble.emit("The disk is full.")
    assert step.status.text() == (
        "The disk is full. Trying again; until then your last strokes are not on disk."
    )
    step.autosave.trouble.emit("")
    assert step.status.text() == "All is on disk again."


def test_lost_work_is_offered_with_its_time_and_size_and_goes_when_it_is_restored(step, monkeypatch):
    works = [
        Recovery(Path("a"), datetime(2026, 3, 4, 5, 6), "cells", 7, named=False),
        Recovery(Path("b"), datetime(2026, 3, 5, 5, 6), "more", 1, named=False),
    ]
    opened, discarded = [], []
    monkeypatch.setattr(lost_work, "recoverable", lambda: list(works))
    monkeypatch.setattr(lost_work, "discard", lambda folder: discarded.append(folder) or works.pop())
    monkeypatch.setattr(step, "open_session", opened.append)
    assert step.lost_work.isHidden()
    step.lost_work.refresh()
    assert not step.lost_work.isHidden()
    assert step.lost_work.choice.itemText(0) == "cells \u00b7 04 Mar 05:06 \u00b7 7 slices"
    step.lost_work.restore.click()
    assert (opened, step.lost_work.choice.count(), step.lost_work.isHidden()) == ([Path("a")], 1, False)
    for answer, left in ((None, False), ("Discard", True)):
        asked = answer_with(monkeypatch, answer)
        step.lost_work.refresh()
        step.lost_work.choice.setCurrentIndex(1)
        step.lost_work.discard.click()
        assert "more (1 slice, 2026-03-05 05:06) are deleted" in asked[0]
        assert discarded == [Path("b")] * left
    step.lost_work.restore.click()
    assert step.lost_work.isHidden()


def test_sessions_whose_image_is_not_found_ask_for_it_as_a_file_or_as_a_folder(step, monkeypatch):
    asked = []
    for name in ("getOpenFileName", "getExistingDirectory"):
        empty = ("", "") if name == "getOpenFileName" else ""
        monkeypatch.setattr(
            QFileDialog, name, lambda *given, n=name, e=empty: asked.append((n, given[1])) or e
        )
    for path in ("x/stack.tif", "x/stack.zarr", "x/slices"):
        assert step._ask_moved(SimpleNamespace(path=Path(path))) is None
    assert asked == [
        ("getOpenFileName", "Where is stack.tif now?"),
        ("getExistingDirectory", "Where is stack.zarr now?"),
        ("getExistingDirectory", "Where is slices now?"),
    ]


def test_every_button_and_entry_says_what_it_opens(step):
    buttons = step.open, step.open_folder, step.sample, step.isbi2012, step.new_labels_button
    assert all(button.toolTip() for button in buttons)
    assert all(entry.tooltip for entries in step.menu_entries() for entry in entries)


def test_a_session_is_opened_as_such_and_all_else_as_an_image_or_labels(step, monkeypatch):
    opened = []
    monkeypatch.setattr(step, "open_session", lambda path: opened.append(("session", path.name)))
    monkeypatch.setattr(step, "open_image", lambda path: opened.append(("image", path.name)))
    for name in ("a.emseg", "a.tif", "slices"):
        step.open_path(Path(name))
    assert opened == [("session", "a.emseg"), ("image", "a.tif"), ("image", "slices")]


def test_a_new_labels_layer_is_chosen_and_hides_the_one_that_it_covers(step):
    image = step.viewer.add_image(IMAGE, name="cells")
    before = add_labels(step.viewer, LABELS.copy(), "mine", image)
    step.new_labels_button.click()
    assert step.workspace.labels.name == "cells labels"
    assert [layer.visible for layer in (before, step.workspace.labels)] == [False, True]
