"""Work that was not saved: what is offered and when, and what becomes of it."""

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QFileDialog

from emseg_napari.annotation.session.recovery import Marker, new_recovery, recoverable, recovery_folder
from emseg_napari.annotation.session.store import Session, load_session, save_session
from emseg_napari.widgets.base import session_step
from emseg_napari.widgets.base.preferences import recall_folder, remember_folder
from emseg_napari.widgets.layers.labels_layer import add_labels, confirmed_in
from emseg_napari.widgets.layers.placement import placement_of
from helpers.window import answer_with, canvas_of, entry, striped, wait_for, wait_until_left

IMAGE, LABELS = striped((6, 64, 64))


@pytest.fixture
def stack(tmp_path):
    (tmp_path / "data").mkdir()
    tifffile.imwrite(tmp_path / "data" / "stack.tif", IMAGE, photometric="minisblack")
    return tmp_path / "data" / "stack.tif"


@pytest.fixture
def lost(stack):
    """Work of a window that is gone, without a name."""
    return lost_work(stack)


def lost_work(stack, name="mine"):
    folder = new_recovery()
    folder.parent.mkdir(parents=True, exist_ok=True)
    save_session(folder, Session(stack, None, LABELS, {1}, name=name))
    return folder


def lost_with_name(stack):
    """A named session whose window did not end properly."""
    folder = stack.with_name("work.emseg")
    save_session(folder, Session(stack, None, LABELS[:], {1}, name="mine"))
    Marker(folder)._file.close()  # as the end of the process does
    return folder


@pytest.fixture
def card(lost, dock):
    """The card of a dock that was opened after that."""
    return dock.load.lost_work


def paint(dock, layer, qtbot):
    """Change a pixel, and return the session once it is on disk."""
    layer.data_setitem((np.array([2]), np.array([5]), np.array([6])), 4)
    folder = dock.autosave.folder(layer)
    wait_for(qtbot, lambda: (folder / "session.json").is_file())
    return folder


def restore(card, dock, qtbot):
    card.restore.click()
    wait_for(qtbot, lambda: dock.workspace.labels is not None)


def test_no_file_dialog_begins_among_unsaved_work_after_it_was_restored(card, dock, qtbot, tmp_path):
    remember_folder("images", tmp_path)
    restore(card, dock, qtbot)
    assert recall_folder("images", Path()) == tmp_path


def test_a_session_is_not_saved_where_unsaved_work_is_deleted(card, dock, qtbot, tmp_path, lost, monkeypatch):
    restore(card, dock, qtbot)
    for refused in (lost.with_name("session"), lost / "inside.emseg"):
        monkeypatch.setattr(session_step, "ask_new_folder", lambda *_, path=refused: path)
        dock.load.say("")
        entry(dock, "Save session...").click()
        wait_for(qtbot, lambda: "save in another folder" in dock.load.status.text())
        assert dock.autosave.folder(dock.workspace.labels) == lost
    dock.load.save_session(tmp_path / "work.emseg")
    wait_for(qtbot, lambda: dock.load.status.text().startswith(f"Saved work.emseg in {tmp_path};"))
    wait_for(qtbot, lambda: not list(recovery_folder().glob("*.emseg")))


def test_no_session_is_saved_inside_of_another_one(card, dock, qtbot, tmp_path):
    restore(card, dock, qtbot)
    for inside in (tmp_path / "y.emseg" / "y.emseg", tmp_path / "y.emseg" / "more" / "z"):
        dock.load.say("")
        dock.load.save_session(inside)
        wait_for(qtbot, lambda: "inside another session" in dock.load.status.text())
    assert not (tmp_path / "y.emseg").exists()


@pytest.mark.parametrize(("answer", "is_saved"), [("Replace", True), ("Cancel", False)])
def test_another_session_is_replaced_only_if_the_user_says_so(
    card, dock, qtbot, tmp_path, monkeypatch, answer, is_saved
):
    restore(card, dock, qtbot)
    other, saved = tmp_path / "brain.emseg", []
    other.mkdir()
    (other / "session.json").write_text("{}")
    monkeypatch.setattr(session_step, "ask_new_folder", lambda *_: other.with_suffix(""))
    monkeypatch.setattr(dock.load, "save_session", saved.append)
    asked = answer_with(monkeypatch, answer)
    entry(dock, "Save session...").click()
    assert f"brain.emseg in {tmp_path} is replaced" in asked[0]
    assert bool(saved) is is_saved


def test_the_question_says_what_is_deleted_and_what_stays(stack, dock, monkeypatch):
    card, named = dock.load.lost_work, lost_with_name(stack)
    card.refresh()
    assert card.choice.currentText().startswith("work.emseg \u00b7 ")
    asked = answer_with(monkeypatch, "Discard")
    card.discard.click()
    assert "deleted" not in asked[0]
    assert f"work.emseg stays in {named.parent}" in asked[0]
    assert (named / "session.json").is_file()
    assert card.isHidden()
    unnamed = lost_work(stack)
    card.refresh()
    card.discard.click()
    assert "The labels of stack.tif (6 slices, " in asked[1]
    assert asked[1].endswith("are deleted.")
    assert not unnamed.exists()


