"""How long a user waits in the window: for the dock, and for the first proposal.

    python benchmarks/first_mask.py IMAGE [--rounds 3]

Seconds from a click to what it is for, each round in a process of its own: the dock (and the longest time in
which the window answered nothing meanwhile), the first proposal of a slice from a cold engine, and from an
engine that was prepared while the user looked at the picture. Start it on a screen or under Xvfb, on a quiet
machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

HEAD = "| | median | all |\n|---|---|---|"


def wait(condition: Callable[[], bool]) -> None:
    from qtpy.QtTest import QTest

    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "waited for two minutes"
        QTest.qWait(5)


class Stall:
    """The longest time between two rounds of the event loop."""

    def __init__(self) -> None:
        from qtpy.QtCore import QTimer

        self.seconds, self._last = 0.0, time.perf_counter()
        self._timer = QTimer()
        self._timer.timeout.connect(self._tick)
        self._timer.start(1)

    def _tick(self) -> None:
        now = time.perf_counter()
        self.seconds, self._last = max(self.seconds, now - self._last), now


def once(image: Path, prepared: bool) -> dict[str, float]:
    """Open the dock, an image and a proposal, in this process."""
    import napari
    from qtpy.QtTest import QTest

    viewer = napari.Viewer()
    QTest.qWait(1000)
    stall, began = Stall(), time.perf_counter()
    shown = viewer.window.add_plugin_dock_widget("emseg-napari")[1]
    wait(lambda: shown.dock is not None and shown.dock.isVisible())
    found = {"dock": time.perf_counter() - began, "longest stall while it opens": stall.seconds}
    dock = shown.dock
    dock.load.open_image(image)
    wait(lambda: dock.workspace.image is not None)
    if prepared:
        QTest.qWait(8000)
    began = time.perf_counter()
    dock.predict.this_slice.click()
    wait(lambda: dock.workspace.labels is not None and bool(np.asarray(dock.workspace.labels.data).any()))
    found[f"first proposal, {'prepared' if prepared else 'cold'} engine"] = time.perf_counter() - began
    wait(lambda: not dock.predict.job.running)
    viewer.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("image", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--once", choices=("cold", "prepared"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.once:
        print(json.dumps(once(chosen.image, chosen.once == "prepared")))
        return
    found: dict[str, list[float]] = {}
    for _ in range(chosen.rounds):
        for kind in ("cold", "prepared"):
            words = [sys.executable, __file__, str(chosen.image), "--once", kind]
            done = subprocess.run(words, check=True, capture_output=True, text=True)
            for name, seconds in json.loads(done.stdout.splitlines()[-1]).items():
                found.setdefault(name, []).append(seconds)
    print(HEAD)
    for name, seconds in found.items():
        print(f"| {name} | {np.median(seconds):.2f} | {', '.join(f'{one:.2f}' for one in seconds)} |")


if __name__ == "__main__":
    main()
