"""What libraries say as they fail is recognised; the texts were recorded where these things were missing."""

import pytest

from emseg_napari.doctor.messages import recognised

_GAVE_UP = "This application failed to start because no Qt platform plugin could be initialized."
# of PyQt6 6.11 and PyQt5 5.15 on Debian 12, unless another source is named
RECORDED = {
    "no libGL": (
        'File "qtpy/QtGui.py", line 67, in <module>\n    from PyQt6 import QtGui\n'
        "ImportError: libGL.so.1: cannot open shared object file: No such file or directory",
        "libGL.so.1",
        "sudo apt install libgl1;",
    ),
    "no library of the platform plugin (QT_DEBUG_PLUGINS)": (
        "Cannot load library PyQt5/Qt5/plugins/platforms/libqxcb.so: (libxcb-icccm.so.4: cannot open shared "
        "object file: No such file or directory)",
        "libxcb-icccm.so.4",
        "'libxcb-icccm.so.4()(64bit)'",
    ),
    "no display, which Qt blames on a cursor library": (
        "qt.qpa.xcb: could not connect to display :77\n"
        "qt.qpa.plugin: From 6.5.0, xcb-cursor0 or libxcb-cursor0 is needed to load the Qt xcb platform "
        "plugin.\n"
        'qt.qpa.plugin: Could not load the Qt platform plugin "xcb" in "" even though it was found.\n'
        + _GAVE_UP,
        "cannot be reached",
        "ssh -X",
    ),
    "no Wayland": (
        "error: XDG_RUNTIME_DIR is invalid or not set in the environment.\n"
        "Failed to create wl_display (No such file or directory)\n"
        'qt.qpa.plugin: Could not load the Qt platform plugin "wayland" in "" even though it was found.\n',
        "cannot be reached",
        "desktop",
    ),
    "the display of another user (X.org)": (
        "Authorization required, but no authorization protocol specified\n\n"
        "qt.qpa.xcb: could not connect to display :0\n",
        "refuses this user",
        "without sudo",
    ),
    "no driver of OpenGL": (
        "qt.glx: qglx_findConfig: Failed to finding matching FBConfig for QSurfaceFormat(version 2.0)\n"
        "Could not initialize GLX\n",
        "no driver for OpenGL",
        "libgl1-mesa-dri",
    ),
    "conda's C++ library (Mesa)": (
        "libGL error: MESA-LOADER: failed to open swrast: /lib/x86_64-linux-gnu/libLLVM-15.so.1: "
        "/home/a/conda/lib/libstdc++.so.6: version `GLIBCXX_3.4.30' not found",
        "C++ library",
        "conda install",
    ),
    "opencv's Qt (issues of opencv-python)": (
        'qt.qpa.plugin: Could not load the Qt platform plugin "xcb" in "/a/cv2/qt/plugins" even '
        "though it was found.\n" + _GAVE_UP,
        "opencv-python",
        "opencv-python-headless",
    ),
    "another platform": (
        'qt.qpa.plugin: Could not find the Qt platform plugin "nothing" in ""\n' + _GAVE_UP,
        "QT_QPA_PLATFORM",
        "Remove",
    ),
    "no fonts (fontconfig)": (
        "Fontconfig error: Cannot load default config file: No such file: (null)",
        "fonts",
        "fonts-dejavu-core",
    ),
    "a limit of addresses": (
        "ImportError: libtensorflow_cc.so.2: failed to map segment from shared object",
        "too little memory",
        "ulimit -v",
    ),
    "killed for memory": (
        "The engine process ended unexpectedly (exit code -9), perhaps for lack of memory; your labels",
        "too little memory",
        "4 GB",
    ),
    "an old processor": (
        "The TensorFlow library was compiled to use AVX instructions, but these aren't available",
        "AVX",
        "2013",
    ),
    "Windows without its runtime": (
        "ImportError: DLL load failed while importing onnxruntime_pybind11_state",
        "Windows",
        "vc_redist",
    ),
}


@pytest.mark.parametrize(("text", "sentence", "action"), RECORDED.values(), ids=RECORDED)
def test_a_recorded_text_becomes_a_sentence_and_what_to_do(text, sentence, action):
    advice = recognised(text)
    assert advice is not None
    assert sentence in advice.sentence
    assert action in advice.action


def test_the_exit_code_is_read_as_a_whole():
    assert recognised("ended unexpectedly (exit code -90)") is None


def test_what_is_not_known_is_not_guessed():
    assert recognised("qt.qpa.xcb: something that nobody has seen") is None
    noexec = "libx.so: failed to map segment from shared object: Operation not permitted"
    assert recognised(noexec) is None
