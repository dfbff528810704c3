"""Draws docs/window.png: the window on the phantom after some minutes of training.

Run it where a window can open: ``python docs/make_window_picture.py [MINUTES]``.
"""

import sys
import tempfile
from pathlib import Path

from qtpy.QtTest import QTest
from qtpy.QtWidgets import QWidget

from emseg_napari.widgets.demo import ScriptedDemo, open_window, wait_until

HERE = Path(__file__).parent
minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0

with tempfile.TemporaryDirectory() as folder:
    viewer, dock = open_window()
    dock.workspace.runs_folder = Path(folder)
    job = ScriptedDemo(viewer, dock, Path(folder), minutes)
    wait_until(lambda: dock.workspace.image is not None, 60, "Opening the sample")
    dock.window().resize(1500, 950)
    dock.train.form.set_values({"slices": (0, 8)})
    job.train()
    job.predict()
    viewer.layers["phantom labels"].visible = False
    viewer.dims.set_point(0, 12)
    places = dock.correct.places
    places.search.click()
    wait_until(lambda: not places.job.running, 300, "Finding places")
    places.go(1)
    for widget in dock.window().findChildren(QWidget):
        if type(widget).__name__ == "NapariQtNotification":
            widget.close()
    viewer.scene.camera.zoom /= 1.5  # some tissue around the place
    dock.show_step(dock.correct)
    QTest.qWait(500)
    viewer.screenshot(str(HERE / "window.png"), canvas_only=False, flash=False)
    viewer.close()
