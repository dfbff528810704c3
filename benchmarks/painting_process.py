"""A painting session in a real napari window, to be killed: the child process of `crashes`.

It tells where its session lies, and what its labels are before and after everything that it does. At the
moment that its plan names it kills itself within a write, unless that is left to `crashes.py`.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import napari
import numpy as np
from crash_plan import SHAPE, Plan, environment, fingerprint
from napari.layers import Labels
from qtpy.QtCore import QTimer

from emseg_napari.annotation.session import slicefiles
from emseg_napari.core import files
from emseg_napari.widgets.dock import Dock
from emseg_napari.widgets.layers.labels_layer import adopt, confirmed_in, history_of, stack_of
from emseg_napari.widgets.layers.layer_info import LayerInfo
from emseg_napari.widgets.layers.placement import show_slice
from emseg_napari.widgets.layers.proposal_layers import fill
from emseg_napari.widgets.layers.undo_history import Filled

_NAMED_AFTER = 15  # things done
_MOST = 2000  # things, if nobody kills it
_EVERY_MS = 20

Tell = Callable[..., None]


class Hand:
    """Does one thing after the other to a labels layer, by the layer and by the buttons' methods."""

    def __init__(self, dock: Dock, layer: Labels, plan: Plan, tell: Tell) -> None:
        self._dock, self._layer, self._plan, self._tell = dock, layer, plan, tell
        self._chance = random.Random(plan.seed)
        self._history = history_of(layer)
        self._done, self._kept = 0, None
        self._history.changed.connect(self.tell_state)  # before the autosave records it and may write it

    def tell_state(self, *_: Any) -> None:
        """Tell what the labels are."""
        self._tell("state", time.monotonic(), fingerprint(self._layer.data, confirmed_in(self._layer)))

    def work(self) -> None:
        """Do the next thing."""
        self._chance.choices(list(_THINGS), list(_THINGS.values()))[0](self)
        self.tell_state()
        self._done += 1
        if self._plan.name and self._done == _NAMED_AFTER:
            self._dock.load.save_session(self._plan.name)
        kept = self._dock.autosave.folder(self._layer)
        if kept != self._kept:
            self._kept = kept
            self._tell("kept", kept)
        if self._done == _MOST:
            raise RuntimeError("nobody has killed it")

    # -- the things ---------------------------------------------------------------------

    @property
    def _z(self) -> int:
        return self._dock.correct.slice_of(self._layer)

    def _point(self, margin_px: int) -> tuple[int, int]:
        y, x = (self._chance.randrange(margin_px, side - margin_px) for side in SHAPE[1:])
        return y, x

    def _value(self) -> int:
        return self._chance.choice((1, 1, 2, 2, 0))

    def stroke(self) -> None:
        y, x = self._point(40)
        dy, dx = self._chance.randrange(-3, 4), self._chance.randrange(-3, 4)
        self._layer.brush_size = self._chance.randrange(3, 30)
        value = self._value()
        with self._layer.block_history():  # as a drag of the mouse does
            for i in range(12):
                self._layer.paint((self._z, y + i * dy, x + i * dx), value, refresh=False)
        self._layer.refresh()

    def rectangle(self) -> None:
        y, x = self._point(0)
        indices = np.nonzero(np.ones((1, min(40, SHAPE[1] - y), min(40, SHAPE[2] - x))))
        self._layer.data_setitem((indices[0] + self._z, indices[1] + y, indices[2] + x), self._value())

    def flood(self) -> None:
        self._layer.fill((self._z, *self._point(0)), self._value())

    def propose(self) -> None:
        y, x = self._point(50)
        proposal = np.ones(SHAPE[1:], np.uint8)
        proposal[y - 50 : y + 50, x - 50 : x + 50] = 2
        step = Filled(lambda: stack_of(self._layer), confirmed_in(self._layer))
        step.remember(self._z)
        fill(self._layer, self._z, proposal)
        self._history.add(step)

    def drop(self) -> None:
        if self._z not in confirmed_in(self._layer):
            self._dock.correct.slices.drop_proposals()

    def turn(self) -> None:
        show_slice(self._dock.workspace.viewer, self._layer, self._chance.randrange(SHAPE[0]))

    def undo(self) -> None:
        for _ in range(self._chance.randrange(1, 4)):
            self._history.undo()
        self.turn()  # or the next stroke would reach the autosave with it

    def redo(self) -> None:
        self._history.redo()
        self.turn()

    def confirm(self) -> None:
        if self._layer.data[self._z].any():
            self._dock.correct.slices.toggle_confirmed()


_THINGS: dict[Callable[[Hand], None], int] = {
    Hand.stroke: 40,
    Hand.rectangle: 15,
    Hand.flood: 2,
    Hand.propose: 4,
    Hand.drop: 3,
    Hand.turn: 8,
    Hand.undo: 7,
    Hand.redo: 5,
    Hand.confirm: 7,
}


def die_at(stage: str, moment_s: float, tell: Tell) -> None:
    """Let the process kill itself at the first such stage of a write, `moment_s` seconds from now on."""
    due = time.monotonic() + moment_s

    def at(now: str) -> None:
        if now == stage and time.monotonic() > due and threading.current_thread() != threading.main_thread():
            tell("killed", time.monotonic())
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))

    def write_bytes(path: Path, data: bytes) -> None:
        with path.open("wb") as file:
            file.write(data[: len(data) // 2])
            file.flush()
            at("half written")
            file.write(data[len(data) // 2 :])

    def then(function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        def both(*arguments: Any, **options: Any) -> Any:
            result = function(*arguments, **options)
            at(stage)
            return result

        return both

    slicefiles.encoded_png = then(slicefiles.encoded_png, "encoded")
    Path.write_bytes = write_bytes  # type: ignore[method-assign, assignment]
    files.flush = then(files.flush, "flushed")
    os.replace = then(os.replace, "renamed")
    files.flush_folder = then(files.flush_folder, "folder flushed")


def paint(plan: Plan, folder: Path, out: Connection) -> None:
    """Open the window and paint; `folder` holds all files, the image cells.tif among them."""
    os.environ.update(environment(folder))

    def tell(*words: object) -> None:
        out.send(words)

    with _telling(tell):
        hand = _seated(plan, folder, tell)
        timer = QTimer(interval=_EVERY_MS)
        timer.timeout.connect(_telling(tell)(hand.work))
        die_at(plan.stage, plan.moment_s, tell)
        timer.start()
        napari.run()


@contextmanager
def _telling(tell: Tell) -> Iterator[None]:
    """End the process where something goes wrong, and tell what."""
    try:
        yield
    except Exception:
        with suppress(OSError):
            tell("error", traceback.format_exc())
        os._exit(1)


def _seated(plan: Plan, folder: Path, tell: Tell) -> Hand:
    """Open a window with an image and empty labels, and return who will paint there."""
    viewer = napari.Viewer()
    dock = Dock(viewer).build()
    viewer.window.add_dock_widget(dock)
    dock.autosave.trouble.connect(lambda sentence: tell("error", sentence))
    source = LayerInfo(source=str(folder / "cells.tif") if plan.from_file else "").as_metadata()
    viewer.add_image(np.zeros(SHAPE, np.uint8), metadata=source)
    managed = LayerInfo(confirmed=set()).as_metadata()
    layer = Labels(np.zeros(SHAPE, np.uint8), name="labels", metadata=managed)
    adopt(layer)
    hand = Hand(dock, layer, plan, tell)
    viewer.add_layer(layer)
    dock.show_step(dock.correct)
    hand.tell_state()
    return hand
