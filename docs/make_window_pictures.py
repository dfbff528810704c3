"""Makes all pictures of the pages in docs/: in the real window, of the phantom.

    python docs/make_window_pictures.py docs/pictures [--only NAME ...] [--readme]

It needs a screen, such as ``xvfb-run -s "-screen 0 1600x1000x24"``, and takes some
minutes. ``--readme`` writes docs/window.png, too. Made again, the pictures change little: what is trained in
them goes by the clock.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PARTS = ["pages", "tools", "queue", "live"]
WIDTH, HEIGHT = 1180, 850


def open_dock() -> tuple[Any, Any]:
    """Open the window with the phantom, in napari's dark theme."""
    from emseg_napari.widgets.demo import open_window

    viewer, dock = open_window(sample=False)
    viewer.theme = "dark"
    dock.window().resize(WIDTH, HEIGHT)
    return viewer, dock


def main() -> None:
    """Make the pictures, in a process that neither reads nor changes what is the user's."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path)
    parser.add_argument("--only", nargs="*", default=PARTS, choices=PARTS, help="which parts")
    parser.add_argument("--readme", action="store_true", help="write docs/window.png, too")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # in this process
    chosen = parser.parse_args()
    chosen.output.mkdir(parents=True, exist_ok=True)
    if chosen.here:
        _take(chosen)
        return
    for part in chosen.only:
        with tempfile.TemporaryDirectory() as work:
            words = [sys.executable, __file__, str(chosen.output.absolute()), "--here", "--only", part]
            own = {"EMSEG_CONFIG_DIR": f"{work}/config", "EMSEG_DATA_DIR": f"{work}/data", "HOME": work}
            look = {"NAPARI_CONFIG": "", "QT_API": "pyqt6", "QT_SCALE_FACTOR": "1"}
            words += ["--readme"] * chosen.readme
            subprocess.run(words, check=True, env={**os.environ, **own, **look})


def _take(chosen: Any) -> None:
    sys.path[:0] = [str(HERE), str(HERE.parent / "tests")]  # whose hands are used
    import picture_repairs
    import picture_scenes
    from picture_camera import Camera

    viewer, dock = open_dock()
    camera = Camera(viewer, dock, chosen.output)
    (part,) = chosen.only
    scenes = [picture_scenes.pages, picture_repairs.tools, picture_scenes.queue, picture_scenes.live]
    dict(zip(PARTS, scenes, strict=True))[part](camera)
    if chosen.readme and part == "queue":
        camera.window(HERE / "window.png")
    viewer.close()


if __name__ == "__main__":
    main()
