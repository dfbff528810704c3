"""Does the window stay alive while the engine works?

    python benchmarks/event_loop.py [IMAGE LABELS] [--minutes M]

Opens a real viewer (under Xvfb where there is no screen), and while a hand paints and
changes slices it imports, trains, exports the network, predicts and learns live, and all
strokes are autosaved. A 10 ms timer on the GUI thread measures how late the event loop is. To hold:
99 of 100 ticks within 20 ms of the last, none later than 250 ms; beside it stands what painting
costs in napari without us. Without files it takes the sample stack.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from napari import Viewer
from qtpy.QtCore import QPoint, Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget

from emseg_napari.annotation.session.scratch import new_labels
from emseg_napari.core.jobs import PreviewReady
from emseg_napari.widgets.demo import open_window, wait_until
from emseg_napari.widgets.layers.labels_layer import add_labels
from emseg_napari.widgets.layers.layer_pixels import volume_of_layer
from emseg_napari.widgets.predict import STACK

WINDOW = 1100, 750


class Pulse:
    """A 10 ms timer that notes the milliseconds between its ticks, by phase."""

    def __init__(self) -> None:
        self.intervals: dict[str, list[float]] = {}
        self.phase = "idle"
        self._last = time.perf_counter()
        self._timer = QTimer(interval=10)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._timer.start()

    def _tick(self) -> None:
        now = time.perf_counter()
        self.intervals.setdefault(self.phase, []).append(1000 * (now - self._last))
        self._last = now

    def table(self) -> str:
        rows = [f"{'phase':34} {'ticks':>7} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8}"]
        ours = [part for phase, part in self.intervals.items() if "alone" not in phase]
        together = {**self.intervals, "all but napari alone": [i for part in ours for i in part]}
        for phase, found in together.items():
            p50, p99 = np.percentile(found, (50, 99))
            rows.append(f"{phase:34} {len(found):7d} {p50:8.1f} {p99:8.1f} {max(found):8.1f}")
        return "\n".join(rows)


class Hand:
    """Paints strokes on the canvas and changes slices, an event every 15 ms."""

    def __init__(self, viewer, window: QWidget) -> None:
        self._viewer = viewer
        self._canvas = next(
            w for w in window.findChildren(QWidget) if type(w).__name__ == "CanvasBackendDesktop"
        )
        self._events = self._work()
        self._timer = QTimer(interval=15)
        self._timer.timeout.connect(lambda: next(self._events))

    def start(self) -> None:
        self._timer.start()

    def stop(self) -> None:
        self._timer.stop()

    def _work(self) -> Iterator[None]:
        random = np.random.default_rng(0)
        size = np.array([self._canvas.width(), self._canvas.height()])
        while True:
            for _ in range(3):
                start, way = size * random.uniform(0.35, 0.65, 2), random.uniform(-4, 4, 2)
                points = [QPoint(*(int(v) for v in start + i * way)) for i in range(20)]
                QTest.mousePress(self._canvas, Qt.MouseButton.LeftButton, pos=points[0])
                for point in points[1:]:
                    QTest.mouseMove(self._canvas, point)
                    yield
                QTest.mouseRelease(self._canvas, Qt.MouseButton.LeftButton, pos=points[-1])
                yield
            depth = self._viewer.dims.nsteps[0]
            self._viewer.dims.set_current_step(0, int(random.integers(depth)))
            yield


def rest(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.001)


def paint_in_napari_alone() -> dict[str, list[float]]:
    """Measure what napari costs without us, in a window of the same size."""
    viewer = Viewer()
    window = next(w for w in QApplication.topLevelWidgets() if w.inherits("QMainWindow"))
    window.resize(*WINDOW)
    viewer.add_image(np.random.default_rng(0).integers(0, 255, (24, 512, 512), dtype=np.uint8))
    viewer.add_labels(np.zeros((24, 512, 512), np.uint8)).mode = "paint"
    rest(3)
    pulse, hand = Pulse(), Hand(viewer, window)
    hand.start()
    pulse.phase = "painting in napari alone"
    rest(8)
    hand.stop()
    viewer.close()
    return pulse.intervals


def measure(image: Path | None, labels: Path | None, minutes: float, runs: Path) -> str:
    alone = paint_in_napari_alone()
    viewer, dock = open_window(image)
    dock.workspace.runs_folder = runs
    wait_until(lambda: dock.workspace.image is not None, 60, "Opening the stack")
    if labels is not None:
        dock.load.open_labels(labels)
        wait_until(lambda: dock.workspace.labels is not None, 60, "Opening the labels")
    dock.window().resize(*WINDOW)
    rest(3)
    truth = dock.workspace.labels
    drawing = add_labels(viewer, new_labels(volume_of_layer(dock.workspace.image).shape), "drawing", truth)
    viewer.layers.selection.active = drawing
    drawing.mode = "paint"
    dock.workspace.choose("labels", truth)
    dock.show_step(dock.train)
    rest(2)

    pulse, hand = Pulse(), Hand(viewer, dock.window())
    pulse.intervals.update(alone)
    rest(3)
    hand.start()
    pulse.phase = "painting"
    rest(8)
    pulse.phase = "painting + starting the engine"
    dock.train.unit.setCurrentText("minutes")
    dock.train.amount.setText(str(minutes))
    dock.train.train.click()
    wait_until(lambda: len(dock.train.plot.rows) > 0, 120, "Starting the engine")
    hand.stop()
    pulse.phase = "training"
    rest(8)
    hand.start()
    pulse.phase = "painting + training"
    wait_until(
        lambda: "keeping" in dock.train.bar.format() or not dock.train.job.running,
        60 * minutes + 60,
        "Training",
    )
    pulse.phase = "painting + exporting the network"
    wait_until(lambda: not dock.train.job.running, 120, "Exporting the network")
    pulse.phase = "painting + predicting"
    dock.predict.scope.setCurrentText(STACK)
    dock.predict.predict.click()
    wait_until(lambda: not dock.predict.job.running, 300, "Predicting")
    pulse.phase = "painting + starting live learning"
    dock.workspace.choose("labels", drawing)
    viewer.layers.selection.active = drawing
    live, previews = dock.correct.live, []
    live.job.event.connect(lambda event: previews.append(event) if isinstance(event, PreviewReady) else None)
    live.toggle()
    wait_until(lambda: bool(previews), 120, "Starting live learning")
    pulse.phase = "painting + live learning"
    rest(20)
    pulse.phase = "painting + keeping what it learned"
    live.toggle()
    wait_until(lambda: not live.job.running, 120, "Keeping the network")
    hand.stop()
    viewer.layers.selection.active = drawing
    pulse.phase = "idle again"
    rest(2)
    table = pulse.table()
    viewer.close()
    return table


if __name__ == "__main__":
    import tempfile

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path, help="image stack and labels")
    parser.add_argument("--minutes", type=float, default=1.0, help="how long to train")
    chosen = parser.parse_args()
    image, labels = chosen.files if chosen.files else (None, None)
    with tempfile.TemporaryDirectory() as folder:
        print(measure(image, labels, chosen.minutes, Path(folder)))
