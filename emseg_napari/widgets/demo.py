"""``python -m emseg_napari.widgets.demo [STACK_OR_SESSION]``: the window, ready to use.

With ``--by-itself --output FOLDER`` it does the main job alone: load, train, predict,
correct with the brush, export; and leaves a picture of itself and the exported files.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari
from qtpy.compat import isalive
from qtpy.QtCore import QPoint, QRect, QSize, Qt, QThreadPool
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget

from emseg_napari.core import child
from emseg_napari.core.files import writable_folder
from emseg_napari.core.jobs import UserError
from emseg_napari.io.stacks import as_stack
from emseg_napari.widgets.base.qt_notice import notice_in_terminal

if TYPE_CHECKING:
    from emseg_napari.widgets.dock import Dock

TITLE = "Segment boundaries"
_LOADED_S = 300
_WHOLE_PAGE = QSize(1280, 800)  # shows the page Label & correct without a scroll bar


def open_window(
    path: Path | None = None, show: bool = True, sample: bool = True
) -> tuple[napari.Viewer, Dock]:
    """Open a viewer with the dock and a sample, a stack or a session.

    Parameters
    ----------
    path : Path, optional
        An image stack, a folder of slices or a session folder ``NAME.emseg``; the sample
        when not given.
    show : bool
        Whether the window shows at once.
    sample : bool
        Whether to open the sample where no path is given.
    """
    with notice_in_terminal():
        viewer = napari.Viewer(show=show)
    # The window shows, and answers, while the dock is imported.
    shown = viewer.window.add_plugin_dock_widget("emseg-napari", TITLE)[1]
    window = shown.window()
    wait_until(
        lambda: shown.dock is not None or bool(shown.problem) or not isalive(shown),
        _LOADED_S,
        "Loading the plugin",
    )
    if not isalive(window):
        QThreadPool.globalInstance().waitForDone()  # the import ends first: it could not be told the end
        raise SystemExit
    if shown.problem:
        raise UserError(shown.problem)
    from emseg_napari.widgets.dock import dock_of

    dock = dock_of(viewer).build()  # where it was closed meanwhile, it is put away
    enlarge(window)  # before the image comes, which is fitted into the view
    if path is not None:
        dock.load.open_path(path)
    elif sample:
        dock.load.open_sample()
    return viewer, dock


def enlarge(window: QWidget) -> None:
    """Make a window as large as the whole page, unless it is larger, in the middle of the screen.

    Its frame, which the window manager draws around it once it is shown, stays on the screen, too.
    """
    room, frame, inside = window.screen().availableGeometry(), window.frameGeometry(), window.geometry()
    border = frame.size() - inside.size()
    wanted = inside.size().expandedTo(_WHOLE_PAGE).boundedTo(room.size() - border)
    if wanted == inside.size() and room.contains(frame):
        return
    outside = QRect(QPoint(), wanted + border)
    outside.moveCenter(room.center())
    window.setGeometry(QRect(outside.topLeft() + inside.topLeft() - frame.topLeft(), wanted))


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Serve the window until a condition holds.

    Raises
    ------
    UserError
        If it does not within `seconds`.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise UserError(f"{what} took longer than {seconds:.0f} s; the machine may be busy: try again.")
        QApplication.processEvents()
        time.sleep(0.005)


def paint_stroke(dock: Dock, start: QPoint, end: QPoint) -> None:
    """Draw one stroke on the canvas with mouse events, as a hand would."""
    canvas = next(
        w for w in dock.window().findChildren(QWidget) if type(w).__name__ == "CanvasBackendDesktop"
    )
    QTest.mouseMove(canvas, start)
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=start)
    for i in range(1, 11):
        QTest.mouseMove(canvas, start + (end - start) * (i / 10))
        QTest.qWait(20)
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=end)


class ScriptedDemo:
    """Does the main job by itself in a real window.

    Parameters
    ----------
    viewer : napari.Viewer
    dock : Dock
    output : Path
        Where pictures, run and export go.
    minutes : float
        How long to train.
    """

    def __init__(self, viewer: napari.Viewer, dock: Dock, output: Path, minutes: float) -> None:
        self.viewer, self.dock, self.output, self.minutes = viewer, dock, output, minutes

    def run(self) -> None:
        """Load, train, predict, correct, export."""
        wait_until(lambda: self.dock.workspace.image is not None, 60, "Opening the stack")
        self.dock.window().resize(1500, 950)
        self.picture("1-loaded", self.dock.load)
        self.train()
        self.predict()
        self.correct()
        self.export()

    def train(self) -> None:
        """Train for the given minutes, on the true labels of the sample."""
        train, workspace = self.dock.train, self.dock.workspace
        labels = workspace.labels
        for truth in (layer for layer in self.viewer.layers if layer.name.endswith(" truth")):
            workspace.choose("labels", truth)
        train.unit.setCurrentText("minutes")
        train.amount.setText(f"{self.minutes:g}")
        self.dock.show_step(train)
        train.train.click()
        wait_until(lambda: len(train.plot.rows) > 2 or not train.job.running, 120, "Starting the training")
        self.picture("2-training", train)
        wait_until(lambda: not train.job.running, 60 * self.minutes + 180, "Training")
        self._demand(workspace.run is not None, train)
        workspace.choose("labels", labels)

    def predict(self) -> None:
        """Propose labels for the whole stack."""
        predict = self.dock.predict
        self.dock.show_step(self.dock.correct)
        predict.whole_stack.click()
        wait_until(lambda: not predict.job.running, 600, "Predicting")
        self._demand(predict.bar.format() == "done", predict)
        self.picture("3-predicted", self.dock.correct)

    def correct(self) -> None:
        """Paint a stroke of boundary over the proposal and confirm the slice."""
        correct = self.dock.correct
        self.dock.show_step(correct)
        correct.tools[0].click()
        layer = self.dock.workspace.labels
        before = as_stack(layer.data).copy()
        size = self.dock.window().size()
        paint_stroke(
            self.dock,
            QPoint(size.width() // 4, size.height() // 3),
            QPoint(size.width() // 3, size.height() // 2),
        )
        if (as_stack(layer.data) == before).all():
            raise UserError(
                "The brush stroke changed nothing; the canvas may be hidden: try again on another screen."
            )
        correct.confirm.click()
        QTest.qWait(500)
        self.picture("4-corrected", correct)

    def export(self) -> None:
        """Export the confirmed slice."""
        export = self.dock.export
        self.dock.show_step(export)
        export.export_to(self.output / "training-labels")
        wait_until(lambda: not export.status.text().startswith("Exporting"), 60, "Exporting")
        self._demand(export.status.text().startswith("Exported"), export)
        self.picture("5-exported", export)

    def picture(self, name: str, step: QWidget) -> None:
        """Save a picture of the whole window."""
        self.dock.show_step(step)
        QTest.qWait(300)
        self.viewer.screenshot(str(self.output / f"{name}.png"), canvas_only=False, flash=False)

    @staticmethod
    def _demand(held: bool, step: Any) -> None:
        if not held:
            raise UserError(step.status.text())


def main(arguments: list[str] | None = None) -> int:
    """Open the window; return the exit code."""
    child.restore_environment()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", nargs="?", type=Path, help="image stack, folder of slices or session")
    parser.add_argument("--by-itself", action="store_true", help="do the main job alone, then close")
    parser.add_argument(
        "--output", type=Path, default=Path("demo-output"), help="folder for what --by-itself leaves"
    )
    parser.add_argument("--minutes", type=float, default=1.0, help="how long --by-itself trains")
    chosen = parser.parse_args(arguments)
    try:
        viewer, dock = open_window(chosen.path)
    except UserError as error:
        sys.stderr.write(f"emseg: {error}\n")
        return 1
    if not chosen.by_itself:
        napari.run()
        return 0
    return _by_itself(viewer, dock, chosen.output, chosen.minutes)


def _by_itself(viewer: napari.Viewer, dock: Dock, output: Path, minutes: float) -> int:
    try:
        folder = writable_folder(output.absolute())
        # Runs of the demo stay with the rest of what it leaves.
        dock.workspace.runs_folder = writable_folder(folder / "runs")
        ScriptedDemo(viewer, dock, folder, minutes).run()
    except UserError as error:
        sys.stderr.write(f"emseg: {error}\n")
        return 1
    finally:
        viewer.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
