"""Removing layers under software OpenGL, which ended the process before."""

import subprocess
import sys

PROGRAM = """
import numpy as np, napari
from qtpy.QtTest import QTest
from emseg_napari.widgets.base.workspace import Workspace

viewer = napari.Viewer()
workspace = Workspace(viewer)
QTest.qWait(300)
labels = np.random.default_rng(0).integers(0, 3, (4, 256, 256)).astype(np.uint8)
for _ in range(2):
    for name in ("a", "b"):
        viewer.add_labels(labels.copy(), name=name)
        viewer.add_image(80 * labels, name=f"image {name}")
        QTest.qWait(50)
    for layer in list(viewer.layers):
        viewer.layers.remove(layer)
        QTest.qWait(50)
viewer.close()
"""


def test_a_window_lives_on_when_its_layers_are_removed_one_by_one_and_others_added():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
