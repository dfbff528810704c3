"""What libraries say as they fail, and the same in words that say what to do.

Texts of Qt 5.15 and 6.11, Mesa 22, X.org and fontconfig as recorded on Debian 12, others as their sources
and issues quote them.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from emseg_napari.doctor.libraries import installing


class Advice(NamedTuple):
    """What is wrong, in a sentence, and what to do."""

    sentence: str
    action: str


NO_OPENGL = Advice(
    "There is no driver for OpenGL, with which napari draws.",
    "Install that of the graphics card; where there is none, on Debian and Ubuntu: sudo apt install "
    "libgl1-mesa-dri libglx-mesa0; on Fedora and its relatives: sudo dnf install mesa-dri-drivers "
    "mesa-libGL.",
)
NO_FONTS = Advice(
    "There are no fonts, or their configuration is missing, so letters are shown as empty boxes.",
    "Install some; on Debian and Ubuntu: sudo apt install fontconfig fonts-dejavu-core; on Fedora and "
    "its relatives: sudo dnf install fontconfig dejavu-sans-fonts.",
)
NO_MEMORY = Advice(
    "There is too little memory.",
    "Close other programs, or ask for 4 GB: docker run --memory 4g, Slurm --mem=4G, without ulimit -v.",
)

# The first that is found in a text counts: what causes another comes before it.
_KNOWN: tuple[tuple[str, Advice], ...] = (
    (
        r"cv2/qt/plugins",
        Advice(
            "The package opencv-python brings a Qt of its own, which napari's Qt takes for its own.",
            "Exchange it: pip uninstall opencv-python, then pip install opencv-python-headless.",
        ),
    ),
    (
        r"GLIBCXX_[\d.]+' not found",
        Advice(
            "The C++ library of conda's environment is older than the one of the graphics driver.",
            "Update it: conda install -c conda-forge 'libstdcxx-ng>=12'.",
        ),
    ),
    (
        r"GLIBC_[\d.]+' not found",
        Advice(
            "This Linux is older than those for which this Qt was built.",
            "Use a newer Linux, or install Qt with conda: conda install -c conda-forge pyqt.",
        ),
    ),
    (
        r"DLL load failed",
        Advice(
            "A library of Windows that a package needs is missing or too old.",
            "Install the Microsoft Visual C++ Redistributable (https://aka.ms/vs/17/release/vc_redist.x64.exe).",
        ),
    ),
    (
        r"No protocol specified|[Aa]uthorization required|Invalid MIT-MAGIC-COOKIE",
        Advice(
            "The screen refuses this user: it belongs to another one.",
            "Start emseg as the user who is logged in, without sudo; over the network, connect with ssh -X.",
        ),
    ),
    (
        r"could not connect to display|Failed to create wl_display|cannot open display",
        Advice(
            "The screen that DISPLAY or WAYLAND_DISPLAY names cannot be reached.",
            "Start emseg in a terminal of the desktop; over the network, connect with ssh -X or use a remote "
            "desktop.",
        ),
    ),
    (
        r"Could not initialize GLX|[Ff]ailed to (?:load driver|open swrast)|QGLXContext: Failed|libGL error",
        NO_OPENGL,
    ),
    (
        r"Could not find the Qt platform plugin \"(?!xcb|wayland|windows|cocoa)",
        Advice(
            "QT_QPA_PLATFORM names a kind of screen that this Qt does not have.",
            "Remove QT_QPA_PLATFORM from the environment.",
        ),
    ),
    (
        r"Could not (?:find|load) the Qt platform plugin",
        Advice(
            "Qt does not find its own parts, or those of another Qt.",
            "Remove QT_PLUGIN_PATH and QT_QPA_PLATFORM_PLUGIN_PATH from the environment, or install Qt "
            "again: pip install --force-reinstall PyQt6 PyQt6-Qt6.",
        ),
    ),
    (
        r"Fontconfig error|Cannot find font directory",
        NO_FONTS,
    ),
    (
        r"Illegal instruction|exit code -4\b|AVX instructions",
        Advice(
            "The processor lacks instructions (AVX) that TensorFlow or ONNX Runtime were built with.",
            "Use a processor from 2013 or later; in a virtual machine, pass the host's processor on.",
        ),
    ),
    (
        r"exit code -9\b|Out of memory|MemoryError|bad_alloc|[Cc]annot allocate memory|OOM when allocating"
        r"|failed to map segment from shared object(?!: Operation not permitted)",
        NO_MEMORY,
    ),
    (
        r"No space left on device|disk is full",
        Advice("The disk is full.", "Free some space, or set TMPDIR to a folder on another disk."),
    ),
)


def recognised(text: str) -> Advice | None:
    """Return what a text of a failing library means; None if it is not known."""
    libraries = sorted(set(re.findall(r"(lib[\w.+-]+?\.so[.\d]*): cannot open shared object", text)))
    if libraries:
        return lacking(libraries)
    return next((advice for pattern, advice in _KNOWN if re.search(pattern, text)), None)


def lacking(libraries: list[str]) -> Advice:
    """Return what to say of libraries that are missing."""
    return Advice(f"Libraries of the system are missing: {', '.join(libraries)}.", installing(libraries))
