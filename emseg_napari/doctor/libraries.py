"""Shared libraries of Linux that Qt needs and that are not installed."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

# Debian names a library's package after it: libfoo.so.1 lies in libfoo1. These it names otherwise.
_OF_OTHER_NAMES = {
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libGLdispatch.so.0": "libglvnd0",
    "libz.so.1": "zlib1g",
}
_LDD_S = 20


def debian_package(library: str) -> str:
    """Return in which package of Debian and Ubuntu a library lies, such as "libxcb-cursor.so.0"."""
    if library in _OF_OTHER_NAMES:
        return _OF_OTHER_NAMES[library]
    name, _, number = library.lower().replace("_", "-").partition(".so")
    number = number.strip(".").partition(".")[0]
    return name + ("-" if name[-1].isdigit() and number else "") + number


def installing(libraries: Iterable[str]) -> str:
    """Return what installs libraries, in words."""
    libraries = list(libraries)
    debian = " ".join(dict.fromkeys(map(debian_package, libraries)))
    # packages of Fedora state the libraries that they have, by which they can be asked for
    fedora = " ".join(f"'{library}()(64bit)'" for library in libraries)
    return (
        f"Install them; on Debian and Ubuntu: sudo apt install {debian}; on Fedora and its relatives: "
        f"sudo dnf install {fedora}. Who may not do that asks the administrator."
    )


def missing_for(binding: str) -> list[str]:
    """Return the libraries that Qt needs to draw with X11, and that are not there; as far as `ldd` tells.

    Parameters
    ----------
    binding : str
        Package of Python, such as "PyQt6".
    """
    found: dict[str, None] = {}
    for plugin in _plugins(binding):
        try:
            said = subprocess.run(
                ["ldd", str(plugin)], capture_output=True, text=True, timeout=_LDD_S, check=False
            ).stdout
        except (OSError, subprocess.SubprocessError):
            continue
        found |= dict.fromkeys(re.findall(r"^\s*(\S+) => not found", said, re.MULTILINE))
    return sorted(found)


def _plugins(binding: str) -> Iterator[Path]:
    spec = find_spec(binding) if sys.platform == "linux" else None
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        yield from Path(folder).glob("Qt*/plugins/platforms/libqxcb.so")
