"""``python -m emseg_napari.widgets.screen_probe``: what Qt and OpenGL are on this screen, as JSON.

It does what napari does to open a window, as far as that may end a process: `emseg doctor` and `emseg demo`
run it, and read what Qt wrote to stderr if it ends early.
"""

from __future__ import annotations

import ctypes
import json
import sys

from qtpy import QT_VERSION
from qtpy.QtGui import QFontDatabase, QOffscreenSurface, QOpenGLContext
from qtpy.QtWidgets import QApplication

_ASKED = {"vendor": 0x1F00, "renderer": 0x1F01, "version": 0x1F02}  # numbers of OpenGL


def main() -> int:
    """Print the facts; return 0, or 3 if there is no OpenGL."""
    _leave_no_core()
    app = QApplication(sys.argv[:1])
    families = QFontDatabase.families() if QT_VERSION >= "6" else QFontDatabase().families()
    facts = {"qt": QT_VERSION, "platform": app.platformName(), "fonts": len(families)}
    context, surface = QOpenGLContext(), QOffscreenSurface()
    surface.create()
    if context.create() and context.makeCurrent(surface):
        facts |= _opengl(context)
        context.doneCurrent()
    sys.stdout.write(json.dumps(facts) + "\n")
    return 0 if "renderer" in facts else 3


def _opengl(context: QOpenGLContext) -> dict[str, str]:
    """Return what OpenGL says of itself; Qt itself asks it in each binding otherwise."""
    address = int(context.getProcAddress(b"glGetString"))
    said = ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_uint)(address)
    return {name: (said(number) or b"").decode(errors="replace") for name, number in _ASKED.items()}


def _leave_no_core() -> None:
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


if __name__ == "__main__":
    sys.exit(main())
