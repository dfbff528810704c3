"""What is asked of a server for a slice, how much of it is kept, and what becomes of what fails."""

import math
import subprocess
import sys
from threading import Event

import numpy as np
import pytest

from emseg_napari.core.jobs import UserError
from emseg_napari.io.axes import size_of
from emseg_napari.io.volume import Volume
from emseg_napari.widgets.layers import remote_array
from emseg_napari.widgets.layers.volume_layers import remote
from helpers.paths import CHECKOUT
from helpers.remote import Server
from helpers.timing import PATIENCE_S
from helpers.window import wait_for


class Listener:
    """Hears what cannot be read."""

    def __init__(self):
        self.failures = []

    def follow_reading(self, array, has_more, failures):
        self.failures += failures


def array_of(server):
    return remote(Volume("brain", "", server))


def look_at(qtbot, array, z):
    """Look at a slice as napari does, and return it once all of it is there."""
    np.asarray(array[z, :, :])
    wait_for(qtbot, lambda: not array.is_reading)
    return np.asarray(array[z, :, :])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint64])
def test_at_most_16_mib_are_asked_for_at_once_however_deep_the_chunks_are(qtbot, dtype):
    server = Server((64, 2048, 3000), dtype)
    assert look_at(qtbot, array_of(server), 5)[0, 0] == 5
    sizes = [math.prod(size_of(window)) * server.dtype.itemsize for window in server.asked]
    assert max(sizes) <= 2**24


@pytest.mark.parametrize(("planes", "depth"), [(200, 64), (64, 64), (63, 32), (20, 16), (1, 1), (0.5, 1)])
def test_of_deep_chunks_as_many_slices_are_kept_as_fit(qtbot, monkeypatch, planes, depth):
    server = Server()
    plane = math.prod(server.shape[1:])
    monkeypatch.setattr(remote_array, "_KEPT_BYTES", int(planes * plane))
    array = array_of(server)
    assert look_at(qtbot, array, 0)[0, 0] == 0
    assert server.kept_bytes == depth * plane
    asked = len(server.asked)
    assert look_at(qtbot, array, depth - 1)[0, 0] == depth - 1
    assert len(server.asked) == asked
    assert look_at(qtbot, array, 40)[0, 0] == 40
    assert server.kept_bytes <= max(planes, 1) * plane


def test_what_fails_after_it_left_the_view_is_asked_for_when_it_is_looked_at_again(qtbot):
    server, may_fail = Server(), Event()

    def fail(window):
        may_fail.wait(PATIENCE_S)
        raise UserError("The server is down.")

    server.shape, server.chunks, server.fault = (4, 64, 64), (1, 64, 64), fail
    array, listener = array_of(server), Listener()
    array.watch(listener)
    np.asarray(array[2, :, :])
    wait_for(qtbot, lambda: bool(server.asked))
    server.fault = lambda window: None
    look_at(qtbot, array, 1)
    may_fail.set()
    wait_for(qtbot, lambda: listener.failures == ["The server is down."])
    assert look_at(qtbot, array, 2)[0, 0] == 2


_WITHOUT_A_WINDOW = """
import numpy as np
from emseg_napari.io.volume import Volume
from emseg_napari.widgets.layers.volume_layers import remote
from helpers.remote import Server
array = remote(Volume("brain", "", Server()))
print(*(np.asarray(array[z, :, :])[0, 0] for z in range(20)))
"""

_WINDOW_GOES = """
import threading
import numpy as np
from qtpy.QtWidgets import QApplication
from emseg_napari.io.volume import Volume
from emseg_napari.widgets.layers.volume_layers import remote
from helpers.remote import Server
app, server, may_answer = QApplication([]), Server(), threading.Event()
server.fault = lambda window: may_answer.wait()
np.asarray(remote(Volume("brain", "", server))[3, :, :])
del app
may_answer.set()
for thread in threading.enumerate():
    if thread.name == "emseg-remote":
        thread.join()
"""


def ran(program):
    """Run a program that knows the tests' helpers, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=CHECKOUT / "tests"
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def test_a_program_without_a_window_gets_what_it_asks_for():
    assert ran(_WITHOUT_A_WINDOW).split() == [str(z) for z in range(20)]


def test_threads_that_read_outlive_the_window_without_a_word():
    assert ran(_WINDOW_GOES) == ""
