"""Import of Keras on TensorFlow, as soon and as fast as this machine allows."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Keras imports them where they are installed, for wrappers and printing that are not used here.
_UNUSED = ("IPython", "pandas", "sklearn")


def import_keras() -> None:
    """Import Keras and TensorFlow; call it before any module that imports them.

    It takes 3 s where a plain import takes 4.5 s (benchmarks/README.md).
    """
    # Also if the user set another backend: none of them trains here (benchmarks/README.md).
    os.environ["KERAS_BACKEND"] = "tensorflow"
    # TensorFlow's default on processors with AVX-512 VNNI; on others, too, a step takes two thirds.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    if "keras" not in sys.modules:
        with _without_collections(), _hidden(_UNUSED):
            import keras  # noqa: F401


@contextmanager
def _without_collections() -> Iterator[None]:
    """Let Python collect no garbage within a block: of millions of new objects it would find none."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def _hidden(packages: tuple[str, ...]) -> Iterator[None]:
    """Let packages that are not imported yet seem missing within a block."""
    hidden = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)