def test_later_lasts_whatever_layers_come_and_go(card, dock, qtbot, lost):
    assert not card.isHidden()
    card.later.click()
    assert card.isHidden()
    image = dock.workspace.viewer.add_image(IMAGE, name="cells")
    painted = add_labels(dock.workspace.viewer, LABELS.copy(), "painted", image)
    folder = paint(dock, painted, qtbot)
    dock.workspace.viewer.layers.remove(painted)
    wait_for(qtbot, card.isVisible)
    assert card.choice.count() == 1
    assert card.choice.currentText().startswith("painted \u00b7 ")
    assert {one.folder for one in recoverable()} == {folder, lost}
    entry(dock, "Work that was not saved...").click()
    assert card.choice.count() == 2


def test_work_that_could_not_be_opened_is_offered_again(card, dock, qtbot, stack, monkeypatch):
    stack.unlink()
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: ("", ""))
    card.restore.click()
    assert card.isHidden()
    wait_for(qtbot, card.isVisible)
    assert dock.load.is_wrong


def test_work_whose_reading_was_cancelled_is_offered_again(card, dock, lost):
    card.restore.click()
    assert card.isHidden()
    dock.load.cancel_reading()
    assert card.isVisible()
    assert card.choice.count() == 1
    assert dock.load.status.text() == f"Cancelled: {lost.name} was not opened."


def press(key):
    """Press a key wherever the focus is, as a keyboard does."""
    QTest.keyClick(QApplication.focusWidget() or QApplication.activeWindow(), key)


@pytest.fixture
def focused(card, dock, qtbot):
    """The button *Later*, which has the focus as after a click, beside a stack in view."""
    image = dock.workspace.viewer.add_image(IMAGE, name="cells")
    add_labels(dock.workspace.viewer, LABELS.copy(), "mine", image)
    canvas_of(dock)
    dock.window().activateWindow()
    card.later.setFocus()
    wait_for(qtbot, card.later.hasFocus)
    return card.later


def confirmed_by_key(dock):
    press(Qt.Key.Key_C)
    return bool(confirmed_in(dock.workspace.labels))


def test_keys_work_after_later(focused, dock):
    focused.click()
    assert confirmed_by_key(dock)


def test_keys_work_after_a_button_was_disabled_while_it_had_the_focus(focused, dock):
    focused.setEnabled(False)
    assert confirmed_by_key(dock)


def test_a_field_keeps_the_focus_when_another_control_goes(focused, dock, qtbot):
    dock.header.image.setFocus()
    wait_for(qtbot, dock.header.image.hasFocus)
    focused.click()
    assert dock.header.image.hasFocus()


@pytest.mark.parametrize("which", ["image", "labels"])
def test_keys_work_after_a_choice_from_a_list(focused, dock, qtbot, which):
    choice = getattr(dock.header, which)
    dock.window().centralWidget().setFocus()
    qtbot.mouseClick(choice, Qt.MouseButton.LeftButton)
    wait_for(qtbot, choice.view().isVisible)
    QTest.keyClick(choice.view(), Qt.Key.Key_Return)
    wait_for(qtbot, lambda: not choice.view().isVisible())
    assert confirmed_by_key(dock)


def open_image(dock, qtbot, stack):
    dock.load.open_image(stack)
    wait_for(qtbot, lambda: dock.workspace.image is not None)
    return dock.workspace.image


def images_in(dock):
    return [layer.name for layer in dock.workspace.candidates("image")]


def test_an_image_that_is_open_gets_no_second_copy(dock, qtbot, stack):
    image = open_image(dock, qtbot, stack)
    save_session(stack.with_name("work.emseg"), Session(stack, None, LABELS, image_place=placement_of(image)))
    image.visible = False
    dock.load.open_session(stack.with_name("work.emseg"))
    wait_for(qtbot, lambda: dock.workspace.labels is not None)
    assert images_in(dock) == ["stack"]
    assert dock.workspace.image.visible


def test_an_image_without_a_file_gets_no_second_copy_when_its_labels_are_restored(dock, qtbot):
    image = dock.workspace.viewer.add_image(IMAGE, name="cells")
    labels = add_labels(dock.workspace.viewer, LABELS.copy(), "mine", image)
    paint(dock, labels, qtbot)
    dock.workspace.viewer.layers.remove(labels)
    wait_for(qtbot, dock.load.lost_work.isVisible)
    restore(dock.load.lost_work, dock, qtbot)
    assert images_in(dock) == ["cells"]


