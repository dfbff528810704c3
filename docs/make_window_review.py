"""Takes a picture of every page of the window in every state, on the phantom.

    python docs/make_window_review.py OUTPUT [--minutes 0.5]

On the dark and the light theme, at 1280 x 800 and at 3840 x 2160 with all things twice as large; of each
picture also as seen with deuteranopia. With QT_API=pyqt6 in the environment of PyQt6. It needs a screen of
3840 x 2160, such as ``xvfb-run -s "-screen 0 3840x2160x24"``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np

VARIANTS = {
    "dark": ("dark", 1280, 800, 1),
    "light": ("light", 1280, 800, 1),
    "large": ("dark", 1920, 1080, 2),
    "large-light": ("light", 1920, 1080, 2),
}
# Machado, Oliveira and Fernandes (2009), doi:10.1109/TVCG.2009.113: deuteranopia, of linear RGB.
DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
)


def without_green_cones(picture: np.ndarray) -> np.ndarray:
    """Return what a person with deuteranopia sees of a picture, uint8 (y, x, RGB)."""
    linear = (picture[..., :3] / 255) ** 2.2
    return np.rint(255 * np.clip(linear @ DEUTERANOPIA.T, 0, 1) ** (1 / 2.2)).astype(np.uint8)


class Photographer:
    """Takes pictures of a window, numbered in the order of a sitting."""

    def __init__(self, viewer: Any, dock: Any, folder: Path) -> None:
        self.viewer, self.dock, self.folder, self._number = viewer, dock, folder, 0

    def take(self, name: str, step: Any = None) -> None:
        """Take a picture, of the page of a step if one is given."""
        from qtpy.QtTest import QTest
        from qtpy.QtWidgets import QWidget

        if step is not None:
            self.dock.show_step(step)
        QTest.qWait(500)
        for widget in self.dock.window().findChildren(QWidget):
            if type(widget).__name__ == "NapariQtNotification":
                widget.close()
        self._number += 1
        path = self.folder / f"{self._number:02d}-{name}.png"
        self.viewer.screenshot(str(path), canvas_only=False, flash=False)
        imageio.imwrite(path.with_suffix(".deuteranopia.png"), without_green_cones(imageio.imread(path)))


def sitting(photos: Photographer, work: Path, minutes: float) -> None:
    """Do what a user does in a first sitting, and take a picture of every state."""
    from emseg_napari.widgets.demo import wait_until

    viewer, dock = photos.viewer, photos.dock
    steps = {"correct": dock.correct, "train": dock.train, "check": dock.evaluate, "results": dock.cells}

    def done(step: Any) -> None:
        wait_until(lambda: not step.job.running, 900, "A job")

    photos.take("empty")
    dock.load.open_sample()
    for name, step in steps.items():
        photos.take(f"{name}-ready", step)
    dock.predict.this_slice.click()
    photos.take("propose-working", dock.correct)
    done(dock.predict)
    dock.predict.options.set_open(True)
    photos.take("propose-options")
    dock.predict.options.set_open(False)
    dock.predict.whole_stack.click()
    done(dock.predict)
    photos.take("correct-proposed", dock.correct)
    dock.correct.confirm.click()
    photos.take("correct-confirmed")
    viewer.dims.set_point(0, 5)
    wait_until(lambda: "places to look at" in dock.correct.places.about.text(), 120, "Finding places")
    dock.correct.places.walk.go(1)
    photos.take("correct-place")
    _train(photos, minutes, done)
    dock.evaluate.evaluate.click()
    done(dock.evaluate)
    photos.take("check-done", dock.evaluate)
    dock.cells.find.click()
    done(dock.cells)
    photos.take("results-done", dock.cells)
    (work / "file").write_text("a regular file")
    dock.export.export_to(work / "file" / "out")
    wait_until(lambda: not dock.export.status.text().endswith("..."), 60, "Exporting")
    photos.take("export-failed", dock.export)
    viewer.layers.clear()
    wait_until(lambda: dock.load.lost_work.choice.count() > 0, 60, "Offering lost work")
    photos.take("recovered")


def _train(photos: Photographer, minutes: float, done: Any) -> None:
    from emseg_napari.widgets.demo import wait_until

    dock, viewer = photos.dock, photos.viewer
    mine = dock.workspace.labels
    dock.workspace.choose("labels", viewer.layers["phantom truth"])
    dock.train.amount.setText(f"{minutes:g}")
    dock.train.train.click()
    wait_until(lambda: len(dock.train.plot.rows) > 1 or not dock.train.job.running, 300, "Training")
    photos.take("train-working", dock.train)
    done(dock.train)
    photos.take("train-done")
    dock.workspace.choose("labels", mine)


def take_variant(folder: Path, name: str, minutes: float) -> None:
    """Take the pictures of one variant in this process."""
    from emseg_napari.widgets.demo import open_window

    theme, width, height, _ = VARIANTS[name]
    with tempfile.TemporaryDirectory() as work:
        viewer, dock = open_window(sample=False)
        viewer.theme = theme
        dock.workspace.runs_folder = Path(work) / "runs"
        dock.window().resize(width, height)
        sitting(Photographer(viewer, dock, folder), Path(work), minutes)
        viewer.close()


def environment(scale: int, work: str) -> dict[str, str]:
    """Return an environment in which nothing of the user's is read or changed."""
    own = {"EMSEG_CONFIG_DIR": f"{work}/config", "EMSEG_DATA_DIR": f"{work}/data", "NAPARI_CONFIG": ""}
    return {**os.environ, **own, "QT_SCALE_FACTOR": str(scale)}


def main() -> None:
    """Take the pictures of all variants, each in a process of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path)
    parser.add_argument("--minutes", type=float, default=0.5, help="how long to train")
    parser.add_argument("--only", nargs="*", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # in this process
    chosen = parser.parse_args()
    for name in chosen.only:
        folder = chosen.output / name
        folder.mkdir(parents=True, exist_ok=True)
        if chosen.here:
            take_variant(folder, name, chosen.minutes)
            continue
        with tempfile.TemporaryDirectory() as work:
            words = [sys.executable, __file__, str(chosen.output.absolute()), "--only", name, "--here"]
            words += ["--minutes", str(chosen.minutes)]
            subprocess.run(words, check=True, env=environment(VARIANTS[name][-1], work))


if __name__ == "__main__":
    main()
