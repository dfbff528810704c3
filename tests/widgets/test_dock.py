"""The dock belongs to its viewer: closed it is put away with its jobs, and opened again it is the same."""

import importlib
import threading
from threading import Event

import pytest
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt, QTimer
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication, QCheckBox, QComboBox, QMainWindow

from emseg_napari.annotation.session.recovery import new_recovery
from emseg_napari.annotation.session.store import Session, save_session
from emseg_napari.widgets import dock as dock_module
from emseg_napari.widgets import dock_widget
from emseg_napari.widgets.base.closing import main_window_of
from emseg_napari.widgets.dock import Dock
from emseg_napari.widgets.layers.labels_layer import add_labels, confirmed_in
from helpers.timing import PATIENCE_S
from helpers.window import canvas_of, end_jobs, entry, move, striped, wait_for

PLUGIN = "emseg-napari"


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    viewer = make_napari_viewer_proxy(show=True)
    image, labels = striped()
    add_labels(viewer, labels + 2, "mine", viewer.add_image(image, name="cells"))
    return viewer


def opened(viewer, qtbot):
    frame, shown = viewer.window.add_plugin_dock_widget(PLUGIN)
    wait_for(qtbot, lambda: shown.dock is not None)
    return frame, shown


def closed(viewer, qtbot, close):
    gone = []
    frame, shown = opened(viewer, qtbot)
    shown.destroyed.connect(lambda: gone.append(True))
    close(frame, shown)
    wait_for(qtbot, lambda: bool(gone))


def remove(viewer):
    return lambda frame, shown: viewer.window.remove_dock_widget(frame)


@pytest.mark.parametrize("way", ["button", "removed"])
def test_a_dock_that_is_closed_and_opened_again_is_the_same(viewer, qtbot, way):
    _, shown = opened(viewer, qtbot)
    dock = shown.dock
    before = len(viewer.layers["mine"].mouse_drag_callbacks)
    dock.correct.repairs.tools["Drop piece"].click()
    assert len(viewer.layers["mine"].mouse_drag_callbacks) == before + 1
    canvas = canvas_of(shown)
    move(canvas, canvas.rect().center())
    ways = {
        "button": lambda frame, _: frame.destroyOnClose(),
        "removed": remove(viewer),
    }
    closed(viewer, qtbot, ways[way])
    assert not dock.isVisible()
    assert viewer.layers["mine"].mouse_pan  # the tool is out of hand
    assert len(viewer.layers["mine"].mouse_drag_callbacks) == before
    again = opened(viewer, qtbot)[1]
    assert again.dock is dock
    wait_for(qtbot, dock.isVisible)
    assert dock.workspace.labels == viewer.layers["mine"]


def test_a_key_does_nothing_while_the_dock_is_put_away(viewer, qtbot):
    _, shown = opened(viewer, qtbot)
    canvas = canvas_of(shown)
    closed(viewer, qtbot, remove(viewer))
    qtbot.keyClick(canvas, "c")
    assert not confirmed_in(viewer.layers["mine"])
    wait_for(qtbot, opened(viewer, qtbot)[1].dock.isVisible)
    qtbot.keyClick(canvas, "c")
    assert len(confirmed_in(viewer.layers["mine"])) == 1


def test_a_job_goes_on_while_the_dock_is_put_away_and_its_line_is_there_again(viewer, qtbot, tiny_run):
    dock = opened(viewer, qtbot)[1].dock
    dock.predict.set_run(tiny_run.folder)
    line = dock.predict.job_lines[0]
    assert line.isHidden()
    dock.predict.whole_stack.click()
    assert line.isVisible()
    closed(viewer, qtbot, remove(viewer))
    dock = opened(viewer, qtbot)[1].dock
    assert dock.predict.job_lines[0] is line
    wait_for(qtbot, lambda: not dock.predict.job.running)
    assert dock.status.text().startswith("Proposed in 'mine'")
    assert line.isHidden()