def test_a_single_image_without_a_file_gets_no_second_copy_beside_a_colour_image(dock, qtbot, tmp_path):
    colours = np.zeros((*IMAGE.shape[1:], 3), np.uint8)
    dock.workspace.viewer.add_image(colours, name="colours", rgb=True)
    image = dock.workspace.viewer.add_image(IMAGE[0], name="cells")
    dock.workspace.choose("image", image)
    session = Session(None, IMAGE[:1], LABELS[:1], image_place=placement_of(image))
    save_session(tmp_path / "work.emseg", session)
    dock.load.open_session(tmp_path / "work.emseg")
    wait_for(qtbot, lambda: dock.workspace.labels is not None)
    assert images_in(dock) == ["colours", "cells"]


def test_a_session_with_a_copied_image_opens_over_the_file_of_that_image(dock, qtbot, stack):
    image = open_image(dock, qtbot, stack)
    session = Session(None, IMAGE, LABELS, image_place=placement_of(image))
    save_session(stack.with_name("work.emseg"), session)
    dock.load.open_session(stack.with_name("work.emseg"))
    wait_for(qtbot, lambda: dock.workspace.labels is not None)
    assert images_in(dock) == ["stack"]


def test_a_session_comes_with_its_image_where_the_open_one_lies_elsewhere(dock, qtbot, stack):
    image = open_image(dock, qtbot, stack)
    save_session(stack.with_name("work.emseg"), Session(stack, None, LABELS, image_place=placement_of(image)))
    image.scale = (50, 4, 4)
    dock.load.open_session(stack.with_name("work.emseg"))
    wait_for(qtbot, lambda: dock.workspace.labels is not None)
    assert images_in(dock) == ["stack", "stack [1]"]
    assert dock.workspace.image.name == "stack [1]"


def test_a_session_opens_with_its_own_image_where_the_pixels_in_view_were_replaced(dock, qtbot, stack):
    image = open_image(dock, qtbot, stack)
    save_session(stack.with_name("work.emseg"), Session(stack, None, LABELS, image_place=placement_of(image)))
    image.data = image.data[:3]
    dock.load.open_session(stack.with_name("work.emseg"))
    wait_for(qtbot, lambda: dock.workspace.labels is not None)
    assert dock.workspace.image.data.shape == LABELS.shape
    assert images_in(dock) == ["stack", "stack [1]"]


def test_a_session_that_is_opened_by_a_relative_path_stays_with_the_image_in_view(
    dock, qtbot, stack, monkeypatch
):
    image = open_image(dock, qtbot, stack)
    save_session(stack.with_name("work.emseg"), Session(stack, None, LABELS, image_place=placement_of(image)))
    monkeypatch.chdir(stack.parent)
    dock.load.open_session(Path("work.emseg"))
    wait_for(qtbot, lambda: dock.workspace.labels is not None)
    image.scale = (50, 4, 4)
    folder = paint(dock, dock.workspace.labels, qtbot)
    wait_for(qtbot, lambda: load_session(folder).image_place == placement_of(image))


def test_a_session_is_not_offered_again_while_it_is_opened(card, dock, qtbot, lost):
    card.restore.click()
    entry(dock, "Work that was not saved...").click()
    assert card.isHidden()
    assert dock.load.status.text() == "There is no work that was not saved."
    dock.load.open_session(lost)
    assert dock.load.status.text() == f"{lost.name} is open in a window already, or is being opened."
    wait_for(qtbot, lambda: dock.load.status.text().startswith("Opened the session"))
    entry(dock, "Work that was not saved...").click()
    assert card.isHidden()
    assert images_in(dock) == ["stack"]


def test_a_session_that_was_replaced_is_no_longer_offered(dock, qtbot, stack):
    named, card = lost_with_name(stack), dock.load.lost_work
    card.refresh()
    image = open_image(dock, qtbot, stack)
    add_labels(dock.workspace.viewer, LABELS.copy(), "mine", image)
    dock.load.save_session(named)
    wait_for(qtbot, lambda: dock.load.status.text().startswith("Saved"))
    assert card.isHidden()


@pytest.fixture
def linked(tmp_path, monkeypatch):
    """Unsaved work lies behind a symbolic link."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.setenv("EMSEG_DATA_DIR", str(tmp_path / "link"))


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_nothing_is_looked_for_any_more_once_removed_labels_are_back(linked, dock, qtbot):
    image = dock.workspace.viewer.add_image(IMAGE, name="cells")
    labels = add_labels(dock.workspace.viewer, LABELS.copy(), "mine", image)
    folder = paint(dock, labels, qtbot)
    dock.load._soon.setInterval(10**8)  # it is opened again before that
    dock.workspace.viewer.layers.remove(labels)
    wait_until_left(qtbot, folder)
    entry(dock, "Work that was not saved...").click()
    restore(dock.load.lost_work, dock, qtbot)
    dock.load._offer_left()
    assert not dock.load._left
