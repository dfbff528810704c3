"""Screen: can Qt open a window here, and can it draw with OpenGL?

A Qt that finds no screen, or a library that is missing, ends the process: it is tried in another one.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

from emseg_napari.core import child
from emseg_napari.doctor.finding import Finding, note, problem
from emseg_napari.doctor.libraries import missing_for
from emseg_napari.doctor.messages import NO_FONTS, NO_OPENGL, Advice, lacking, recognised
from emseg_napari.doctor.versions import binding

_PROBE = "emseg_napari.widgets.screen_probe"
_PROBE_S = 60
_SOFTWARE = re.compile(r"llvmpipe|softpipe|swrast|SwiftShader|Basic Render|Software", re.IGNORECASE)
_DRIVER = "Install the driver of the graphics card; in a virtual machine, turn its 3D acceleration on."


class Probe(NamedTuple):
    """How the other process ended: its exit code, what it found, and what it wrote to stderr."""

    code: int
    facts: dict[str, Any]
    said: str


def findings() -> Iterator[Finding]:
    """Give what there is of a screen; nothing is started if napari would refuse the Qt binding."""
    qt = binding()
    if qt.state == "problem":
        return
    if (lost := no_screen()) is not None:
        yield lost
        if missing := missing_for(_package(qt)):
            yield problem("Qt", "does not start", *lacking(missing))
        return
    yield from described(probe(), _package(qt))


def no_screen() -> Finding | None:
    """Return the problem that there is no screen; None if there may be one."""
    if sys.platform != "linux" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        return None
    return problem(
        "screen",
        "none",
        "There is no screen (neither DISPLAY nor WAYLAND_DISPLAY is set), so no window can open; the other "
        "commands work without one.",
        "Start it on a desktop; over the network, connect with ssh -X or use a remote desktop.",
    )


def probe() -> Probe:
    """Try in another process what napari does to open a window."""
    try:
        done = subprocess.run(
            child.command(_PROBE),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PROBE_S,
            env=os.environ | child.module_path(),
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Probe(1, {}, f"no answer within {_PROBE_S} s")
    try:
        facts = json.loads(done.stdout.strip().rpartition("\n")[2])
    except ValueError:
        facts = {}
    return Probe(done.returncode, facts if isinstance(facts, dict) else {}, done.stderr)


def described(found: Probe, package: str) -> Iterator[Finding]:
    """Give the findings of a probe with the Qt binding of a package, such as "PyQt6"."""
    facts = found.facts
    if not facts:
        yield problem("Qt", "does not start", *_reason(found, package))
        return
    value = f"{facts['qt']} on {facts['platform']}"
    if facts["platform"] in ("offscreen", "minimal"):
        sentence = f"QT_QPA_PLATFORM is {facts['platform']}: windows would open, but not be seen."
        yield problem("Qt", value, sentence, "Remove QT_QPA_PLATFORM from the environment.")
        return
    yield Finding("Qt", value)
    yield _opengl(found)
    if not facts["fonts"] or "Fontconfig error" in found.said:
        yield (note if facts["fonts"] else problem)("fonts", f"{facts['fonts']} families", *NO_FONTS)
    else:
        yield Finding("fonts", f"{facts['fonts']} families")


def _reason(found: Probe, package: str) -> Advice:
    if missing := missing_for(package):
        return lacking(missing)
    last = (found.said.strip().splitlines() or ["it said nothing"])[-1][:200]
    # what is not known is no reason for `emseg demo` not to try: it has no action
    return recognised(found.said) or Advice(f"Qt does not start here (exit code {found.code}): {last}", "")


def _opengl(found: Probe) -> Finding:
    facts = found.facts
    if "renderer" not in facts:
        return problem("OpenGL", "none", *(recognised(found.said) or NO_OPENGL))
    value = f"{facts['version']}, {facts['renderer']}"
    number = re.match(r"(\d+)\.(\d+)", facts["version"])
    if not number:
        sentence = "This version cannot be compared with OpenGL 2.1, which napari needs; images may be black."
        return note("OpenGL", value, sentence, _DRIVER)
    if (int(number[1]), int(number[2])) < (2, 1):
        return problem("OpenGL", value, "napari needs OpenGL 2.1 or later.", _DRIVER)
    if _SOFTWARE.search(facts["renderer"]):
        sentence = "The processor draws, so large images and volumes in 3D move slowly."
        return note("OpenGL", value, sentence, _DRIVER)
    return Finding("OpenGL", value)


def _package(qt: Finding) -> str:
    return qt.value.split()[0]