def test_engines_outlive_a_dock_that_is_put_away_and_end_with_the_window(make_napari_viewer, qtbot, tiny_run):
    viewer = make_napari_viewer(show=True)
    viewer.add_image(striped((20, 256, 256))[0], name="cells")
    dock = opened(viewer, qtbot)[1].dock
    dock.predict.set_run(tiny_run.folder)
    dock.predict.whole_stack.click()
    wait_for(qtbot, lambda: dock.predict.bar.value() > 0)
    assert isinstance(main_window_of(dock), QMainWindow)
    process = dock.predict.job.process_id
    closed(viewer, qtbot, remove(viewer))
    assert dock.predict.job.process_id == process is not None
    viewer.close()
    wait_for(qtbot, lambda: dock.predict.job.process_id is None)


def test_two_windows_have_two_docks(make_napari_viewer, qtbot):
    first, second = make_napari_viewer(), make_napari_viewer()
    docks = [opened(viewer, qtbot)[1].dock for viewer in (first, second)]
    assert docks[0] is not docks[1]
    assert [dock.workspace.viewer for dock in docks] == [first, second]


def test_the_card_that_opens_something_goes_with_the_first_image_and_comes_back(viewer, qtbot):
    dock = opened(viewer, qtbot)[1].dock
    assert dock.load.isHidden()
    wait_for(qtbot, dock.pages.isVisible)
    viewer.layers.clear()
    assert dock.load.isVisible()
    assert not dock.pages.isVisible()


def test_the_status_line_shows_the_last_sentence_of_any_step(viewer, qtbot):
    dock = opened(viewer, qtbot)[1].dock
    dock.train.say("Training.")
    dock.export.complain("The disk is full.")
    assert dock.status.text() == "\u26a0 The disk is full."
    assert "color" in dock.status.styleSheet()
    dock.predict.say("Proposed.")
    assert (dock.status.text(), dock.status.styleSheet()) == ("Proposed.", "")
    end_jobs(qtbot, dock.predict)


def test_the_window_stays_alive_while_the_dock_is_imported(make_napari_viewer, qtbot, monkeypatch):
    imported, wanted = Event(), dock_widget._DOCK

    def slowly(name):
        if threading.current_thread() is not threading.main_thread():
            assert imported.wait(PATIENCE_S)
        return importlib.import_module(wanted)

    monkeypatch.setattr(dock_widget, "_DOCK", f"{wanted}.not_yet")
    monkeypatch.setattr(dock_widget, "import_module", slowly)
    shown = make_napari_viewer(show=True).window.add_plugin_dock_widget(PLUGIN)[1]
    assert shown.dock is None
    assert shown._loading.text() == "Loading..."
    with qtbot.waitSignal(shown.ready, timeout=int(1000 * PATIENCE_S)):
        imported.set()
    assert shown.dock.workspace is not None
    assert shown._loading.isHidden()
    wait_for(qtbot, lambda: shown.dock.height() == shown.height())  # nothing is left empty above or below


def test_the_window_answers_between_the_parts_of_the_dock(viewer, qtbot):
    shown = viewer.window.add_plugin_dock_widget(PLUGIN)[1]
    built, timer = set(), QTimer()
    timer.timeout.connect(lambda: built.add(len(shown._built.steps) if shown._built else 0))
    timer.start(0)
    wait_for(qtbot, lambda: shown.dock is not None)
    timer.stop()
    assert len(built) > len(shown.dock.steps) // 2


def test_a_dock_that_is_closed_before_it_is_built_is_whole_when_it_is_opened_again(viewer, qtbot):
    frame, shown = viewer.window.add_plugin_dock_widget(PLUGIN)
    wait_for(qtbot, lambda: shown._built is not None)
    first = shown._built
    assert shown.dock is None
    viewer.window.remove_dock_widget(frame)
    again = opened(viewer, qtbot)[1]
    assert again.dock is first
    assert again.dock.pages.count() == 4
    wait_for(qtbot, again.dock.isVisible)


def test_a_dock_that_cannot_be_imported_says_so(make_napari_viewer, qtbot, monkeypatch):
    monkeypatch.setattr(dock_widget, "_DOCK", "emseg_napari.widgets.is_not_there")
    shown = make_napari_viewer().window.add_plugin_dock_widget(PLUGIN)[1]
    wait_for(qtbot, lambda: "cannot be loaded" in shown._loading.text())
    assert shown.dock is None


def test_a_tick_of_the_menu_is_a_box_that_is_seen_before_it_is_ticked(viewer, qtbot):
    dock = opened(viewer, qtbot)[1].dock
    dock.header.menu.popup(dock.mapToGlobal(dock.rect().center()))
    (box,) = dock.header.menu.findChildren(QCheckBox)
    assert box.isVisible()
    assert not box.isChecked()
    qtbot.mouseClick(box, Qt.MouseButton.LeftButton)
    assert dock.load.copies_image
    entry(dock, box.text()).click()
    assert not dock.load.copies_image
    dock.header.menu.close()


def seen_windows():
    return {one for one in QApplication.topLevelWidgets() if one.isVisible()}


def test_nothing_is_shown_as_a_window_of_its_own_while_the_dock_is_built(viewer):
    work = new_recovery()
    work.parent.mkdir(parents=True, exist_ok=True)
    save_session(work, Session(None, striped()[0], striped()[1]))
    shown = seen_windows()
    dock = Dock(viewer)
    while dock.build_next():
        assert seen_windows() == shown
    assert not dock.load.lost_work.isHidden()


def test_a_part_that_cannot_be_built_is_said_and_the_next_opening_begins_anew(viewer, qtbot, monkeypatch):
    def fails(*_):
        raise OSError("no room")

    with monkeypatch.context() as broken:
        broken.setitem(dock_module._STEPS, "train", fails)
        frame, shown = viewer.window.add_plugin_dock_widget(PLUGIN)
        wait_for(qtbot, lambda: "OSError: no room" in shown._loading.text())
        assert shown.dock is None
    viewer.window.remove_dock_widget(frame)
    assert opened(viewer, qtbot)[1].dock.pages.count() == 4


def test_a_brush_stays_in_hand_on_page_train_and_is_put_down_on_those_where_nothing_is_painted(dock):
    layer = add_labels(dock.workspace.viewer, striped()[1], "mine")
    for step, mode in ((dock.train, "paint"), (dock.evaluate, "pan_zoom"), (dock.cells, "pan_zoom")):
        dock.show_step(dock.correct)
        dock.correct.brushes.buttons[0].click()
        dock.show_step(step)
        assert layer.mode == mode


def test_half_a_dock_is_not_found_from_the_moment_that_it_is_discarded(viewer):
    half = dock_module.dock_of(viewer)
    half.discard()
    assert dock_module.dock_of(viewer) is not half


def test_keys_of_labels_do_what_napari_does_once_half_a_dock_was_discarded(viewer):
    layer = viewer.layers["mine"]
    before = dict(layer.keymap)
    half = Dock(viewer)
    while not hasattr(half, "correct"):
        half.build_next()
    assert layer.keymap != before
    half.discard()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    assert layer.keymap == before


def test_no_part_is_a_window_of_its_own_while_the_dock_is_built(viewer, qtbot):
    before = {id(one) for one in QApplication.topLevelWidgets() if one.isVisible()}
    shown, windows, timer = viewer.window.add_plugin_dock_widget(PLUGIN)[1], [], QTimer()
    timer.timeout.connect(
        lambda: windows.extend(one for one in QApplication.topLevelWidgets() if one.isVisible())
    )
    timer.start(0)
    wait_for(qtbot, lambda: shown.dock is not None)
    timer.stop()
    assert windows
    assert {id(one) for one in windows} <= before


def test_the_wheel_changes_no_list_that_it_passes(viewer, qtbot):
    dock = opened(viewer, qtbot)[1].dock
    lists = [one for one in dock.findChildren(QComboBox) if one.count() > 1]
    before = [one.currentText() for one in lists]
    assert before
    for widget in lists:
        for turn in (-120, 120, 120):
            wheel(widget, turn)
    assert [one.currentText() for one in lists] == before


def wheel(widget, turn):
    """Turn the mouse wheel over a widget."""
    centre = QPointF(widget.rect().center())
    where = (centre, QPointF(widget.mapToGlobal(centre.toPoint())), QPoint(), QPoint(0, turn))
    how = (Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False)
    QApplication.sendEvent(widget, QWheelEvent(*where, *how))
